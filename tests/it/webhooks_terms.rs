//! A keeper that was stopped goes on after another has taken over: what it still tries changes nothing and reaches nobody.

use std::sync::Arc;

use mailbell::{
    domain::clock::Clock,
    mail::webhooks::worker::{LEASE, Parts, Worker},
    store::{
        Refusal, StoreError,
        deliveries::{Deliveries as _, DeliveryFilter, State},
        outbox::Outbox as _,
    },
};

use crate::support::{
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Receiver, Reply},
};

fn is_superseded<T: std::fmt::Debug>(tried: &Result<T, StoreError>) -> bool {
    matches!(tried, Err(StoreError::Refused(Refusal::Superseded)))
}

#[tokio::test]
async fn whose_term_is_over_posts_and_records_nothing_and_the_successor_does() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let ann = mailbox("ann@mailbell.test");
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Status(200), Reply::Status(200)]).await;
    hooks.register(&receiver.url()).await;
    hooks.happen(&ann, "evt_1").await;
    hooks.happen(&ann, "evt_2").await;
    hooks.store.check_term().await.expect("it holds");

    let successor = hooks.superseded().await;
    assert!(successor.term().epoch() > hooks.store.term().epoch());
    hooks.worker.run_until_idle().await;
    assert_eq!(receiver.event_ids(), [""; 0], "the old worker posts nothing");
    assert!(is_superseded(&hooks.store.check_term().await));
    assert!(is_superseded(&hooks.store.void_leases().await));
    assert!(is_superseded(&hooks.store.due(Clock::now(&hooks.clock), &[], 1).await));
    hooks.store.term().over().await;

    let parts = Parts { deliveries: Arc::new(successor.clone()), ..hooks.parts() };
    Worker::new(parts, LEASE).expect("long enough").run_until_idle().await;
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_2"]);
    successor.check_term().await.expect("it holds");
}

#[tokio::test]
async fn a_line_claimed_before_is_walked_no_further() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let ann = mailbox("ann@mailbell.test");
    // The first post is answered only after another process has taken over.
    let (begun, go_on) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (told, may) = (begun.clone(), go_on.clone());
    let posts = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = posts.clone();
    let answer = move || async move {
        if counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            told.notify_one();
            may.notified().await;
        }
    };
    let router = axum::Router::new().route("/", axum::routing::post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    hooks.register(&url).await;
    hooks.happen(&ann, "evt_1").await;
    hooks.happen(&ann, "evt_2").await;

    let worker = hooks.worker.clone();
    let walking = tokio::spawn(async move { worker.run_until_idle().await });
    begun.notified().await;
    let successor = hooks.superseded().await;
    // Nobody takes over from a process that has just committed: it was away for a while.
    hooks.clock.advance(std::time::Duration::from_secs(1));
    go_on.notify_one();
    walking.await.unwrap();
    assert_eq!(posts.load(std::sync::atomic::Ordering::Relaxed), 1, "evt_2 is the successor's to post");
    let mut kept = successor.deliveries(&DeliveryFilter::default(), None, 10).await.unwrap();
    kept.reverse();
    assert!(kept.iter().all(|one| one.state == State::Pending && one.tries.is_empty()), "its record was refused");
}
