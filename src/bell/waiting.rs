//! Waiting for events without missing one: listen, look at the log, then sleep.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::handover::Handover;
use crate::{
    domain::{
        address::as_logged,
        clock::Clock,
        consumer::{Gap, Holder, LeaseToken, LeasedEvent, Start},
        cursor::{Cursor, NotACursor, Seq},
        event::{Event, EventFilter, EventKind},
        id::{ConsumerName, LogId},
    },
    ids::Ids,
    measures,
    store::{
        StoreError,
        leases::{Claim, ClaimError, Consumers},
        log::{EventLog, Extent, Order, PageRequest},
    },
    wake::{Bell, Topic},
};

/// Where to read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// From the first event still held.
    Earliest,
    /// From the next event to come.
    Now,
    /// From after this one.
    After(Cursor),
}

/// As whom an agent waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// As a worker of a consumer: what is returned is leased to it.
    Worker {
        /// The consumer.
        consumer: ConsumerName,
        /// Where it begins, should this be its first use.
        start: Start,
        /// What it owns, should this be its first use; empty for the default.
        kinds: Vec<EventKind>,
        /// How long the lease runs.
        lease: Duration,
    },
    /// As an onlooker with a place of its own: nothing is leased.
    Onlooker(Position),
}

/// A wait.
#[derive(Debug, Clone)]
pub struct WaitRequest {
    /// Which events.
    pub filter: EventFilter,
    /// As whom.
    pub reader: Reader,
    /// At most so many events.
    pub limit: u32,
    /// How long at most; then an answer without events.
    pub timeout: Duration,
    /// Who asks: the session or process, for finding its leases later.
    pub holder: Holder,
    /// What the asking program calls itself, where it said.
    pub client: Option<String>,
    /// Whether a lease is to be on the disk before it is answered ([`Claim::on_disk`]).
    pub on_disk: bool,
}

/// The answer to a wait: events, or a timeout, which is an answer like any other.
#[derive(Debug, Clone, Default)]
pub struct Waited {
    /// The events, the oldest first; `attempt` is 0 where nothing was leased.
    pub events: Vec<LeasedEvent>,
    /// Proves the lease; none without events or for an onlooker.
    pub lease_token: Option<LeaseToken>,
    /// What the consumer has left, by kind; none for an onlooker.
    pub backlog: Option<BTreeMap<EventKind, u64>>,
    /// What fell behind the log's tail before this reader saw it.
    pub gap: Option<Gap>,
    /// Whether the time ran out.
    pub timed_out: bool,
    /// Where an onlooker goes on; for a worker, the log's head before looking.
    pub cursor: Option<Cursor>,
}

/// A page of the log.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// Which events.
    pub filter: EventFilter,
    /// Only those after this; in descending order the listing stops there.
    pub after: Position,
    /// In descending order, a page goes on before this event, exclusively: the cursor of the page before.
    pub before: Option<Cursor>,
    /// Which way.
    pub order: Order,
    /// At most so many.
    pub limit: u32,
}

/// A page of the log, with the cursor after the last event shown.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The events, in the order asked for.
    pub events: Vec<Event>,
    /// In ascending order, pass it as `after` to go on; in descending order, as `before`.
    pub cursor: Cursor,
    /// What fell behind the log's tail before this reader saw it.
    pub gap: Option<Gap>,
}

/// Why a wait or a listing was not served.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The cursor belongs to a log that is not this one.
    #[error(
        "this cursor belongs to another log ({0}), perhaps one from before a restore; pass `earliest` or `now` instead"
    )]
    OtherLog(LogId),
    /// The text is no cursor.
    #[error(transparent)]
    NotACursor(#[from] NotACursor),
    /// The claim was not served.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A worker named what only an onlooker may: its consumer would go on to hold back all else.
    #[error(
        "a wait for one thread, message or action needs `after` (a cursor, `now` or `earliest`) in place of `consumer`; or wait with `mailbox` or `domain`"
    )]
    NeedsPosition,
    /// The caller went away.
    #[error("the wait was cancelled")]
    Cancelled,
}

/// Serves waits and listings over a log.
pub struct Waiting {
    pub(super) log: Arc<dyn EventLog>,
    handover: Handover,
    pub(super) bell: Bell,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
}

impl Waiting {
    /// Waits over `log` and `consumers`, woken by `bell`.
    pub fn new(
        log: Arc<dyn EventLog>,
        consumers: Arc<dyn Consumers>,
        bell: Bell,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
    ) -> Self {
        let handover = Handover::new(consumers, bell.clone(), clock.clone());
        Self { log, handover, bell, clock, ids }
    }

    /// Answers with the first matching events, or without any when the time is over. Cancelling it, or dropping the
    /// future, leaves no lease behind.
    pub async fn wait(&self, request: WaitRequest, cancelled: CancellationToken) -> Result<Waited, WaitError> {
        let in_progress = measures::wait();
        let waited = self.serve(request, cancelled).await;
        in_progress.ended(match &waited {
            Ok(waited) if waited.timed_out => "timeout",
            Ok(_) => "events",
            Err(WaitError::Cancelled) => "cancelled",
            Err(_) => "refused",
        });
        waited
    }

