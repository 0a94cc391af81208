//! How a mailbox is set through the API, and what that means for what it sends.

use mailbell::domain::key::KeyScope;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::{ApiServer, answer},
    clock::TestClock,
    post::Post,
};

const AGENT: &str = "/v1/mailboxes/agent@mailbell.test";
const SEND: &str = "/v1/mailboxes/agent@mailbell.test/send";

async fn story() -> (Post, ApiServer, TempDir) {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let server = ApiServer::start(post.api.clone()).await;
    (post, server, dir)
}

async fn operator(server: &ApiServer) -> String {
    server.key("operator", &[KeyScope::Admin, KeyScope::Oversight]).await
}

fn letter() -> Value {
    json!({ "to": ["agent@mailbell.test"], "subject": "Hello", "markdown": "Hi" })
}

#[tokio::test]
async fn what_a_mailbox_sends_carries_its_name_its_copies_and_its_signature() {
    let (post, server, _dir) = story().await;
    let operator = operator(&server).await;
    let change = json!({ "display_name": "Agent Smith", "auto_cc": "agent@mailbell.test",
        "auto_bcc": "other@mailbell.test", "signature_block": "Agent Smith, Example", "favourite_colour": "blue" });
    let (status, changed) = answer(server.bare(Method::PATCH, AGENT).bearer_auth(&operator).json(&change)).await;
    assert_eq!(
        (status, &changed["status"], &changed["ignored"]),
        (200, &json!("updated"), &json!(["favourite_colour"]))
    );
    let (_, shown) = server.get(AGENT).await;
    assert_eq!(
        (&shown["display_name"], &shown["signature_block"]),
        (&json!("Agent Smith"), &json!("Agent Smith, Example"))
    );
    assert_eq!((&shown["auto_bcc"], &shown["mcp_configured"]), (&json!("other@mailbell.test"), &json!(1)));

    assert_eq!(server.send(Method::POST, SEND, letter()).await.0, 202);
    while post.go_on().await {}
    let (_, inbox) = server.get("/v1/inbox?mailbox=other@mailbell.test").await;
    let got = &inbox["emails"][0];
    assert_eq!(
        (&got["from_name"], &got["cc"]),
        (&json!("Agent Smith"), &json!([])),
        "who is in To gets no second copy"
    );
    let (_, read) = server.get(&format!("/v1/emails/{}", got["id"].as_str().unwrap())).await;
    assert!(read["markdown"].as_str().unwrap().ends_with("-- \nAgent Smith, Example"), "{read}");

    let nothing = json!({ "auto_bcc": null, "signature_block": "" });
    assert_eq!(server.order(Method::PATCH, &format!("{AGENT}/configure"), nothing).await.0, 200);
    let (_, shown) = server.get(AGENT).await;
    assert_eq!((&shown["auto_bcc"], &shown["signature_block"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["auto_cc"], "agent@mailbell.test", "what is not named stays");
    let done = json!({ "mcp_configured": 1 });
    assert_eq!(server.send(Method::PATCH, &format!("{AGENT}/configure"), done).await.0, 200);
}

#[tokio::test]
async fn a_mode_is_an_operator_s_to_change() {
    let (_post, server, _dir) = story().await;
    let set = |mode: &str| json!({ "oversight_mode": mode });
    assert_eq!(server.get(AGENT).await.1["oversight_mode"], "monitored", "until somebody sets it");
    let (status, held) = server.send(Method::PATCH, AGENT, set("autonomous")).await;
    assert_eq!((status, &held["status"]), (202, &json!("pending_approval")), "not by whom it binds");
    assert_eq!(server.get(AGENT).await.1["oversight_mode"], "monitored");
    assert_eq!(server.order(Method::PATCH, AGENT, set("read_only")).await.0, 200);
    let (status, refused) = server.send(Method::POST, SEND, letter()).await;
    assert_eq!(status, 403);
    assert!(refused["error"].as_str().unwrap().contains("read_only"), "{refused}");
    let operator = operator(&server).await;
    let by_operator = server.bare(Method::PATCH, AGENT).bearer_auth(&operator).json(&set("monitored"));
    assert_eq!(answer(by_operator).await.0, 200);
    let (status, taken) = server.send(Method::POST, SEND, letter()).await;
    assert_eq!((status, &taken["status"]), (202, &json!("pending_scan")));
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_whole() {
    let (_post, server, _dir) = story().await;
    for wrong in [
        json!({}),
        json!({ "favourite_colour": "blue" }),
        json!({ "scheduling_enabled": 2 }),
        json!({ "default_gate_timing": "later" }),
        json!({ "oversight_mode": "free" }),
        json!({ "auto_cc": "nobody" }),
        json!({ "signature_block": "x".repeat(201) }),
        json!({ "display_name": "a\nb" }),
        json!({ "track_opens": "yes" }),
        json!({ "display_name": "New", "auto_cc": "a b" }),
    ] {
        assert_eq!(server.order(Method::PATCH, AGENT, wrong.clone()).await.0, 400, "{wrong}");
    }
    assert_eq!(server.get(AGENT).await.1["display_name"], Value::Null);
    let reader = server.key("reader", &[KeyScope::Read, KeyScope::Send]).await;
    let change = server.bare(Method::PATCH, AGENT).bearer_auth(&reader).json(&json!({ "display_name": "x" }));
    assert_eq!(answer(change).await.0, 403);
}
