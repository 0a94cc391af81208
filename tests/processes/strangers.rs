//! Somebody else takes the port of a keeper that has gone: no token goes there.

use std::{
    fs::File,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, http::Request};
use serde_json::json;

use crate::support::{Agent, keeps, published, serve, until};

/// Notes what it is asked, and answers in the shape of a proof.
async fn note(State(asked): State<Arc<Mutex<Vec<String>>>>, request: Request<axum::body::Body>) -> String {
    asked.lock().expect("not poisoned").push(format!("{} {:?}", request.uri(), request.headers()));
    "f".repeat(64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_at_the_published_address_is_told_no_token() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (mut keeper, ready) = serve(dir, &[]).await;
    let agent = Agent::start(dir).await;
    agent.insist("check_inbox", json!({})).await;

    // A `serve` that waits and does not begin, so that nobody takes over.
    let claim = File::options().write(true).open(dir.join("serve.lock")).expect("there");
    claim.lock().expect("locked");
    keeper.kill().await;
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let address = ready["api"].as_str().expect("an address").trim_start_matches("http://").to_owned();
    let listener = tokio::net::TcpListener::bind(&address).await.expect("the port is free");
    let router = Router::new().fallback(note).with_state(asked.clone());
    let stranger = tokio::spawn(async move { axum::serve(listener, router).await });

    let refused = agent.call("check_inbox", json!({})).await.expect_err("it is no keeper");
    assert!(refused.contains("is not this data directory's keeper"), "{refused}");
    let token = std::fs::read_to_string(dir.join("tokens/api")).expect("a token");
    for request in &*asked.lock().expect("not poisoned") {
        assert!(!request.contains("authorization") && !request.contains(token.trim()), "{request}");
        assert!(request.starts_with("/keeper/"), "{request}");
    }
    assert!(!asked.lock().expect("not poisoned").is_empty(), "it was asked");

    drop(claim);
    keeps(dir, agent.process.pid()).await;
    assert_ne!(published(dir)["api"], ready["api"], "the stranger has that port");
    until("an answer", async || agent.call("check_inbox", json!({})).await.is_ok()).await;
    stranger.abort();
}
