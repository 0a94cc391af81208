//! Retention: what is old goes, what a consumer owes stays for its time, and what is told again is still known.

use std::{
    ops::Range,
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
        event::{Auth, EventFilter, NewEvent},
        id::{ConsumerName, SourceName},
    },
    store::{
        Refusal, StoreError,
        audit::{AuditFilter, AuditLog as _, Entry, Verdict},
        leases::{Claim, Consumers as _},
        log::{EventLog as _, Indexing, Ingested},
        retention::{BellPolicy, BellRetention, BellSwept, IdWalk},
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
        all.audit += swept.audit;
    }
}

/// Answers how many ids are forgotten, as the audit record says, and in how many steps.
async fn forget_all(wing: &BellWing, policy: &BellPolicy) -> (u64, u32) {
    let filter = AuditFilter { what: vec!["removed".into()], ..AuditFilter::default() };
    let told = async || {
        let (rows, _) = wing.store.entries(&filter, 0, 1_000).await.unwrap();
        let of_ids = rows.iter().filter(|row| row.entry["store"] == "ids");
        of_ids.map(|row| row.entry["rows"].as_u64().unwrap()).sum::<u64>()
    };
    let before = told().await;
    let (mut walk, mut steps) = (wing.store.to_forget(policy, wing.clock.now()).await.unwrap(), 0);
    while let Some(here) = walk {
        walk = wing.store.forget_some(&here, wing.clock.now()).await.unwrap();
        steps += 1;
    }
    assert_eq!(wing.store.to_forget(policy, wing.clock.now()).await.unwrap(), None, "once");
    (told().await - before, steps)
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
    assert_eq!(forget_all(&wing, &POLICY).await.0, 0, "it waits a day for others");
    days(&wing, 1);
    assert_eq!(forget_all(&wing, &POLICY).await.0, 1);
    assert!(matches!(wing.tell(vec![open(1)]).await[..], [Ingested::Fresh(_)]));
}

#[tokio::test]
async fn the_ids_of_removed_events_have_a_number_that_they_keep_to() {
    let wing = BellWing::start().await;
    let policy = BellPolicy { events_max: 100, ids_max: 700, ..POLICY };
    let mut forgotten = Vec::new();
    for round in 0..20 {
        wing.tell((round * 100..round * 100 + 100).map(open).collect()).await;
        sweep_all(&wing, &policy).await;
        forgotten.push(forget_all(&wing, &policy).await.0);
    }
    assert_eq!(forgotten[..12], [0, 0, 0, 0, 0, 0, 0, 0, 100, 100, 100, 100], "an eighth of 700 is a round's");
    assert_eq!(forgotten.iter().sum::<u64>(), 1_200, "of 1,900 that were removed");
    let told = wing.tell(vec![open(0), open(1_199), open(1_200), open(1_899)]).await;
    let [Ingested::Fresh(_), Ingested::Fresh(_), Ingested::Duplicate(_), Ingested::Duplicate(_)] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(forget_all(&wing, &BellPolicy { ids_max: 0, ..policy }).await.0, 0, "0 is any number");
}

#[tokio::test]
async fn ids_are_forgotten_of_every_source_in_steps_and_no_id_of_an_event_that_is_there() {
    let wing = BellWing::start().await;
    let tell = async |source: &str, numbers: Range<usize>| {
        let told_by = SourceName::new(source);
        wing.store.append(&told_by, Auth::HmacSha256, wing.clock.now(), numbers.map(open).collect()).await.unwrap()
    };
    for start in (0..5_000).step_by(500) {
        tell("one", start..start + 500).await;
    }
    tell("two", 0..500).await;
    tell("three", 0..500).await;
    let policy = BellPolicy { events_max: 250, ids_max: 250, ..POLICY };
    assert_eq!(sweep_all(&wing, &policy).await.events, 5_750);
    // Killed on its way, and begun anew.
    let mut walk = wing.store.to_forget(&policy, wing.clock.now()).await.unwrap().unwrap();
    for _ in 0..3 {
        walk = wing.store.forget_some(&walk, wing.clock.now()).await.unwrap().unwrap();
    }
    let (rows, steps) = forget_all(&wing, &policy).await;
    assert_eq!(rows, 5_500, "of both");
    assert!(steps > 5, "{steps}");
    let known = |told: Vec<Ingested>| told.iter().filter(|told| matches!(told, Ingested::Duplicate(_))).count();
    for start in (0..5_000).step_by(500) {
        assert_eq!(known(tell("one", start..start + 500).await), 0);
    }
    assert_eq!(known(tell("two", 0..500).await), 0);
    assert_eq!(known(tell("three", 0..500).await), 500, "half of them are there, and half of them are known");
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
    // Beyond what the first start of the machine skipped; what the second did still counts for nothing.
    assert_eq!(forget_all(&wing, &BellPolicy { ids_max: 2, ..policy }).await.0, 13);
    assert_eq!(sweep_all(&wing, &BellPolicy { events_max: 12, ..policy }).await.events, 3);
    assert_eq!(forget_all(&wing, &BellPolicy { ids_max: 2, ..policy }).await.0, 3);
}

