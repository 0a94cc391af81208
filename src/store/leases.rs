//! Consumers' rows: what each has handled, and who is at what now.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::BootTime,
    consumer::{Gap, LeaseToken, LeasedEvent, Settled, Settlement, Start},
    event::{EventFilter, EventKind},
    id::{ConsumerName, EventId, MessageId},
};

/// What a worker asks of a consumer.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The consumer.
    pub consumer: ConsumerName,
    /// Where it begins, should this be its first use.
    pub start: Start,
    /// What it owns, should this be its first use; empty for the default.
    pub kinds: Vec<EventKind>,
    /// Narrows this call; what it leaves out stays with the consumer.
    pub filter: EventFilter,
    /// At most so many events.
    pub limit: u32,
    /// Who asks, such as a session: leases can be found by it later.
    pub holder: String,
    /// The token of the lease, made by the caller.
    pub token: LeaseToken,
    /// How long the lease runs.
    pub lease_millis: i64,
}

/// What a worker gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// The oldest matching events that nobody holds, now leased under the claim's token; none if there are none.
    pub events: Vec<LeasedEvent>,
    /// What remains unsettled after this, leased or not, by kind; counted to [`BACKLOG_MAX`].
    pub backlog: BTreeMap<EventKind, u64>,
    /// What retention took before this consumer saw it. Told once.
    pub gap: Option<Gap>,
    /// When the next of this consumer's leases runs out, in milliseconds from now, if any is held: then there may be
    /// something to claim without any new event.
    pub next_expiry_millis: Option<i64>,
}

/// Backlogs are counted no further than this, so that a count never reads the whole log.
pub const BACKLOG_MAX: u64 = 10_000;

/// Why a claim was not served.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClaimError {
    /// The filter, or the kinds of a later use, name one that the consumer does not own, so it would wait for ever.
    #[error("consumer `{consumer}` does not own the kind `{kind}`; it owns {owned}")]
    NotOwned {
        /// The consumer.
        consumer: ConsumerName,
        /// The kind it does not own.
        kind: EventKind,
        /// What it does own, as a readable list.
        owned: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Consumers and their leases. Deadlines are on the boot clock; `now` is passed in.
#[async_trait]
pub trait Consumers: Send + Sync + 'static {
    /// Leases the oldest matching free events to the caller; writes nothing where there are none and the consumer is known.
    async fn claim(&self, claim: &Claim, now: BootTime) -> Result<Claimed, ClaimError>;

    /// Takes back a claim whose caller went away before it saw the events: as if it had never been made.
    async fn unclaim(&self, token: &LeaseToken) -> Result<(), StoreError>;

    /// Settles the named events, or all that `token` holds. A token that holds none of them changes nothing. An expired
    /// lease still counts while nobody else has claimed the event: then nobody else can have begun.
    async fn settle(
        &self,
        token: &LeaseToken,
        only: Option<&[EventId]>,
        settlement: &Settlement,
        now: BootTime,
    ) -> Result<Settled, StoreError>;

    /// Acks the events about `message` that are leased under `token`, or without one, those leased to `holder`. What is
    /// leased to others is named as stale.
    async fn ack_message(
        &self,
        message: &MessageId,
        token: Option<&LeaseToken>,
        holder: &str,
        now: BootTime,
    ) -> Result<Settled, StoreError>;

    /// For every consumer, how often events were given back to it (released, unclaimed): where it rises, waiters look again.
    async fn returns(&self) -> Result<Vec<(ConsumerName, i64)>, StoreError>;
}
