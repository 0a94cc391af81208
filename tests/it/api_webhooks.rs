//! Webhooks registered, shown and ended over the API, and their deliveries told.

use mailbell::{domain::key::KeyScope, mail::webhooks::registry::WEBHOOKS_MAX};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    api::{ApiServer, answer},
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Receiver, Reply},
};

async fn start() -> (Hooks, ApiServer) {
    let mailroom = MemoryMailroom::default().with_mailbox(mailbox("ann@mailbell.test"));
    let hooks = Hooks::start(mailroom, &["hooks.example.com"]).await;
    let api = ApiServer::start(hooks.api.clone()).await;
    (hooks, api)
}

#[tokio::test]
async fn a_webhook_is_registered_in_either_dialect_and_answered_in_both() {
    let (_hooks, api) = start().await;
    let post = |body: Value| api.send(Method::POST, "/v1/webhooks", body);
    let (status, documented) = post(json!({
        "url": "https://hooks.example.com/a", "events": ["message.received", "message.bounced"], "mailbox_id": "mbx_ann",
    }))
    .await;
    assert_eq!(status, 201);
    assert_eq!(documented["events"], json!(["message.received", "message.bounced"]));
    assert!(documented["signing_secret"].as_str().unwrap().starts_with("whsec_"));

    let (status, seed) = post(json!({
        "endpoint_url": "https://hooks.example.com/a", "events": ["inbound", "bounce", "inbound"],
        "mailbox": "Ann@mailbell.test", "description": "agent", "secret": "chosen by the client",
    }))
    .await;
    assert_eq!(status, 201);
    assert_eq!(seed["events"], json!(["inbound", "bounce"]));
    assert_eq!(seed["signing_secret"], "chosen by the client");
    assert_eq!(seed["signature_format"], "hex");
    for webhook in [&documented, &seed] {
        assert_eq!(webhook["id"], webhook["webhook_id"]);
        assert!(webhook["id"].as_str().unwrap().starts_with("wh_"));
        for (name, value) in [
            ("url", "https://hooks.example.com/a"),
            ("endpoint_url", "https://hooks.example.com/a"),
            ("mailbox_id", "mbx_ann"),
            ("mailbox", "ann@mailbell.test"),
            ("scope", "mailbox"),
            ("created_at", "2026-11-24T10:00:00.000Z"),
        ] {
            assert_eq!(webhook[name], value, "{name}");
        }
    }

    let (_, listed) = api.get("/v1/webhooks").await;
    assert_eq!(listed["subscriptions"], listed["webhooks"]);
    assert_eq!(listed["webhooks"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("secret\""), "a list shows no secrets");
    let path = format!("/v1/webhooks/{}", seed["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await, (200, seed));
    assert_eq!(api.send(Method::DELETE, &path, Value::Null).await.1["status"], "deleted");
    assert_eq!(api.get(&path).await.0, 404);
}

#[tokio::test]
async fn webhooks_to_our_own_receiver_share_the_secret_that_it_knows() {
    let (_hooks, api) = start().await;
    let post = |body: Value| api.send(Method::POST, "/v1/webhooks", body);
    post(json!({ "url": "https://hooks.example.com/a", "events": ["inbound"], "secret": "of somebody else" })).await;
    let known = post(json!({ "url": "self", "events": ["inbound"], "secret": "known to the receiver" })).await.1;
    let second = post(json!({ "url": "self", "events": ["bounce"], "mailbox": "ann@mailbell.test" })).await.1;
    assert_eq!(second["signing_secret"], known["signing_secret"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let (_hooks, api) = start().await;
    let with = |changes: Value| {
        let mut body = json!({ "url": "https://hooks.example.com/a", "events": ["inbound"] });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    for (body, status, told) in [
        (json!({ "events": ["inbound"] }), 400, "`url`"),
        (with(json!({ "endpoint_url": "https://hooks.example.com/b" })), 400, "differ"),
        (with(json!({ "url": "not a url" })), 400, "self"),
        (with(json!({ "url": "http://hooks.example.com/a" })), 400, "https"),
        (with(json!({ "events": [] })), 400, "at least one"),
        (with(json!({ "events": ["message.sent"] })), 400, "message.received"),
        (with(json!({ "mailbox": "nobody@mailbell.test" })), 404, "/v1/mailboxes"),
        (with(json!({ "mailbox": "ann@mailbell.test", "domain": "mailbell.test" })), 400, "not both"),
        (with(json!({ "domain": "no domain" })), 400, "domain"),
        (with(json!({ "secret": "short" })), 400, "`secret`"),
        (with(json!({ "secret": "line\nbreak in it" })), 400, "`secret`"),
        (with(json!({ "signature_format": "base64" })), 400, "signature_format"),
        (with(json!({ "description": "x".repeat(501) })), 400, "`description`"),
    ] {
        let (got, answer) = api.send(Method::POST, "/v1/webhooks", body.clone()).await;
        assert_eq!(got, status, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(told), "{answer}");
    }
    assert_eq!(api.get("/v1/webhooks").await.1["webhooks"], json!([]));
}

#[tokio::test]
async fn loopback_is_for_the_house_s_key_alone() {
    let (_hooks, api) = start().await;
    let body = json!({ "url": "http://127.0.0.1:9000/hook", "events": ["inbound"] });
    let admin = api.key("admin", &[KeyScope::Admin]).await;
    let refused = answer(api.bare(Method::POST, "/v1/webhooks").bearer_auth(admin).json(&body)).await;
    assert_eq!((refused.0, &refused.1["status"]), (202, &json!("pending_approval")));
    assert_eq!(api.send(Method::POST, "/v1/webhooks", body).await.0, 201);
}

#[tokio::test]
async fn a_host_off_the_list_takes_an_operator_and_a_special_address_nobody() {
    let (_hooks, api) = start().await;
    let to = |url: &str| json!({ "url": url, "events": ["inbound"] });
    let (status, held) = api.send(Method::POST, "/v1/webhooks", to("https://elsewhere.example/a")).await;
    assert_eq!((status, &held["status"]), (202, &json!("pending_approval")));
    assert_eq!(api.order(Method::POST, "/v1/webhooks", to("https://elsewhere.example/a")).await.0, 201);
    let (status, refused) = api.order(Method::POST, "/v1/webhooks", to("https://169.254.169.254/")).await;
    assert_eq!(status, 400);
    assert!(refused["error"].as_str().unwrap().contains("special"), "{refused}");
}

#[tokio::test]
async fn our_own_receiver_s_address_is_kept_as_self() {
    let (hooks, api) = start().await;
    hooks.own.send_replace(Some("127.0.0.1:7412".parse().unwrap()));
    let body = json!({ "url": "http://127.0.0.1:7412/hooks/multimail", "events": ["inbound"] });
    assert_eq!(api.send(Method::POST, "/v1/webhooks", body).await.1["url"], "self");
}

#[tokio::test]
async fn there_is_an_end_to_webhooks() {
    let (_hooks, api) = start().await;
    let body = json!({ "url": "https://hooks.example.com/a", "events": ["inbound"] });
    for _ in 0..WEBHOOKS_MAX {
        assert_eq!(api.send(Method::POST, "/v1/webhooks", body.clone()).await.0, 201);
    }
    let (status, answer) = api.send(Method::POST, "/v1/webhooks", body).await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("delete one first"));
}

#[tokio::test]
async fn deliveries_are_told_with_their_tries() {
    let (hooks, api) = start().await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Status(200), Reply::Status(500)]).await;
    let (webhook, _) = hooks.register(&receiver.url()).await;
    let (other, _) = hooks.register("http://127.0.0.1:9/unasked").await;
    let ann = mailbox("ann@mailbell.test");
    for id in ["evt_1", "evt_2", "evt_3"] {
        hooks.happen(&ann, id).await;
    }
    hooks.worker.run_until_idle().await;

    let (status, body) = api.get(&format!("/v1/webhook-deliveries?webhook_id={}", webhook.id)).await;
    assert_eq!((status, &body["cursor"]), (200, &Value::Null));
    let told: Vec<_> = body["deliveries"].as_array().unwrap().iter().collect();
    let told = |name: &str| told.iter().map(|delivery| delivery[name].clone()).collect::<Vec<_>>();
    assert_eq!(told("event_id"), ["evt_3", "evt_2", "evt_1"]);
    assert_eq!(told("status"), ["pending", "pending", "delivered"]);
    assert_eq!(told("attempts"), [0, 1, 1]);
    assert_eq!(told("response_status"), [Value::Null, json!(500), json!(200)]);
    let next = json!("2026-11-24T10:00:05.000Z");
    assert_eq!(told("next_attempt_at"), [Value::Null, next, Value::Null], "only the head has a next time");
    assert_eq!(told("attempt_log")[1][0]["response_status"], 500);
    assert_eq!(told("event_type"), ["inbound"; 3]);
    assert!(told("id").iter().all(|id| id.as_str().unwrap().starts_with("dlv_")));

    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let (_, page) = api.get(&format!("/v1/webhook-deliveries?limit=2&cursor={cursor}")).await;
        seen += page["deliveries"].as_array().unwrap().len();
        match page["cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, 6, "both webhooks', three pages");
    let (_, unasked) = api.get(&format!("/v1/webhook-deliveries?webhook_id={}", other.id)).await;
    assert_eq!(unasked["deliveries"][2]["attempt_log"][0]["error"], "no_connection");
    assert_eq!(api.get("/v1/webhook-deliveries?cursor=x").await.0, 400);
    assert_eq!(api.get("/v1/webhook-deliveries?limit=101").await.0, 400);
}
