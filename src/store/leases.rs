//! Consumers' rows: what each has handled, and who is at what now.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::{Moment, UnixMillis},
    consumer::{Gap, Held, Holder, LeaseToken, LeasedEvent, Settled, Settlement, Start},
    cursor::{Cursor, Seq},
    event::{EventFilter, EventKind},
    id::{ActionId, ConsumerName, EventId, MessageId},
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
    pub holder: Holder,
    /// What the holder's program calls itself, where it said.
    pub client: Option<String>,
    /// The token of the lease, made by the caller.
    pub token: LeaseToken,
    /// How long the lease runs.
    pub lease_millis: i64,
    /// Whether the lease is to be on the disk before it is answered. A power loss ends every lease, so that what it takes of
    /// one that is not is that it ever was: the event is handed out again, and this attempt is not counted. Whoever
    /// writes to the database once the claim is answered, as a tool's call does, takes the lease to the disk with that.
    pub on_disk: bool,
    /// Whether the caller was told that there is something new. Then one of a consumer's claims at a time goes to the writer at
    /// once, instead of after a look that finds it.
    pub rung: bool,
}

/// What a worker gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The log's head before this claim looked.
    pub head: Cursor,
    /// The oldest matching events that nobody holds, now leased under the claim's token; none if there are none.
    pub events: Vec<LeasedEvent>,
    /// What remains unsettled after this, leased or not, by kind; counted to [`BACKLOG_MAX`].
    pub backlog: BTreeMap<EventKind, u64>,
    /// What retention took before this consumer saw it. Told once.
    pub gap: Option<Gap>,
    /// When the next of this consumer's leases or pauses is over, in milliseconds from now, if there is any: then there may
    /// be something to claim without any new event.
    pub next_expiry_millis: Option<i64>,
    /// Those that this claim found handed out too often without an ack, and parked. The waiters of their threads are to be
    /// told.
    pub parked: Vec<Seq>,
}

/// A claim counts what remains no further than this for each kind: it is told to an agent, for whom more is just as many, and
/// counting is most of what a claim costs.
pub const BACKLOG_MAX: u64 = 1_000;

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
    /// Nothing is handed out while an earlier event of its thread is leased to another worker or waits for a retry.
    async fn claim(&self, claim: &Claim, now: Moment) -> Result<Claimed, ClaimError>;

    /// Takes back a claim whose caller went away before it saw the events: as if it had never been made.
    async fn unclaim(&self, token: &LeaseToken, now: UnixMillis) -> Result<(), StoreError>;

    /// Settles the named events, or all that `token` holds. A token that holds none of them changes nothing. An expired
    /// lease still counts while nobody else has claimed the event: then nobody else can have begun.
    async fn settle(
        &self,
        token: &LeaseToken,
        only: Option<&[EventId]>,
        settlement: &Settlement,
        now: Moment,
    ) -> Result<Settled, StoreError>;

    /// Acks the events about `message` that are leased under `token`, or without one, those leased to `holder`. What is
    /// leased to others is named as stale.
    async fn ack_message(
        &self,
        message: &MessageId,
        token: Option<&LeaseToken>,
        holder: &str,
        now: Moment,
    ) -> Result<Settled, StoreError>;

    /// Makes sure that what `token` holds stays with it for `millis` at least, and tells what that is. Nothing, where it
    /// holds nothing any more, or where the event about `message` is with another worker of its consumer by now.
    async fn hold(
        &self,
        token: &LeaseToken,
        message: Option<&MessageId>,
        millis: i64,
        now: Moment,
    ) -> Result<Option<Held>, StoreError>;

    /// Has the lease of `token` run for as long as `action`, which was asked for under it, may wait for an operator, and
    /// [`ANSWERED_MILLIS`](super::oversight::ANSWERED_MILLIS) longer. False where one of them is over.
    async fn hold_for_action(&self, token: &LeaseToken, action: &ActionId, now: Moment) -> Result<bool, StoreError>;

    /// Who holds the lease of this token, if anybody does.
    async fn holder_of(&self, token: &LeaseToken) -> Result<Option<String>, StoreError>;

    /// Whether somebody has the event at `seq` on lease.
    async fn is_leased(&self, consumer: &ConsumerName, seq: Seq, now: Moment) -> Result<bool, StoreError>;

    /// For every consumer, how often something became free in it other than by time: where it rises, waiters look again.
    async fn returns(&self) -> Result<Vec<(ConsumerName, i64)>, StoreError>;
}
