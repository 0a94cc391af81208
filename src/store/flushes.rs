//! Flushes beside the writer: what it has committed is brought to the disk while it goes on with what comes next.
//!
//! With `synchronous=FULL` a commit flushes the write-ahead log itself, and the writer waits for the disk each time. Here the commit
//! only writes to the log (`NORMAL`), a thread flushes it, and whoever asked is answered then. A flush is for all that was committed
//! before it began, so a disk that is slow has fewer of them to do.
//!
//! A commit has put all its pages into the log when it returns. SQLite reads the log up to the first page that is not whole, so a
//! power loss takes the newest commits and nothing from between. It flushes by itself what the log rests on: the database after a
//! checkpoint, the log before one, and the header of a log that is begun anew.
//!
//! Who reads may see what is not on the disk yet, and a power loss take that back. Nobody was told that it was written; and no place in
//! the log is given again that somebody may have seen, because the first term of a boot skips some (`bell.db`, `begin_term`).

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Refusal, StoreError};
use crate::measures;

/// Commits that wait for a flush at most: the writer waits for the disk beyond it, as it would without this.
const WAITING_MAX: usize = 64;

/// What is to be done once a commit is on the disk, or is not.
type Then = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Is told of a writer's commits, and flushes.
pub(super) struct Flushes {
    queue: mpsc::Sender<Then>,
    over: oneshot::Receiver<()>,
}

impl Flushes {
    /// Begins, for the database at `path`, which is open and stays so; `name` is its own in what is counted. Fails where there can be
    /// no thread for it. `disk_failed` is cancelled where a flush fails: what reached the disk is not known then, and nothing more is
    /// flushed.
    pub(super) fn start(name: &'static str, path: &Path, disk_failed: CancellationToken) -> io::Result<Self> {
        Self::start_with(name, log_flusher(path), disk_failed)
    }

    /// The same, with what stands in for the disk.
    pub(super) fn start_with(
        name: &'static str,
        flush: impl FnMut() -> io::Result<()> + Send + 'static,
        disk_failed: CancellationToken,
    ) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let (ended, over) = oneshot::channel();
        let flushing = move || {
            flush_all(name, flush, waiting, &disk_failed);
            // Nobody waits for the end of a writer that was dropped.
            let _ = ended.send(());
        };
        thread::Builder::new().name("flush".to_owned()).spawn(flushing)?;
        Ok(Self { queue, over })
    }

    /// Does `then` once all that was committed so far is on the disk. Waits only where many wait before it.
    pub(super) async fn after_next(&self, then: Then) {
        if let Err(mpsc::error::SendError(then)) = self.queue.send(then).await {
            then(Err(StoreError::Refused(Refusal::Closed)));
        }
    }

    /// Ends, after a last flush for those who wait.
    pub(super) async fn end(self) {
        drop(self.queue);
        if self.over.await.is_err() {
            tracing::warn!("what flushes the database did not end well");
        }
    }
}

fn flush_all(
    name: &'static str,
    mut flush: impl FnMut() -> io::Result<()>,
    mut waiting: mpsc::Receiver<Then>,
    disk_failed: &CancellationToken,
) {
    let mut all = Vec::with_capacity(WAITING_MAX);
    while waiting.blocking_recv_many(&mut all, WAITING_MAX) > 0 {
        let began = Instant::now();
        let ending = flush().map_err(|error| StoreError::of("flush the database", sqlx::Error::Io(error)));
        measures::flush(name, began.elapsed());
        for then in all.drain(..) {
            then(ending.clone());
        }
        if let Err(error) = ending {
            end_for(&error, disk_failed);
            return;
        }
    }
}

