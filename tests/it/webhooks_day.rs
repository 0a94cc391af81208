//! A day of an endpoint that fails in every way there is, on a held clock: exact times, order, dead letters, replays, and
//! nothing lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use mailbell::{
    domain::clock::{Clock as _, UnixMillis},
    mail::webhooks::egress::TIMEOUT,
};
use reqwest::Method;
use serde_json::Value;

use crate::support::{
    api::{ApiServer, answer},
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Hit, Receiver, Reply},
};

const ANN: &str = "ann@mailbell.test";
const BOB: &str = "bob@mailbell.test";
/// When the endpoint is well again, in seconds after the beginning: a day, and some.
const WELL_AGAIN_SECS: i64 = 88_000;

/// The endpoint's answers to Ann's first event, in turn; then 500.
fn replies(elsewhere: &str) -> Vec<Reply> {
    vec![
        Reply::Status(500),
        Reply::Hang,
        Reply::Close,
        Reply::With(302, "location", elsewhere.to_owned()),
        Reply::With(429, "retry-after", "90".into()),
        // The clock of the test begins at 10:00:00.
        Reply::With(429, "retry-after", "Tue, 24 Nov 2026 10:10:00 GMT".into()),
    ]
}

/// When they are made, in seconds: 5 s after the 500; 10 s of hanging, and 10; 20 after the reset, 40 after the redirect,
/// 90 and until 10:10 as asked; then 320, 640, 1280 and half an hour each, until the first try after a day.
fn times() -> Vec<i64> {
    let mut times = vec![0, 5, 25, 45, 85, 175, 600, 920, 1560, 2840];
    while *times.last().unwrap() < 86_400 {
        times.push(times.last().unwrap() + 1800);
    }
    times
}

fn secs(hits: &[Hit], event: &str, began: UnixMillis) -> Vec<i64> {
    hits.iter().filter(|hit| hit.event_id() == event).map(|hit| (hit.at.0 - began.0) / 1000).collect()
}

/// The events of a mailbox in the order in which they were first sent.
fn first_sent(hits: &[Hit], mailbox: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for hit in hits.iter().filter(|hit| hit.field("mailbox") == mailbox) {
        if !ids.contains(&hit.event_id()) {
            ids.push(hit.event_id());
        }
    }
    ids
}

