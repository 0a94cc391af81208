//! What a mailbox has beside its copies and its signature: a webhook of its own, scheduling, disclosure; and who may give it.

use mailbell::{domain::key::KeyScope, store::outbox::Outbox as _};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::{ApiServer, answer},
    clock::TestClock,
    post::Post,
};

const AGENT: &str = "/v1/mailboxes/agent@mailbell.test";

struct Story {
    post: Post,
    server: ApiServer,
    operator: String,
    _dir: TempDir,
}

impl Story {
    async fn start() -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
        let post = Post::open(dir.path(), &clock, None).await;
        let server = ApiServer::start(post.api.clone()).await;
        let operator = server.key("operator", &[KeyScope::Admin, KeyScope::Oversight]).await;
        Self { post, server, operator, _dir: dir }
    }

    /// What the operator's change of the agent's mailbox is answered with.
    async fn set(&self, change: Value) -> (u16, Value) {
        answer(self.server.bare(Method::PATCH, AGENT).bearer_auth(&self.operator).json(&change)).await
    }

    async fn shown(&self) -> Value {
        self.server.get(AGENT).await.1
    }

    async fn webhooks(&self) -> Vec<(String, Value)> {
        let (_, listed) = self.server.get("/v1/webhooks").await;
        let all = listed["webhooks"].as_array().unwrap().iter();
        all.map(|one| (one["endpoint_url"].as_str().unwrap().to_owned(), one["mailbox"].clone())).collect()
    }
}

