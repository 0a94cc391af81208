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
    first.clock.advance(Duration::from_millis(20));
    assert_eq!(ids(&wait.await.unwrap().unwrap()), ["evt_1"]);
    assert!(first.look().await.timed_out, "it is leased in the one log that both have");
}

#[tokio::test]
async fn an_event_given_back_by_one_wakes_the_other() {
    let first = BellWing::start().await;
    first.tell(vec![inbound(1)]).await;
    let token = first.look().await.lease_token.unwrap();
    let (second, _watch) = watching(&first).await;
    let wait = second.asleep(WaitRequest { timeout: LEASE / 2, ..worker() }, CancellationToken::new()).await;
    first.settling.settle(&token, None, &Settlement::Release).await.unwrap();
    first.clock.advance(Duration::from_millis(20));
    let again = wait.await.unwrap().unwrap();
    assert_eq!((ids(&again), again.events[0].attempt), (vec!["evt_1"], 2));
}

#[tokio::test]
async fn more_news_than_are_told_one_by_one_wake_everyone() {
    let first = BellWing::start().await;
    let (second, _watch) = watching(&first).await;
    let wait = second.asleep(worker(), CancellationToken::new()).await;
    first.tell((0..1500).map(inbound).collect()).await;
    first.clock.advance(Duration::from_millis(20));
    assert_eq!(wait.await.unwrap().unwrap().events.len(), 5);
}
