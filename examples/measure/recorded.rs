//! A bare client that signs each delivery and records it on the disk, written plainly: what mailbell's promises cost without a
//! queue.
//!
//! Its bodies are in memory, and nothing is read, leased or found by an index. One writer commits all that came meanwhile, and SQLite
//! flushes each commit, where mailbell's flushes are made beside the writer. As with mailbell, an endpoint's next delivery is posted
//! while the records of those before are still being written, up to as many as mailbell lets wait.

use std::{collections::VecDeque, path::Path, sync::Arc, time::Instant};

use mailbell::{
    app::system::SystemClock,
    domain::{clock::Clock as _, secret::Secret},
    mail::webhooks::dispatch::HEADER_ATTEMPT,
    signing::{multimail, standard_webhooks},
    store::deliveries::UNRECORDED_MAX,
};
use reqwest::RequestBuilder;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{Failure, events::SECRET};

const TABLE: &str = "CREATE TABLE delivery (
     seq             INTEGER PRIMARY KEY,
     port            INTEGER NOT NULL,
     event_id        TEXT NOT NULL,
     at              INTEGER NOT NULL,
     status          INTEGER NOT NULL,
     duration_millis INTEGER NOT NULL
 ) STRICT";
const RECORD: &str = "INSERT INTO delivery (port, event_id, at, status, duration_millis)
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?)";
/// The columns of a delivery, but for its place.
type Row = (u16, String, i64, u16, u64);

/// A delivery to record, and who is told once it is on the disk.
type Made = (Row, oneshot::Sender<()>);

/// What the writer ends with: how many rows it wrote.
pub(crate) type Writing = JoinHandle<Result<u64, Failure>>;

/// What an endpoint's deliveries still wait for, the oldest first.
pub(crate) type Unrecorded = VecDeque<oneshot::Receiver<()>>;

/// Signs, posts and has its deliveries recorded.
pub(crate) struct Recorder {
    secret: Secret,
    clock: SystemClock,
    made: mpsc::UnboundedSender<Made>,
}

impl Recorder {
    /// One with a new database at `path`, and its writer, which ends once the recorder is dropped.
    pub(crate) async fn start(path: &Path) -> Result<(Arc<Self>, Writing), Failure> {
        let conn = open(path).await?;
        let (made, queue) = mpsc::unbounded_channel();
        let recorder = Self { secret: Secret::new(SECRET), clock: SystemClock::new(), made };
        Ok((Arc::new(recorder), tokio::spawn(write(conn, queue))))
    }

    /// Makes a delivery to the port `endpoint`, by a `post` that lacks signatures and body. Of those before, the oldest is waited
    /// for where as many are `unrecorded` as may be.
    pub(crate) async fn deliver(
        &self,
        post: RequestBuilder,
        endpoint: u16,
        unrecorded: &mut Unrecorded,
        event_id: String,
        body: String,
    ) -> Result<(), Failure> {
        let (at, began) = (self.clock.now().0, Instant::now());
        let post = self.sign(post, &event_id, at.div_euclid(1000), body.as_bytes());
        let status = post.body(body).send().await?.error_for_status()?.status().as_u16();
        let row = (endpoint, event_id, at, status, u64::try_from(began.elapsed().as_millis())?);
        let (sender, committed) = oneshot::channel();
        self.made.send((row, sender)).map_err(|_| "the writer has ended")?;
        unrecorded.push_back(committed);
        if unrecorded.len() > UNRECORDED_MAX
            && let Some(oldest) = unrecorded.pop_front()
        {
            oldest.await.map_err(|_| "the writer has ended")?;
        }
        Ok(())
    }

    /// Adds the headers of mailbell that a bare post lacks.
    fn sign(&self, post: RequestBuilder, event_id: &str, timestamp_secs: i64, body: &[u8]) -> RequestBuilder {
        let digest = multimail::sign(&self.secret, body);
        let prefixed = format!("{}{digest}", multimail::SPELLING_PREFIX);
        let standard = standard_webhooks::sign(&self.secret, event_id, timestamp_secs, body);
        post.header(multimail::HEADER, digest)
            .header(multimail::HEADER_SHA256, prefixed)
            .header(HEADER_ATTEMPT, "1")
            .header(standard_webhooks::HEADER_ID, event_id)
            .header(standard_webhooks::HEADER_TIMESTAMP, timestamp_secs.to_string())
            .header(standard_webhooks::HEADER_SIGNATURE, standard)
    }
}

/// A new database, with mailbell's pragmas but for how it is flushed.
async fn open(path: &Path) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-4096")
        .pragma("soft_heap_limit", "33554432")
        .pragma("wal_autocheckpoint", "48000")
        .pragma("journal_size_limit", "134217728")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let mut conn = options.connect().await?;
    sqlx::query(TABLE).execute(&mut conn).await?;
    Ok(conn)
}

/// Writes what has come, and meanwhile more comes, until nobody is left who makes deliveries.
async fn write(mut conn: SqliteConnection, mut queue: mpsc::UnboundedReceiver<Made>) -> Result<u64, Failure> {
    let (mut written, mut came) = (0, Vec::new());
    while queue.recv_many(&mut came, usize::MAX).await > 0 {
        let (rows, waiting): (Vec<Row>, Vec<_>) = came.drain(..).unzip();
        // A statement outside of a transaction is one itself: a commit takes one trip to the database's thread.
        let done = sqlx::query(RECORD).bind(serde_json::to_string(&rows)?).execute(&mut conn).await?;
        written += done.rows_affected();
        for sender in waiting {
            // Whoever waited may be gone, where another delivery failed.
            let _ = sender.send(());
        }
    }
    conn.close().await?;
    Ok(written)
}
