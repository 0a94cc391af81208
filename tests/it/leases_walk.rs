//! A random walk of claims, acks, releases, pauses, escalations, expiries and reboots, held against a model that fits on a page.

use std::collections::BTreeMap;

use mailbell::{
    domain::{
        clock::{BootTime, Clock as _, Moment, UnixMillis},
        consumer::{ATTEMPTS_MAX, Holder, LeaseToken, Settlement, Start},
        cursor::Seq,
        event::EventFilter,
        id::{ConsumerName, EventId, ThreadId},
    },
    store::{
        leases::{Claim, Consumers as _},
        standing::{Acted, OperatorAct, Standings as _},
    },
};
use proptest::prelude::*;

use crate::support::bell::{BellWing, inbound};

#[derive(Debug, Clone)]
enum Step {
    Tell,
    Claim { limit: u32, mine: bool, worker: u8, lease_millis: i64, rung: bool },
    Settle { token: usize, settlement: u8, only: Option<usize> },
    Unclaim { token: usize },
    Pass { millis: i64 },
    Reboot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Tell),
        4 => (1..4_u32, any::<bool>(), 0..3_u8, 1..100_i64, any::<bool>()).prop_map(|(limit, mine, worker, lease_millis, rung)| Step::Claim { limit, mine, worker, lease_millis, rung }),
        6 => (0..6_usize, 0..6_u8, proptest::option::of(0..30_usize)).prop_map(|(token, settlement, only)| Step::Settle { token, settlement, only }),
        1 => (0..6_usize).prop_map(|token| Step::Unclaim { token }),
        2 => (1..120_i64).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Reboot),
    ]
}

/// What the model knows of an event.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    attempt: u32,
    /// Acked or parked.
    settled: bool,
    parked: bool,
    worker: u8,
    /// Was handed out at least once, even if that was taken back.
    handed: bool,
    /// Token, boot, deadline.
    lease: Option<(usize, u32, i64)>,
    /// Boot, and until when it is not handed out.
    pause: Option<(u32, i64)>,
}

#[derive(Default)]
struct Model {
    events: Vec<Known>,
    tokens: usize,
    boot: u32,
    millis: i64,
    acked: BTreeMap<usize, u32>,
}

/// Even events are of one mailbox, odd ones of another.
fn mailbox(n: usize) -> &'static str {
    if n.is_multiple_of(2) { "agent@mailbell.test" } else { "other@mailbell.test" }
}

/// Number 0 is all who share one token.
fn holder(worker: u8) -> Holder {
    Holder::worker(format!("worker {worker}"))
}

/// Three threads, so that many events stand in each other's way.
fn thread(n: usize) -> usize {
    n % 3
}

fn number(id: &EventId) -> usize {
    id.as_str().strip_prefix("evt_").unwrap().parse().unwrap()
}

impl Model {
    /// The wall clock jumps about: nothing may depend on it.
    fn now(&self) -> Moment {
        let wall = UnixMillis(self.millis.wrapping_mul(7_919_000) % 86_400_000);
        Moment { wall, boot: BootTime { boot_id: format!("boot-{}", self.boot), millis: self.millis } }
    }

    /// Until when it is with a worker or held back, if it is.
    fn busy_until(&self, known: &Known) -> Option<i64> {
        let ends = known.lease.map(|(_, boot, end)| (boot, end)).or(known.pause);
        ends.filter(|(boot, end)| !known.settled && *boot == self.boot && *end > self.millis).map(|(_, end)| end)
    }

    /// Parks what was handed out too often, as a claim does that finds anything at all.
    fn park_spent(&mut self) {
        for n in 0..self.events.len() {
            let known = &self.events[n];
            if !known.settled && known.attempt >= ATTEMPTS_MAX && self.busy_until(known).is_none() {
                let known = &mut self.events[n];
                (known.settled, known.parked, known.lease) = (true, true, None);
            }
        }
    }

