//! Retention: what is old goes, what a consumer owes stays for its time, and what is told again is still known.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mailbell::{
    bell::{indexing, retention::Retention},
    domain::{
        clock::{Clock as _, UnixMillis},
        consumer::{Holder, LeaseToken, Start},
        event::{EventFilter, NewEvent},
        id::ConsumerName,
    },
    store::{
        StoreError,
        audit::{AuditLog as _, Entry, Verdict},
        leases::{Claim, Consumers as _},
        log::{EventLog as _, Indexing, Ingested},
        retention::{BellPolicy, BellRetention, BellSwept},
    },
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{
    bell::{BellWing, ids, inbound, open},
    clock::TestClock,
};

const DAY_MILLIS: i64 = 24 * 3_600_000;

const POLICY: BellPolicy = BellPolicy {
    events_millis: 90 * DAY_MILLIS,
    events_max: 0,
    unsettled_millis: 180 * DAY_MILLIS,
    ids_millis: 400 * DAY_MILLIS,
    ids_max: 0,
    quarantine_millis: 30 * DAY_MILLIS,
    received_millis: 30 * DAY_MILLIS,
    audit_millis: 400 * DAY_MILLIS,
    audit_max: 0,
};

async fn sweep_all(wing: &BellWing, policy: &BellPolicy) -> BellSwept {
    let mut all = BellSwept::default();
    loop {
        let swept = wing.store.sweep(policy, wing.clock.now()).await.unwrap();
        if !swept.any() {
            return all;
        }
        all.events += swept.events;
        all.ids += swept.ids;
        all.audit += swept.audit;
    }
}

fn days(wing: &BellWing, days: i64) {
    wing.clock.set_wall_by(days * DAY_MILLIS);
}

#[tokio::test]
async fn what_a_consumer_owes_is_spared_for_its_time_and_then_told_as_a_gap() {
    let wing = BellWing::start().await;
    wing.tell((1..=1_200).map(|n| if n <= 1_000 { open(n) } else { inbound(n) }).collect()).await;
    // `default` does not own opens, and has settled the first inbound event.
    let first = wing.look().await;
    let token = first.lease_token.clone().unwrap();
    let settle = mailbell::domain::consumer::Settlement::Ack;
    wing.settling.settle(&token, Some(&[first.events[0].event.fact.event_id.clone()]), &settle).await.unwrap();
    assert_eq!(sweep_all(&wing, &POLICY).await.events, 0, "nothing is old");

    days(&wing, 100);
    assert_eq!(sweep_all(&wing, &POLICY).await.events, 1_001, "all that is settled, and nothing that is owed");
    assert_eq!(wing.store.extent().await.unwrap().tail.0, 1_002);
    wing.clock.reboot("another");
    let again = wing.look().await;
    assert_eq!(again.gap, None, "nothing was lost");
    assert_eq!(ids(&again)[0], "evt_1002");

    days(&wing, 100);
    assert_eq!(sweep_all(&wing, &POLICY).await.events, 199, "unsettled for 180 days");
    wing.tell(vec![inbound(2_000)]).await;
    let after = wing.look().await;
    assert_eq!(after.gap.map(|gap| gap.resumes_at.0), Some(1_201));
    assert_eq!(ids(&after), ["evt_2000"]);
}

