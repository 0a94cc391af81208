//! Forgetting in the bell wing: events, ids, quarantined bodies and the audit record, each after its time.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    domain::clock::Clock,
    store::{
        StoreError,
        retention::{BellPolicy, BellRetention, IdWalk},
    },
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
        // Ids beside the rest: a walk through all of them takes minutes where events come fast, and those must not pile up meanwhile.
        tokio::join!(self.run_sweeps(&shutdown), self.run_walks(&shutdown));
    }

    async fn run_sweeps(&self, shutdown: &CancellationToken) {
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

    async fn run_walks(&self, shutdown: &CancellationToken) {
        let mut walk = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(EVERY) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                walked = self.walk(&mut walk) => if let Err(error) = walked {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "old ids could not be forgotten; going on within a minute");
                },
            }
        }
    }

    /// Forgets the ids of removed events that are to go, where there are enough of them. A walk that met a failure goes on where it
    /// stands.
    async fn walk(&self, walk: &mut Option<IdWalk>) -> Result<(), StoreError> {
        if walk.is_none() {
            *walk = self.store.to_forget(&self.policy, self.clock.now()).await?;
        }
        while let Some(here) = walk {
            let began = self.clock.boot_millis();
            *walk = self.store.forget_some(here, self.clock.now()).await?;
            self.pause(began).await;
        }
        Ok(())
    }

    /// Waits as long as what began then took: half of the time is the others', and the faster events come, the faster they go.
    async fn pause(&self, began: i64) {
        let took = Duration::from_millis((self.clock.boot_millis() - began).unsigned_abs());
        self.clock.sleep(took.max(PAUSE_MIN)).await;
    }

    /// Removes all that is to go, in small steps. Answers how many events that were.
    async fn sweep(&self) -> u64 {
        let mut events = 0;
        loop {
            let began = self.clock.boot_millis();
            match self.store.sweep(&self.policy, self.clock.now()).await {
                Ok(swept) if swept.any() => {
                    events += swept.events;
                    self.pause(began).await;
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
