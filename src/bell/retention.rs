//! Forgetting in the bell wing: events, ids, quarantined bodies and the audit record, each after its time.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::Clock,
    store::retention::{BellPolicy, BellRetention},
};

/// How often it is looked: a busy log gets tens of thousands of events a minute, and what is too many should not fill the disk.
const EVERY: Duration = Duration::from_mins(1);
/// The first look after a start: what a start has to do comes first.
const FIRST: Duration = Duration::from_mins(1);
/// Between two small transactions at least: others write too.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Keeps the log in bounds.
pub struct Retention {
    /// The rows.
    pub store: Arc<dyn BellRetention>,
    /// For how long what is kept.
    pub policy: BellPolicy,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Retention {
    /// Looks every minute, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut next = FIRST;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(next) => next = EVERY,
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.sweep() => {}
            }
        }
    }

    async fn sweep(&self) {
        loop {
            let began = self.clock.boot_time().millis;
            match self.store.sweep(&self.policy, self.clock.now()).await {
                Ok(swept) if swept.any() => {
                    // As long as it took: half of the time is the others', and the faster events come, the faster they go.
                    let took = Duration::from_millis((self.clock.boot_time().millis - began).unsigned_abs());
                    self.clock.sleep(took.max(PAUSE_MIN)).await;
                }
                Ok(_) => return,
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "old events could not be removed; trying again in a minute");
                    return;
                }
            }
        }
    }
}
