//! A delivery's day is 24 hours of running time, and a try ends it: what stops or sets a clock costs nobody a try.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use mailbell::{
    domain::clock::{Clock as _, UnixMillis},
    mail::webhooks::worker::{LEASE, Worker},
    store::deliveries::State,
};

use crate::support::{
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Hit, Receiver, Reply},
};

const DAY_SECS: i64 = 86_400;

/// An endpoint whose status can be changed.
async fn switchable(hooks: &Hooks) -> (Receiver, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(500));
    let asked = status.clone();
    let answer = move |_: &Hit| Reply::Status(asked.load(Ordering::Relaxed));
    (Receiver::start(hooks.clock.clone(), answer).await, status)
}

fn secs_of(receiver: &Receiver, event: &str, began: UnixMillis) -> Vec<i64> {
    let hits = receiver.hits().into_iter().filter(|hit| hit.event_id() == event);
    hits.map(|hit| (hit.at.0 - began.0) / 1000).collect()
}

/// When a delivery is tried that always fails, in seconds from its making, with the shortest of all waits.
fn day_of_tries() -> Vec<i64> {
    let mut tries = vec![0, 5, 15, 35, 75, 155, 315, 635, 1275, 2555];
    while *tries.last().unwrap() < DAY_SECS {
        tries.push(tries.last().unwrap() + 1800);
    }
    tries
}

#[tokio::test]
async fn a_day_of_failing_ends_with_a_try_and_every_expired_follower_gets_one() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let (receiver, answers) = switchable(&hooks).await;
    hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    let began = hooks.clock.now();
    for id in ["evt_1", "evt_2", "evt_3"] {
        hooks.happen(&ann, id).await;
    }
    while hooks.clock.now() < began.plus(Duration::from_hours(23)) {
        assert!(hooks.go_on().await);
    }
    hooks.happen(&ann, "evt_young").await;
    let states = || async { hooks.deliveries().await.iter().map(|one| one.state).collect::<Vec<_>>() };
    assert_eq!(states().await, [State::Pending; 4]);
    while states().await[0] == State::Pending {
        assert!(hooks.go_on().await);
    }

    let tries = day_of_tries();
    let last = *tries.last().unwrap();
    assert!((DAY_SECS..DAY_SECS + 1800).contains(&last));
    assert_eq!(secs_of(&receiver, "evt_1", began), tries, "to the second, and the last after the day");
    assert_eq!(secs_of(&receiver, "evt_2", began), [last], "one of its own");
    assert_eq!(secs_of(&receiver, "evt_3", began), [last]);
    assert_eq!(secs_of(&receiver, "evt_young", began), [0; 0], "it has time left, so it waits for its turn");
    assert_eq!(states().await, [State::Dead, State::Dead, State::Dead, State::Pending]);
    let dead = &hooks.deliveries().await[0];
    assert_eq!((dead.attempts, dead.tries.len()), (u32::try_from(tries.len()).unwrap(), 10), "a list shows the last");

    answers.store(204, Ordering::Relaxed);
    while hooks.go_on().await {}
    assert_eq!(secs_of(&receiver, "evt_young", began), [last + 1800], "the line kept its distance");
    assert_eq!(states().await[3], State::Delivered);
}

#[tokio::test]
async fn an_expired_follower_that_is_taken_is_delivered() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let refused = |hit: &Hit| Reply::Status(if hit.event_id() == "evt_1" { 500 } else { 200 });
    let receiver = Receiver::start(hooks.clock.clone(), refused).await;
    hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.happen(&ann, "evt_2").await;
    while hooks.go_on().await {}
    let states: Vec<_> = hooks.deliveries().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Dead, State::Delivered], "what cannot be taken ends, and what can is");
}

#[tokio::test]
async fn sleep_downtime_and_a_clock_that_is_set_burn_no_time() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let (receiver, _) = switchable(&hooks).await;
    hooks.register(&receiver.url()).await;
    let began = hooks.clock.now();
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    let until = |hours: u64| began.plus(Duration::from_hours(hours));
    while hooks.clock.now() < until(1) {
        assert!(hooks.go_on().await);
    }
    // The lid is closed for three days; what passes before the next look counts as one step.
    let slept = Duration::from_hours(72);
    hooks.clock.advance(slept);
    let mut pending = 0;
    while hooks.clock.now() < until(72 + 12) {
        assert!(hooks.go_on().await);
        pending += 1;
    }
    assert!(pending > 10 && hooks.deliveries().await[0].state == State::Pending);
    // The service is stopped for two days: another worker begins later, on another boot.
    hooks.clock.advance(Duration::from_hours(48));
    hooks.clock.reboot("boot-2");
    let heir = Worker::new(hooks.parts(), LEASE).unwrap();
    let mut after = 0;
    while hooks.deliveries().await[0].state == State::Pending {
        let Some(next) = heir.run_until_idle().await else { break };
        hooks.clock.advance(Duration::from_millis(u64::try_from(next.0 - hooks.clock.now().0).unwrap()));
        after += 1;
        assert!(after < 2000, "it must end");
    }
    let awake = (receiver.hits().last().unwrap().at.0 - began.0) / 1000 - 72 * 3600 - 48 * 3600;
    // A minute and a half for the sleep, an hour at most for the last wait.
    assert!((DAY_SECS - 90..DAY_SECS + 3600).contains(&awake), "{awake} seconds awake");
}

#[tokio::test]
async fn a_wall_clock_that_is_set_by_a_day_changes_nothing() {
    let day = DAY_SECS * 1000;
    for set_by in [day, -day] {
        let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
        let (receiver, _) = switchable(&hooks).await;
        hooks.register(&receiver.url()).await;
        let began = hooks.clock.boot_time().millis;
        hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
        let mut at = Vec::new();
        let mut set = false;
        while hooks.deliveries().await[0].state == State::Pending {
            let seen = receiver.hits().len();
            let next = hooks.worker.run_until_idle().await;
            let now = (hooks.clock.boot_time().millis - began) / 1000;
            if receiver.hits().len() > seen {
                at.push(now);
            }
            let Some(next) = next else { break };
            let span = next.0 - hooks.clock.now().0;
            if now > 3600 && !set {
                hooks.clock.set_wall_by(set_by);
                set = true;
            }
            hooks.clock.advance(Duration::from_millis(u64::try_from(span).unwrap()));
        }
        assert!(set);
        assert_eq!(at, day_of_tries(), "set by {set_by} ms");
    }
}

#[tokio::test]
async fn a_retry_after_is_kept_whether_it_is_a_number_or_a_date() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let replies = [
        Reply::With(503, "retry-after", "90".into()),
        // The clock of the test begins at 10:00:00.
        Reply::With(429, "retry-after", "Tue, 24 Nov 2026 10:11:30 GMT".into()),
        Reply::With(429, "retry-after", "Tue, 24 Nov 2099 10:00:00 GMT".into()),
        Reply::With(503, "retry-after", "Mon, 01 Jan 2001 00:00:00 GMT".into()),
    ];
    let receiver = Receiver::answering(hooks.clock.clone(), replies).await;
    hooks.register(&receiver.url()).await;
    let began = hooks.clock.now();
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    while hooks.go_on().await {}
    assert_eq!(secs_of(&receiver, "evt_1", began), [0, 90, 690, 690 + 3600, 690 + 3600 + 40]);
}
