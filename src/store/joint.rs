//! What many ask to have written at the same time becomes a few statements in one transaction.
//!
//! What is asked for waits until the writer comes to it, and is then taken as a whole, into the commit that others share too. So
//! there is no turn to wait for, and no commit that has less in it than there was to write. There is no timer: under load batches
//! form by themselves. What fails among others is tried again alone, so that it fails alone.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::{BoxFuture, join_all};
use tokio::sync::oneshot;

use super::{Refusal, StoreError, turn::Turn, writer::Writer};

/// Those who may wait for the writer; more are refused, as by itself.
const WAITING_MAX: usize = 4096;
/// Those who are written together at most: beyond it a commit gains little, and its first caller waits long.
pub(crate) const TOGETHER_MAX: usize = 256;
/// Turns of the runtime in which nobody asks that end the gathering: enough for requests that have come to be read and verified.
const EMPTY_TURNS_MAX: u32 = 4;

/// Writes `all`, and answers for each, in their order.
type Write<Q, A> =
    dyn for<'c> Fn(&'c mut Turn<'_>, &'c [Arc<Q>]) -> BoxFuture<'c, Result<Vec<A>, StoreError>> + Send + Sync;

/// Where what is of one kind is written together; clones are the same place. `Q` is what is written, `A` the answer.
pub(crate) struct Joint<Q, A> {
    writer: Writer,
    write: Arc<Write<Q, A>>,
    waiting: Arc<Mutex<Vec<Waiting<Q, A>>>>,
}

struct Waiting<Q, A> {
    one: Arc<Q>,
    answer: oneshot::Sender<Result<A, StoreError>>,
}

/// What is written, and to whom that is answered.
struct Taken<Q, A> {
    all: Vec<Arc<Q>>,
    answers: Vec<oneshot::Sender<Result<A, StoreError>>>,
}

impl<Q, A> Clone for Joint<Q, A> {
    fn clone(&self) -> Self {
        Self { writer: self.writer.clone(), write: self.write.clone(), waiting: self.waiting.clone() }
    }
}

impl<Q: Send + Sync + 'static, A: Send + 'static> Joint<Q, A> {
    pub(crate) fn new<F>(writer: Writer, write: F) -> Self
    where
        F: for<'c> Fn(&'c mut Turn<'_>, &'c [Arc<Q>]) -> BoxFuture<'c, Result<Vec<A>, StoreError>>
            + Send
            + Sync
            + 'static,
    {
        Self { writer, write: Arc::new(write), waiting: Arc::default() }
    }

    /// Asks for `one` to be written: that is done when this returns, and the future answers once it is on the disk. Dropping
    /// that does not take it back. What fails among others is tried again alone.
    pub(crate) fn write(&self, one: Q) -> impl Future<Output = Result<A, StoreError>> + Send + use<Q, A> {
        let asked = self.ask(one);
        async move { asked?.await.unwrap_or(Err(StoreError::Refused(Refusal::Closed))) }
    }

    fn ask(&self, one: Q) -> Result<oneshot::Receiver<Result<A, StoreError>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting();
            if waiting.len() >= WAITING_MAX {
                return Err(StoreError::Refused(Refusal::Overloaded));
            }
            waiting.push(Waiting { one: Arc::new(one), answer });
            waiting.len() == 1
        };
        if first {
            self.begin();
        }
        Ok(answered)
    }

    /// Has what waits written, in a task of its own: whoever asked first may go away.
    fn begin(&self) {
        let place = self.clone();
        tokio::spawn(async move {
            place.gather().await;
            place.write_what_waits().await;
        });
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<Q, A>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets those who are about to ask do so, until a few turns bring no more. A turn ends when all that was ready to run has run,
    /// so who asks alone waits for microseconds.
    async fn gather(&self) {
        let (mut empty_turns, mut waiting) = (0, 1);
        while empty_turns < EMPTY_TURNS_MAX && waiting < TOGETHER_MAX {
            tokio::task::yield_now().await;
            let before = mem::replace(&mut waiting, self.waiting().len());
            empty_turns = if waiting > before { 0 } else { empty_turns + 1 };
        }
    }

    fn take(&self) -> Taken<Q, A> {
        let mut waiting = self.waiting();
        let now = waiting.len().min(TOGETHER_MAX);
        let later = waiting.split_off(now);
        let now = mem::replace(&mut *waiting, later);
        if !waiting.is_empty() {
            self.begin();
        }
        let (all, answers) = now.into_iter().map(|Waiting { one, answer }| (one, answer)).unzip();
        Taken { all, answers }
    }

    async fn write_what_waits(self) {
        let (write, taken) = (self.write.clone(), Arc::new(Mutex::new(None)));
        let (place, taking) = (self.clone(), taken.clone());
        let written = self.writer.write_as_usual(move |turn| {
            // Where the transaction fails and this is tried again, it is the same.
            let mut taking = taking.lock().unwrap_or_else(PoisonError::into_inner);
            let all = taking.get_or_insert_with(|| place.take()).all.clone();
            let write = write.clone();
            Box::pin(async move { write(turn, &all).await })
        });
        let written = written.await;
        // What the writer refused was not taken.
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Taken { all, answers } = taken.unwrap_or_else(|| self.take());
        for (answer, ending) in answers.into_iter().zip(self.endings(all, written).await) {
            // Whoever no longer listens has lost the answer, and nothing else.
            let _ = answer.send(ending);
        }
    }

    /// What became of each of `all`, where `written` became of them together. Where the disk has failed, nothing is tried again.
    async fn endings(&self, all: Vec<Arc<Q>>, written: Result<Vec<A>, StoreError>) -> Vec<Result<A, StoreError>> {
        match written {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(error) if all.len() == 1 || error.is_disk_failure() => all.iter().map(|_| Err(error.clone())).collect(),
            Err(_) => join_all(all.into_iter().map(|one| self.write_alone(one))).await,
        }
    }

    async fn write_alone(&self, one: Arc<Q>) -> Result<A, StoreError> {
        let (write, one) = (self.write.clone(), Arc::new([one]));
        let written = self.writer.write_as_usual(move |turn| {
            let (write, one) = (write.clone(), one.clone());
            Box::pin(async move { write(turn, &*one).await })
        });
        written.await?.pop().ok_or(StoreError::Refused(Refusal::Closed))
    }
}

