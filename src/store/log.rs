//! The event log: append, read in order, never change.

use async_trait::async_trait;

use super::{StoreError, received::Told};
use crate::domain::{
    clock::UnixMillis,
    consumer::Gap,
    cursor::Seq,
    event::{Auth, Event, EventFilter, NewEvent},
    id::{LogId, SourceName},
};

/// What became of one event that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingested {
    /// It is new and now stands at this place.
    Fresh(Seq),
    /// The source has told it before, word for word; it stands at this place.
    Duplicate(Seq),
    /// The source has told something else under the same id; that stands at this place, and this was not stored.
    Conflict(Seq),
}

/// Which way a page runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest first.
    #[default]
    Descending,
    /// The oldest first.
    Ascending,
}

/// A page of the log to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Which events.
    pub filter: EventFilter,
    /// Only those later than this.
    pub after: Seq,
    /// Only those earlier than this, where it is given.
    pub before: Option<Seq>,
    /// Which way.
    pub order: Order,
    /// At most so many.
    pub limit: u32,
}

/// Where the log begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The log's id.
    pub log: LogId,
    /// The newest event's place; [`Seq::ZERO`] in an empty log.
    pub head: Seq,
    /// The oldest place that retention has not removed; every event from here on is there.
    pub tail: Seq,
}

impl Extent {
    /// What a reader that had seen everything up to `after` has missed for good.
    pub fn gap(&self, after: Seq) -> Option<Gap> {
        (after.0 + 1 < self.tail.0).then_some(Gap { after, resumes_at: self.tail })
    }
}

/// What of the log is brought in order behind those who append.
#[async_trait]
pub trait Indexing: Send + Sync + 'static {
    /// Puts the newest events into the indexes that are not written along with each, in small transactions, and answers how many
    /// those were. Readers find them before and after it; they find them faster after it. What fails is left for the next time.
    async fn index_newest(&self) -> Result<u64, StoreError>;

    /// Takes from these indexes the events that retention has removed, in small transactions, and answers how many those were. Readers
    /// do not see them before it either. What fails is left for the next time.
    async fn take_removed(&self) -> Result<u64, StoreError>;
}

/// The event log.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends `events` of one source, all of them or none, and answers in their order once they are on disk. Callers
    /// ring the bell after this, never before.
    async fn append(
        &self,
        source: &SourceName,
        auth: Auth,
        received_at: UnixMillis,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Ingested>, StoreError>;

    /// The same for events that may bring messages: each message that a new event brings is kept in the same transaction.
    ///
    /// With a `roster`, on the condition that this is the version of the sources still ([`Sources::version`]): where it is
    /// not, nothing is stored, and the answer is none.
    ///
    /// [`Sources::version`]: super::sources::Sources::version
    async fn take_in(
        &self,
        source: &SourceName,
        auth: Auth,
        received_at: UnixMillis,
        told: Vec<Told>,
        roster: Option<i64>,
    ) -> Result<Option<Vec<Ingested>>, StoreError>;

    /// A page of events.
    async fn page(&self, request: &PageRequest) -> Result<Vec<Event>, StoreError>;

    /// The event at `seq`, if there is one.
    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError>;

    /// Where the log begins and ends now.
    async fn extent(&self) -> Result<Extent, StoreError>;
}
