//! Watching for what other processes commit, so that their events ring this process's bell.
//!
//! Another process that has committed says so through the local socket, and then it is looked at at once; the look every
//! 50 ms is the floor under it, for when the socket fails. It goes no further than the write-ahead log's file where that is as it was.
//!
//! `PRAGMA data_version` changes on a connection when any other one has committed. What this process commits itself shows as well and
//! rings once more: a ring for nothing, which waiters shrug off.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use sqlx::{ConnectOptions as _, Connection as _, FromRow, Row as _, SqliteConnection};
use tokio_util::sync::CancellationToken;

use super::{BellStore, sql};
use crate::{
    domain::{clock::Clock, cursor::Seq, id::ConsumerName},
    store::{
        StoreError, failed, flushes,
        leases::Consumers as _,
        log::EventLog as _,
        sqlite,
        statement::{Bind, Statement},
    },
    wake::{Bell, Topic},
};

/// How often to look. Where the socket fails, a wait in another process ends 25 ms after the commit on average.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Turns for which the database is asked after its file has changed, a quarter of a second: a commit may show only when what it wrote
/// is flushed, and two may have the same time.
const ASKED_FOR: u32 = 5;
/// So often, in turns, the database is asked whatever its file shows, for a file system that keeps no time of changes: each second.
const ASKED_EVERY: u32 = 20;
/// Events told of one by one; where more came at once, everyone is told.
const NEWS_MAX: u32 = 1_000;

/// What the watch has told of so far.
struct Told {
    version: i64,
    head: Seq,
    returns: HashMap<ConsumerName, i64>,
}

/// The file of the write-ahead log, which every commit writes to. To look at it costs a microsecond; to ask the database wakes three
/// threads, which was most of what an idle house took.
struct LogFile {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
    /// Turns since it was seen to change.
    turns: u32,
}

impl LogFile {
    fn of(database: &Path) -> Self {
        Self { path: flushes::log_of(database), seen: None, turns: 0 }
    }

    /// Whether something may have been committed that no turn before has told of.
    fn may_have_news(&mut self) -> bool {
        // It is in memory: no other thread is needed to wait for it.
        let seen = std::fs::metadata(&self.path).and_then(|file| Ok((file.modified()?, file.len()))).ok();
        self.turns = if seen == self.seen { self.turns + 1 } else { 0 };
        self.seen = seen;
        seen.is_none() || self.turns < ASKED_FOR || self.turns.is_multiple_of(ASKED_EVERY)
    }
}

impl BellStore {
    /// Rings `bell` for what other processes commit, until `shutdown`. Every process runs it once.
    pub async fn watch(&self, bell: Bell, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        let bell = bell.echo();
        let mut conn = None;
        let mut told = None;
        let mut log = LogFile::of(&self.path);
        let mut pulled = false;
        loop {
            let asks = log.may_have_news() || pulled || conn.is_none();
            if asks && let Err(error) = self.look_for_news(&mut conn, &mut told, &bell).await {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "could not look for events of other processes; looking again");
                conn = None;
            }
            pulled = tokio::select! {
                () = shutdown.cancelled() => break,
                () = bell.pulled_from_elsewhere() => true,
                () = clock.sleep(LOOK_EVERY) => false,
            };
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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_database_is_asked_for_a_while_after_each_change_of_its_file_and_each_second_anyway() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = LogFile::of(&dir.path().join("bell.db"));
        assert!(log.may_have_news() && log.may_have_news(), "there is none");
        let file = File::create(dir.path().join("bell.db-wal")).expect("made");
        let changed_at = |seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).expect("set");
        };
        for seconds in [2_000, 1_000] {
            changed_at(seconds);
            let asked: Vec<bool> = (0..=2 * ASKED_EVERY).map(|_| log.may_have_news()).collect();
            let turns: Vec<usize> = (0..asked.len()).filter(|turn| asked[*turn]).collect();
            assert_eq!(turns, [0, 1, 2, 3, 4, 20, 40], "whichever way the clock was set");
        }
        file.set_len(4096).expect("grown");
        changed_at(1_000);
        assert!(log.may_have_news(), "it is longer");
    }
}
