//! Onlookers: a place of their own, nothing leased, nothing missed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mailbell::{
    bell::waiting::{ListRequest, Position, Reader, WaitError, WaitRequest, Waiting},
    domain::{
        clock::UnixMillis,
        cursor::{Cursor, Seq},
        event::{Auth, Event, EventFilter, EventKind, NewEvent},
        id::{LogId, SourceName, ThreadId},
    },
    ids::Ids,
    store::{
        StoreError,
        bell::BellStore,
        log::{EventLog, Extent, Ingested, Order, PageRequest},
        received::Told,
    },
    wake::Bell,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    bell::{BellWing, ids, inbound, of_kinds, open, other, worker},
    entropy::Counting,
};

fn onlooker(position: Position) -> WaitRequest {
    WaitRequest { reader: Reader::Onlooker(position), ..worker() }
}

#[tokio::test]
async fn an_event_from_before_the_wait_is_returned_at_once() {
    let wing = BellWing::start().await;
    let before = wing.waiting.head_cursor().await.unwrap();
    wing.tell(vec![inbound(1), inbound(2)]).await;
    let request = onlooker(Position::After(before));
    let waited = wing.waiting.wait(request, CancellationToken::new()).await.unwrap();
    assert_eq!(ids(&waited), ["evt_1", "evt_2"]);
    assert_eq!(waited.cursor, Some(wing.waiting.head_cursor().await.unwrap()));
    assert!(waited.lease_token.is_none() && !waited.timed_out && waited.events[0].attempt == 0);
}

#[tokio::test]
async fn an_event_wakes_only_whom_it_concerns() {
    let wing = BellWing::start().await;
    let head = wing.waiting.head_cursor().await.unwrap();
    let mine = WaitRequest {
        filter: EventFilter { mailbox: Some("Agent@MailBell.TEST".into()), ..EventFilter::default() },
        ..onlooker(Position::After(head.clone()))
    };
    let domain = WaitRequest {
        filter: EventFilter { domain: Some("Elsewhere.test".into()), ..EventFilter::default() },
        ..onlooker(Position::After(head))
    };
    let mine = wing.asleep(mine, CancellationToken::new()).await;
    let domain = wing.asleep(domain, CancellationToken::new()).await;
    wing.tell(vec![inbound(1)]).await;
    assert_eq!(ids(&mine.await.unwrap().unwrap()), ["evt_1"]);
    assert!(!domain.is_finished());
    wing.tell(vec![NewEvent { mailbox: Some("x@elsewhere.test".into()), ..inbound(2) }]).await;
    assert_eq!(ids(&domain.await.unwrap().unwrap()), ["evt_2"]);
}

#[tokio::test]
async fn a_timeout_is_an_answer_that_says_where_to_go_on() {
    let wing = BellWing::start().await;
    wing.tell(vec![open(1)]).await;
    let request = WaitRequest { filter: of_kinds(&[EventKind::Bounce]), ..onlooker(Position::Earliest) };
    let wait = wing.asleep(request, CancellationToken::new()).await;
    wing.clock.advance(Duration::from_secs(25));
    let waited = wait.await.unwrap().unwrap();
    assert!(waited.timed_out && waited.events.is_empty() && waited.backlog.is_none());
    assert_eq!(waited.cursor, Some(wing.waiting.head_cursor().await.unwrap()), "what does not match is behind");
}

#[tokio::test]
async fn one_more_look_is_not_needed_for_an_event_between_listening_and_looking() {
    let wing = BellWing::start().await;
    let bell = Bell::default();
    let event = Mutex::new(Some(inbound(1)));
    let sly = Sly { store: wing.store.clone(), bell: bell.clone(), event, looks: AtomicUsize::default() };
    let waiting = waiting(&wing, Arc::new(sly), bell);
    // Time stands still, so nothing but the ring can end this wait.
    let waited = waiting.wait(onlooker(Position::Now), CancellationToken::new()).await.unwrap();
    assert_eq!(ids(&waited), ["evt_1"]);
}

/// Waits that look into `log` and hear `bell`, on the clock and the consumers of `wing`.
fn waiting(wing: &BellWing, log: Arc<Sly>, bell: Bell) -> Waiting {
    let (store, clock) = (Arc::new(wing.store.clone()), Arc::new(wing.clock.clone()));
    let names = Arc::new(Ids::new(clock.clone(), Arc::new(Counting::default())));
    Waiting::new(log, store, bell, clock, names)
}

#[tokio::test]
async fn among_a_thousand_who_wait_for_others_only_one_looks() {
    let wing = BellWing::start().await;
    let log = Sly {
        store: wing.store.clone(),
        bell: wing.bell.clone(),
        event: Mutex::default(),
        looks: AtomicUsize::default(),
    };
    let log = Arc::new(log);
    let waiting = Arc::new(waiting(&wing, log.clone(), wing.bell.clone()));
    // Each has taken its place in the log, and so was listening, once it has looked for the first time.
    let wait = |mailbox: String| {
        let filter = EventFilter { mailbox: Some(mailbox), ..EventFilter::default() };
        let (waiting, request) = (waiting.clone(), WaitRequest { filter, ..onlooker(Position::Now) });
        tokio::spawn(async move { waiting.wait(request, CancellationToken::new()).await.unwrap() })
    };
    let looked = async |looks: usize| {
        while log.looks.load(Ordering::SeqCst) < looks {
            tokio::task::yield_now().await;
        }
    };
    let others: Vec<_> = (0..1_000).map(|n| wait(format!("other{n}@elsewhere.test"))).collect();
    looked(others.len()).await;
    let mut looks = others.len();
    for n in 1..=5 {
        let mine = wait("agent@mailbell.test".into());
        looked(looks + 1).await;
        wing.tell(vec![inbound(n)]).await;
        assert_eq!(ids(&mine.await.unwrap()), [format!("evt_{n}")]);
        let now = log.looks.load(Ordering::SeqCst);
        assert!(now - looks <= 2, "one look before the event and one after it: {} were others'", now - looks - 2);
        looks = now;
    }
    assert!(others.iter().all(|other| !other.is_finished()));
}

