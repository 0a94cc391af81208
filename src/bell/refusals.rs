//! Counts of refused requests. The first of a sort is written at once; those that follow within a second are kept in memory until
//! the next one after it, because anybody can cause them and each write is a commit.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    domain::{clock::UnixMillis, id::SourceName},
    store::sources::Records,
};

/// How often at most the counts are written for refusals of one sort: of one source, for one reason.
const WRITE_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Refusals {
    records: Arc<dyn Records>,
    /// By sort: there are only so many reasons, and a source that does not exist counts as one.
    held: Mutex<HashMap<(SourceName, &'static str), Held>>,
}

#[derive(Default)]
struct Held {
    times: u32,
    written_at: Option<UnixMillis>,
}

impl Refusals {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records, held: Mutex::default() }
    }

    /// Counts a refusal. What could not be written is lost: a count is worth no answer.
    pub(super) async fn count(&self, source: &SourceName, reason: &'static str, now: UnixMillis) {
        let due: Vec<_> = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let sort = held.entry((source.clone(), reason)).or_default();
            sort.times = sort.times.saturating_add(1);
            if sort.written_at.is_some_and(|at| at.plus(WRITE_EVERY) > now && at <= now) {
                return;
            }
            sort.written_at = Some(now);
            let waiting = held.iter_mut().filter(|(_, sort)| sort.times > 0);
            waiting.map(|((source, reason), sort)| (source.clone(), *reason, mem::take(&mut sort.times))).collect()
        };
        if let Err(error) = self.records.count_refusals(&due, now).await {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::warn!(error, "could not count refused requests");
        }
    }
}
