//! Forgetting in the bell wing: events, ids, quarantined bodies and the audit record, each after its time.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::Clock,
    store::retention::{BellPolicy, BellRetention},
};

/// How often it is looked while there is little to forget: each look that forgets something is an entry of the audit record.
const EVERY: Duration = Duration::from_mins(1);
/// How soon it is looked again after many events went, and then after twice as long each time: a busy log gets thousands of them a
/// second, and what gathers for a minute has all who post wait when it goes.
const SOON: Duration = Duration::from_secs(1);
/// Events that are many.
const MANY: u64 = 500;
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
    /// Looks every minute, and more often while there is much to forget, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut next = FIRST;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(next) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                events = self.sweep() => next = if events >= MANY { SOON } else { (next * 2).min(EVERY) },
            }
        }
    }

    /// Removes all that is to go, in small steps. Answers how many events that were.
    async fn sweep(&self) -> u64 {
        let mut events = 0;
        loop {
            let began = self.clock.boot_time().millis;
            match self.store.sweep(&self.policy, self.clock.now()).await {
                Ok(swept) if swept.any() => {
                    events += swept.events;
                    // As long as it took: half of the time is the others', and the faster events come, the faster they go.
                    let took = Duration::from_millis((self.clock.boot_time().millis - began).unsigned_abs());
                    self.clock.sleep(took.max(PAUSE_MIN)).await;
                }
                Ok(_) => return events,
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "old events could not be removed; trying again within a minute");
                    return 0;
                }
            }
        }
    }
}
