//! Walks one line: post its head, judge the answer, write it down, go on with the next.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    dispatch::{Dispatch, Parcel},
    egress::TIMEOUT,
    schedule::{self, Standing},
    worker::{LEASE_MARGIN, millis},
};
use crate::{
    domain::{
        clock::{BootTime, Clock},
        webhook::Endpoint,
    },
    ids::Entropy,
    measures,
    store::deliveries::{Deliveries, Owed, Recorded, Renewal, Stay, Verdict},
};

/// Deliveries of one line in a row; then others get their turn.
const RUN_MAX: u32 = 32;
/// For so long after the store has said that its keeper's term holds, it is not asked again. A process that was stopped for
/// longer may have a successor.
const TERM_TRUSTED: Duration = Duration::from_millis(250);

/// What walking a line takes.
pub(super) struct Walker {
    pub(super) deliveries: Arc<dyn Deliveries>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) paused: watch::Receiver<bool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) lease: Duration,
}

impl Walker {
    /// Delivers what heads the line, which was leased at `leased_at` by the boot clock, and what comes up behind it as long as
    /// all goes well. Ends with the line free, or, if the store fails, with a lease that runs out: then what was posted is
    /// posted again.
    pub(super) async fn walk(&self, mut owed: Owed, mut leased_at: BootTime) {
        // Whatever the store commits, it commits in its keeper's term.
        let mut committed_at = leased_at.clone();
        for left in (0..RUN_MAX).rev() {
            if *self.paused.borrow() && owed.endpoint != Endpoint::Own {
                tracing::info!(delivery.id = %owed.id, "paused before a delivery; it is made when the pause and its lease are over");
                return;
            }
            if self.since(&committed_at) > TERM_TRUSTED
                && let Err(error) = self.deliveries.check_term().await
            {
                tracing::warn!(delivery.id = %owed.id, %error, "did not post a delivery; it is made again when its lease is over");
                return;
            }
            let (attempt, outcome) = self.dispatch.attempt(Parcel::of(&owed)).await;
            let standing = Standing { failures: owed.failures, last: owed.last };
            let verdict = schedule::verdict(outcome, standing, self.clock.now(), self.chance());
            committed_at = self.clock.boot_time();
            let stay = (left > 0).then(|| self.stay(&mut leased_at));
            measures::post(
                match verdict {
                    Verdict::Delivered => "delivered",
                    Verdict::RetryAt(_) => "retried",
                    Verdict::Dead { .. } => "dead",
                    Verdict::Gone => "gone",
                },
                Duration::from_millis(u64::try_from(attempt.duration_millis).unwrap_or(0)),
            );
            tracing::debug!(
                delivery.id = %owed.id,
                webhook.id = %owed.webhook,
                event.id = %owed.event_id,
                attempt = attempt.number,
                answer = ?attempt.answer,
                duration_ms = attempt.duration_millis,
                verdict = ?verdict,
                "tried a delivery"
            );
            match self.deliveries.record(&owed, &attempt, &verdict, stay.as_ref()).await {
                Ok(Recorded::Next(next)) => owed = *next,
                Ok(Recorded::Kept) => return,
                Ok(Recorded::Stale) => {
                    tracing::info!(delivery.id = %owed.id, "another worker has this line now; it posts again");
                    return;
                }
                Err(error) => {
                    tracing::error!(
                        delivery.id = %owed.id,
                        error = &error as &(dyn std::error::Error + 'static),
                        "could not record an attempt; it is made again when the lease is over"
                    );
                    return;
                }
            }
        }
    }

    /// Stays with a line that was leased at `leased_at`. The lease is renewed where it would no longer outlast a try.
    fn stay(&self, leased_at: &mut BootTime) -> Stay {
        if self.since(leased_at) <= self.lease.saturating_sub(TIMEOUT + LEASE_MARGIN) {
            return Stay::default();
        }
        *leased_at = self.clock.boot_time();
        Stay { renewal: Some(Renewal { boot: leased_at.clone(), lease_millis: millis(self.lease) }) }
    }

    fn since(&self, then: &BootTime) -> Duration {
        Duration::from_millis(self.clock.boot_time().millis.saturating_sub(then.millis).try_into().unwrap_or(0))
    }

    fn chance(&self) -> u16 {
        let mut bytes = [0; 2];
        self.entropy.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }
}
