//! Webhooks that are switched off and on: what they are owed waits, in order and for its time.

use std::time::Duration;

use mailbell::{
    domain::{clock::Clock as _, webhook::Webhook},
    store::deliveries::State,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    api::{ApiServer, answer},
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Hit, Receiver, Reply},
};

async fn start() -> (Hooks, ApiServer) {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let api = ApiServer::start(hooks.api.clone()).await;
    (hooks, api)
}

async fn post(api: &ApiServer, path: &str) -> (u16, Value) {
    answer(api.request(Method::POST, path)).await
}

async fn switch(api: &ApiServer, webhook: &Webhook, what: &str) -> Value {
    let (status, body) = post(api, &format!("/v1/webhooks/{}/{what}", webhook.id)).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn states(hooks: &Hooks) -> Vec<State> {
    hooks.deliveries().await.iter().map(|one| one.state).collect()
}

#[tokio::test]
async fn what_is_owed_waits_while_a_webhook_is_off_and_then_goes_on_in_order() {
    let (hooks, api) = start().await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Status(500)]).await;
    let (webhook, _) = hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    for id in ["evt_1", "evt_2"] {
        hooks.happen(&ann, id).await;
    }
    hooks.worker.run_until_idle().await;
    let off = switch(&api, &webhook, "disable").await;
    assert_eq!(off["status"], "disabled");
    assert!(off["disabled_reason"].as_str().unwrap().contains("mailbell webhook enable"));
    assert_eq!(hooks.happen(&ann, "evt_3").await, 0, "it is told of nothing that happens now");
    for _ in 0..10 {
        assert!(hooks.go_on().await, "time goes on for what waits");
    }
    assert_eq!((receiver.hits().len(), states(&hooks).await), (1, vec![State::Pending; 2]));
    let (_, listed) = api.get("/v1/webhooks").await;
    let fare = &listed["webhooks"][0];
    assert_eq!((&fare["pending_count"], &fare["failing_since"]), (&json!(2), &Value::Null));
    let first = hooks.deliveries().await[0].id.clone();
    assert_eq!(post(&api, &format!("/v1/webhook-deliveries/{first}/replay")).await.0, 409, "it is owed still");
    assert_eq!(post(&api, &format!("/v1/webhooks/{}/test", webhook.id)).await.1["delivered"], true);

    assert_eq!(switch(&api, &webhook, "enable").await["status"], "enabled");
    assert_eq!(hooks.happen(&ann, "evt_4").await, 1);
    assert_eq!(hooks.worker.run_until_idle().await, None, "the wait after the failure is forgotten");
    let ids: Vec<_> = receiver.event_ids().into_iter().filter(|id| id.len() == "evt_1".len()).collect();
    assert_eq!(ids, ["evt_1", "evt_1", "evt_2", "evt_4"]);
    for what in ["enable", "disable"] {
        assert_eq!(post(&api, &format!("/v1/webhooks/wh_none/{what}")).await.0, 404);
    }
}

#[tokio::test]
async fn what_waits_for_longer_than_its_day_is_a_dead_letter_and_can_be_replayed() {
    let (hooks, api) = start().await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    let (webhook, _) = hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    let began = hooks.clock.now();
    hooks.happen(&ann, "evt_1").await;
    switch(&api, &webhook, "disable").await;
    while hooks.clock.now() < began.plus(Duration::from_hours(12)) {
        assert!(hooks.go_on().await);
    }
    switch(&api, &webhook, "enable").await;
    hooks.happen(&ann, "evt_2").await;
    switch(&api, &webhook, "disable").await;
    while hooks.go_on().await {
        let hours = (hooks.clock.now().0 - began.0) / 3_600_000;
        let dead = states(&hooks).await.iter().filter(|state| **state == State::Dead).count();
        assert!(hours >= 23 || dead == 0, "{dead} dead after {hours} hours");
        assert!(hours < 25 || dead > 0, "none dead after {hours} hours");
    }
    assert_eq!(states(&hooks).await, [State::Dead; 2]);
    assert!(receiver.hits().is_empty(), "nothing was sent while it was off");
    switch(&api, &webhook, "enable").await;
    let dead = hooks.deliveries().await[1].id.clone();
    assert_eq!(post(&api, &format!("/v1/webhook-deliveries/{dead}/replay")).await.0, 201);
    assert_eq!(hooks.worker.run_until_idle().await, None);
    assert_eq!(receiver.event_ids(), ["evt_2"]);
}

#[tokio::test]
async fn another_webhook_to_the_same_endpoint_does_not_wait() {
    let (hooks, api) = start().await;
    let answers = |hit: &Hit| Reply::Status(if hit.event_id() == "evt_1" { 500 } else { 200 });
    let receiver = Receiver::start(hooks.clock.clone(), answers).await;
    let (first, _) = hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.worker.run_until_idle().await;
    let (second, _) = hooks.register(&receiver.url()).await;
    hooks.happen(&ann, "evt_2").await;
    switch(&api, &first, "disable").await;
    for _ in 0..10 {
        hooks.go_on().await;
    }
    let told: Vec<_> = receiver.hits().iter().map(|hit| (hit.event_id(), hit.field("webhook_id"))).collect();
    assert_eq!(told, [("evt_1".into(), json!(first.id)), ("evt_2".into(), json!(second.id))]);
    assert_eq!(states(&hooks).await, [State::Pending, State::Pending, State::Delivered]);
}

#[tokio::test]
async fn what_is_under_way_when_its_webhook_goes_off_ends_and_is_not_repeated() {
    let (hooks, api) = start().await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Hang, Reply::Status(200)]).await;
    let (webhook, _) = hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    let worker = hooks.worker.clone();
    let running = tokio::spawn(async move { worker.run_until_idle().await });
    receiver.wait_for(1).await;
    switch(&api, &webhook, "disable").await;
    hooks.clock.advance(Duration::from_secs(10));
    running.await.unwrap();
    for _ in 0..10 {
        hooks.go_on().await;
    }
    assert_eq!((receiver.hits().len(), states(&hooks).await), (1, vec![State::Pending]));
    switch(&api, &webhook, "enable").await;
    hooks.worker.run_until_idle().await;
    assert_eq!((receiver.hits().len(), states(&hooks).await), (2, vec![State::Delivered]));
}