/// A log that counts how often it is looked into, and into which an event falls right after the first look, if there is one,
/// with its ring before anybody sleeps.
struct Sly {
    store: BellStore,
    bell: Bell,
    event: Mutex<Option<NewEvent>>,
    looks: AtomicUsize,
}

#[async_trait]
impl EventLog for Sly {
    async fn append(
        &self,
        source: &SourceName,
        auth: Auth,
        at: UnixMillis,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Ingested>, StoreError> {
        self.store.append(source, auth, at, events).await
    }

    async fn take_in(
        &self,
        source: &SourceName,
        auth: Auth,
        at: UnixMillis,
        told: Vec<Told>,
        roster: Option<i64>,
    ) -> Result<Option<Vec<Ingested>>, StoreError> {
        self.store.take_in(source, auth, at, told, roster).await
    }

    async fn page(&self, request: &PageRequest) -> Result<Vec<Event>, StoreError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let page = self.store.page(request).await;
        let event = self.event.lock().unwrap().take();
        if let Some(event) = event {
            let (mailbox, at) = (event.mailbox.clone(), event.timestamp);
            self.append(&SourceName::new("multimail"), Auth::Internal, at, vec![event]).await?;
            self.bell.ring_event(mailbox.as_deref());
        }
        page
    }

    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError> {
        self.store.event(seq).await
    }

    async fn extent(&self) -> Result<Extent, StoreError> {
        self.store.extent().await
    }
}

#[tokio::test]
async fn a_thread_is_waited_for_by_an_onlooker_only() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1), inbound(2), inbound(3)]).await;
    let filter = EventFilter { thread_id: Some(ThreadId::new("thr_1")), ..EventFilter::default() };
    let refused = wing.work(|request| request.filter = filter.clone()).await.unwrap_err();
    assert!(matches!(refused, WaitError::NeedsPosition));
    assert!(refused.to_string().contains("needs `after`"), "{refused}");
    let request = WaitRequest { filter, ..onlooker(Position::Earliest) };
    let waited = wing.waiting.wait(request, CancellationToken::new()).await.unwrap();
    assert_eq!(ids(&waited), ["evt_2", "evt_3"]);
}

#[tokio::test]
async fn another_log_s_cursor_is_refused() {
    let wing = BellWing::start().await;
    let foreign = Position::After(Cursor { log: LogId::new("other"), seq: Seq(1) });
    let refused = wing.waiting.wait(onlooker(foreign), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, WaitError::OtherLog(_)), "{refused}");
}

#[tokio::test]
async fn a_cancelled_wait_ends_at_once() {
    let wing = BellWing::start().await;
    let cancelled = CancellationToken::new();
    let wait = wing.asleep(onlooker(Position::Now), cancelled.clone()).await;
    cancelled.cancel();
    assert!(matches!(wait.await.unwrap(), Err(WaitError::Cancelled)));
}

#[tokio::test]
async fn pages_run_both_ways_over_every_filter() {
    let wing = BellWing::start().await;
    wing.tell(
        (0..10)
            .map(|n| match n % 3 {
                0 => inbound(n),
                1 => open(n),
                _ => NewEvent { mailbox: Some("x@elsewhere.test".into()), ..other(n) },
            })
            .collect(),
    )
    .await;
    let list = |filter: EventFilter, order, before: Option<Cursor>| {
        let request = ListRequest { filter, after: Position::Earliest, before, order, limit: 3 };
        let waiting = wing.waiting.clone();
        async move {
            let listed = waiting.list(request).await.unwrap();
            let ids: Vec<String> = listed.events.iter().map(|event| event.fact.event_id.to_string()).collect();
            (ids, listed.cursor)
        }
    };
    let merged = of_kinds(&[EventKind::Other, EventKind::Inbound]);
    let (ids, cursor) = list(merged.clone(), Order::Descending, None).await;
    assert_eq!(ids, ["evt_9", "evt_8", "evt_6"]);
    assert_eq!(list(merged.clone(), Order::Descending, Some(cursor)).await.0, ["evt_5", "evt_3", "evt_2"]);
    assert_eq!(list(merged, Order::Ascending, None).await.0, ["evt_0", "evt_2", "evt_3"]);
    let both = EventFilter { domain: Some("MAILBELL.test".into()), ..of_kinds(&[EventKind::Open, EventKind::Other]) };
    assert_eq!(list(both, Order::Ascending, None).await.0, ["evt_1", "evt_4", "evt_7"]);
    let all = of_kinds(&EventKind::ALL);
    assert_eq!(list(all, Order::Ascending, None).await.0, ["evt_0", "evt_1", "evt_2"]);
}
