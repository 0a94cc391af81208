//! Walks one line: post its head, judge the answer, write it down, go on with the next.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{
    dispatch::{Dispatch, Parcel},
    egress::TIMEOUT,
    schedule::{self, Standing},
    worker::{GATHERED_FOR, LEASE_MARGIN, millis},
};
use crate::{
    domain::{
        clock::{BootTime, Clock},
        webhook::Endpoint,
    },
    ids::Entropy,
    measures,
    store::{
        StoreError,
        deliveries::{
            Attempt, Deliveries, FOLLOWERS_MAX, FOLLOWERS_MAX_OWN, Follower, Owed, Recorded, Renewal, Stay,
            UNRECORDED_MAX, Verdict,
        },
    },
};

/// Deliveries of one line in a row, while others wait for their turn.
const RUN_MAX: u64 = 32;
/// For so long after the store has said that its keeper's term holds, it is not asked again. A process that was stopped for
/// longer may have a successor.
const TERM_TRUSTED: Duration = Duration::from_millis(250);
/// Followers in a post from which on it is one of a stream. Where there are as many as go together, more have come already.
const STREAM: Range<usize> = 8..FOLLOWERS_MAX_OWN as usize;

/// What walking a line takes.
pub(super) struct Walker {
    pub(super) deliveries: Arc<dyn Deliveries>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) paused: watch::Receiver<bool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) lease: Duration,
    /// Whether lines are due that have no turn yet.
    pub(super) others_wait: AtomicBool,
    /// Whether the worker ends: then no line goes on.
    pub(super) ends: AtomicBool,
}

impl Walker {
    /// Delivers what heads the line, which was leased at `leased_at` by the boot clock, when the store counted so many `changes`,
    /// and what comes up behind it as long as all goes well. Ends with the line free, or, if the store fails, with a lease that
    /// runs out: then what was posted is posted again.
    ///
    /// What follows the head is posted while what was posted before is still being written down, unless something has changed
    /// meanwhile; before the next head is taken, all is on the disk.
    ///
    /// Where much follows it asks for more before it runs out, so that it seldom waits for the store.
    pub(super) async fn walk(&self, mut owed: Owed, mut leased_at: BootTime, mut changes: u64) {
        let mut trail = Trail::new(leased_at.clone(), &owed.followers);
        for made in 1_u64.. {
            if self.is_held_back(&owed) {
                tracing::info!(delivery.id = %owed.id, "paused before a delivery; it is made when the pause and its lease are over");
                return;
            }
            if self.since(&trail.trusted_since) > TERM_TRUSTED {
                let asked_at = self.clock.boot_time();
                if let Err(error) = self.deliveries.check_term().await {
                    tracing::warn!(delivery.id = %owed.id, %error, "did not post a delivery; it is made again when its lease is over");
                    return;
                }
                trail.trusted_since = asked_at;
            }
            let (attempt, outcome) = self.dispatch.attempt(Parcel::of(&owed)).await;
            let standing = Standing { failures: owed.failures, last: owed.last };
            let verdict = schedule::verdict(outcome, standing, self.clock.now(), || self.chance());
            tell(&owed, &attempt, &verdict);
            let goes_on = self.goes_on(made);
            let may_follow = verdict == Verdict::Delivered && goes_on && owed.endpoint != Endpoint::Own;
            while may_follow && owed.followers.is_empty() && trail.asked == Asked::Now {
                if !trail.oldest_is_recorded(&mut owed).await {
                    // What was just posted is written down all the same, as far as that can be.
                    is_recorded(&owed, &self.deliveries.record(&owed, &attempt, &verdict, None).await);
                    return;
                }
            }
            let follows = may_follow
                && !owed.followers.is_empty()
                && !self.is_held_back(&owed)
                && !self.ends_soon(&leased_at)
                && self.deliveries.changes() == changes;
            if follows {
                // Not where its run ends with what it has.
                let last = self.goes_on(made + owed.followers.len() as u64).then(|| trail.asks_after(&owed)).flatten();
                let stay = Stay::Following { last };
                trail.push(self.clock.boot_time(), self.deliveries.record(&owed, &attempt, &verdict, Some(&stay)));
                if trail.unrecorded.len() > UNRECORDED_MAX && !trail.oldest_is_recorded(&mut owed).await {
                    return;
                }
                owed.follow();
                continue;
            }
            if goes_on && verdict == Verdict::Delivered && is_of_a_stream(&owed) {
                self.clock.sleep(GATHERED_FOR).await;
            }
            let asked_at = self.clock.boot_time();
            let stay = goes_on.then(|| self.stay(&mut leased_at));
            changes = self.deliveries.changes();
            let recorded = self.deliveries.record(&owed, &attempt, &verdict, stay.as_ref()).await;
            trail.ends(&owed).await;
            match recorded {
                Ok(Recorded::Next(next)) => {
                    owed = *next;
                    trail = Trail::new(asked_at, &owed.followers);
                }
                other => {
                    is_recorded(&owed, &other);
                    return;
                }
            }
        }
    }

