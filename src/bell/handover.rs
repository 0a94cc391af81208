//! Handing leased events to a waiter that may be gone before it sees them.
//!
//! A claim is a transaction, and a waiter can be dropped or cancelled at any point of it. So the claim runs in a task of
//! its own, and what it leased travels in [`Leased`], which takes the lease back unless somebody accepts it.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::oneshot};

use super::waiting::{WaitError, Waited};
use crate::{
    domain::{clock::Clock, consumer::LeaseToken, id::ConsumerName},
    store::leases::{Claim, ClaimError, Claimed, Consumers},
    wake::{Bell, Topic},
};

#[derive(Clone)]
pub(super) struct Handover {
    consumers: Arc<dyn Consumers>,
    bell: Bell,
    clock: Arc<dyn Clock>,
}

impl Handover {
    pub(super) fn new(consumers: Arc<dyn Consumers>, bell: Bell, clock: Arc<dyn Clock>) -> Self {
        Self { consumers, bell, clock }
    }

    /// Claims; dropping the returned future, at any point, leaves no lease behind.
    pub(super) async fn claim(&self, claim: Claim) -> Result<Leased, WaitError> {
        let (answer, answered) = oneshot::channel();
        let this = self.clone();
        tokio::spawn(async move {
            let claimed = this.consumers.claim(&claim, this.clock.moment()).await;
            // Unheard, or heard by a channel whose receiver goes away: either drops what was leased.
            let _ = answer.send(claimed.map(|claimed| this.hold(claim, claimed)));
        });
        let claimed: Result<Leased, ClaimError> = answered.await.map_err(|_| WaitError::Cancelled)?;
        Ok(claimed?)
    }

    fn hold(self, claim: Claim, claimed: Claimed) -> Leased {
        for seq in &claimed.parked {
            tracing::warn!(event.seq = seq.0, consumer = %claim.consumer, "an event was handed out too often without an ack and is parked");
        }
        if !claimed.parked.is_empty() {
            // What waited behind it in its thread may be more than this claim took.
            self.bell.ring(&Topic::Consumer(claim.consumer.clone()));
        }
        let undo = (!claimed.events.is_empty()).then(|| Undo {
            handover: self,
            consumer: claim.consumer,
            token: claim.token,
            runtime: Handle::current(),
        });
        Leased { claimed, undo }
    }
}

/// A claim's answer that nobody has accepted yet. Dropped, it gives the events back.
pub(super) struct Leased {
    claimed: Claimed,
    undo: Option<Undo>,
}

impl Leased {
    /// Whether there is something to tell the waiter at once.
    pub(super) fn is_news(&self) -> bool {
        !self.claimed.events.is_empty() || self.claimed.gap.is_some()
    }

    /// How long until there may be something to claim without any ring.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.claimed.next_expiry_millis.map(|millis| Duration::from_millis(millis.max(0).unsigned_abs()))
    }

    /// Makes it the waiter's answer: from here on the lease is the waiter's.
    pub(super) fn accept(mut self, token: &LeaseToken) -> Waited {
        self.undo = None;
        let claimed = &mut self.claimed;
        let (events, backlog) = (std::mem::take(&mut claimed.events), std::mem::take(&mut claimed.backlog));
        let (gap, head) = (claimed.gap, claimed.head.clone());
        Waited {
            lease_token: (!events.is_empty()).then(|| token.clone()),
            events,
            backlog: Some(backlog),
            gap,
            timed_out: false,
            cursor: Some(head),
        }
    }
}

struct Undo {
    handover: Handover,
    consumer: ConsumerName,
    token: LeaseToken,
    runtime: Handle,
}

impl Undo {
    /// Gives the events back, in a task of its own.
    fn start(self) {
        let Self { handover, consumer, token, runtime } = self;
        runtime.spawn(async move {
            match handover.consumers.unclaim(&token, handover.clock.now()).await {
                Ok(()) => handover.bell.ring(&Topic::Consumer(consumer)),
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(
                        error,
                        "could not give back the events of a waiter that went away; their lease runs out"
                    );
                }
            }
        });
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            undo.start();
        }
    }
}
