//! Forgetting in the bell wing: events, ids, quarantined bodies and the audit record, each after its time.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::Clock,
    store::retention::{BellPolicy, BellRetention},
};

/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);
/// The first look after a start: what a start has to do comes first.
const FIRST: Duration = Duration::from_mins(1);
/// Between two small transactions: others write too.
const PAUSE: Duration = Duration::from_millis(50);

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
    /// Looks every hour, until `shutdown`.
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
            match self.store.sweep(&self.policy, self.clock.now()).await {
                Ok(swept) if swept.any() => self.clock.sleep(PAUSE).await,
                Ok(_) => return,
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "old events could not be removed; trying again within the hour");
                    return;
                }
            }
        }
    }
}
