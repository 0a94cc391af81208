//! Settling events: what a worker says of those it holds, and telling others what was given back.

use std::sync::Arc;

use crate::{
    domain::{
        clock::Clock,
        consumer::{LeaseToken, Settled, Settlement},
        id::{ConsumerName, EventId, MessageId},
    },
    store::{StoreError, leases::Consumers},
    wake::{Bell, Topic},
};

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
        let settled = self.consumers.settle(token, only, settlement, self.clock.boot_time()).await?;
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
        let settled = self.consumers.ack_message(message, token, holder, self.clock.boot_time()).await?;
        self.tell(&settled);
        Ok(settled)
    }

    /// Takes back the lease of a worker of `consumer` that went away before it was told of it: as if never made.
    pub async fn take_back(&self, token: &LeaseToken, consumer: &ConsumerName) -> Result<(), StoreError> {
        self.consumers.unclaim(token).await?;
        self.bell.ring(&Topic::Consumer(consumer.clone()));
        Ok(())
    }

    fn tell(&self, settled: &Settled) {
        if let Some(consumer) = &settled.consumer {
            self.bell.ring(&Topic::Consumer(consumer.clone()));
        }
    }
}
