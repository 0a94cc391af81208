//! What many ask to have written at the same time becomes a few statements in one transaction.
//!
//! What is asked for waits until the writer comes to it, and is then taken as a whole, into the commit that others share too. So
//! there is no turn to wait for, and no commit that has less in it than there was to write.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::{Refusal, StoreError, together::or_alone, writer::Writer};

/// Those who may wait for the writer; more are refused, as by itself.
const WAITING_MAX: usize = 4096;

/// Writes `all`, and answers for each, in their order.
pub(crate) type Write<Q, A> =
    for<'c> fn(&'c mut SqliteConnection, &'c [Arc<Q>]) -> BoxFuture<'c, Result<Vec<A>, StoreError>>;

/// Where what is of one kind is written together; clones are the same place. `Q` is what is written, `A` the answer.
pub(crate) struct Joint<Q, A> {
    writer: Writer,
    write: Write<Q, A>,
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
        Self { writer: self.writer.clone(), write: self.write, waiting: self.waiting.clone() }
    }
}

impl<Q: Send + Sync + 'static, A: Send + 'static> Joint<Q, A> {
    pub(crate) fn new(writer: Writer, write: Write<Q, A>) -> Self {
        Self { writer, write, waiting: Arc::default() }
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
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= WAITING_MAX {
                return Err(StoreError::Refused(Refusal::Overloaded));
            }
            waiting.push(Waiting { one: Arc::new(one), answer });
            waiting.len() == 1
        };
        if first {
            let place = self.clone();
            // In a task of its own: whoever asked first may go away.
            tokio::spawn(async move { place.write_what_waits().await });
        }
        Ok(answered)
    }

    fn take(&self) -> Taken<Q, A> {
        let waiting = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let (all, answers) = waiting.into_iter().map(|Waiting { one, answer }| (one, answer)).unzip();
        Taken { all, answers }
    }

    async fn write_what_waits(self) {
        let (write, taken) = (self.write, Arc::new(Mutex::new(None)));
        let (place, taking) = (self.clone(), taken.clone());
        let written = self.writer.write_as_usual(move |conn| {
            // Where the transaction fails and this is tried again, it is the same.
            let mut taking = taking.lock().unwrap_or_else(PoisonError::into_inner);
            let all = taking.get_or_insert_with(|| place.take()).all.clone();
            Box::pin(async move { write(conn, &all).await })
        });
        let written = written.await;
        // What the writer refused was not taken.
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Taken { all, answers } = taken.unwrap_or_else(|| self.take());
        let endings = or_alone(all, written, |some| commit(&self.writer, write, some)).await;
        for (answer, ending) in answers.into_iter().zip(endings) {
            // Whoever no longer listens has lost the answer, and nothing else.
            let _ = answer.send(ending);
        }
    }
}

async fn commit<Q: Send + Sync + 'static, A: Send + 'static>(
    writer: &Writer,
    write: Write<Q, A>,
    all: Vec<Arc<Q>>,
) -> Result<Vec<A>, StoreError> {
    let all: Arc<[Arc<Q>]> = all.into();
    writer
        .write_as_usual(move |conn| {
            let all = all.clone();
            Box::pin(async move { write(conn, &all).await })
        })
        .await
}

#[cfg(test)]
mod tests {
    use futures::{future::join_all, poll};
    use sqlx::Connection as _;
    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Answers each with how many were written together; 13 cannot be written.
    fn count<'c>(_: &'c mut SqliteConnection, all: &'c [Arc<u32>]) -> BoxFuture<'c, Result<Vec<usize>, StoreError>> {
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
