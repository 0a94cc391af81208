//! The one writer of a database: it takes what many callers ask for and commits it together.
//!
//! Callers queue; the writer drains whatever is queued, runs it in one `BEGIN IMMEDIATE` transaction, commits, and only
//! then answers. There is no timer: under load batches form by themselves, and a lone caller waits for nobody. A batch
//! that fails is rolled back and retried piece by piece, so that a poisonous piece fails alone.
//!
//! Why one writer: SQLite has one write lock. Callers that fight for it wait in its busy handler; callers in a queue
//! share one fsync.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Refusal, StoreError, failed, term::Term};
use crate::measures;

/// Writes that may wait; more are refused with [`Refusal::Overloaded`], which their callers pass on as "try again".
const QUEUE_MAX: usize = 4096;
/// Writes that share a commit at most: beyond it a batch gains little and its first caller waits long.
const BATCH_MAX: usize = 256;

/// Something to run inside the writer's transaction. It may run twice, the second time alone, after a rollback.
trait Work: Send {
    fn run<'c>(&'c mut self, conn: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), StoreError>>;
    fn finish(self: Box<Self>, ending: Result<(), StoreError>);
}

struct Piece<T, F> {
    work: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Piece<T, F>
where
    T: Send + 'static,
    F: for<'c> FnMut(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send,
{
    fn run<'c>(&'c mut self, conn: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), StoreError>> {
        let Self { work, value, .. } = self;
        let running = work(conn);
        Box::pin(async move {
            *value = Some(running.await?);
            Ok(())
        })
    }

    fn finish(self: Box<Self>, ending: Result<(), StoreError>) {
        let Self { value, answer, .. } = *self;
        let ending = ending.and_then(|()| value.ok_or(StoreError::Refused(Refusal::Closed)));
        // A caller that no longer listens has lost the answer, not the write.
        let _ = answer.send(ending);
    }
}

/// A handle to a database's writer; clones share it.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Work>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts a writer that owns `conn`. It ends when the last handle is dropped, or when the disk fails at a commit: then it
    /// cancels `disk_failed`, and the process must end, because what reached the disk is no longer known. With a `term`, it
    /// writes only while that holds.
    /// `name` is the database's in what is counted.
    pub(crate) fn start(
        name: &'static str,
        conn: SqliteConnection,
        term: Option<Term>,
        disk_failed: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let commits = Arc::new(AtomicU64::new(0));
        tokio::spawn(write_all(name, conn, term, waiting, commits.clone(), disk_failed));
        Self { queue, commits }
    }

    /// Transactions committed so far.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Fails where a transaction cannot be committed `within` that time; one without writes costs no write to the disk.
    pub(crate) async fn probe(&self, within: Duration) -> Result<(), StoreError> {
        let written = self.write(|_| Box::pin(std::future::ready(Ok(()))));
        tokio::time::timeout(within, written).await.unwrap_or(Err(StoreError::Refused(Refusal::Locked)))
    }

    /// Runs `work` inside a transaction and answers once it is committed. `work` may run twice, so it must not move
    /// out of what it captured. Dropping the returned future does not take back what was asked.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnMut(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let piece = Box::new(Piece { work, value: None, answer });
        self.queue.try_send(piece).map_err(|refused| {
            StoreError::Refused(match refused {
                mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Refusal::Closed,
            })
        })?;
        answered.await.unwrap_or(Err(StoreError::Refused(Refusal::Closed)))
    }
}

async fn write_all(
    name: &'static str,
    mut conn: SqliteConnection,
    term: Option<Term>,
    mut waiting: mpsc::Receiver<Box<dyn Work>>,
    commits: Arc<AtomicU64>,
    disk_failed: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let began = Instant::now();
        let mut ending = commit(&mut conn, term.as_ref(), &mut batch).await;
        measures::commit(name, began.elapsed());
        if ending.is_ok() {
            commits.fetch_add(1, Ordering::Relaxed);
        }
        if batch.len() > 1 && ending.as_ref().is_err_and(|error| !error.is_disk_failure()) {
            for piece in batch.drain(..) {
                let mut alone = vec![piece];
                ending = commit(&mut conn, term.as_ref(), &mut alone).await;
                if ending.is_ok() {
                    commits.fetch_add(1, Ordering::Relaxed);
                }
                finish(&mut alone, &ending);
            }
        }
        finish(&mut batch, &ending);
        if let Err(error) = &ending
            && error.is_disk_failure()
        {
            tracing::error!(
                error = error as &(dyn std::error::Error + 'static),
                "the disk failed; ending, so that nothing more is promised"
            );
            disk_failed.cancel();
            return;
        }
    }
    if let Err(error) = conn.close().await {
        tracing::warn!(%error, "could not close the database cleanly");
    }
}

