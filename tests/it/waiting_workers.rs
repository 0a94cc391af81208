//! Workers of a consumer: each event with one of them at a time, until one has handled it.

use std::time::Duration;

use mailbell::{
    bell::waiting::{Reader, WaitError, WaitRequest},
    domain::{
        clock::Clock,
        consumer::{Holder, Settlement, Start},
        event::{EventFilter, EventKind, NewEvent},
        id::{ConsumerName, EventId, MessageId},
    },
    store::leases::{ClaimError, Consumers as _},
};
use tokio_util::sync::CancellationToken;

use crate::support::bell::{BellWing, LEASE, ids, inbound, of_kinds, open, worker};

const ACK: Settlement = Settlement::Ack;
const RELEASE: Settlement = Settlement::Release { pause_millis: 0 };

#[tokio::test]
async fn what_came_before_the_first_wait_is_handed_out_and_counted() {
    let wing = BellWing::start().await;
    wing.tell((0..7).map(inbound).chain([open(7)]).collect()).await;
    let waited = wing.look().await;
    assert_eq!(ids(&waited), ["evt_0", "evt_1", "evt_2", "evt_3", "evt_4"]);
    assert!(waited.events.iter().all(|leased| leased.attempt == 1));
    assert_eq!(waited.backlog.unwrap().into_iter().collect::<Vec<_>>(), [(EventKind::Inbound, 7)]);
    let rest = wing.look().await;
    assert_eq!(ids(&rest), ["evt_5", "evt_6"]);
    let token = waited.lease_token.unwrap();
    wing.settling.settle(&token, None, &ACK).await.unwrap();
    let empty = wing.look().await;
    assert!(empty.timed_out && empty.events.is_empty() && empty.lease_token.is_none());
    assert_eq!(empty.backlog.unwrap().into_values().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_consumer_may_begin_now_and_own_what_it_says() {
    let wing = BellWing::start().await;
    wing.tell(vec![open(1)]).await;
    let opens = |request: &mut WaitRequest| {
        request.timeout = Duration::ZERO;
        request.reader = Reader::Worker {
            consumer: ConsumerName::new("opens"),
            start: Start::Now,
            kinds: vec![EventKind::Open],
            lease: LEASE,
        };
    };
    assert!(wing.work(opens).await.unwrap().timed_out);
    wing.tell(vec![open(2), inbound(3)]).await;
    assert_eq!(ids(&wing.work(opens).await.unwrap()), ["evt_2"]);
}

#[tokio::test]
async fn a_kind_that_it_does_not_own_is_refused_by_name() {
    let wing = BellWing::start().await;
    let refused = wing.work(|request| request.filter = of_kinds(&[EventKind::Open])).await.unwrap_err();
    assert!(matches!(refused, WaitError::Claim(ClaimError::NotOwned { kind: EventKind::Open, .. })));
    assert_eq!(
        refused.to_string(),
        "consumer `default` does not own the kind `open`; it owns inbound, bounce, complaint, approval, other"
    );
}

#[tokio::test]
async fn of_two_that_wait_one_gets_the_event() {
    let wing = BellWing::start().await;
    let one = wing.asleep(worker(), CancellationToken::new()).await;
    let two = wing.asleep(worker(), CancellationToken::new()).await;
    wing.tell(vec![inbound(1)]).await;
    let (first, _, mut rest) = futures::future::select_all([one, two]).await;
    assert_eq!(ids(&first.unwrap().unwrap()), ["evt_1"]);
    let rest = rest.remove(0);
    assert!(!rest.is_finished());
    wing.tell(vec![inbound(2)]).await;
    let second = rest.await.unwrap().unwrap();
    assert_eq!((ids(&second), second.events[0].attempt), (vec!["evt_2"], 1));
}

#[tokio::test]
async fn a_lease_that_runs_out_wakes_the_next_and_fences_the_first() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1)]).await;
    let first = wing.look().await.lease_token.unwrap();
    let patient = WaitRequest { timeout: LEASE * 2, ..worker() };
    let wait = wing.asleep(patient, CancellationToken::new()).await;
    // The second sleeper is the one that waits for the lease to end.
    while wing.clock.sleepers() < 2 {
        tokio::task::yield_now().await;
    }
    wing.clock.advance(LEASE);
    let second = wait.await.unwrap().unwrap();
    assert_eq!((ids(&second), second.events[0].attempt), (vec!["evt_1"], 2));

    let id = [EventId::new("evt_1")];
    let stale = wing.settling.settle(&first, Some(&id), &ACK).await.unwrap();
    assert_eq!((stale.done.len(), stale.stale.as_slice()), (0, id.as_slice()));
    let done = wing.settling.settle(&second.lease_token.unwrap(), Some(&id), &ACK).await.unwrap();
    assert_eq!((done.done.as_slice(), done.stale.len()), (id.as_slice(), 0));
}

