//! Settling events: what a worker says of those it holds, and telling others what was given back.

use std::sync::Arc;

use crate::{
    domain::{
        clock::Clock,
        consumer::{Held, LeaseToken, Settled, Settlement, principal_of},
        cursor::Seq,
        id::{ActionId, ConsumerName, EventId, MessageId},
    },
    store::{StoreError, leases::Consumers},
    wake::{Bell, Topic},
};

/// How long a lease runs on at least when something is done under it, in milliseconds: a call of the mail API takes 20 s
/// with all its tries, and what is done must not overlap with what the next worker does.
const HOLD_MILLIS: i64 = 60_000;

/// Serves what workers say of the events they hold.
pub struct Settling {
    consumers: Arc<dyn Consumers>,
    bell: Bell,
    clock: Arc<dyn Clock>,
}

impl Settling {
    /// Settles over `consumers`, and rings `bell` for what is given back.
    pub fn new(consumers: Arc<dyn Consumers>, bell: Bell, clock: Arc<dyn Clock>) -> Self {
        Self { consumers, bell, clock }
    }

    /// Settles the named events, or all that `token` holds. One that holds nothing (any more) changes nothing.
    pub async fn settle(
        &self,
        token: &LeaseToken,
        only: Option<&[EventId]>,
        settlement: &Settlement,
    ) -> Result<Settled, StoreError> {
        let settled = self.consumers.settle(token, only, settlement, self.clock.moment()).await?;
        self.tell(&settled);
        Ok(settled)
    }

    /// Acks the events about `message` that are leased under `token`, or without one, those leased to `holder`.
    pub async fn ack_message(
        &self,
        message: &MessageId,
        token: Option<&LeaseToken>,
        holder: &str,
    ) -> Result<Settled, StoreError> {
        let settled = self.consumers.ack_message(message, token, holder, self.clock.moment()).await?;
        self.tell(&settled);
        Ok(settled)
    }

    /// Before something is done under `token`: has its leases run on for a minute at least, and tells what they are. None where
    /// it holds nothing any more, or where the event about `message` is with another worker of its consumer.
    pub async fn hold(&self, token: &LeaseToken, message: Option<&MessageId>) -> Result<Option<Held>, StoreError> {
        self.consumers.hold(token, message, HOLD_MILLIS, self.clock.moment()).await
    }

    /// Has the lease of `token` last for as long as `action`, which was asked for under it, may wait for an operator. What it
    /// was asked for under may be over by now: then another worker has the event.
    pub async fn hold_for_action(&self, token: &LeaseToken, action: &ActionId) -> Result<(), StoreError> {
        self.consumers.hold_for_action(token, action, self.clock.moment()).await.map(drop)
    }

    /// The name of the token in whose name the lease of `token` is held, if it is held in the name of one.
    pub async fn principal_of(&self, token: &LeaseToken) -> Result<Option<String>, StoreError> {
        let holder = self.consumers.holder_of(token).await?;
        Ok(holder.as_deref().and_then(principal_of).map(str::to_owned))
    }

    /// Whether somebody has the event at `seq` on lease now.
    pub async fn is_leased(&self, consumer: &ConsumerName, seq: Seq) -> Result<bool, StoreError> {
        self.consumers.is_leased(consumer, seq, self.clock.moment()).await
    }

    /// Takes back the lease of a worker of `consumer` that went away before it was told of it: as if never made.
    pub async fn take_back(&self, token: &LeaseToken, consumer: &ConsumerName) -> Result<(), StoreError> {
        self.consumers.unclaim(token, self.clock.now()).await?;
        self.bell.ring(&Topic::Consumer(consumer.clone()));
        Ok(())
    }

    fn tell(&self, settled: &Settled) {
        for event in &settled.parked {
            tracing::warn!(event.id = %event, "an event was given back after its last attempt and is parked");
        }
        if let Some(consumer) = &settled.consumer {
            self.bell.ring(&Topic::Consumer(consumer.clone()));
        }
    }
}