    async fn serve(&self, mut request: WaitRequest, cancelled: CancellationToken) -> Result<Waited, WaitError> {
        spell_as_logged(&mut request.filter);
        let over = self.clock.sleep(request.timeout);
        match request.reader.clone() {
            Reader::Worker { consumer, start, kinds, lease } => {
                let EventFilter { thread_id, message_id, action_id, .. } = &request.filter;
                if thread_id.is_some() || message_id.is_some() || action_id.is_some() {
                    return Err(WaitError::NeedsPosition);
                }
                let claim = Claim {
                    consumer,
                    start,
                    kinds,
                    filter: request.filter,
                    limit: request.limit,
                    holder: request.holder,
                    client: request.client,
                    token: LeaseToken::new(self.ids.short_secret("lease_")),
                    lease_millis: i64::try_from(lease.as_millis()).unwrap_or(i64::MAX),
                    on_disk: request.on_disk,
                    rung: false,
                };
                self.work(claim, over, cancelled).await
            }
            Reader::Onlooker(position) => self.look_on(request, &position, over, cancelled).await,
        }
    }

    async fn work(&self, mut claim: Claim, mut over: Sleep, cancelled: CancellationToken) -> Result<Waited, WaitError> {
        let mut topics = topics(&claim.filter);
        topics.push(Topic::Consumer(claim.consumer.clone()));
        let mut ear = self.bell.listen(topics);
        // What rings once for nothing may go on to: then a look comes first again.
        let mut rings = 0_u32;
        loop {
            claim.rung = rings == 1;
            let claimed = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(WaitError::Cancelled),
                claimed = self.handover.claim(claim.clone()) => claimed?,
            };
            let next_expiry = claimed.next_expiry();
            if claimed.is_news() {
                return Ok(claimed.accept(&claim.token));
            }
            let next_expiry = async {
                match next_expiry {
                    Some(span) => self.clock.sleep(span).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(WaitError::Cancelled),
                () = ear.rung() => rings = rings.saturating_add(1),
                () = next_expiry => {}
                () = &mut over => return Ok(Waited { timed_out: true, ..claimed.accept(&claim.token) }),
            }
        }
    }

    async fn look_on(
        &self,
        request: WaitRequest,
        position: &Position,
        mut over: Sleep,
        cancelled: CancellationToken,
    ) -> Result<Waited, WaitError> {
        let mut ear = self.bell.listen(topics(&request.filter));
        let mut extent = self.log.extent().await?;
        let mut after = placed(position, &extent)?;
        let gap = extent.gap(after);
        // A ring mostly brings a match; only one that brings none makes it worth while to measure the log.
        let mut rung = false;
        loop {
            let page = PageRequest {
                filter: request.filter.clone(),
                after,
                before: None,
                order: Order::Ascending,
                limit: request.limit,
            };
            let mut events = self.log.page(&page).await?;
            if rung && events.is_empty() {
                extent = self.log.extent().await?;
                events = self.log.page(&page).await?;
            }
            // Without a match, the next look goes on from what was the head before this one.
            after = events.last().map_or(after.max(extent.head), |event| event.seq);
            let waited = Waited {
                events: events.into_iter().map(|event| LeasedEvent { event, attempt: 0 }).collect(),
                gap,
                cursor: Some(Cursor { log: extent.log.clone(), seq: after }),
                ..Waited::default()
            };
            if !waited.events.is_empty() || gap.is_some() {
                return Ok(waited);
            }
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(WaitError::Cancelled),
                () = ear.rung() => {}
                () = &mut over => return Ok(Waited { timed_out: true, ..waited }),
            }
            rung = true;
        }
    }

    /// A page of the log.
    pub async fn list(&self, mut request: ListRequest) -> Result<Listed, WaitError> {
        spell_as_logged(&mut request.filter);
        let extent = self.log.extent().await?;
        let after = placed(&request.after, &extent)?;
        let before = request.before.as_ref().map(|cursor| placed_at(cursor, &extent)).transpose()?;
        let page = PageRequest { filter: request.filter, after, before, order: request.order, limit: request.limit };
        let events = self.log.page(&page).await?;
        let seq = match (events.last(), request.order) {
            (Some(event), _) => event.seq,
            (None, Order::Ascending) => after.max(extent.head),
            (None, Order::Descending) => after,
        };
        Ok(Listed { events, cursor: Cursor { log: extent.log.clone(), seq }, gap: extent.gap(after) })
    }

    /// The cursor after the newest event: what happens from now on lies after it.
    pub async fn head_cursor(&self) -> Result<Cursor, StoreError> {
        let extent = self.log.extent().await?;
        Ok(Cursor { log: extent.log, seq: extent.head })
    }
}

type Sleep = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Which topics may bring what `filter` takes: the narrowest that the bell has.
fn topics(filter: &EventFilter) -> Vec<Topic> {
    vec![match (&filter.mailbox, &filter.domain) {
        (Some(mailbox), _) => Topic::Mailbox(mailbox.clone()),
        (None, Some(domain)) => Topic::Domain(domain.clone()),
        (None, None) => Topic::All,
    }]
}

/// The log has one spelling of an address; a filter in another would wait for ever.
fn spell_as_logged(filter: &mut EventFilter) {
    for text in [&mut filter.mailbox, &mut filter.domain].into_iter().flatten() {
        *text = as_logged(text);
    }
}

fn placed(position: &Position, extent: &Extent) -> Result<Seq, WaitError> {
    match position {
        Position::Earliest => Ok(Seq(extent.tail.0 - 1)),
        Position::Now => Ok(extent.head),
        Position::After(cursor) => placed_at(cursor, extent),
    }
}

fn placed_at(cursor: &Cursor, extent: &Extent) -> Result<Seq, WaitError> {
    if cursor.log == extent.log { Ok(cursor.seq) } else { Err(WaitError::OtherLog(cursor.log.clone())) }
}