/// Ends the process for a failure of the disk, and says so.
pub(super) fn end_for(error: &StoreError, disk_failed: &CancellationToken) {
    let error = error as &(dyn std::error::Error + 'static);
    tracing::error!(error, "the disk failed; ending, so that nothing more is promised");
    disk_failed.cancel();
}

/// Flushes the write-ahead log of the database at `path`. It is opened once: SQLite never replaces the file while the database is open.
fn log_flusher(path: &Path) -> impl FnMut() -> io::Result<()> + Send + use<> {
    let (path, mut log) = (log_of(path), None);
    move || {
        let log = match &mut log {
            Some(log) => log,
            // To be written to, without which some systems flush nothing.
            none => none.insert(File::options().write(true).open(&path)?),
        };
        log.sync_data()
    }
}

/// Where SQLite keeps the write-ahead log of the database at `path`.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::mpsc as blocking;

    use sqlx::ConnectOptions as _;

    use super::*;
    use crate::store::sqlite;

    /// A disk that is slow: each flush waits until it is told how it ends, and is counted when it begins.
    pub(in super::super) struct SlowDisk {
        endings: blocking::Sender<io::Result<()>>,
        begun: mpsc::UnboundedReceiver<()>,
    }

    impl SlowDisk {
        pub(in super::super) fn start(disk_failed: CancellationToken) -> (Self, Flushes) {
            let (endings, told) = blocking::channel();
            let (begins, begun) = mpsc::unbounded_channel();
            let flush = move || {
                let _ = begins.send(());
                told.recv().unwrap_or(Ok(()))
            };
            (Self { endings, begun }, Flushes::start_with("heap", flush, disk_failed).expect("a thread"))
        }

        pub(in super::super) async fn begun(&mut self) {
            self.begun.recv().await.expect("it is flushed");
        }

        pub(in super::super) fn has_begun(&mut self) -> bool {
            self.begun.try_recv().is_ok()
        }

        pub(in super::super) fn end(&self, ending: io::Result<()>) {
            self.endings.send(ending).expect("somebody flushes");
        }
    }

    async fn ask(flushes: &Flushes) -> oneshot::Receiver<Result<(), StoreError>> {
        let (answer, answered) = oneshot::channel();
        flushes.after_next(Box::new(move |ending| answer.send(ending).expect("somebody listens"))).await;
        answered
    }

    #[tokio::test]
    async fn what_is_committed_during_a_flush_shares_the_next() {
        let (mut disk, flushes) = SlowDisk::start(CancellationToken::new());
        let first = ask(&flushes).await;
        disk.begun().await;
        let (mut second, third) = (ask(&flushes).await, ask(&flushes).await);
        disk.end(Ok(()));
        first.await.expect("answered").expect("flushed");
        disk.begun().await;
        assert!(second.try_recv().is_err(), "the flush before began too early for it");
        disk.end(Ok(()));
        second.await.expect("answered").expect("flushed");
        third.await.expect("answered").expect("flushed");
        flushes.end().await;
        assert!(!disk.has_begun());
    }

    #[tokio::test]
    async fn a_disk_that_fails_ends_it_and_nobody_is_told_that_anything_lasts() {
        let disk_failed = CancellationToken::new();
        let (mut disk, flushes) = SlowDisk::start(disk_failed.clone());
        let first = ask(&flushes).await;
        disk.begun().await;
        disk.end(Err(io::Error::other("a worn out disk")));
        let error = first.await.expect("answered").expect_err("not flushed");
        assert!(error.is_disk_failure(), "{error:?}");
        disk_failed.cancelled().await;
        flushes.queue.closed().await;
        let later = ask(&flushes).await.await.expect("answered");
        assert!(matches!(later, Err(StoreError::Refused(Refusal::Closed))), "{later:?}");
    }

    #[tokio::test]
    async fn it_is_the_log_of_the_database_that_is_flushed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("heap.db");
        let missing = log_flusher(&path)().expect_err("there is no log");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let mut conn = sqlite::options_to_make(&path).connect().await.expect("made");
        sqlx::query("CREATE TABLE heap (filler BLOB)").execute(&mut conn).await.expect("made");
        let mut flush = log_flusher(&path);
        flush().expect("flushed");
        flush().expect("flushed again");
    }
}
