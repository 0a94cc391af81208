//! Who is at a line: one worker at a time, whatever dies and whenever.

use std::{sync::Arc, time::Duration};

use mailbell::{
    domain::clock::{Clock as _, UnixMillis},
    mail::webhooks::{
        egress::TIMEOUT,
        worker::{LEASE, LEASE_MARGIN, LeaseTooShort, Worker},
    },
    store::{
        deliveries::{
            Answer, Attempt, ClaimLines, ClaimedLines, Deliveries as _, FOLLOWERS_MAX, Owed, Recorded, Since, State,
            Stay, Verdict,
        },
        upkeep::{GivenUp, Replayed, Upkeep as _},
    },
};
use tokio::sync::Notify;

use crate::support::{
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Receiver, Reply},
};

async fn claim(hooks: &Hooks, token: &str) -> ClaimedLines {
    claim_up_to(hooks, token, 64).await
}

async fn claim_up_to(hooks: &Hooks, token: &str, limit: u32) -> ClaimedLines {
    let claim = ClaimLines {
        token: token.into(),
        limit,
        per_endpoint_max: 8,
        own_reachable: true,
        others: true,
        now: hooks.clock.now(),
        boot: hooks.clock.boot_time(),
        replays_per_endpoint_max: 2,
        since: Since { ran_millis: 0, stepped_millis: 0, wait_millis_max: 3_600_000 },
        lease_millis: i64::try_from(LEASE.as_millis()).unwrap(),
    };
    hooks.store.claim_lines(&claim).await.expect("a claim")
}

fn attempt(owed: &Owed, at: UnixMillis) -> Attempt {
    Attempt { number: owed.attempt, at, answer: Answer::Status(200), duration_millis: 1, response_bytes: 0 }
}

async fn record(hooks: &Hooks, owed: &Owed, verdict: Verdict) -> Recorded {
    hooks.store.record(owed, &attempt(owed, hooks.clock.now()), &verdict, None).await.expect("recorded")
}

#[tokio::test]
async fn a_line_that_a_worker_left_is_taken_over_and_the_late_worker_changes_nothing() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("http://127.0.0.1:9/").await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.happen(&ann, "evt_2").await;
    let first = claim(&hooks, "one").await.owed.remove(0);
    assert_eq!((first.event_id.as_str(), first.attempt), ("evt_1", 1));
    let while_held = claim(&hooks, "two").await;
    assert!(while_held.owed.is_empty());
    assert_eq!(while_held.next_expiry_millis, Some(30_000));

    hooks.clock.advance(LEASE.saturating_sub(Duration::from_millis(1)));
    assert!(claim(&hooks, "two").await.owed.is_empty(), "a lease runs its whole time");
    hooks.clock.advance(Duration::from_millis(1));
    let second = claim(&hooks, "two").await.owed.remove(0);
    assert_eq!((second.event_id.as_str(), second.attempt), ("evt_1", 2), "repeated, not skipped");

    assert!(matches!(record(&hooks, &first, Verdict::Delivered).await, Recorded::Stale));
    assert_eq!(hooks.deliveries().await[0].state, State::Pending);
    assert!(matches!(record(&hooks, &second, Verdict::Delivered).await, Recorded::Kept));
    assert!(matches!(record(&hooks, &second, Verdict::Delivered).await, Recorded::Stale), "let go once recorded");
    assert_eq!(claim(&hooks, "three").await.owed[0].event_id.as_str(), "evt_2");
}

#[tokio::test]
async fn a_head_that_is_given_up_while_it_is_under_way_holds_nobody_up() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("http://127.0.0.1:9/").await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.happen(&ann, "evt_2").await;
    let owed = claim(&hooks, "one").await.owed.remove(0);
    let given_up = hooks.store.give_up(&owed.id, hooks.clock.now()).await.unwrap();
    assert!(matches!(given_up, GivenUp::Dead(_)));
    assert!(claim(&hooks, "two").await.owed.is_empty(), "one at a time, even so");
    let later = hooks.clock.now().plus(Duration::from_mins(30));
    assert!(matches!(record(&hooks, &owed, Verdict::RetryAt(later)).await, Recorded::Kept));
    assert_eq!(claim(&hooks, "three").await.owed[0].event_id.as_str(), "evt_2");
    assert_eq!(hooks.deliveries().await[0].state, State::Dead);
}

