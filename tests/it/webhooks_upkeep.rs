//! What people do by hand: replays beside the line, dead letters, probes, secrets that change over, off and on.

use std::time::Duration;

use mailbell::{domain::key::KeyScope, domain::secret::Secret, store::deliveries::State};
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

/// What the house gets for a POST without a body.
async fn post(api: &ApiServer, path: &str) -> (u16, Value) {
    answer(api.request(Method::POST, path)).await
}

/// An endpoint that refuses the events whose id begins with `bad`, until they come as a replay.
async fn picky(hooks: &Hooks) -> Receiver {
    let answer = |hit: &Hit| {
        let bad = hit.event_id().starts_with("evt_bad") && hit.header("x-multimail-replay-of").is_empty();
        Reply::Status(if bad { 500 } else { 200 })
    };
    Receiver::start(hooks.clock.clone(), answer).await
}

fn ids(page: &Value) -> Vec<&str> {
    page["deliveries"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_dead_letter_is_listed_and_replayed_with_its_bytes() {
    let (hooks, api) = start().await;
    let receiver = picky(&hooks).await;
    let (webhook, secret) = hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    for id in ["evt_bad", "evt_2"] {
        hooks.happen(&ann, id).await;
    }
    while hooks.go_on().await {}
    let (_, dead) = api.get(&format!("/v1/webhook-deliveries?status=failed&webhook_id={}", webhook.id)).await;
    assert_eq!((dead["deliveries"][0]["event_id"].as_str(), ids(&dead).len()), (Some("evt_bad"), 1));
    assert_eq!(api.get("/v1/webhook-deliveries?status=dead").await.1, dead, "our word for it");
    let delivered = api.get("/v1/webhook-deliveries?status=delivered").await.1;
    assert_eq!(delivered["deliveries"][0]["event_id"], "evt_2");
    assert_eq!(ids(&api.get("/v1/webhook-deliveries?status=pending").await.1), [""; 0]);
    assert_eq!(api.get("/v1/webhook-deliveries?status=lost").await.0, 400);
    assert_eq!(api.get("/v1/webhooks").await.1["webhooks"][0]["dead_count"], 1);

    let dead_id = ids(&dead)[0];
    let path = format!("/v1/webhook-deliveries/{dead_id}/replay");
    let (status, replay) = post(&api, &path).await;
    assert_eq!((status, &replay["replay_of"], &replay["status"]), (201, &json!(dead_id), &json!("pending")));
    assert_eq!(post(&api, &path).await, (200, replay.clone()), "asked twice, sent once");
    assert_eq!(hooks.worker.run_until_idle().await, None);

    let hits = receiver.hits();
    let (first, last) = (&hits[0], hits.last().unwrap());
    assert_eq!(last.header("x-multimail-replay-of"), dead_id);
    assert_eq!((&last.body, last.header("webhook-id")), (&first.body, "evt_bad"), "the same event, to the byte");
    assert!(last.is_signed_with(&secret) && last.header("x-multimail-attempt") == "1");
    let replay_path = format!("/v1/webhook-deliveries/{}", replay["id"].as_str().unwrap());
    let (_, shown) = api.get(&replay_path).await;
    assert_eq!((&shown["status"], &shown["attempt_log"][0]["response_status"]), (&json!("delivered"), &json!(200)));
    let (_, still) = api.get(&format!("/v1/webhook-deliveries/{dead_id}")).await;
    assert_eq!(still["status"], "failed", "a dead letter is kept");
    assert_eq!(post(&api, &path).await.0, 201, "and can be replayed again");
    for wrong in ["dlv_none", "dlv_00000000000000000000000000", "x"] {
        assert_eq!(post(&api, &format!("/v1/webhook-deliveries/{wrong}/replay")).await.0, 404, "{wrong}");
    }
}

#[tokio::test]
async fn a_replay_that_fails_holds_up_nothing_and_ends_after_its_own_day() {
    let (hooks, api) = start().await;
    let refuses_replays =
        |hit: &Hit| Reply::Status(if hit.header("x-multimail-replay-of").is_empty() { 200 } else { 503 });
    let receiver = Receiver::start(hooks.clock.clone(), refuses_replays).await;
    hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    hooks.worker.run_until_idle().await;
    let first = hooks.deliveries().await[0].id.clone();
    assert_eq!(post(&api, &format!("/v1/webhook-deliveries/{first}/replay")).await.0, 201);
    hooks.worker.run_until_idle().await;
    hooks.happen(&ann, "evt_2").await;
    hooks.worker.run_until_idle().await;
    let states = || async { hooks.deliveries().await.iter().map(|one| one.state).collect::<Vec<_>>() };
    assert_eq!(states().await, [State::Delivered, State::Pending, State::Delivered]);
    let (refused, said) =
        post(&api, &format!("/v1/webhook-deliveries/{}/replay", hooks.deliveries().await[1].id)).await;
    assert_eq!(refused, 409, "{said}");
    while hooks.go_on().await {}
    assert_eq!(states().await, [State::Delivered, State::Dead, State::Delivered]);
}

#[tokio::test]
async fn an_operator_gives_a_stuck_head_up_and_the_line_goes_on_at_once() {
    let (hooks, api) = start().await;
    let receiver = picky(&hooks).await;
    let (webhook, _) = hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    for id in ["evt_bad", "evt_2", "evt_3"] {
        hooks.happen(&ann, id).await;
    }
    for _ in 0..5 {
        hooks.go_on().await;
    }
    hooks.worker.run_until_idle().await;
    let (_, listed) = api.get("/v1/webhooks").await;
    let fare = &listed["webhooks"][0];
    assert_eq!(fare["failing_since"], "2026-11-24T10:00:00.000Z");
    assert_eq!((&fare["last_failure_status"], &fare["pending_count"]), (&json!(500), &json!(3)));

    let path = format!("/v1/webhook-deliveries/{}/dead-letter", hooks.deliveries().await[0].id);
    let weak = api.key("weak", &[KeyScope::Read, KeyScope::Send]).await;
    assert_eq!(answer(api.bare(Method::POST, &path).bearer_auth(weak)).await.0, 403);
    let (given_up, dead) = post(&api, &path).await;
    assert_eq!((given_up, &dead["status"]), (200, &json!("failed")));
    assert_eq!(hooks.worker.run_until_idle().await, None, "the others are through without a wait");
    assert_eq!(post(&api, &path).await.0, 409, "it is over");
    let (_, listed) = api.get("/v1/webhooks").await;
    assert_eq!(listed["webhooks"][0]["failing_since"], Value::Null);
    let states: Vec<_> = hooks.deliveries().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Dead, State::Delivered, State::Delivered]);
    assert_eq!(hooks.deliveries().await[0].webhook, webhook.id);
}

