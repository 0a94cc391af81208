//! Checkpoints beside the writer: what lies in the write-ahead log is put into its place while commits go on.
//!
//! SQLite's own checkpoint belongs to the commit that fills the log, and whoever writes waits for it: for tens of milliseconds, or for
//! a tenth of a second where the pages lie all over a large file. Here a connection of its own does most of that. The last few pages
//! are left to the writer, because only one that finds the whole log put away begins it anew.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::Notify,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Pages in the log, from which on they are put into their places: 94 MiB. An event dirties five pages and a mail a dozen, many of
/// them those of the one before; the later they are put away, the fewer they are.
const PAGES: i64 = 24_000;
/// Pages that are left to the writer: some milliseconds, or some tens of them where the disk is busy.
const LEFT: i64 = 1_000;
/// Passes over the log, after which the writer ends it, whatever is left. Where the disk is slower than the writer, more would not help.
const PASSES_MAX: usize = 6;
/// Commits after which the log is looked at again: one has a few pages, or a thousand.
const COMMITS: u32 = 8;

/// Is told of a writer's commits, and puts pages into their places.
pub(super) struct Checkpoints {
    commits: u32,
    due: Arc<Notify>,
    /// Whether little is left to do.
    ends: Arc<AtomicBool>,
    over: DropGuard,
    task: JoinHandle<()>,
}

impl Checkpoints {
    /// Begins, for the database of these options.
    pub(super) fn start(options: SqliteConnectOptions) -> Self {
        let (due, ends) = (Arc::<Notify>::default(), Arc::<AtomicBool>::default());
        let over = CancellationToken::new();
        let beside = Beside { options, conn: None, ends: ends.clone() };
        let task = tokio::spawn(beside.run(due.clone(), over.clone()));
        Self { commits: 0, due, ends, over: over.drop_guard(), task }
    }

    /// There was a commit. Answers whether the writer is to end a checkpoint now.
    pub(super) fn committed(&mut self) -> bool {
        self.commits += 1;
        if self.commits >= COMMITS {
            self.commits = 0;
            self.due.notify_one();
        }
        self.ends.swap(false, Ordering::Relaxed)
    }

    /// Ends; the connection is closed then.
    pub(super) async fn end(self) {
        drop(self.over);
        if let Some(error) = trouble(self.task.await) {
            tracing::warn!(%error, "what makes checkpoints did not end well");
        }
    }
}

/// Why a task did not end well. It is cut off where the process ends meanwhile, which is no trouble.
fn trouble(ended: Result<(), JoinError>) -> Option<JoinError> {
    ended.err().filter(|error| !error.is_cancelled())
}

/// The connection beside the writer's, once there was something to do.
struct Beside {
    options: SqliteConnectOptions,
    conn: Option<SqliteConnection>,
    ends: Arc<AtomicBool>,
}

impl Beside {
    async fn run(mut self, due: Arc<Notify>, over: CancellationToken) {
        while over.run_until_cancelled(due.notified()).await.is_some() {
            if let Err(error) = self.look().await {
                // The log grows, until the writer's own checkpoint does all of it.
                tracing::debug!(%error, "no checkpoint beside the writer");
            }
        }
        if let Some(conn) = self.conn
            && let Err(error) = conn.close().await
        {
            tracing::debug!(%error, "could not close the connection of checkpoints cleanly");
        }
    }

    async fn look(&mut self) -> Result<(), sqlx::Error> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(self.options.connect().await?),
        };
        if left(conn).await? < PAGES {
            return Ok(());
        }
        for _ in 0..PASSES_MAX {
            checkpoint(conn).await?;
            if left(conn).await? <= LEFT {
                break;
            }
        }
        self.ends.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Pages in the log that are not in their places.
async fn left(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let (_, all, done): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(NOOP)").fetch_one(conn).await?;
    Ok(all - done)
}

/// Puts those into their places that no reader still needs where they are, as far as nobody else does.
pub(super) async fn checkpoint(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(conn).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite;

    /// A database with so many pages in its log, beside which nothing was done yet.
    async fn logged(pages: i64) -> (tempfile::TempDir, SqliteConnection, Beside) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("heap.db");
        let mut conn = sqlite::options_to_make(&path).connect().await.expect("opened");
        let fill = sqlx::query("CREATE TABLE heap (filler BLOB); INSERT INTO heap VALUES (zeroblob($1))");
        fill.bind(pages * 4092).execute(&mut conn).await.expect("filled");
        (dir, conn, Beside { options: sqlite::options(&path), conn: None, ends: Arc::default() })
    }

    #[tokio::test]
    async fn where_the_process_ends_meanwhile_nobody_is_warned() {
        let cut_off = tokio::spawn(std::future::pending::<()>());
        cut_off.abort();
        assert!(trouble(cut_off.await).is_none());
        assert!(trouble(tokio::spawn(async {}).await).is_none());
        assert!(trouble(tokio::spawn(async { panic!("a bug") }).await).is_some());
    }

    #[tokio::test]
    async fn a_full_log_is_put_away_and_the_writer_told_to_end_it_and_another_is_left_alone() {
        let (_dir, mut conn, mut beside) = logged(PAGES / 2).await;
        beside.look().await.expect("looked");
        assert!(left(&mut conn).await.expect("looked") >= PAGES / 2);
        assert!(!beside.ends.load(Ordering::Relaxed));

        let (_dir, mut conn, mut beside) = logged(PAGES).await;
        beside.look().await.expect("looked");
        assert_eq!(left(&mut conn).await.expect("looked"), 0);
        assert!(beside.ends.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn what_a_reader_needs_is_left_to_the_writer() {
        let (_dir, mut conn, mut beside) = logged(PAGES / 2).await;
        let mut reader = beside.options.connect().await.expect("opened");
        sqlx::raw_sql("BEGIN; SELECT * FROM heap LIMIT 0").execute(&mut reader).await.expect("read");
        sqlx::query("SELECT count(*) FROM heap").execute(&mut reader).await.expect("read");
        sqlx::query("INSERT INTO heap SELECT filler FROM heap").execute(&mut conn).await.expect("filled");
        beside.look().await.expect("looked");
        assert!(left(&mut conn).await.expect("looked") >= PAGES / 2);
        assert!(beside.ends.load(Ordering::Relaxed), "and there is an end to trying");
    }

    #[tokio::test]
    async fn the_writer_is_told_once_and_the_log_looked_at_after_some_commits() {
        let (_dir, _conn, Beside { options, .. }) = logged(1).await;
        let mut checkpoints = Checkpoints::start(options);
        checkpoints.ends.store(true, Ordering::Relaxed);
        assert!(checkpoints.committed());
        assert!(!checkpoints.committed());
        checkpoints.end().await;
    }
}
