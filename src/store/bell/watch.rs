//! Watching for what other processes commit, so that their events ring this process's bell.
//!
//! Another process that has committed says so through the local socket, and then it is looked at at once; the look every
//! 50 ms is the floor under it, for when the socket fails.
//!
//! `PRAGMA data_version` changes on a connection when any other one has committed, and costs microseconds. What this
//! process commits itself shows as well and rings once more: a ring for nothing, which waiters shrug off.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _, FromRow, Row as _, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::{BellStore, sql};
use crate::{
    domain::{clock::Clock, cursor::Seq, id::ConsumerName},
    store::{
        StoreError, failed,
        leases::Consumers as _,
        log::EventLog as _,
        sqlite,
        statement::{Bind, Statement},
    },
    wake::{Bell, Topic},
};

/// How often to look. Where the socket fails, a wait in another process ends 25 ms after the commit on average; each look wakes
/// three threads, which was most of what an idle house took.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Events told of one by one; where more came at once, everyone is told.
const NEWS_MAX: u32 = 1_000;

/// What the watch has told of so far.
struct Told {
    version: i64,
    head: Seq,
    returns: HashMap<ConsumerName, i64>,
}

impl BellStore {
    /// Rings `bell` for what other processes commit, until `shutdown`. Every process runs it once.
    pub async fn watch(&self, bell: Bell, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        let bell = bell.echo();
        let mut conn = None;
        let mut told = None;
        loop {
            if let Err(error) = self.look_for_news(&mut conn, &mut told, &bell).await {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "could not look for events of other processes; looking again");
                conn = None;
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = bell.pulled_from_elsewhere() => {}
                () = clock.sleep(LOOK_EVERY) => {}
            }
        }
        if let Some(conn) = conn
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "could not close the watching connection cleanly");
        }
    }

    async fn look_for_news(
        &self,
        conn: &mut Option<SqliteConnection>,
        told: &mut Option<Told>,
        bell: &Bell,
    ) -> Result<(), StoreError> {
        let conn = if let Some(conn) = conn {
            conn
        } else {
            // A version is only comparable with others of the same connection.
            if let Some(told) = told {
                told.version = i64::MIN;
            }
            let options = sqlite::options(&self.path).pragma("query_only", "ON");
            conn.insert(options.connect().await.map_err(failed("open a watching connection"))?)
        };
        // The version is read before what it stands for: what is committed in between is told of twice rather than never.
        let (head, most) = told.as_ref().map_or((Seq::ZERO, 0), |told| (told.head, NEWS_MAX));
        let news = [Bind::Int(head.0), Bind::Int(most.into())];
        let look = Statement::new(sql::log::DATA_VERSION, []).then(Statement::new(sql::log::NEWS, news));
        let rows = look.rows_of_each(conn).await.map_err(failed("watch the database"))?;
        let [version, news] = rows.as_slice() else {
            return Err(StoreError::of("watch the database", sqlx::Error::RowNotFound));
        };
        let version = version.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get::<i64, _>(0));
        let version = version.map_err(failed("watch the database"))?;
        let Some(told) = told else {
            let returns = self.returns().await?.into_iter().collect();
            *told = Some(Told { version, head: self.extent().await?.head, returns });
            // Whoever began to wait before now may have missed a ring.
            bell.ring_all();
            return Ok(());
        };
        if version == told.version {
            return Ok(());
        }
        if news.len() as u64 == u64::from(NEWS_MAX) {
            told.head = self.extent().await?.head;
            bell.ring_all();
        } else {
            for row in news {
                let (seq, mailbox): (_, Option<String>) = FromRow::from_row(row).map_err(failed("read what is new"))?;
                told.head = Seq(seq);
                bell.ring_event(mailbox.as_deref());
            }
        }
        for (consumer, count) in self.returns().await? {
            if told.returns.insert(consumer.clone(), count).unwrap_or(0) < count {
                bell.ring(&Topic::Consumer(consumer));
            }
        }
        told.version = version;
        Ok(())
    }
}
