//! The one writer of a database: it takes what many callers ask for and commits it together.
//!
//! Callers queue; the writer drains whatever is queued, runs it in one `BEGIN IMMEDIATE` transaction, commits, and only
//! then answers. There is no timer: under load batches form by themselves, and a lone caller waits for nobody. A batch
//! that fails is rolled back and retried piece by piece, so that a poisonous piece fails alone.
//!
//! What its commits leave in the write-ahead log is put into its place beside it (see [`checkpoints`]).
//!
//! Why one writer: SQLite has one write lock. Callers that fight for it wait in its busy handler; callers in a queue
//! share one commit.
//!
//! # When a commit is answered
//!
//! Once it is on the disk, to which [`Flushes`] bring it while the next one is made. With one exception, which is
//! answered at once: [`Lasts::ThisBoot`]. What is written so lies in the write-ahead log, in the kernel's memory, so that a process
//! that is killed loses nothing of it. A power loss may take it, and then takes the newest commits alone; the next flush of
//! any process takes all before it to the disk too.
//!
//! It is for a lease, which a power loss ends anyway, and for what is written with one. After a power loss that took it, the
//! event is free, as it would have been; its attempt is not counted, and nothing else shows that there was a lease: the entry
//! of the audit record went with it, and the record ends before it, whole. What was parked for its attempts, and the mark that
//! this raised, is parked again at the next claim. What the lease was for is in no doubt: whatever its worker does through us
//! writes an intent, an ack or the end of its call, and those wait for the disk.

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

use super::{
    Refusal, StoreError,
    checkpoints::{self, Checkpoints},
    flushes::{self, Flushes},
    term::Term,
    turn::Turn,
};
use crate::measures;

/// Writes that may wait; more are refused with [`Refusal::Overloaded`], which their callers pass on as "try again".
const QUEUE_MAX: usize = 4096;
/// Writes that share a commit at most: beyond it a batch gains little and its first caller waits long.
const BATCH_MAX: usize = 256;

/// Something to run inside the writer's transaction. It may run twice, the second time alone, after a rollback.
trait Work: Send {
    fn lasts(&self) -> Lasts;
    fn run<'c>(&'c mut self, turn: &'c mut Turn<'_>) -> BoxFuture<'c, Result<(), StoreError>>;
    fn finish(self: Box<Self>, ending: Result<(), StoreError>);
}

/// How long a commit lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lasts {
    /// Over any end of the process, but a power loss may take it back. For what a power loss ends anyway.
    ThisBoot,
    /// Over a power loss as well.
    OnDisk,
}

/// What a piece does, and answers.
trait Run<T>: Send {
    fn run<'c>(&'c mut self, turn: &'c mut Turn<'_>) -> BoxFuture<'c, Result<T, StoreError>>;
}

/// What is run in a transaction that has begun.
struct Begun<F>(F);

impl<T, F> Run<T> for Begun<F>
where
    F: for<'c> FnMut(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send,
{
    fn run<'c>(&'c mut self, turn: &'c mut Turn<'_>) -> BoxFuture<'c, Result<T, StoreError>> {
        Box::pin(async move { self.0(turn.conn().await?).await })
    }
}

impl<T, F> Run<T> for F
where
    F: for<'c> FnMut(&'c mut Turn<'_>) -> BoxFuture<'c, Result<T, StoreError>> + Send,
{
    fn run<'c>(&'c mut self, turn: &'c mut Turn<'_>) -> BoxFuture<'c, Result<T, StoreError>> {
        self(turn)
    }
}

struct Piece<T, F> {
    lasts: Lasts,
    /// Where it is counted, unless it is [as usual](Writer::write_as_usual).
    changes: Option<Arc<Commits>>,
    work: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send + 'static, F: Run<T>> Work for Piece<T, F> {
    fn lasts(&self) -> Lasts {
        self.lasts
    }