#[tokio::test]
async fn everything_that_can_be_set_is_kept_and_shown() {
    let story = Story::start().await;
    let fresh = story.shown().await;
    for (name, value) in [
        ("forward_inbound", json!(0)),
        ("webhook_url", Value::Null),
        ("webhook_id", Value::Null),
        ("oversight_webhook_url", Value::Null),
        ("default_gate_timing", Value::Null),
        ("scheduling_enabled", json!(1)),
        ("ai_disclosure", json!(0)),
        ("mcp_configured", json!(1)),
    ] {
        assert_eq!(fresh[name], value, "{name}");
    }
    let change = json!({ "oversight_webhook_url": "https://boss.example.com/hook", "default_gate_timing": "schedule_first",
        "scheduling_enabled": 0, "ai_disclosure": true, "mcp_configured": 0, "forward_inbound": 0 });
    let (status, changed) = story.set(change.clone()).await;
    assert_eq!((status, &changed["ignored"]), (200, &json!([])), "{changed}");
    let shown = story.shown().await;
    for (name, value) in change.as_object().unwrap() {
        let value = if *value == json!(true) { &json!(1) } else { value };
        assert_eq!(&shown[name], value, "{name}");
    }
    let nothing = json!({ "oversight_webhook_url": "", "default_gate_timing": null });
    assert_eq!(story.set(nothing).await.0, 200);
    let shown = story.shown().await;
    assert_eq!((&shown["oversight_webhook_url"], &shown["default_gate_timing"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["scheduling_enabled"], 0, "what is not named stays");
}

#[tokio::test]
async fn a_webhook_of_the_mailbox_comes_is_replaced_and_goes_with_its_url() {
    let story = Story::start().await;
    let before = story.webhooks().await;
    let (one, two) = ("https://one.example.com/hook", "https://two.example.com/hook");
    assert_eq!(story.set(json!({ "webhook_url": one })).await.0, 200);
    let shown = story.shown().await;
    assert_eq!(shown["webhook_url"], one);
    let agent = |url: &str| (url.to_owned(), json!("agent@mailbell.test"));
    assert_eq!(story.webhooks().await[before.len()..], [agent(one)]);
    let path = format!("/v1/webhooks/{}", shown["webhook_id"].as_str().unwrap());
    let (_, webhook) = story.server.get(&path).await;
    assert_eq!(webhook["events"].as_array().unwrap().len(), 5, "of every kind");
    assert!(webhook["signing_secret"].as_str().unwrap().starts_with("whsec_"));

    assert_eq!(story.set(json!({ "webhook_url": one })).await.0, 200);
    assert_eq!(story.shown().await["webhook_id"], shown["webhook_id"], "the same is kept, with its secret");
    assert_eq!(story.set(json!({ "webhook_url": two })).await.0, 200);
    assert_eq!(story.webhooks().await[before.len()..], [agent(two)]);
    assert_eq!(story.server.get(&path).await.0, 404);
    for refused in [
        json!({ "webhook_url": "http://10.0.0.1/" }),
        json!({ "webhook_url": "nowhere" }),
        json!({ "webhook_url": one, "auto_cc": "x" }),
        json!({ "oversight_webhook_url": "ftp://example.com/", "webhook_url": one }),
    ] {
        assert_eq!(story.set(refused).await.0, 400);
        assert_eq!(story.webhooks().await[before.len()..], [agent(two)], "all of it or nothing");
    }
    assert_eq!(story.set(json!({ "webhook_url": null })).await.0, 200);
    assert_eq!((story.webhooks().await, &story.shown().await["webhook_url"]), (before, &Value::Null));

    assert_eq!(story.set(json!({ "webhook_url": one })).await.0, 200);
    let id = story.shown().await["webhook_id"].as_str().unwrap().to_owned();
    assert_eq!(story.server.send(Method::DELETE, &format!("/v1/webhooks/{id}"), Value::Null).await.0, 200);
    assert_eq!(story.shown().await["webhook_url"], Value::Null, "whoever ends it by its id ends it here too");

    let new = json!({ "address": "new@mailbell.test", "webhook_url": two });
    let made = story.server.bare(Method::POST, "/v1/mailboxes").bearer_auth(&story.operator).json(&new);
    let (status, made) = answer(made).await;
    assert_eq!((status, &made["webhook_url"]), (201, &json!(two)));
    let bad = json!({ "address": "bad@mailbell.test", "webhook_url": "http://10.0.0.1/" });
    let refused = story.server.bare(Method::POST, "/v1/mailboxes").bearer_auth(&story.operator).json(&bad);
    assert_eq!(answer(refused).await.0, 400);
    assert_eq!(story.server.get("/v1/mailboxes/bad@mailbell.test").await.0, 404);
}

#[tokio::test]
async fn what_decides_who_learns_of_mail_is_the_operators() {
    let story = Story::start().await;
    assert_eq!(
        story.set(json!({ "ai_disclosure": 1, "oversight_webhook_url": "https://boss.example.com/" })).await.0,
        200
    );
    for (field, value) in [
        ("auto_cc", json!("spy@example.com")),
        ("auto_bcc", json!("spy@example.com")),
        ("webhook_url", json!("https://spy.example.com/")),
        ("oversight_webhook_url", json!("https://spy.example.com/")),
        ("oversight_webhook_url", json!("")),
        ("forward_inbound", json!(1)),
        ("ai_disclosure", json!(0)),
    ] {
        let (status, said) = story.server.send(Method::PATCH, AGENT, json!({ field: value })).await;
        assert_eq!((status, &said["status"]), (202, &json!("pending_approval")), "{field}");
    }
    let new = json!({ "address": "new@mailbell.test", "webhook_url": "https://spy.example.com/" });
    assert_eq!(story.server.send(Method::POST, "/v1/mailboxes", new).await.0, 202);
    assert_eq!(story.server.get("/v1/mailboxes/new@mailbell.test").await.0, 404);

    let (status, said) = story.set(json!({ "forward_inbound": 1 })).await;
    assert!(status == 422 && said["error"].as_str().unwrap().contains("never sent on"), "{said}");
}

#[tokio::test]
async fn a_mailbox_that_does_not_send_later_refuses_it() {
    let story = Story::start().await;
    let send = format!("{AGENT}/send");
    let later = |at: &str| json!({ "to": ["other@mailbell.test"], "subject": "s", "markdown": "m", "send_at": at });
    let (status, scheduled) = story.server.send(Method::POST, &send, later("2026-11-24T12:00:00Z")).await;
    assert_eq!(status, 202);
    assert_eq!(story.server.send(Method::PATCH, AGENT, json!({ "scheduling_enabled": 0 })).await.0, 200);
    let (status, said) = story.server.send(Method::POST, &send, later("2026-11-24T12:00:00Z")).await;
    assert!(status == 403 && said["error"].as_str().unwrap().contains("scheduling_enabled"), "{said}");
    let path = format!("{AGENT}/emails/{}/schedule", scheduled["id"].as_str().unwrap());
    assert_eq!(story.server.send(Method::PATCH, &path, json!({ "send_at": "2026-11-24T13:00:00Z" })).await.0, 403);
    assert_eq!(
        story.server.send(Method::PATCH, &path, json!({ "subject": "t" })).await.0,
        200,
        "it is still sent then"
    );
    let now = json!({ "to": ["other@mailbell.test"], "subject": "s", "markdown": "m" });
    assert_eq!(story.server.send(Method::POST, &send, now).await.0, 202);
}

#[tokio::test]
async fn what_an_ai_wrote_says_so_where_the_mailbox_discloses_it() {
    let story = Story::start().await;
    let change = json!({ "ai_disclosure": 1, "signature_block": "The agent" });
    assert_eq!(story.server.send(Method::PATCH, AGENT, change).await.0, 200);
    let letter = json!({ "to": ["other@mailbell.test"], "subject": "s", "markdown": "Hello", "send_at": "2026-11-24T12:00:00Z" });
    let (_, sent) = story.server.send(Method::POST, &format!("{AGENT}/send"), letter).await;
    let id = mailbell::domain::id::MessageId::new(sent["id"].as_str().unwrap());
    let agent = story.post.mailbox("agent@mailbell.test").await;
    for subject in ["s", "t"] {
        let raw = story.post.raw(&agent.id, &id).await;
        assert!(raw.contains("\r\nX-AI-Disclosure: ai-generated\r\n"), "{raw}");
        let (_, read) = story.server.get(&format!("{AGENT}/emails/{id}")).await;
        assert_eq!(
            (&read["subject"], &read["markdown"]),
            (&json!(subject), &json!("Hello\n\nThis email was written by an AI agent.\n\n-- \nThe agent"),)
        );
        let path = format!("{AGENT}/emails/{id}/schedule");
        assert_eq!(story.server.send(Method::PATCH, &path, json!({ "subject": "t" })).await.0, 200);
    }
    assert!(story.post.store.standing(&agent.id, &id).await.unwrap().is_some());
}