#[cfg(test)]
mod tests {
    use futures::{future::join_all, poll};
    use sqlx::{Connection as _, SqliteConnection};
    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Answers each with how many were written together; 13 cannot be written.
    fn count<'c>(_: &'c mut Turn<'_>, all: &'c [Arc<u32>]) -> BoxFuture<'c, Result<Vec<usize>, StoreError>> {
        let poisoned = all.iter().any(|one| **one == 13);
        let counted = if poisoned { Err(StoreError::Refused(Refusal::Full)) } else { Ok(vec![all.len(); all.len()]) };
        Box::pin(std::future::ready(counted))
    }

    async fn writer() -> Writer {
        let conn = SqliteConnection::connect("sqlite::memory:").await.expect("opens");
        Writer::start("memory", conn, None, None, CancellationToken::new())
    }

    #[tokio::test]
    async fn who_asks_while_the_writer_is_at_work_is_written_with_the_others_and_in_one_commit() {
        let writer = writer().await;
        let joint = Joint::new(writer.clone(), count);
        let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, may) = (began.clone(), go_on.clone());
        let mut busy = Box::pin(writer.write(move |_| {
            let (begins, may) = (begins.clone(), may.clone());
            Box::pin(async move {
                begins.notify_one();
                may.notified().await;
                Ok(())
            })
        }));
        assert!(poll!(&mut busy).is_pending());
        began.notified().await;
        // Each is asked for when this returns, and none of them is looked at yet.
        let asked: Vec<_> = (1..=3).map(|one| joint.write(one)).collect();
        drop(joint.write(4));
        go_on.notify_one();
        busy.await.expect("written");
        let counted: Vec<_> = join_all(asked).await.into_iter().map(|one| one.expect("written")).collect();
        assert_eq!(counted, [4; 3], "the one that nobody waits for is among them");
        assert_eq!((writer.commits(), writer.changes()), (2, 1));
        assert_eq!(joint.write(5).await.expect("written"), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_written_fails_alone() {
        let joint = Joint::new(writer().await, count);
        let asked: Vec<_> = [1, 13, 2].into_iter().map(|one| joint.write(one)).collect();
        let written: Vec<_> = join_all(asked).await.into_iter().map(Result::ok).collect();
        assert_eq!(written, [Some(1), None, Some(1)]);
        assert_eq!(joint.write(3).await.expect("written"), 1, "and later ones are written as ever");
    }
}
