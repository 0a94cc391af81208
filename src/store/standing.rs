//! How consumers stand: what an operator sees of them, and does to their events.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;

use super::StoreError;
use crate::domain::{
    clock::{Moment, UnixMillis},
    consumer::ParkedBy,
    cursor::Seq,
    event::EventKind,
    id::{ConsumerName, EventId},
};

/// What a consumer has left is counted no further than this for each kind, so that a look never reads the whole log.
pub const LAG_MAX: u64 = 10_000;

/// A consumer at one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its name.
    pub name: ConsumerName,
    /// What it owns.
    pub kinds: Vec<EventKind>,
    /// Every event of its kinds up to here is settled or parked.
    pub low_water: Seq,
    /// How many it has left, leased or not, by kind; counted to [`LAG_MAX`].
    pub lag: BTreeMap<EventKind, u64>,
    /// When the oldest of those was received.
    pub oldest_received_at: Option<UnixMillis>,
    /// How many are with a worker now.
    pub leased: u64,
    /// How many were handed out before and wait to be handed out again.
    pub waiting: u64,
    /// How many are set aside.
    pub parked: u64,
    /// How many of those an agent escalated.
    pub escalated: u64,
}

/// An event that was handed out and is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenClaim {
    /// Its place in the log.
    pub seq: Seq,
    /// Its id.
    pub event_id: EventId,
    /// Its kind.
    pub kind: EventKind,
    /// How often it was handed out.
    pub attempt: u32,
    /// Whether it is with a worker; else it waits for the next.
    pub leased: bool,
    /// Who has it, or had it last: a session, a principal, a process.
    pub holder: Option<String>,
    /// What the holder's program calls itself.
    pub client: Option<String>,
    /// Since when the worker has it.
    pub since: Option<UnixMillis>,
    /// How many milliseconds are left of the lease, or of the pause before the next try; none where it is over.
    pub left_millis: Option<u64>,
}

/// An event that is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedClaim {
    /// Its place in the log.
    pub seq: Seq,
    /// Its id; none once retention took it.
    pub event_id: Option<EventId>,
    /// Its kind; none once retention took it.
    pub kind: Option<EventKind>,
    /// How often it was handed out.
    pub attempt: u32,
    /// Who had it last.
    pub holder: Option<String>,
    /// What that one's program calls itself.
    pub client: Option<String>,
    /// Since when it is parked.
    pub since: Option<UnixMillis>,
    /// Who set it aside.
    pub parked_by: ParkedBy,
    /// Why, in the words of whoever did.
    pub note: Option<String>,
}

/// What an operator does to events of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorAct {
    /// Puts what is parked back, with its attempts counted anew.
    Requeue,
    /// Sets aside what is not settled; a worker that has it finds its token stale.
    Park {
        /// Why.
        note: Option<String>,
    },
    /// Says that what is parked is done.
    Ack,
}

/// What became of an operator's act on one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Acted {
    /// It took effect.
    Done,
    /// The event is not parked.
    NotParked,
    /// The event is settled already.
    Settled,
    /// The event is parked already.
    Parked,
    /// The log does not have it (any more), or the consumer does not own its kind.
    Unknown,
}

/// What an operator sees of consumers, and does.
#[async_trait]
pub trait Standings: Send + Sync + 'static {
    /// All consumers, by name.
    async fn standings(&self, now: Moment) -> Result<Vec<Standing>, StoreError>;

    /// The first `limit` events that a consumer was handed and has not settled; none for a consumer that is not there.
    async fn open_claims(&self, consumer: &ConsumerName, limit: u32, now: Moment)
    -> Result<Vec<OpenClaim>, StoreError>;

    /// The first `limit` events that are set aside in a consumer.
    async fn parked_claims(&self, consumer: &ConsumerName, limit: u32) -> Result<Vec<ParkedClaim>, StoreError>;

    /// Does `act` to the events at `seqs`, all of them or none, and has waiters look again; nothing for a consumer that is
    /// not there.
    async fn act(
        &self,
        consumer: &ConsumerName,
        seqs: &[Seq],
        act: &OperatorAct,
        now: Moment,
    ) -> Result<Option<Vec<(Seq, Acted)>>, StoreError>;
}
