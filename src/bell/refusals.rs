//! Counts of refused requests. The first of a sort is written at once; those that follow within a second are kept in memory until
//! its end, because anybody can cause them and each write is a commit.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        id::SourceName,
    },
    store::sources::Records,
};

/// How often at most the counts are written for refusals of one sort: of one source, for one reason.
const WRITE_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Refusals {
    records: Arc<dyn Records>,
    /// By sort: there are only so many reasons, and a source that does not exist counts as one.
    held: Mutex<HashMap<(SourceName, &'static str), Held>>,
    /// Some are held that were not written.
    unwritten: Notify,
}

#[derive(Default)]
struct Held {
    times: u32,
    written_at: Option<UnixMillis>,
}

impl Refusals {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self { records, held: Mutex::default(), unwritten: Notify::new() }
    }

    /// Writes what is held a second after the first of it came, and once more at `shutdown`.
    pub(super) async fn keep(&self, clock: &dyn Clock, shutdown: CancellationToken) {
        let seconds = async {
            loop {
                self.unwritten.notified().await;
                clock.sleep(WRITE_EVERY).await;
                self.write(clock.now()).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => self.write(clock.now()).await,
            () = seconds => {}
        }
    }

    /// Counts a refusal. What could not be written is lost: a count is worth no answer.
    pub(super) async fn count(&self, source: &SourceName, reason: &'static str, now: UnixMillis) {
        {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let sort = held.entry((source.clone(), reason)).or_default();
            sort.times = sort.times.saturating_add(1);
            if sort.written_at.is_some_and(|at| at.plus(WRITE_EVERY) > now && at <= now) {
                self.unwritten.notify_one();
                return;
            }
            sort.written_at = Some(now);
        }
        self.write(now).await;
    }

    /// Writes all that is held.
    async fn write(&self, now: UnixMillis) {
        let due: Vec<_> = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = held.iter_mut().filter(|(_, sort)| sort.times > 0);
            waiting.map(|((source, reason), sort)| (source.clone(), *reason, mem::take(&mut sort.times))).collect()
        };
        if due.is_empty() {
            return;
        }
        if let Err(error) = self.records.count_refusals(&due, now).await {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::warn!(error, "could not count refused requests");
        }
    }
}