#[tokio::test]
async fn a_late_ack_counts_while_nobody_else_has_begun() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1)]).await;
    let token = wing.look().await.lease_token.unwrap();
    wing.clock.advance(LEASE * 2);
    assert_eq!(wing.settling.settle(&token, None, &ACK).await.unwrap().done.len(), 1);
    assert!(wing.look().await.timed_out);
}

#[tokio::test]
async fn a_reboot_ends_every_lease() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1)]).await;
    wing.look().await;
    assert!(wing.look().await.timed_out);
    wing.clock.reboot("boot-2");
    let again = wing.look().await;
    assert_eq!((ids(&again), again.events[0].attempt), (vec!["evt_1"], 2));
}

#[tokio::test]
async fn what_is_released_wakes_another_with_its_attempts_counted() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1)]).await;
    let token = wing.look().await.lease_token.unwrap();
    let wait = wing.asleep(worker(), CancellationToken::new()).await;
    wing.settling.settle(&token, None, &RELEASE).await.unwrap();
    let again = wait.await.unwrap().unwrap();
    assert_eq!((ids(&again), again.events[0].attempt), (vec!["evt_1"], 2));
    assert_eq!(wing.settling.settle(&token, None, &ACK).await.unwrap().done, []);
}

#[tokio::test]
async fn an_extended_lease_runs_from_now_on() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1)]).await;
    let token = wing.look().await.lease_token.unwrap();
    wing.clock.advance(LEASE / 2);
    let extend = Settlement::Extend { lease_millis: i64::try_from(LEASE.as_millis()).unwrap() };
    assert_eq!(wing.settling.settle(&token, None, &extend).await.unwrap().done.len(), 1);
    wing.clock.advance(LEASE / 2);
    assert!(wing.look().await.timed_out, "the first lease would be over");
    wing.clock.advance(LEASE / 2);
    assert_eq!(wing.look().await.events[0].attempt, 2);
}

