//! `mailbell mcp --connect`: stdio for a `serve` that runs elsewhere.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rmcp::{
    ClientHandler, RoleClient, ServiceExt as _,
    model::{CallToolRequest, CallToolRequestParams, ClientRequest, ProgressNotificationParam},
    service::{NotificationContext, PeerRequestOptions},
};
use serde_json::{Value, json};

use crate::support::{Agent, Running, add_source, http, post, run, serve, until};

/// A bridge to the house at `url`, in an environment without any data directory.
fn bridge(url: &str, token: &str) -> Running {
    Running::start(&["mcp", "--connect", url], &[("MAILBELL_TOKEN", token), ("XDG_DATA_HOME", "/nonexistent")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_serves_every_tool_and_outlives_a_restart_of_the_house() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (mut house, ready) = serve(dir, &[]).await;
    add_source(dir).await;
    let token = run(dir, &["token", "show", "mcp"], "").await;
    let url = ready["mcp"].as_str().expect("an address");
    let agent = Agent::of(bridge(url, token.trim())).await;
    let tools = agent.client.list_all_tools().await.expect("listed");
    assert!(tools.iter().any(|tool| tool.name == "wait_for_event"));
    agent.call("check_inbox", json!({})).await.expect("answered");
    assert!(agent.call("read_email", json!({ "message_id": "em_none" })).await.is_err());

    house.kill().await;
    let at = url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    // Said while nobody listens: the bridge offers it again until the house is back.
    let same = ["--mcp-addr", &at];
    let (listed, (_house, again)) = tokio::join!(agent.call("list_events", json!({})), serve(dir, &same));
    assert_eq!(again["mcp"], ready["mcp"]);
    listed.expect("a session anew, and the answer");
    agent.call("check_inbox", json!({})).await.expect("answered");
    assert!(post(&http(), dir, "evt_1").await);
    let waited = agent.call("wait_for_event", json!({ "consumer": "c", "kinds": ["delivery"] })).await.expect("woken");
    assert_eq!(waited["events"][0]["event_id"], "evt_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_in_a_sentence() {
    let home = tempfile::tempdir().expect("a directory");
    let (_house, ready) = serve(home.path(), &[]).await;
    let mut refused = bridge(ready["mcp"].as_str().expect("an address"), "mb_mcp_wrong");
    let told = ().serve(refused.pipes()).await.expect_err("it is not let in").to_string();
    assert!(told.contains("does not accept the token"), "{told}");
    assert!(!refused.ended().await);
    refused.says("set MAILBELL_TOKEN").await;
    assert!(!refused.said().contains("mb_mcp_wrong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_house_is_told_apart_from_what_is_not_there() {
    let home = tempfile::tempdir().expect("a directory");
    let (_house, ready) = serve(home.path(), &[]).await;
    let console = format!("{}/mcp", ready["console"].as_str().expect("an address"));
    let mut wrong = bridge(&console, "x");
    assert!(().serve(wrong.pipes()).await.is_err());
    wrong.says("does not answer as a mailbell").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let mut nobody = bridge(&format!("http://{free}/mcp"), "x");
    let told = ().serve(nobody.pipes()).await.expect_err("nobody is there").to_string();
    assert!(told.contains("could not reach"), "{told}");
    assert!(!nobody.ended().await);
}

#[derive(Clone, Default)]
struct Listener(Arc<Mutex<u32>>);

impl ClientHandler for Listener {
    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        *self.0.lock().expect("not poisoned") += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_comes_through_and_a_cancelled_wait_leases_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (_house, ready) = serve(dir, &[]).await;
    add_source(dir).await;
    let token = run(dir, &["token", "show", "mcp"], "").await;
    let mut running = bridge(ready["mcp"].as_str().expect("an address"), token.trim());
    let heard = Listener::default();
    let client = heard.clone().serve(running.pipes()).await.expect("an MCP server");
    let arguments: Value = json!({ "consumer": "c", "kinds": ["delivery"], "timeout_secs": 40, "lease_secs": 600 });
    let wait = CallToolRequestParams::new("wait_for_event").with_arguments(arguments.as_object().expect("one").clone());
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(wait));
    let waiting = client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.expect("sent");
    // rmcp's client asks for progress with every request; the first beat goes out as soon as the wait sleeps.
    until("progress", async || *heard.0.lock().expect("not poisoned") > 0).await;
    waiting.cancel(Some("enough".into())).await.expect("cancelled");

    let other = Agent::start(dir).await;
    tokio::time::timeout(Duration::from_secs(30), async {
        // Until the cancellation is through, the wait may still be there to be handed an event.
        for n in 0.. {
            assert!(post(&http(), dir, &format!("evt_{n}")).await);
            let look = json!({ "consumer": "c", "timeout_secs": 1 });
            let events = other.call("wait_for_event", look).await.expect("looked")["events"].clone();
            if events.as_array().expect("a list").iter().any(|event| event["event_id"] == format!("evt_{n}")) {
                assert!(n <= 1, "the cancelled wait took {n} events");
                break;
            }
        }
    })
    .await
    .expect("the cancelled wait holds the events");
}