#[tokio::test]
async fn who_is_rung_for_is_told_of_a_gap_with_what_it_was_rung_for() {
    let wing = BellWing::start().await;
    let claim = Claim {
        consumer: ConsumerName::new("default"),
        start: Start::Earliest,
        kinds: Vec::new(),
        filter: EventFilter { mailbox: Some("elsewhere@mailbell.test".to_owned()), ..EventFilter::default() },
        limit: 5,
        holder: Holder::worker("session"),
        client: None,
        token: LeaseToken::new("lease_1"),
        lease_millis: 60_000,
        on_disk: false,
        rung: true,
    };
    let claimed = || wing.store.claim(&claim, wing.clock.moment());
    wing.tell(vec![inbound(1)]).await;
    let before = claimed().await.unwrap();
    assert_eq!((before.events.len(), before.gap), (0, None));
    days(&wing, 200);
    assert_eq!(sweep_all(&wing, &POLICY).await.events, 1);
    wing.tell(vec![NewEvent { mailbox: claim.filter.mailbox.clone(), ..inbound(2) }]).await;
    let rung = claimed().await.unwrap();
    assert_eq!(rung.gap.map(|gap| gap.resumes_at.0), Some(2));
    assert_eq!(rung.events.iter().map(|leased| leased.event.fact.event_id.as_str()).collect::<Vec<_>>(), ["evt_2"]);
}

#[tokio::test]
async fn under_load_nothing_that_is_owed_is_dropped() {
    let wing = BellWing::start().await;
    let policy = BellPolicy { events_max: 50, ..POLICY };
    let mut seen = Vec::new();
    for round in 0..40 {
        wing.tell((round * 20..round * 20 + 20).map(inbound).collect()).await;
        let waited = wing.work(|request| request.limit = 13).await.unwrap();
        assert_eq!(waited.gap, None);
        seen.extend(waited.events.iter().map(|leased| leased.event.seq));
        let ack = mailbell::domain::consumer::Settlement::Ack;
        wing.settling.settle(&waited.lease_token.unwrap(), None, &ack).await.unwrap();
        wing.store.sweep(&policy, wing.clock.now()).await.unwrap();
    }
    loop {
        let waited = wing.look().await;
        let Some(token) = waited.lease_token else { break };
        assert_eq!(waited.gap, None);
        seen.extend(waited.events.iter().map(|leased| leased.event.seq));
        wing.settling.settle(&token, None, &mailbell::domain::consumer::Settlement::Ack).await.unwrap();
    }
    assert_eq!(seen.len(), 800);
    sweep_all(&wing, &policy).await;
    assert_eq!(wing.store.extent().await.unwrap().tail.0, 751, "50 are left");
}

#[tokio::test]
async fn an_event_that_was_removed_is_still_known() {
    let wing = BellWing::start().await;
    wing.tell(vec![open(1)]).await;
    days(&wing, 91);
    assert_eq!(sweep_all(&wing, &POLICY).await.events, 1);
    let told = wing.tell(vec![open(1), open(2)]).await;
    assert!(matches!(told[..], [Ingested::Duplicate(_), Ingested::Fresh(_)]), "{told:?}");
    days(&wing, 401);
    assert_eq!(sweep_all(&wing, &POLICY).await.ids, 1);
    assert!(matches!(wing.tell(vec![open(1)]).await[..], [Ingested::Fresh(_)]));
}

#[tokio::test]
async fn the_ids_of_removed_events_have_a_number_that_they_keep_to() {
    let wing = BellWing::start().await;
    let policy = BellPolicy { events_max: 100, ids_max: 700, ..POLICY };
    let mut ids = 0;
    for round in 0..4 {
        wing.tell((round * 500..round * 500 + 500).map(open).collect()).await;
        ids += sweep_all(&wing, &policy).await.ids;
    }
    assert_eq!(ids, 1_200, "of 1,900 that were removed");
    let told = wing.tell(vec![open(0), open(1_199), open(1_200), open(1_899)]).await;
    let [Ingested::Fresh(_), Ingested::Fresh(_), Ingested::Duplicate(_), Ingested::Duplicate(_)] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(sweep_all(&wing, &BellPolicy { ids_max: 0, ..policy }).await.ids, 0, "0 is any number");
}

