//! What follows a failure: another try at the right moment, a dead letter after a day, or the end of the endpoint.

use std::time::Duration;

use mailbell::{
    domain::clock::Clock as _,
    mail::webhooks::{egress::TIMEOUT, registry::NewWebhook},
    store::{
        deliveries::{Answer, State},
        webhooks::Webhooks as _,
    },
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Receiver, Reply},
};

#[tokio::test]
async fn every_kind_of_failure_is_retried_at_its_moment_until_the_endpoint_recovers() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let elsewhere = Receiver::answering(hooks.clock.clone(), []).await;
    let replies = [
        Reply::Status(500),
        Reply::Close,
        Reply::With(302, "location", elsewhere.url()),
        Reply::With(503, "retry-after", "120".into()),
        Reply::With(429, "retry-after", "864000".into()),
        Reply::Status(204),
    ];
    let receiver = Receiver::answering(hooks.clock.clone(), replies).await;
    hooks.register(&receiver.url()).await;
    let began = hooks.clock.now();
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    while hooks.go_on().await {}

    let after: Vec<_> = receiver.hits().iter().map(|hit| (hit.at.0 - began.0) / 1000).collect();
    // 5, 10 and 20 s of our own, 120 s as asked, an hour instead of ten days.
    assert_eq!(after, [0, 5, 15, 35, 155, 3755]);
    assert!(elsewhere.hits().is_empty(), "a redirect is not followed");
    let delivery = &hooks.deliveries().await[0];
    assert_eq!((delivery.state, delivery.attempts, delivery.next_attempt_at), (State::Delivered, 6, None));
    let answers: Vec<_> = delivery.tries.iter().map(|attempt| attempt.answer.clone()).collect();
    assert_eq!(
        answers,
        [
            Answer::Status(500),
            Answer::Fault("connection_broken".into()),
            Answer::Status(302),
            Answer::Status(503),
            Answer::Status(429),
            Answer::Status(204)
        ]
    );
}

#[tokio::test]
async fn a_delivery_ends_the_failures_of_its_line_for_what_comes_behind_it() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let replies = [Reply::Status(500), Reply::Status(204), Reply::Status(500), Reply::Status(204)];
    let receiver = Receiver::answering(hooks.clock.clone(), replies).await;
    hooks.register(&receiver.url()).await;
    let began = hooks.clock.now();
    for event in ["evt_1", "evt_2"] {
        hooks.happen(&mailbox("ann@mailbell.test"), event).await;
    }
    while hooks.go_on().await {}
    let after: Vec<_> = receiver.hits().iter().map(|hit| (hit.at.0 - began.0) / 1000).collect();
    assert_eq!(after, [0, 5, 5, 10], "the second begins with the shortest wait again");
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_given_its_time_and_no_more() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Hang, Reply::Status(200)]).await;
    hooks.register(&receiver.url()).await;
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    let worker = hooks.worker.clone();
    let running = tokio::spawn(async move { worker.run_until_idle().await });
    receiver.wait_for(1).await;
    hooks.clock.advance(TIMEOUT);
    assert_eq!(running.await.unwrap(), Some(hooks.clock.now().plus(Duration::from_secs(5))));
    let attempt = &hooks.deliveries().await[0].tries[0];
    assert_eq!(attempt.answer, Answer::Fault("timeout".into()));
    assert_eq!(attempt.duration_millis, 10_000);
}

#[tokio::test]
async fn a_response_without_end_is_cut_and_its_status_counts() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Endless]).await;
    hooks.register(&receiver.url()).await;
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    assert_eq!(hooks.worker.run_until_idle().await, None);
    let delivery = &hooks.deliveries().await[0];
    assert_eq!((delivery.state, delivery.tries[0].response_bytes), (State::Delivered, 64 * 1024));
}

#[tokio::test]
async fn a_410_switches_the_endpoint_s_webhooks_off_and_what_they_are_owed_waits() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Status(410)]).await;
    let other = Receiver::answering(hooks.clock.clone(), []).await;
    let (gone, _) = hooks.register(&receiver.url()).await;
    hooks.register(&other.url()).await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.happen(&ann, "evt_2").await;
    hooks.worker.run_until_idle().await;

    assert_eq!(receiver.hits().len(), 1);
    assert_eq!(other.event_ids(), ["evt_1", "evt_2"]);
    let (webhook, _) = hooks.store.webhook(&gone.id).await.unwrap().expect("still there");
    let why = webhook.disabled.expect("disabled").why;
    assert!(why.contains("gone") && why.contains("410"), "{why}");
    let states = async || {
        let owed = hooks.deliveries().await.into_iter().filter(|delivery| delivery.webhook == gone.id);
        owed.map(|delivery| (delivery.state, delivery.next_attempt_at)).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [(State::Pending, None); 2], "it waits, and nothing is planned");
    assert_eq!(hooks.happen(&ann, "evt_3").await, 1, "only the other is still told");

    let (anew, _) = hooks.register(&receiver.url()).await;
    hooks.happen(&ann, "evt_4").await;
    hooks.worker.run_until_idle().await;
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_4"], "a new registration begins anew");
    hooks.api.registry().remove(&anew.id).await.unwrap();
    hooks.upkeep().enable(&gone.id).await.unwrap();
    assert_eq!(hooks.worker.run_until_idle().await, None);
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_4", "evt_1", "evt_2"], "and the old one goes on, in order");
    assert_eq!(states().await, [(State::Delivered, None); 2]);
}

#[tokio::test]
async fn deleting_a_webhook_gives_up_what_it_was_owed_and_frees_the_line() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Status(500)]).await;
    let (first, _) = hooks.register(&receiver.url()).await;
    let bounces = NewWebhook { endpoint: receiver.url(), events: vec!["inbound".into()], ..NewWebhook::default() };
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.worker.run_until_idle().await;
    let (second, _) = hooks.register_as(bounces).await;
    assert!(hooks.store.remove_webhook(&first.id).await.unwrap());
    assert!(!hooks.store.remove_webhook(&first.id).await.unwrap());
    hooks.happen(&ann, "evt_2").await;
    assert_eq!(hooks.worker.run_until_idle().await, None, "the line's failures went with what failed");
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_2"]);
    let states: Vec<_> = hooks.deliveries().await.into_iter().map(|one| (one.webhook, one.state)).collect();
    assert_eq!(states, [(first.id, State::Dead), (second.id, State::Delivered)]);
}

#[tokio::test]
async fn the_loop_wakes_for_the_bell_and_for_a_retry_and_ends_when_told() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Status(500)]).await;
    hooks.register(&receiver.url()).await;
    let (worker, shutdown) = (hooks.worker.clone(), CancellationToken::new());
    let until = shutdown.clone();
    let running = tokio::spawn(async move { worker.run(until).await });
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    hooks.bell.notify_one();
    receiver.wait_for(1).await;
    // Whoever sleeps when this passes wakes; whoever looks only afterwards finds the retry due.
    while hooks.deliveries().await[0].tries.is_empty() {
        tokio::task::yield_now().await;
    }
    hooks.clock.advance(Duration::from_secs(5));
    receiver.wait_for(2).await;
    while hooks.deliveries().await[0].state == State::Pending {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.unwrap();
}
