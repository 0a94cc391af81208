//! Counts of refused requests: kept in memory for a second, because anybody can cause them and each write is a commit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    domain::{clock::UnixMillis, id::SourceName},
    store::sources::Records,
};

/// How often at most the counts are written.
const WRITE_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Refusals {
    records: Arc<dyn Records>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    counts: HashMap<(SourceName, &'static str), u32>,
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
            let count = held.counts.entry((source.clone(), reason)).or_default();
            *count = count.saturating_add(1);
            if held.written_at.is_some_and(|at| at.plus(WRITE_EVERY) > now && at <= now) {
                return;
            }
            held.written_at = Some(now);
            held.counts.drain().map(|((source, reason), times)| (source, reason, times)).collect()
        };
        if let Err(error) = self.records.count_refusals(&due, now).await {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::warn!(error, "could not count refused requests");
        }
    }
}