#[tokio::test]
async fn places_that_a_start_of_the_machine_skips_are_no_events() {
    let wing = BellWing::start().await;
    let policy = BellPolicy { events_max: 1_000_000, ids_max: 1_000_000, ..POLICY };
    let mut removed = BellSwept::default();
    for (boot, n) in ["boot-1", "boot-2", "boot-3"].into_iter().zip([0, 10, 20]) {
        wing.store.begin_term(boot).await.unwrap();
        wing.tell((n..n + 10).map(open).collect()).await;
        removed = sweep_all(&wing, &policy).await;
        assert!(!removed.any(), "{removed:?}");
    }
    assert!(wing.store.extent().await.unwrap().head.0 > 2_000_000);
    assert_eq!(sweep_all(&wing, &BellPolicy { events_max: 15, ..policy }).await, BellSwept { events: 15, ..removed });
    let ids_max = BellPolicy { events_max: 15, ids_max: 12, ..policy };
    assert_eq!(sweep_all(&wing, &ids_max).await, BellSwept { ids: 3, ..removed });
}

/// A log that has much to forget at the first look, and little at the third, and notes when it is looked.
struct Looked(TestClock, Mutex<Vec<i64>>);

#[async_trait]
impl BellRetention for Looked {
    async fn sweep(&self, _: &BellPolicy, _: UnixMillis) -> Result<BellSwept, StoreError> {
        let mut looks = self.1.lock().unwrap();
        looks.push(self.0.boot_time().millis);
        let events = match looks.len() {
            1 => 500,
            3 => 1,
            _ => 0,
        };
        Ok(BellSwept { events, ..BellSwept::default() })
    }
}

#[tokio::test]
async fn what_was_busy_is_looked_at_again_soon_and_then_less_and_less() {
    let clock = TestClock::default();
    let log = Arc::new(Looked(clock.clone(), Mutex::default()));
    let retention = Retention { store: log.clone(), policy: POLICY, clock: Arc::new(clock.clone()) };
    let running = tokio::spawn(retention.run(CancellationToken::new()));
    while log.1.lock().unwrap().len() < 11 {
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(500));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    running.abort();
    let looks = log.1.lock().unwrap();
    let between: Vec<i64> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(between, [500, 1_000, 500, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
}

/// Indexes out of which what was removed is taken for ever, and who counts how often the newest events were put in.
struct Busy(AtomicU64);

#[async_trait]
impl Indexing for Busy {
    async fn index_newest(&self) -> Result<u64, StoreError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed))
    }

    async fn take_removed(&self) -> Result<u64, StoreError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_comes_in_is_indexed_while_what_was_removed_is_taken_out_and_neither_holds_up_the_end() {
    let (clock, shutdown) = (TestClock::default(), CancellationToken::new());
    let store = Arc::new(Busy(AtomicU64::new(0)));
    let running = tokio::spawn(indexing::run(store.clone(), Arc::new(clock.clone()), shutdown.clone()));
    let in_time = tokio::time::timeout(Duration::from_mins(1), async {
        while store.0.load(Ordering::Relaxed) < 25 {
            while clock.sleepers() == 0 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
        running.await
    });
    in_time.await.expect("in time").expect("ended");
}

#[tokio::test]
async fn the_audit_record_verifies_after_its_old_end_is_sealed() {
    let wing = BellWing::start().await;
    let entry = |n: i64| Entry::Operator { command: "a test", about: json!({ "n": n }) };
    for n in 0..1_100 {
        wing.store.record(entry(n), wing.clock.now()).await.unwrap();
    }
    let early = wing.store.head().await.unwrap();
    days(&wing, 401);
    wing.store.record(entry(0), wing.clock.now()).await.unwrap();
    let kept = wing.store.head().await.unwrap();
    assert!(sweep_all(&wing, &POLICY).await.audit >= 1_100);
    let Verdict::Whole { first, head_is_sealed, .. } = wing.store.verify(Some(&kept)).await.unwrap() else { panic!() };
    assert!(first > 1_000 && !head_is_sealed);
    // A head from a segment's end can be compared still; the store knows no other of those that went.
    let verdict = wing.store.verify(Some(&early)).await.unwrap();
    assert!(matches!(verdict, Verdict::Whole { .. }), "{verdict:?}");
}