#[tokio::test]
async fn a_day_of_every_failure_loses_nothing() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let api = ApiServer::start(hooks.api.clone()).await;
    let began = hooks.clock.now();
    let elsewhere = Receiver::answering(hooks.clock.clone(), []).await;
    let (script, turn) = (replies(&elsewhere.url()), AtomicUsize::new(0));
    let receiver = Receiver::start(hooks.clock.clone(), move |hit: &Hit| {
        if hit.field("mailbox") == BOB || hit.at.0 - began.0 >= WELL_AGAIN_SECS * 1000 {
            return Reply::Status(200);
        }
        script.get(turn.fetch_add(1, Ordering::Relaxed)).cloned().unwrap_or(Reply::Status(500))
    })
    .await;
    let gone = Receiver::answering(hooks.clock.clone(), [Reply::Status(410)]).await;
    let (webhook, secret) = hooks.register(&receiver.url()).await;
    let (other, _) = hooks.register(&gone.url()).await;
    let (ann, bob) = (mailbox(ANN), mailbox(BOB));
    let until = async |hours: u64| {
        while hooks.clock.now() < began.plus(Duration::from_hours(hours)) {
            assert!(hooks.go_on().await, "something is owed all the time");
        }
    };

    for id in ["evt_1", "evt_2"] {
        assert_eq!(hooks.happen(&ann, id).await, 2);
    }
    hooks.worker.run_until_idle().await;
    for id in ["evt_b1", "evt_b2"] {
        assert_eq!(hooks.happen(&bob, id).await, 1, "the endpoint that is gone is told of nothing more");
    }
    // The second try, which hangs, is the endpoint's fourth request: Ann's first and both of Bob's came before.
    assert!(hooks.go_on().await);
    let worker = hooks.worker.clone();
    let hanging = tokio::spawn(async move { worker.run_until_idle().await });
    receiver.wait_for(4).await;
    hooks.clock.advance(TIMEOUT);
    hanging.await.unwrap();
    until(12).await;
    hooks.happen(&bob, "evt_b3").await;
    until(23).await;
    hooks.happen(&ann, "evt_3").await;
    while hooks.go_on().await {}

    let hits = receiver.hits();
    let times = times();
    let last = *times.last().unwrap();
    assert_eq!(secs(&hits, "evt_1", began), times, "to the second");
    assert_eq!(secs(&hits, "evt_2", began), [last], "its day is over too: one try of its own");
    assert_eq!(secs(&hits, "evt_3", began), [last + 1800], "it has time left, and finds the endpoint well");
    assert_eq!(first_sent(&hits, ANN), ["evt_1", "evt_2", "evt_3"]);
    assert_eq!(first_sent(&hits, BOB), ["evt_b1", "evt_b2", "evt_b3"]);
    assert_eq!(secs(&hits, "evt_b2", began), [0], "a mailbox that fails holds up no other");
    assert!(elsewhere.hits().is_empty(), "a redirect is not followed");
    assert!(hits.iter().all(|hit| hit.is_signed_with(&secret)));
    assert_eq!(gone.event_ids(), ["evt_1"], "who is gone is asked once");

    // What did not arrive is listed, and nothing else: by webhook, since two are told of each event.
    let dead = async || {
        let (_, page) = api.get("/v1/webhook-deliveries?status=failed&limit=100").await;
        let of = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
        let page: Vec<_> = page["deliveries"].as_array().unwrap().iter().rev().cloned().collect();
        page.iter().map(|one| (of(one, "id"), of(one, "webhook_id"), of(one, "event_id"))).collect::<Vec<_>>()
    };
    let letters = dead().await;
    let named: BTreeSet<_> = letters.iter().map(|(_, webhook, event)| (webhook.clone(), event.clone())).collect();
    let expected =
        [&webhook, &other].map(|webhook| ["evt_1", "evt_2"].map(|event| (webhook.id.to_string(), event.into())));
    assert_eq!(named, expected.concat().into_iter().collect());
    assert_eq!(api.get("/v1/webhook-deliveries?status=pending").await.1["deliveries"], Value::Array(Vec::new()));

    let enable = format!("/v1/webhooks/{}/enable", other.id);
    assert_eq!(answer(api.request(Method::POST, &enable)).await.0, 200);
    for (id, ..) in &letters {
        let path = format!("/v1/webhook-deliveries/{id}/replay");
        assert_eq!(answer(api.request(Method::POST, &path)).await.0, 201);
    }
    assert_eq!(hooks.worker.run_until_idle().await, None);
    let replays = |receiver: &Receiver| -> Vec<_> {
        let hits = receiver.hits().into_iter().filter(|hit| !hit.header("x-multimail-replay-of").is_empty());
        hits.map(|hit| hit.event_id()).collect()
    };
    assert_eq!(
        (replays(&receiver), replays(&gone)),
        (vec!["evt_1".into(), "evt_2".into()], vec!["evt_1".into(), "evt_2".into()])
    );

    // Whatever was owed has been taken by now, as the same bytes each time.
    let mut bodies: BTreeMap<(String, String), BTreeSet<Vec<u8>>> = BTreeMap::new();
    for hit in receiver.hits().into_iter().chain(gone.hits()) {
        let key = (hit.field("webhook_id").to_string(), hit.event_id());
        bodies.entry(key).or_default().insert(hit.body);
    }
    assert_eq!(bodies.len(), 6 + 2);
    assert!(bodies.values().all(|bodies| bodies.len() == 1));
    assert_eq!(dead().await.len(), 4, "a dead letter is kept");
}