#[tokio::test]
async fn a_worker_that_asks_gets_what_comes_after_all_that_it_has() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("http://127.0.0.1:9/").await;
    let ann = mailbox("ann@mailbell.test");
    for number in 1..=40 {
        hooks.happen(&ann, &format!("evt_{number}")).await;
    }
    hooks.happen(&mailbox("ben@mailbell.test"), "evt_ben").await;
    let owed = claim(&hooks, "one").await.owed.remove(0);
    assert_eq!((owed.event_id.as_str(), owed.followers.len()), ("evt_1", FOLLOWERS_MAX as usize));

    let asks = async |last: i64| {
        let attempt = attempt(&owed, hooks.clock.now());
        let recorded =
            hooks.store.record(&owed, &attempt, &Verdict::Delivered, Some(&Stay::Following { last: Some(last) })).await;
        match recorded.expect("recorded") {
            Recorded::More(more) => more.iter().map(|follower| follower.event_id.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    };
    let last = owed.followers.back().unwrap().seq;
    let more: Vec<String> = asks(last).await;
    assert_eq!(more, (33..=40).map(|number| format!("evt_{number}")).collect::<Vec<_>>());
    assert_eq!(asks(last + 8).await, Vec::<String>::new(), "there is no more");
    assert!(claim(&hooks, "two").await.owed.is_empty(), "the line is held all the while");
}

#[tokio::test]
async fn a_claim_says_whether_it_left_lines_out() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("http://127.0.0.1:9/").await;
    for number in 0..10 {
        hooks.happen(&mailbox(&format!("a{number}@mailbell.test")), &format!("evt_{number}")).await;
    }
    let first = claim(&hooks, "one").await;
    assert_eq!((first.owed.len(), first.left_out), (8, true), "an endpoint has eight at once");
    let second = claim(&hooks, "two").await;
    assert_eq!((second.owed.len(), second.left_out), (0, true));
    for owed in &first.owed {
        record(&hooks, owed, Verdict::Delivered).await;
    }
    let third = claim(&hooks, "three").await;
    assert_eq!((third.owed.len(), third.left_out), (2, false));
}

#[tokio::test]
async fn endpoints_that_have_all_they_may_have_at_once_take_nobody_s_place() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    for number in 0..3 {
        hooks.register(&format!("http://127.0.0.1:9/crowded/{number}")).await;
    }
    for number in 0..9 {
        hooks.happen(&mailbox(&format!("a{number}@mailbell.test")), &format!("evt_{number}")).await;
    }
    assert_eq!(claim(&hooks, "one").await.owed.len(), 24, "eight of each");
    hooks.register("http://127.0.0.1:9/quiet").await;
    hooks.clock.advance(Duration::from_secs(1));
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_ann").await;

    let claimed = claim_up_to(&hooks, "two", 2).await;
    let to: Vec<_> = claimed.owed.iter().map(|owed| owed.endpoint.to_string()).collect();
    assert_eq!(to, ["http://127.0.0.1:9/quiet"]);
    assert!(claimed.left_out, "the crowded have more that is due");
}

#[tokio::test]
async fn of_replays_two_at_once_leave_room_for_first_sendings() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("http://127.0.0.1:9/").await;
    for number in 0..12 {
        hooks.happen(&mailbox(&format!("a{number}@mailbell.test")), &format!("evt_{number}")).await;
    }
    for delivery in hooks.deliveries().await {
        hooks.store.give_up(&delivery.id, hooks.clock.now()).await.unwrap();
        let replayed = hooks.store.replay(&delivery.id, hooks.clock.now(), 11).await.unwrap();
        assert_eq!(matches!(replayed, Replayed::Full), delivery.event_id.as_str() == "evt_11", "{replayed:?}");
    }
    assert_eq!(claim(&hooks, "one").await.owed.len(), 2);
    assert!(claim(&hooks, "two").await.owed.is_empty());
    for number in 0..12 {
        hooks.happen(&mailbox(&format!("a{number}@mailbell.test")), &format!("evt_later_{number}")).await;
    }
    let first = claim(&hooks, "three").await.owed;
    assert_eq!(first.len(), 6, "eight at once, with the two");
    assert!(first.iter().all(|owed| owed.replay_of.is_none()));
}