#[tokio::test]
async fn no_id_goes_early_where_the_clock_was_wrong_for_a_while() {
    let wing = BellWing::start().await;
    let policy = BellPolicy { events_max: 1, ids_max: 8, ..POLICY };
    wing.tell((0..10).map(open).collect()).await;
    assert_eq!(sweep_all(&wing, &policy).await.events, 9);
    days(&wing, -2_000);
    wing.tell(vec![open(10)]).await;
    assert_eq!(sweep_all(&wing, &policy).await.events, 1);
    days(&wing, 2_000);
    assert_eq!(forget_all(&wing, &policy).await.0, 2, "those that are too many");
}

/// Runs retention, half a second of its clock after the other.
async fn run_until(store: Arc<dyn BellRetention>, clock: &TestClock, is_enough: impl Fn() -> bool) {
    let retention = Retention { store, policy: POLICY, clock: Arc::new(clock.clone()) };
    let running = tokio::spawn(retention.run(CancellationToken::new()));
    while !is_enough() {
        // Events and ids have a loop each.
        while clock.sleepers() < 2 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(500));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    running.abort();
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

    async fn to_forget(&self, _: &BellPolicy, _: UnixMillis) -> Result<Option<IdWalk>, StoreError> {
        Ok(None)
    }

    async fn forget_some(&self, _: &IdWalk, _: UnixMillis) -> Result<Option<IdWalk>, StoreError> {
        Ok(None)
    }
}

#[tokio::test]
async fn what_was_busy_is_looked_at_again_soon_and_then_less_and_less() {
    let clock = TestClock::default();
    let log = Arc::new(Looked(clock.clone(), Mutex::default()));
    run_until(log.clone(), &clock, || log.1.lock().unwrap().len() >= 11).await;
    let looks = log.1.lock().unwrap();
    let between: Vec<i64> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(between, [500, 1_000, 500, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
}

/// Ids on a walk of six steps, of which the third fails once; and when each was tried.
struct Walked(TestClock, Mutex<Vec<(String, i64)>>);

#[async_trait]
impl BellRetention for Walked {
    async fn sweep(&self, _: &BellPolicy, _: UnixMillis) -> Result<BellSwept, StoreError> {
        Ok(BellSwept::default())
    }

    async fn to_forget(&self, _: &BellPolicy, _: UnixMillis) -> Result<Option<IdWalk>, StoreError> {
        let is_first = self.1.lock().unwrap().is_empty();
        Ok(is_first.then(|| IdWalk { through: 9, origin: 1, after: "0".into() }))
    }

    async fn forget_some(&self, walk: &IdWalk, _: UnixMillis) -> Result<Option<IdWalk>, StoreError> {
        let mut tried = self.1.lock().unwrap();
        tried.push((walk.after.clone(), self.0.boot_time().millis));
        match (tried.len(), walk.after.as_str()) {
            (3, _) => Err(StoreError::Refused(Refusal::Overloaded)),
            (_, "5") => Ok(None),
            (_, at) => Ok(Some(IdWalk { after: (at.parse::<u32>().unwrap() + 1).to_string(), ..*walk })),
        }
    }
}

#[tokio::test]
async fn a_walk_that_met_a_failure_goes_on_where_it_stands() {
    let clock = TestClock::default();
    let ids = Arc::new(Walked(clock.clone(), Mutex::default()));
    run_until(ids.clone(), &clock, || ids.1.lock().unwrap().len() >= 7).await;
    let tried = ids.1.lock().unwrap();
    let steps: Vec<&str> = tried.iter().map(|(after, _)| after.as_str()).collect();
    assert_eq!(steps, ["0", "1", "2", "2", "3", "4", "5"]);
    let between: Vec<i64> = tried.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    assert_eq!(between, [500, 500, 60_000, 500, 500, 500]);
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
