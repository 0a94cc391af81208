//! Two processes on one data directory: what one commits ends the other's wait.

use std::{sync::Arc, time::Duration};

use mailbell::{bell::waiting::WaitRequest, domain::consumer::Settlement};
use tokio_util::sync::CancellationToken;

use crate::support::bell::{BellWing, LEASE, ids, inbound, worker};

/// A second process with its watch running, and what ends the watch.
async fn watching(wing: &BellWing) -> (BellWing, impl Drop) {
    let second = wing.second().await;
    let shutdown = CancellationToken::new();
    let (store, bell, clock) = (second.store.clone(), second.bell.clone(), second.clock.clone());
    let before = second.clock.sleepers();
    let stop = shutdown.clone();
    tokio::spawn(async move { store.watch(bell, Arc::new(clock), stop).await });
    while second.clock.sleepers() == before {
        tokio::task::yield_now().await;
    }
    (second, shutdown.drop_guard())
}

#[tokio::test]
async fn an_event_committed_by_one_wakes_the_other() {
    let first = BellWing::start().await;
    let (second, _watch) = watching(&first).await;
    let wait = second.asleep(worker(), CancellationToken::new()).await;
    first.tell(vec![inbound(1)]).await;
    first.clock.advance(Duration::from_millis(50));
    assert_eq!(ids(&wait.await.unwrap().unwrap()), ["evt_1"]);
    assert!(first.look().await.timed_out, "it is leased in the one log that both have");
}

#[tokio::test]
async fn who_is_told_of_a_commit_need_not_wait_for_the_next_look() {
    let first = BellWing::start().await;
    let (second, _watch) = watching(&first).await;
    let wait = second.asleep(worker(), CancellationToken::new()).await;
    first.tell(vec![inbound(1)]).await;
    first.bell.rung_here().await;
    // What the local socket does in between. The clock is held, so that no look comes by itself.
    second.bell.pull_from_elsewhere();
    assert_eq!(ids(&wait.await.unwrap().unwrap()), ["evt_1"]);
    let echoed = tokio::time::timeout(Duration::from_millis(50), second.bell.rung_here()).await;
    assert!(echoed.is_err(), "who hears of a commit tells nobody of it again");
}

#[tokio::test]
async fn a_lease_of_one_process_holds_in_the_other_and_can_be_settled_there() {
    let first = BellWing::start().await;
    let second = first.second().await;
    first.tell((0..3).map(inbound).collect()).await;
    let (one, other) = tokio::join!(
        first.work(|wait| wait.limit = 2),
        second.work(|wait| (wait.limit, wait.timeout) = (2, Duration::ZERO)),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    let mut all = [ids(&one), ids(&other)].concat();
    all.sort_unstable();
    assert_eq!(all, ["evt_0", "evt_1", "evt_2"], "each is with one of them");
    let token = one.lease_token.unwrap();
    let settled = second.settling.settle(&token, None, &Settlement::Ack).await.unwrap();
    assert_eq!(settled.done.len(), one.events.len(), "the token is what counts, not who brings it");
    let again = first.settling.settle(&token, None, &Settlement::Ack).await.unwrap();
    assert!(again.done.is_empty(), "settled once");
}

#[tokio::test]
async fn an_event_given_back_by_one_wakes_the_other() {
    let first = BellWing::start().await;
    first.tell(vec![inbound(1)]).await;
    let token = first.look().await.lease_token.unwrap();
    let (second, _watch) = watching(&first).await;
    let wait = second.asleep(WaitRequest { timeout: LEASE / 2, ..worker() }, CancellationToken::new()).await;
    first.settling.settle(&token, None, &Settlement::Release { pause_millis: 0 }).await.unwrap();
    first.clock.advance(Duration::from_millis(50));
    let again = wait.await.unwrap().unwrap();
    assert_eq!((ids(&again), again.events[0].attempt), (vec!["evt_1"], 2));
}

#[tokio::test]
async fn more_news_than_are_told_one_by_one_wake_everyone() {
    let first = BellWing::start().await;
    let (second, _watch) = watching(&first).await;
    let wait = second.asleep(worker(), CancellationToken::new()).await;
    first.tell((0..1500).map(inbound).collect()).await;
    first.clock.advance(Duration::from_millis(50));
    assert_eq!(wait.await.unwrap().unwrap().events.len(), 5);
}