#[tokio::test]
async fn what_is_escalated_is_out_of_the_way() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1), inbound(2)]).await;
    let token = wing.look().await.lease_token.unwrap();
    let escalate = Settlement::Escalate { note: Some("needs a person".into()) };
    wing.settling.settle(&token, Some(&[EventId::new("evt_1")]), &escalate).await.unwrap();
    wing.settling.settle(&token, None, &RELEASE).await.unwrap();
    let again = wing.look().await;
    assert_eq!(ids(&again), ["evt_2"]);
    assert_eq!(again.backlog.unwrap().into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_cancelled_wait_leaves_no_lease() {
    let wing = BellWing::start().await;
    let cancelled = CancellationToken::new();
    let wait = wing.asleep(worker(), cancelled.clone()).await;
    cancelled.cancel();
    assert!(matches!(wait.await.unwrap(), Err(WaitError::Cancelled)));
    wing.tell(vec![inbound(1)]).await;
    // A claim that was under way when the wait ended may hold the event for a moment; it gives it back and rings.
    let waited = wing.work(|_| ()).await.unwrap();
    assert_eq!((ids(&waited), waited.events[0].attempt), (vec!["evt_1"], 1));
}

#[tokio::test]
async fn a_wait_dropped_at_any_point_leaves_no_lease() {
    let wing = BellWing::start().await;
    wing.tell(vec![inbound(1)]).await;
    for polls in 1..60 {
        let wait = wing.waiting.wait(worker(), CancellationToken::new());
        tokio::pin!(wait);
        for _ in 0..polls {
            if let std::task::Poll::Ready(waited) = futures::poll!(&mut wait) {
                // It came first after all: give it back as its holder would.
                wing.store.unclaim(&waited.unwrap().lease_token.unwrap(), Clock::now(&wing.clock)).await.unwrap();
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // Whatever is still under way is given back, and its ring ends this wait; time stands still.
    let waited = wing.work(|_| ()).await.unwrap();
    assert_eq!((ids(&waited), waited.events[0].attempt), (vec!["evt_1"], 1));
}

#[tokio::test]
async fn a_filter_narrows_one_call_and_skips_nothing() {
    let wing = BellWing::start().await;
    let elsewhere = |n| NewEvent { mailbox: Some("x@elsewhere.test".into()), ..inbound(n) };
    wing.tell(vec![elsewhere(0), inbound(1), elsewhere(2), inbound(3)]).await;
    let mine = |request: &mut WaitRequest| {
        request.timeout = Duration::ZERO;
        request.filter = EventFilter { mailbox: Some("agent@mailbell.test".into()), ..EventFilter::default() };
    };
    let waited = wing.work(mine).await.unwrap();
    assert_eq!(ids(&waited), ["evt_1", "evt_3"]);
    wing.settling.settle(&waited.lease_token.unwrap(), None, &ACK).await.unwrap();
    assert!(wing.work(mine).await.unwrap().timed_out);
    let rest = wing.look().await;
    assert_eq!(ids(&rest), ["evt_0", "evt_2"]);
    wing.settling.settle(&rest.lease_token.unwrap(), None, &ACK).await.unwrap();
    assert!(wing.look().await.timed_out);
}

#[tokio::test]
async fn settled_rows_go_once_nothing_older_is_held() {
    let wing = BellWing::start().await;
    wing.tell((0..5).map(inbound).chain([open(5)]).collect()).await;
    let token = wing.look().await.lease_token.unwrap();
    let rows = async || {
        use sqlx::ConnectOptions as _;
        let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(wing.path()).connect().await.unwrap();
        let rows = sqlx::query_as::<_, (i64, i64)>("SELECT low_water, (SELECT count(*) FROM claims) FROM consumers");
        rows.fetch_one(&mut conn).await.unwrap()
    };
    let named = |n: usize| [EventId::new(format!("evt_{n}"))];
    wing.settling.settle(&token, Some(&named(1)), &ACK).await.unwrap();
    assert_eq!(rows().await, (0, 5), "the first event is still held");
    wing.settling.settle(&token, Some(&named(0)), &ACK).await.unwrap();
    assert_eq!(rows().await, (2, 3));
    wing.settling.settle(&token, None, &ACK).await.unwrap();
    assert_eq!(rows().await, (6, 0), "an event of a kind it does not own holds nothing back");
    wing.tell(vec![inbound(6)]).await;
    assert_eq!(ids(&wing.look().await), ["evt_6"]);
}

#[tokio::test]
async fn a_message_is_acked_by_whoever_holds_its_events() {
    let wing = BellWing::start().await;
    let about = |n: usize| NewEvent { message_id: Some(MessageId::new("em_1")), ..inbound(n) };
    wing.tell(vec![about(1), inbound(2), about(5)]).await;
    let one = wing.work(|request| request.limit = 2).await.unwrap();
    let two = wing.work(|request| request.holder = Holder::worker("another")).await.unwrap();
    let message = MessageId::new("em_1");
    let settled = wing.settling.ack_message(&message, None, "session").await.unwrap();
    assert_eq!((settled.done, settled.stale), (vec![EventId::new("evt_1")], vec![EventId::new("evt_5")]));
    let settled = wing.settling.ack_message(&message, two.lease_token.as_ref(), "session").await.unwrap();
    assert_eq!((settled.done, settled.stale), (vec![EventId::new("evt_5")], vec![]));
    let left = wing.settling.settle(&one.lease_token.unwrap(), None, &ACK).await.unwrap();
    assert_eq!(left.done, [EventId::new("evt_2")]);

    for consumer in ["second", "third"] {
        wing.work(|request| request.reader = of_consumer(consumer)).await.unwrap();
    }
    let settled = wing.settling.ack_message(&message, None, "nobody").await.unwrap();
    assert_eq!(settled.stale, [EventId::new("evt_1"), EventId::new("evt_5")], "each once, whoever else has it");
}

fn of_consumer(name: &str) -> Reader {
    Reader::Worker { consumer: ConsumerName::new(name), start: Start::Earliest, kinds: Vec::new(), lease: LEASE }
}

#[tokio::test]
async fn an_idle_wait_writes_nothing() {
    let wing = BellWing::start().await;
    wing.look().await;
    let before = wing.store.commits();
    wing.tell(vec![open(1)]).await;
    for _ in 0..5 {
        assert!(wing.look().await.timed_out);
    }
    assert_eq!(wing.store.commits(), before + 1, "the one commit is the event's");
}

#[tokio::test]
async fn what_fell_behind_the_tail_is_told_once() {
    let wing = BellWing::start().await;
    wing.tell((0..3).map(inbound).collect()).await;
    let token = wing.work(|request| request.limit = 1).await.unwrap().lease_token.unwrap();
    wing.settling.settle(&token, None, &ACK).await.unwrap();
    // What retention will do.
    {
        use sqlx::ConnectOptions as _;
        let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(wing.path()).connect().await.unwrap();
        sqlx::query("DELETE FROM events WHERE seq < 3").execute(&mut conn).await.unwrap();
        sqlx::query("UPDATE log SET tail = 3").execute(&mut conn).await.unwrap();
    }
    let waited = wing.look().await;
    let gap = waited.gap.expect("a gap");
    assert_eq!((gap.after.0, gap.resumes_at.0, ids(&waited)), (1, 3, vec!["evt_2"]));
    assert_eq!(wing.look().await.gap, None);
}