/// One transaction. It is begun and ended in plain SQL: when the disk is full, SQLite has often rolled back by itself, and
/// sqlx's own transactions then count one that is no longer there and refuse to begin another.
async fn commit(
    conn: &mut SqliteConnection,
    term: Option<&Term>,
    batch: &mut [Box<dyn Work>],
) -> Result<(), StoreError> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await.map_err(failed("begin a transaction"))?;
    let done = run(conn, term, batch).await;
    if done.is_err()
        && let Err(error) = sqlx::query("ROLLBACK").execute(conn).await
    {
        tracing::debug!(%error, "nothing to roll back: the database has done it");
    }
    done
}

async fn run(conn: &mut SqliteConnection, term: Option<&Term>, batch: &mut [Box<dyn Work>]) -> Result<(), StoreError> {
    // Under the write lock: nobody can begin another term before this transaction is over.
    if let Some(term) = term {
        term.check(&mut *conn).await?;
    }
    for piece in batch {
        piece.run(conn).await?;
    }
    sqlx::query("COMMIT").execute(conn).await.map_err(failed("commit")).map(drop)
}

fn finish(batch: &mut Vec<Box<dyn Work>>, ending: &Result<(), StoreError>) {
    for piece in batch.drain(..) {
        piece.finish(ending.clone());
    }
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions as _;

    use super::*;
    use crate::store::sqlite;

    async fn add(writer: &Writer, bytes: i64) -> Result<(), StoreError> {
        writer
            .write(move |conn| {
                Box::pin(async move {
                    let add = sqlx::query("INSERT INTO heap (filler) VALUES (zeroblob(?))").bind(bytes);
                    add.execute(conn).await.map(drop).map_err(failed("add"))
                })
            })
            .await
    }

    async fn set_pages_max(writer: &Writer, pages: &'static str) {
        let set = writer.write(move |conn| {
            Box::pin(async move { sqlx::query(pages).execute(conn).await.map(drop).map_err(failed("set")) })
        });
        set.await.expect("set");
    }

    /// SQLite rolls a transaction back by itself when the disk is full; the writer must be able to begin the next one.
    #[tokio::test]
    async fn after_a_full_disk_it_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = sqlite::options(&dir.path().join("heap.db")).create_if_missing(true);
        let mut conn = options.connect().await.expect("opened");
        sqlx::query("CREATE TABLE heap (filler BLOB)").execute(&mut conn).await.expect("made");
        let writer = Writer::start("heap", conn, None, CancellationToken::new());
        set_pages_max(&writer, "PRAGMA max_page_count = 20").await;
        assert!(add(&writer, 10).await.is_ok());
        for _ in 0..3 {
            let full = add(&writer, 1 << 20).await.expect_err("it does not fit");
            assert!(matches!(full, StoreError::Refused(Refusal::Full)), "{full:?}");
        }
        set_pages_max(&writer, "PRAGMA max_page_count = 4000").await;
        assert!(add(&writer, 1 << 20).await.is_ok());
    }

    /// A piece that fails is rolled back and takes nobody with it.
    #[tokio::test]
    async fn a_poisonous_piece_fails_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = sqlite::options(&dir.path().join("heap.db")).create_if_missing(true);
        let mut conn = options.connect().await.expect("opened");
        sqlx::query("CREATE TABLE heap (filler BLOB)").execute(&mut conn).await.expect("made");
        let writer = Writer::start("heap", conn, None, CancellationToken::new());
        let poison = writer.write(|conn| {
            Box::pin(async move {
                let add = sqlx::query("INSERT INTO heap (filler) VALUES (zeroblob(7))");
                add.execute(&mut *conn).await.map_err(failed("add"))?;
                sqlx::query("SELECT nonsense").execute(conn).await.map(drop).map_err(failed("fail"))
            })
        });
        let (first, poisoned, second) = tokio::join!(add(&writer, 1), poison, add(&writer, 2));
        assert!(first.is_ok() && poisoned.is_err() && second.is_ok());
        let sizes = writer.write(|conn| {
            Box::pin(async move {
                let sizes = sqlx::query_scalar::<_, i64>("SELECT length(filler) FROM heap ORDER BY rowid");
                sizes.fetch_all(conn).await.map_err(failed("look"))
            })
        });
        assert_eq!(sizes.await.expect("read"), [1, 2]);
    }
}