#[tokio::test]
async fn a_lease_of_an_earlier_boot_is_over() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("http://127.0.0.1:9/").await;
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    assert_eq!(claim(&hooks, "one").await.owed.len(), 1);
    hooks.clock.reboot("boot-2");
    assert_eq!(claim(&hooks, "two").await.owed[0].attempt, 2);
}

#[tokio::test]
async fn one_endpoint_s_crowd_leaves_room_for_the_others() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("http://127.0.0.1:9/crowded").await;
    for number in 0..20 {
        hooks.happen(&mailbox(&format!("a{number}@mailbell.test")), &format!("evt_{number}")).await;
    }
    hooks.register("http://127.0.0.1:9/quiet").await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_ann").await;

    let claimed = claim(&hooks, "one").await.owed;
    let to =
        |claimed: &[Owed], path: &str| claimed.iter().filter(|owed| owed.endpoint.to_string().ends_with(path)).count();
    assert_eq!((to(&claimed, "crowded"), to(&claimed, "quiet")), (8, 1));
    assert!(claim(&hooks, "two").await.owed.is_empty(), "eight at once, over all claims");
    record(&hooks, &claimed[0], Verdict::Delivered).await;
    record(&hooks, &claimed[1], Verdict::Delivered).await;
    let freed = to(&claimed[..2], "crowded");
    assert_eq!(to(&claim(&hooks, "three").await.owed, "crowded"), freed);
}

#[tokio::test]
async fn a_worker_begins_where_a_killed_one_stopped_without_waiting_for_its_lease() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.happen(&ann, "evt_2").await;
    // Killed after the post, before the record: nobody knows whether the endpoint has it.
    assert_eq!(claim(&hooks, "killed").await.owed.len(), 1);

    let shutdown = tokio_util::sync::CancellationToken::new();
    let (worker, until) = (hooks.worker.clone(), shutdown.clone());
    let running = tokio::spawn(async move { worker.run(until).await });
    receiver.wait_for(2).await;
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_2"]);
    assert_eq!(receiver.hits()[0].header("x-multimail-attempt"), "2");
}

#[tokio::test]
async fn a_worker_that_ends_makes_what_is_under_way_and_leaves_the_rest_to_the_next_without_a_lease() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let answer = Arc::new(Notify::new());
    let held = answer.clone();
    let receiver = Receiver::start(hooks.clock.clone(), move |hit| match hit.event_id().as_str() {
        "evt_2" => Reply::Once(held.clone(), 200),
        _ => Reply::Status(200),
    })
    .await;
    hooks.register(&receiver.url()).await;
    let ids = ["evt_0", "evt_1", "evt_2", "evt_3", "evt_4"];
    for id in ids {
        hooks.happen(&mailbox("ann@mailbell.test"), id).await;
    }
    let shutdown = tokio_util::sync::CancellationToken::new();
    let (worker, until) = (hooks.worker.clone(), shutdown.clone());
    let running = tokio::spawn(async move { worker.run(until).await });
    receiver.wait_for(3).await;
    shutdown.cancel();
    answer.notify_one();
    running.await.unwrap();
    assert_eq!(receiver.event_ids(), ids[..3]);
    Worker::new(hooks.parts(), LEASE).unwrap().run_until_idle().await;
    assert_eq!(receiver.event_ids(), ids);
}

#[tokio::test]
async fn a_lease_that_a_slow_try_could_outlast_is_refused() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let lease = TIMEOUT + LEASE_MARGIN;
    assert!(Worker::new(hooks.parts(), lease).is_ok());
    let short = lease.saturating_sub(Duration::from_millis(1));
    assert_eq!(Worker::new(hooks.parts(), short).err(), Some(LeaseTooShort { lease: short }));
}