    fn run<'c>(&'c mut self, turn: &'c mut Turn<'_>) -> BoxFuture<'c, Result<(), StoreError>> {
        let Self { work, value, .. } = self;
        let running = work.run(turn);
        Box::pin(async move {
            *value = Some(running.await?);
            Ok(())
        })
    }

    fn finish(self: Box<Self>, ending: Result<(), StoreError>) {
        let Self { value, answer, changes, .. } = *self;
        // Before whoever asked for it hears that it is done.
        if let Some(commits) = changes {
            commits.count_change();
        }
        let ending = ending.and_then(|()| value.ok_or(StoreError::Refused(Refusal::Closed)));
        // A caller that no longer listens has lost the answer, not the write.
        let _ = answer.send(ending);
    }
}

/// What sees to the disk beside the writer of a database. Without it, a commit is answered as SQLite makes it.
pub(super) struct Disk {
    pub(super) flushes: Flushes,
    pub(super) checkpoints: Checkpoints,
}

/// A handle to a database's writer; clones share it.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Work>>,
    commits: Arc<Commits>,
}

/// How many there were.
#[derive(Default)]
struct Commits {
    all: AtomicU64,
    on_disk: AtomicU64,
    changes: AtomicU64,
}

impl Commits {
    fn count_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn count(&self, lasts: Lasts) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if lasts == Lasts::OnDisk {
            self.on_disk.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Starts a writer that owns `conn`. It ends when the last handle is dropped, or when the disk fails at a commit: then it
    /// cancels `disk_failed`, and the process must end, because what reached the disk is no longer known. With a `term`, it
    /// writes only while that holds.
    /// `name` is the database's in what is counted; `disk` is told of commits.
    pub(super) fn start(
        name: &'static str,
        conn: SqliteConnection,
        term: Option<Term>,
        disk: Option<Disk>,
        disk_failed: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let commits = Arc::<Commits>::default();
        let session = Session { conn, term, disk, commits: commits.clone() };
        tokio::spawn(write_all(name, session, waiting, disk_failed));
        Self { queue, commits }
    }

    /// Transactions committed so far.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.all.load(Ordering::Relaxed)
    }

    /// Those of them that waited for the disk.
    pub(crate) fn commits_on_disk(&self) -> u64 {
        self.commits.on_disk.load(Ordering::Relaxed)
    }

    /// Rises with each write but those [as usual](Self::write_as_usual), before it is answered.
    pub(crate) fn changes(&self) -> u64 {
        self.commits.changes.load(Ordering::Acquire)
    }

    /// Counts one more: something written as usual was none of the usual.
    pub(crate) fn count_change(&self) {
        self.commits.count_change();
    }

    /// Fails where a transaction cannot be committed `within` that time; one without writes costs a flush of what is there.
    pub(crate) async fn probe(&self, within: Duration) -> Result<(), StoreError> {
        let written = self.write(|_| Box::pin(std::future::ready(Ok(()))));
        tokio::time::timeout(within, written).await.unwrap_or(Err(StoreError::Refused(Refusal::Locked)))
    }

    /// Runs `work` inside a transaction and answers once it is committed and on the disk. `work` may run twice, so it must not
    /// move out of what it captured. Dropping the returned future does not take back what was asked.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnMut(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        self.queue(Lasts::OnDisk, Some(self.commits.clone()), Begun(work)).await
    }

    /// The same for what is written all the time, and after which what was read before stands as it did: it is none of the
    /// [`changes`](Self::changes). `work` may begin the transaction, and end it, along with statements of its own.
    pub(crate) async fn write_as_usual<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnMut(&'c mut Turn<'_>) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        self.queue(Lasts::OnDisk, None, work).await
    }

    /// The same for what changes nothing that anybody waits for, and that is done again where a power loss has taken it: all that was
    /// written after it is gone then, too.
    pub(crate) async fn write_unseen<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnMut(&'c mut Turn<'_>) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        self.queue(Lasts::ThisBoot, None, work).await
    }

    /// Writes in the same way what is one of the [`changes`](Self::changes), and answers once it is committed so that it lasts that
    /// long.
    pub(crate) async fn write_to_last<T, F>(&self, lasts: Lasts, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnMut(&'c mut Turn<'_>) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        self.queue(lasts, Some(self.commits.clone()), work).await
    }

    async fn queue<T, F>(&self, lasts: Lasts, changes: Option<Arc<Commits>>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Run<T> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let piece = Box::new(Piece { lasts, changes, work, value: None, answer });
        self.queue.try_send(piece).map_err(|refused| {
            StoreError::Refused(match refused {
                mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Refusal::Closed,
            })
        })?;
        answered.await.unwrap_or(Err(StoreError::Refused(Refusal::Closed)))
    }
}

