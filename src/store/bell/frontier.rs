//! What this process remembers of consumers: how far each has been handed everything that a filter matches, and what it is.
//!
//! Why: a consumer that only ever asks for one mailbox leaves the events of others unclaimed below, so its low-water mark
//! stands still, and each look would walk over all that it has acked since. A row of `claims` above the mark is never
//! deleted, so "everything up to here has a row" stays true once it was, whatever other processes do; forgetting it costs
//! one long look. A consumer's id and kinds never change, and its mark only rises, so what is remembered of that is an earlier one.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use super::claims::Consumer;
use crate::domain::{cursor::Seq, event::EventFilter, id::ConsumerName};

/// Consumers times filters that are remembered; beyond it all are forgotten, which costs a look each.
const FRONTIERS_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Frontiers {
    reached: Mutex<HashMap<(i64, EventFilter), Seq>>,
    consumers: Mutex<HashMap<ConsumerName, Consumer>>,
    ahead: Mutex<HashSet<i64>>,
}

/// Says, as long as it lives, that a consumer has a claim that goes to the writer without a look before it.
pub(super) struct Ahead<'f> {
    all: &'f Mutex<HashSet<i64>>,
    consumer: i64,
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.consumer);
    }
}

impl Frontiers {
    /// Up to where no event that `filter` matches is without a row of `consumer`.
    pub(super) fn reached(&self, consumer: i64, filter: &EventFilter) -> Seq {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.get(&(consumer, filter.clone())).copied().unwrap_or(Seq::ZERO)
    }

    /// Remembers it. Call this only once what it rests on is committed.
    pub(super) fn reach(&self, consumer: i64, filter: &EventFilter, seq: Seq) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.len() >= FRONTIERS_MAX {
            reached.clear();
        }
        let place = reached.entry((consumer, filter.clone())).or_insert(seq);
        *place = seq.max(*place);
    }

    /// For a claim of `consumer` that goes to the writer without a look before it: of the workers that one ring wakes, the first alone. The
    /// others' looks see that it has what there was, and the writer is not asked by each.
    pub(super) fn go_ahead(&self, consumer: i64) -> Option<Ahead<'_>> {
        let first = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).insert(consumer);
        first.then(|| Ahead { all: &self.ahead, consumer })
    }

    /// The consumer of that name, as it was when it was last seen.
    pub(super) fn known(&self, name: &ConsumerName) -> Option<Consumer> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Remembers how it was seen.
    pub(super) fn know(&self, consumer: &Consumer) {
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        if consumers.len() >= FRONTIERS_MAX {
            consumers.clear();
        }
        consumers.insert(consumer.name.clone(), consumer.clone());
    }

    /// Forgets a consumer.
    pub(super) fn forget(&self, name: &ConsumerName) {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