#[tokio::test]
async fn a_probe_tells_what_came_of_it_and_leaves_no_delivery() {
    let (hooks, api) = start().await;
    let replies =
        [Reply::Status(204), Reply::With(302, "location", "http://127.0.0.1:1/".into()), Reply::Close, Reply::Endless];
    let receiver = Receiver::answering(hooks.clock.clone(), replies).await;
    let (webhook, secret) = hooks.register(&receiver.url()).await;
    let path = format!("/v1/webhooks/{}/test", webhook.id);
    let mut told = Vec::new();
    for _ in 0..4 {
        let (status, probe) = post(&api, &path).await;
        assert_eq!(status, 200);
        told.push((
            probe["delivered"].clone(),
            probe["response_status"].clone(),
            probe["error"].clone(),
            probe["response_bytes"].clone(),
        ));
    }
    let none = Value::Null;
    let expected = [
        (json!(true), json!(204), none.clone(), json!(0)),
        (json!(false), json!(302), none.clone(), json!(0)),
        (json!(false), none.clone(), json!("connection_broken"), json!(0)),
        (json!(true), json!(200), none, json!(65_536)),
    ];
    assert_eq!(told, expected);
    let probe = &receiver.hits()[0];
    assert!(probe.is_signed_with(&secret));
    assert_eq!((probe.field("event_type"), probe.field("webhook_id")), (json!("probe"), json!(webhook.id)));
    assert!(hooks.deliveries().await.is_empty());
    assert_eq!(post(&api, "/v1/webhooks/wh_none/test").await.0, 404);
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_new_one_and_is_then_forgotten() {
    let (hooks, api) = start().await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    let (webhook, old) = hooks.register(&receiver.url()).await;
    let path = format!("/v1/webhooks/{}/rotate", webhook.id);
    let (status, rotated) = post(&api, &path).await;
    assert_eq!((status, &rotated["old_secrets"]), (200, &json!(1)));
    assert_eq!(rotated["old_secrets_until"], "2026-11-25T10:00:00.000Z");
    let new = Secret::new(rotated["signing_secret"].as_str().unwrap());
    assert!(new != old);
    let shown = api.get(&format!("/v1/webhooks/{}", webhook.id)).await.1;
    assert_eq!(shown["signing_secret"], rotated["signing_secret"], "the newest is shown");

    let ann = mailbox("ann@mailbell.test");
    let by_standard = |hit: &Hit, secret: &Secret| {
        let timestamp = hit.header("webhook-timestamp").parse().unwrap();
        let (id, signatures) = (hit.header("webhook-id"), hit.header("webhook-signature"));
        mailbell::signing::standard_webhooks::verify(secret, id, timestamp, &hit.body, signatures)
    };
    hooks.happen(&ann, "evt_1").await;
    hooks.worker.run_until_idle().await;
    let hit = receiver.hits().pop().unwrap();
    assert!(hit.is_signed_with(&new), "MultiMail's headers are the new one's");
    assert!(by_standard(&hit, &old) && by_standard(&hit, &new), "both sign");

    let next = hooks.worker.run_until_idle().await.expect("a secret retires");
    assert_eq!(next, webhook.created_at.plus(Duration::from_hours(24)));
    hooks.clock.advance(Duration::from_hours(24));
    assert_eq!(hooks.worker.run_until_idle().await, None, "nothing is left to be forgotten");
    hooks.happen(&ann, "evt_2").await;
    hooks.worker.run_until_idle().await;
    let hit = receiver.hits().pop().unwrap();
    assert!(hit.is_signed_with(&new) && !by_standard(&hit, &old));

    let rotate = |body: Value| api.send(Method::POST, &path, body);
    for beside in 1..=3 {
        assert_eq!(rotate(json!({ "overlap_secs": 60 })).await.1["old_secrets"], beside);
    }
    assert_eq!(rotate(json!({})).await.0, 409, "as many as may be live");
    let (_, ended) = rotate(json!({ "overlap_secs": 0, "secret": "chosen by me" })).await;
    assert_eq!((&ended["old_secrets"], &ended["old_secrets_until"]), (&json!(0), &Value::Null));
    assert_eq!(ended["signing_secret"], "chosen by me");
    for (body, told) in [(json!({ "overlap_secs": 604_801 }), "week"), (json!({ "secret": "short" }), "8 to 256")] {
        let (status, said) = rotate(body).await;
        assert!(status == 400 && said["error"].as_str().unwrap().contains(told), "{said}");
    }
    let (own, _) = hooks.register("self").await;
    let (status, said) = post(&api, &format!("/v1/webhooks/{}/rotate", own.id)).await;
    assert!(status == 409 && said["error"].as_str().unwrap().contains("mailbell webhook rotate"), "{said}");
}