/// The writer's connection, and what it knows of it.
struct Session {
    conn: SqliteConnection,
    term: Option<Term>,
    disk: Option<Disk>,
    commits: Arc<Commits>,
}

async fn write_all(
    name: &'static str,
    mut session: Session,
    mut waiting: mpsc::Receiver<Box<dyn Work>>,
    disk_failed: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let began = Instant::now();
        let mut ending = session.commit(&mut batch).await;
        measures::commit(name, began.elapsed());
        if batch.len() > 1 && ending.as_ref().is_err_and(|error| !error.is_disk_failure()) {
            for piece in batch.drain(..) {
                let mut alone = vec![piece];
                ending = session.commit(&mut alone).await;
                session.answer(&mut alone, &ending).await;
            }
        }
        session.answer(&mut batch, &ending).await;
        if let Err(error) = &ending
            && error.is_disk_failure()
        {
            flushes::end_for(error, &disk_failed);
            return;
        }
        session.checkpoint().await;
    }
    if let Some(Disk { flushes, checkpoints }) = session.disk {
        flushes.end().await;
        checkpoints.end().await;
    }
    if let Err(error) = session.conn.close().await {
        tracing::warn!(%error, "could not close the database cleanly");
    }
}

impl Session {
    /// One transaction. It is begun and ended in plain SQL: when the disk is full, SQLite has often rolled back by itself, and
    /// sqlx's own transactions then count one that is no longer there and refuse to begin another.
    async fn commit(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), StoreError> {
        // What outlasts most of what is in it.
        let lasts = batch.iter().map(|piece| piece.lasts()).max().unwrap_or(Lasts::OnDisk);
        let mut turn = Turn::new(&mut self.conn, self.term.as_ref());
        let done = run(&mut turn, batch).await;
        match done {
            Ok(()) => self.commits.count(lasts),
            Err(_) => turn.roll_back().await,
        }
        done
    }

    /// Answers at once what need not wait for the disk, and the rest after the next flush.
    async fn answer(&self, batch: &mut Vec<Box<dyn Work>>, ending: &Result<(), StoreError>) {
        match &self.disk {
            Some(disk) if ending.is_ok() => {
                let (mut later, mut now): (Vec<_>, Vec<_>) =
                    batch.drain(..).partition(|piece| piece.lasts() == Lasts::OnDisk);
                finish(&mut now, ending);
                if !later.is_empty() {
                    disk.flushes.after_next(Box::new(move |ending| finish(&mut later, &ending))).await;
                }
            }
            _ => finish(batch, ending),
        }
    }

    /// Ends a checkpoint, where it is time for that: after the answers, so that whoever waits waits for the next commit alone.
    async fn checkpoint(&mut self) {
        if self.disk.as_mut().is_some_and(|disk| disk.checkpoints.committed())
            && let Err(error) = checkpoints::checkpoint(&mut self.conn).await
        {
            tracing::debug!(%error, "no checkpoint");
        }
    }
}

async fn run(turn: &mut Turn<'_>, batch: &mut [Box<dyn Work>]) -> Result<(), StoreError> {
    let mut left = batch.len();
    for piece in batch {
        left -= 1;
        turn.comes_last(left == 0);
        piece.run(turn).await?;
    }
    turn.commit().await
}

fn finish(batch: &mut Vec<Box<dyn Work>>, ending: &Result<(), StoreError>) {
    for piece in batch.drain(..) {
        piece.finish(ending.clone());
    }
}

#[cfg(test)]
mod tests;