    fn claimable(&self, mine: bool, worker: u8) -> impl Iterator<Item = usize> {
        let fits = move |n: usize| !mine || n.is_multiple_of(2);
        self.events.iter().enumerate().filter_map(move |(n, known)| {
            let in_the_way = |earlier: usize| {
                let other = &self.events[earlier];
                thread(earlier) == thread(n)
                    && other.handed
                    && !other.settled
                    && match self.busy_until(other) {
                        Some(_) => other.lease.is_none() || worker == 0 || other.worker != worker,
                        None => !fits(earlier),
                    }
            };
            let free = !known.settled && self.busy_until(known).is_none() && fits(n);
            (free && !(0..n).any(in_the_way)).then_some(n)
        })
    }

    /// Event `n` was settled like this.
    fn settles(&mut self, n: usize, settlement: &Settlement) {
        let (boot, millis) = (self.boot, self.millis);
        let known = &mut self.events[n];
        match settlement {
            Settlement::Ack => {
                (known.settled, known.lease) = (true, None);
                *self.acked.entry(n).or_default() += 1;
            }
            Settlement::Release { pause_millis } if known.attempt < ATTEMPTS_MAX => {
                known.lease = None;
                known.pause = (*pause_millis > 0).then(|| (boot, millis + pause_millis));
            }
            Settlement::Release { .. } | Settlement::Escalate { .. } => {
                (known.settled, known.parked, known.lease) = (true, true, None);
            }
            Settlement::Extend { .. } => known.lease = known.lease.map(|(token, ..)| (token, boot, millis + 50)),
        }
    }

    fn held_by(&self, token: usize) -> Vec<usize> {
        let held = |known: &Known| known.lease.is_some_and(|(holder, ..)| holder == token);
        (0..self.events.len()).filter(|n| held(&self.events[*n])).collect()
    }
}

fn token(n: usize) -> LeaseToken {
    LeaseToken::new(format!("lease_{n}"))
}

async fn walk(steps: Vec<Step>) {
    let wing = BellWing::start().await;
    let second = wing.second().await;
    let mut model = Model::default();
    for (place, step) in steps.into_iter().enumerate() {
        // Two processes take turns: what one remembers must not mislead it about what the other did.
        let store = if place % 2 == 0 { &wing.store } else { &second.store };
        match step {
            Step::Tell => {
                let n = model.events.len();
                let mut event = inbound(n);
                event.mailbox = Some(mailbox(n).into());
                event.thread_id = Some(ThreadId::new(format!("thr_{}", thread(n))));
                event.timestamp = wing.clock.now();
                wing.tell(vec![event]).await;
                model.events.push(Known::default());
            }
            Step::Claim { limit, mine, worker, lease_millis, rung } => {
                let mailbox = mine.then(|| mailbox(0).to_owned());
                let claim = Claim {
                    consumer: ConsumerName::new("default"),
                    start: Start::Earliest,
                    kinds: vec![],
                    filter: EventFilter { mailbox, ..EventFilter::default() },
                    limit,
                    holder: Holder { one_worker: worker != 0, ..holder(worker) },
                    client: None,
                    token: token(model.tokens),
                    lease_millis,
                    on_disk: false,
                    rung,
                };
                let claimed = store.claim(&claim, model.now()).await.unwrap();
                if model.claimable(mine, worker).next().is_some() {
                    model.park_spent();
                }
                let expected: Vec<usize> = model.claimable(mine, worker).take(limit as usize).collect();
                let found: Vec<usize> =
                    claimed.events.iter().map(|leased| number(&leased.event.fact.event_id)).collect();
                assert_eq!(found, expected, "claimed at step {place}");
                for leased in &claimed.events {
                    let known = &mut model.events[number(&leased.event.fact.event_id)];
                    (known.attempt, known.handed, known.pause) = (known.attempt + 1, true, None);
                    known.worker = worker;
                    known.lease = Some((model.tokens, model.boot, model.millis + lease_millis));
                    assert_eq!(leased.attempt, known.attempt);
                }
                let unsettled = model.events.iter().filter(|known| !known.settled).count() as u64;
                assert_eq!(claimed.backlog.values().sum::<u64>(), unsettled, "backlog at step {place}");
                let ends = model.events.iter().filter_map(|known| model.busy_until(known));
                let next = ends.map(|end| end - model.millis).min();
                assert_eq!(claimed.next_expiry_millis, next, "expiry at step {place}");
                model.tokens += 1;
            }
            Step::Settle { token: n, settlement, only } => {
                let Some(n) = model.tokens.checked_sub(n + 1) else { continue };
                let names = only.map(|n| vec![EventId::new(format!("evt_{n}"))]);
                let settlement = match settlement {
                    0 | 1 => Settlement::Ack,
                    2 => Settlement::Release { pause_millis: 0 },
                    3 => Settlement::Release { pause_millis: 40 },
                    4 => Settlement::Escalate { note: None },
                    _ => Settlement::Extend { lease_millis: 50 },
                };
                let settled = store.settle(&token(n), names.as_deref(), &settlement, model.now()).await.unwrap();
                let expected: Vec<usize> =
                    model.held_by(n).into_iter().filter(|held| only.is_none_or(|only| only == *held)).collect();
                let mut found: Vec<usize> = settled.done.iter().map(number).collect();
                found.sort_unstable();
                assert_eq!(found, expected, "settled at step {place}");
                assert_eq!(settled.stale.len(), usize::from(only.is_some() && expected.is_empty()));
                for n in found {
                    model.settles(n, &settlement);
                }
            }
            Step::Unclaim { token: n } => {
                let Some(n) = model.tokens.checked_sub(n + 1) else { continue };
                store.unclaim(&token(n), model.now().wall).await.unwrap();
                for n in model.held_by(n) {
                    model.events[n].attempt -= 1;
                    model.events[n].lease = None;
                }
            }
            Step::Pass { millis } => model.millis += millis,
            Step::Reboot => (model.boot, model.millis) = (model.boot + 1, 0),
        }
    }
    finish(&wing, &mut model).await;
}

