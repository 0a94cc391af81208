//! Closing the account: an operator has to want it, nothing of it stays, and a process that is killed over it goes on.

use mailbell::{domain::key::KeyScope, store::closing::Closing as _};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::{ApiServer, answer},
    clock::TestClock,
    post::{Post, letter},
};

const ACCOUNT: &str = "/v1/account";
/// More than a transaction erases.
const LETTERS: usize = 450;

/// A house with something of each sort in it, and a key that somebody made.
async fn full() -> (Post, ApiServer, TempDir, String) {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let server = ApiServer::start(post.api.clone()).await;
    let key = server.key("reader", &[KeyScope::Read, KeyScope::Admin]).await;
    for (path, body) in [
        ("/v1/domains", json!({ "domain": "added.test" })),
        ("/v1/mailboxes", json!({ "address": "ann@added.test" })),
        ("/v1/contacts", json!({ "name": "Zoe", "email": "zoe@a.test" })),
        ("/v1/webhooks", json!({ "url": "http://127.0.0.1:9/", "events": ["inbound"] })),
        ("/v1/webhooks", json!({ "url": "self", "events": ["inbound"], "mailbox": "ann@added.test" })),
    ] {
        let (status, said) = server.send(Method::POST, path, body).await;
        assert_eq!(status, 201, "{path}: {said}");
    }
    assert_eq!(server.order(Method::PATCH, ACCOUNT, json!({ "name": "Mine" })).await.0, 200);
    let gone = json!({ "address": "gone@a.test", "reason": "manual" });
    assert_eq!(server.send(Method::POST, "/v1/suppression", gone).await.0, 201);
    for _ in 0..3 {
        post.send(letter(&["ann@added.test"])).await;
    }
    while post.go_on().await {}
    post.fill(LETTERS).await;
    let later = letter(&["other@mailbell.test"]);
    post.send(mailbell::mail::submission::Letter { send_at: Some(post.clock_in(3600)), ..later }).await;
    (post, server, dir, key)
}

/// What is left of it.
async fn left(server: &ApiServer) -> Value {
    let listed = async |path: &str, name: &str, of: &str| -> Vec<Value> {
        let (_, listed) = server.get(path).await;
        listed[name].as_array().unwrap().iter().map(|one| one[of].clone()).collect()
    };
    json!({
        "mailboxes": listed("/v1/mailboxes", "mailboxes", "address").await,
        "webhooks": listed("/v1/webhooks", "webhooks", "endpoint_url").await,
        "domains": listed("/v1/domains", "domains", "domain").await,
        "contacts": listed("/v1/contacts", "contacts", "name").await,
        "keys": listed("/v1/api-keys", "api_keys", "name").await,
        "suppressed": listed("/v1/suppression", "suppressions", "email_address").await,
        "name": server.get(ACCOUNT).await.1["name"],
        "bytes": server.get(ACCOUNT).await.1["storage_used_bytes"],
    })
}

/// What stays is the house's, and those who asked not to be written to.
fn closed() -> Value {
    json!({
        "mailboxes": [], "webhooks": ["self"], "domains": ["mailbell.test", "xn--bcher-kva.test"], "contacts": [],
        "keys": ["api"], "suppressed": ["gone@a.test"], "name": "mailbell", "bytes": 0,
    })
}

#[tokio::test]
async fn a_key_s_wish_waits_and_an_operator_s_word_leaves_nothing() {
    let (post, server, _dir, key) = full().await;
    let before = left(&server).await;
    let by_key = || server.bare(Method::DELETE, ACCOUNT).bearer_auth(&key);
    let (status, held) = answer(by_key()).await;
    assert_eq!((status, &held["status"]), (202, &json!("pending_approval")));
    assert_eq!(answer(by_key()).await.1["action_id"], held["action_id"], "one is asked for");
    assert_eq!(left(&server).await, before, "nothing is done by that");
    let reader = server.key("reads", &[KeyScope::Read, KeyScope::Send]).await;
    assert_eq!(answer(server.bare(Method::DELETE, ACCOUNT).bearer_auth(&reader)).await.0, 403);

    let (status, done) = server.order(Method::DELETE, ACCOUNT, Value::Null).await;
    assert_eq!((status, &done["deleted"]), (200, &json!(true)));
    assert_eq!(left(&server).await, closed());
    assert_eq!(answer(by_key()).await.0, 401, "its key is no more");
    assert_eq!(server.get("/v1/oversight/pending").await.1["pending"], json!([]), "nor does anything wait");
    assert_eq!(post.rows_of_the_account().await, Vec::<String>::new());
    while post.go_on().await {}

    // It works like a fresh one.
    let mailbox = json!({ "address": "agent@mailbell.test" });
    assert_eq!(server.send(Method::POST, "/v1/mailboxes", mailbox).await.0, 201);
    post.send(letter(&["agent@mailbell.test"])).await;
    while post.go_on().await {}
    assert_eq!(post.inbox("agent@mailbell.test").await.len(), 2, "one sent, one received");
}

#[tokio::test]
async fn who_is_killed_over_it_goes_on_at_the_next_start() {
    let (post, server, _dir, _) = full().await;
    post.store.begin_closing(post.clock_in(0)).await.unwrap();
    assert!(post.store.erase_some().await.unwrap());
    assert_ne!(left(&server).await, closed(), "a transaction is bounded");
    // As a killed process leaves it: `reopened` makes the mailboxes and the webhook that every new house has.
    let post = post.reopened().await;
    let server = ApiServer::start(post.api.clone()).await;
    let mut fresh = closed();
    fresh["mailboxes"] = json!(["agent@mailbell.test", "other@mailbell.test"]);
    assert_eq!(left(&server).await, fresh);
    assert!(!post.store.is_closing().await.unwrap(), "it is done");
}
