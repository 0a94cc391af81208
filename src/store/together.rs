//! What many ask for at once is done once: whoever asks while it is being done shares the next turn with all who asked
//! meanwhile.
//!
//! A turn begins after each of those whom it answers has asked, so that a look sees what was committed before. No answer is
//! kept for who comes later: there is nothing that could be out of date. There is no timer, and who comes alone waits for
//! nobody.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{Refusal, StoreError};

/// Those who may wait for one turn; more are refused, as at the writer.
const WAITING_MAX: usize = 4096;

/// Where turns of one kind are shared; clones are the same place. `Q` is what is asked, `A` the answer.
pub(crate) struct Together<Q, A>(Arc<Place<Q, A>>);

struct Place<Q, A> {
    waiting: Mutex<Vec<Waiting<Q, A>>>,
    /// One turn at a time, so that there is one to wait for.
    turn: tokio::sync::Mutex<()>,
}

type Waiting<Q, A> = (Q, oneshot::Sender<Result<A, StoreError>>);

impl<Q, A> Place<Q, A> {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<Q, A>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> Clone for Together<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q, A> Default for Together<Q, A> {
    fn default() -> Self {
        Self(Arc::new(Place { waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }))
    }
}

impl<Q: Send + 'static, A: Send + 'static> Together<Q, A> {
    /// Asks for `one`. `turn` is given all that was asked for meanwhile, and answers in the same order; of those who share
    /// it, it is the first one's that is called. Dropping the returned future does not take back what was asked.
    pub(crate) async fn ask<F>(&self, one: Q, turn: impl FnOnce(Vec<Q>) -> F + Send + 'static) -> Result<A, StoreError>
    where
        F: Future<Output = Result<Vec<A>, StoreError>> + Send,
    {
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut waiting = self.0.waiting();
            if waiting.len() >= WAITING_MAX {
                return Err(StoreError::Refused(Refusal::Overloaded));
            }
            waiting.push((one, answer));
            waiting.len() == 1
        };
        if first {
            let place = self.0.clone();
            // In a task of its own: whoever asked first may go away, or be busy elsewhere.
            tokio::spawn(async move {
                let _turn = place.turn.lock().await;
                let (asked, answers): (Vec<Q>, Vec<_>) = mem::take(&mut *place.waiting()).into_iter().unzip();
                // Whoever no longer listens has lost the answer, and nothing else.
                match turn(asked).await {
                    Ok(found) => {
                        for (answer, found) in answers.into_iter().zip(found) {
                            let _ = answer.send(Ok(found));
                        }
                    }
                    Err(error) => {
                        for answer in answers {
                            let _ = answer.send(Err(error.clone()));
                        }
                    }
                }
            });
        }
        answered.await.unwrap_or(Err(StoreError::Refused(Refusal::Closed)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{future::join_all, poll};
    use tokio::{sync::Semaphore, task::yield_now};

    use super::*;

    /// Numbers are answered with the number of the turn that they were in, which needs a permit to end.
    struct House {
        together: Together<u32, (u32, usize)>,
        turns: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl House {
        fn new() -> Self {
            Self { together: Together::default(), turns: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        async fn ask(&self, number: u32) -> (u32, usize) {
            let (turns, gate) = (self.turns.clone(), self.gate.clone());
            let asked = self.together.ask(number, |all| async move {
                let turn = turns.fetch_add(1, Ordering::Relaxed);
                gate.acquire().await.expect("it stays open").forget();
                Ok(all.into_iter().map(|number| (number, turn)).collect())
            });
            asked.await.expect("answered")
        }
    }

    #[tokio::test]
    async fn who_asks_meanwhile_shares_the_next_turn_and_not_the_one_that_had_begun() {
        let house = House::new();
        let mut first = Box::pin(house.ask(1));
        assert!(poll!(&mut first).is_pending());
        while house.turns.load(Ordering::Relaxed) == 0 {
            yield_now().await;
        }
        let mut rest = Box::pin(join_all([house.ask(2), house.ask(3), house.ask(4)]));
        assert!(poll!(&mut rest).is_pending());
        house.gate.add_permits(1);
        assert_eq!(first.await, (1, 0));
        house.gate.add_permits(1);
        assert_eq!(rest.await, [(2, 1), (3, 1), (4, 1)]);
    }

    #[tokio::test]
    async fn who_goes_away_holds_up_nobody() {
        let house = House::new();
        let mut gone = Box::pin(house.ask(1));
        assert!(poll!(&mut gone).is_pending());
        drop(gone);
        house.gate.add_permits(2);
        assert_eq!(house.ask(2).await.0, 2);
    }

    #[tokio::test]
    async fn what_fails_fails_for_all_who_shared_it_and_for_nobody_later() {
        let together: Together<u8, u8> = Together::default();
        let fails = |_| std::future::ready(Err(StoreError::Refused(Refusal::Full)));
        let (one, two) = tokio::join!(together.ask(1, fails), together.ask(2, fails));
        assert!(one.is_err() && two.is_err());
        assert_eq!(together.ask(3, |all| std::future::ready(Ok(all))).await.expect("looked"), 3);
    }
}