/// After another boot, a worker that acks everything it gets ends with each event acked exactly once.
async fn finish(wing: &BellWing, model: &mut Model) {
    model.boot += 1;
    let parked: Vec<usize> = (0..model.events.len()).filter(|n| model.events[*n].parked).collect();
    let seqs: Vec<Seq> = parked.iter().map(|n| Seq(i64::try_from(*n).unwrap() + 1)).collect();
    let name = ConsumerName::new("default");
    if let Some(acted) = wing.store.act(&name, &seqs, &OperatorAct::Requeue, model.now()).await.unwrap() {
        assert!(acted.iter().all(|(_, acted)| *acted == Acted::Done), "{acted:?}");
    }
    let mut spent = Vec::new();
    for round in 0.. {
        let claim = Claim {
            consumer: ConsumerName::new("default"),
            start: Start::Earliest,
            kinds: vec![],
            filter: EventFilter::default(),
            limit: 3,
            holder: holder(0),
            client: None,
            token: LeaseToken::new(format!("last_{round}")),
            lease_millis: 1_000,
            on_disk: false,
            rung: false,
        };
        let claimed = wing.store.claim(&claim, model.now()).await.unwrap();
        if claimed.events.is_empty() && claimed.parked.is_empty() {
            break;
        }
        spent.extend(claimed.parked);
        let settled = wing.store.settle(&claim.token, None, &Settlement::Ack, model.now()).await.unwrap();
        for id in settled.done {
            *model.acked.entry(number(&id)).or_default() += 1;
        }
    }
    let spent: Vec<usize> = spent.iter().map(|seq| usize::try_from(seq.0).unwrap() - 1).collect();
    let once: BTreeMap<usize, u32> = (0..model.events.len()).filter(|n| !spent.contains(n)).map(|n| (n, 1)).collect();
    assert_eq!(model.acked, once, "each event is acked exactly once, or parked");
    let standing = wing.store.standings(model.now()).await.unwrap();
    if let Some(standing) = standing.first() {
        assert_eq!((standing.parked, standing.leased, standing.waiting), (spent.len() as u64, 0, 0));
        assert_eq!(standing.lag, BTreeMap::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_walk_loses_or_doubles_an_event(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(steps));
    }
}