    /// Whether a line goes on after so many were made in a row.
    fn goes_on(&self, made: u64) -> bool {
        !self.ends.load(Ordering::Relaxed) && (made < RUN_MAX || !self.others_wait.load(Ordering::Relaxed))
    }

    /// Whether a pause holds it back.
    fn is_held_back(&self, owed: &Owed) -> bool {
        *self.paused.borrow() && owed.endpoint != Endpoint::Own
    }

    /// Whether a lease since `leased_at` would no longer outlast a try.
    fn ends_soon(&self, leased_at: &BootTime) -> bool {
        self.since(leased_at) > self.lease.saturating_sub(TIMEOUT + LEASE_MARGIN)
    }

    /// Stays with a line that was leased at `leased_at`. The lease is renewed where it would end too soon.
    fn stay(&self, leased_at: &mut BootTime) -> Stay {
        let renewal = self.ends_soon(leased_at).then(|| {
            *leased_at = self.clock.boot_time();
            Renewal { boot: leased_at.clone(), lease_millis: millis(self.lease) }
        });
        Stay::Asking { renewal }
    }

    fn since(&self, then: &BootTime) -> Duration {
        Duration::from_millis(self.clock.boot_millis().saturating_sub(then.millis).try_into().unwrap_or(0))
    }

    fn chance(&self) -> u16 {
        let mut bytes = [0; 2];
        self.entropy.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }
}

/// What a worker posted of a line and is being written down.
struct Trail {
    /// The oldest first, each with when that was asked for.
    unrecorded: VecDeque<(BootTime, BoxFuture<'static, Result<Recorded, StoreError>>)>,
    asked: Asked,
    /// A moment since which the store has committed, or has said that its keeper's term holds: whatever it commits, it commits in that.
    trusted_since: BootTime,
}

/// Whether what follows further on was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    NotYet,
    Now,
    /// What came last was not as many as may come: what else there is has to be asked for as the line's next head.
    Done,
}

impl Asked {
    fn after(came: &VecDeque<Follower>) -> Self {
        if came.len() < FOLLOWERS_MAX as usize { Self::Done } else { Self::NotYet }
    }
}

impl Trail {
    fn new(trusted_since: BootTime, followers: &VecDeque<Follower>) -> Self {
        Self { unrecorded: VecDeque::new(), asked: Asked::after(followers), trusted_since }
    }

    fn push(&mut self, asked_at: BootTime, recorded: BoxFuture<'static, Result<Recorded, StoreError>>) {
        self.unrecorded.push_back((asked_at, recorded));
    }

    /// The place after which more is asked for along with a record of the head: as soon as what follows would be posted before
    /// that record had to be waited for.
    fn asks_after(&mut self, owed: &Owed) -> Option<i64> {
        if self.asked != Asked::NotYet || owed.followers.len() > UNRECORDED_MAX {
            return None;
        }
        self.asked = Asked::Now;
        owed.followers.back().map(|last| last.seq)
    }

    /// Waits until the oldest is written down, and takes what more it brings; false where the line is not this worker's any more.
    async fn oldest_is_recorded(&mut self, owed: &mut Owed) -> bool {
        let Some((asked_at, recorded)) = self.unrecorded.pop_front() else { return true };
        let recorded = recorded.await;
        if !is_recorded(owed, &recorded) {
            return false;
        }
        if asked_at.millis > self.trusted_since.millis {
            self.trusted_since = asked_at;
        }
        if let Ok(Recorded::More(more)) = recorded {
            self.asked = Asked::after(&more);
            owed.followers.extend(more);
        }
        true
    }

    /// Waits until all is written down, after what was asked for later is.
    async fn ends(self, owed: &Owed) {
        for (_, before) in self.unrecorded {
            if let Err(error) = before.await {
                not_recorded(owed, &error);
            }
        }
    }
}

/// Whether what was posted was one of many that come to our own receiver.
fn is_of_a_stream(owed: &Owed) -> bool {
    owed.endpoint == Endpoint::Own && STREAM.contains(&owed.followers.len())
}

/// Whether it was, and the line is still this worker's; says so where it is not.
fn is_recorded(owed: &Owed, recorded: &Result<Recorded, StoreError>) -> bool {
    match recorded {
        Ok(Recorded::Next(_) | Recorded::Kept | Recorded::More(_)) => true,
        Ok(Recorded::Stale) => {
            tracing::info!(delivery.id = %owed.id, "another worker has this line now; it posts again");
            false
        }
        Err(error) => {
            not_recorded(owed, error);
            false
        }
    }
}

fn not_recorded(owed: &Owed, error: &StoreError) {
    tracing::error!(
        line = owed.line,
        error = error as &(dyn std::error::Error + 'static),
        "could not record an attempt at a delivery of this line; it is made again when the lease is over"
    );
}

/// Counts and logs a try.
fn tell(owed: &Owed, attempt: &Attempt, verdict: &Verdict) {
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
}
