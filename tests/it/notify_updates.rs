//! Clients are told which resource has changed, in both protocols, over stdio and HTTP: what they asked for and nothing else,
//! at their own pace.

use std::{sync::Arc, time::Duration};

use mailbell::{
    domain::{event::NewEvent, id::EventId, secret::Secret},
    http::mcp::{Gate, router},
    mcp::{Principal, over_http::Reach},
};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{
    agent::{Era, Wing, inbound},
    http,
    wire::Wire,
};

const EVENTS: &str = "mailbell://events";
const MAILBOX: &str = "mailbell://mailboxes/agent@mailbell.test/events";
/// Rounds of notifications are less apart, and a new stream looks less far back.
const A_WHILE: Duration = Duration::from_secs(3);

struct Anyone;

#[async_trait::async_trait]
impl Gate for Anyone {
    async fn admit(&self, token: &Secret) -> Option<Principal> {
        Some(Principal::new(token.expose()))
    }
}

async fn listen(wing: &Wing) -> (String, DropGuard) {
    let shutdown = CancellationToken::new();
    let router = router(wing.server(), Arc::new(Anyone), Reach::default(), shutdown.clone());
    (format!("http://{}", http::serve(router).await), shutdown.drop_guard())
}

/// Speaks with a wing.
async fn speak(wing: &Wing, base: &str, era: Era, http: bool) -> Wire {
    if http { Wire::http(base, "token", era).await } else { Wire::stdio(wing.server(), era).await }
}

fn elsewhere(number: u32) -> NewEvent {
    NewEvent { mailbox: Some("other@mailbell.test".into()), ..inbound(number, "Elsewhere") }
}

#[tokio::test]
async fn a_client_hears_of_what_it_follows_and_of_nothing_else() {
    let ways = [(Era::Legacy, false), (Era::Legacy, true), (Era::Modern, false), (Era::Modern, true)];
    for (number, (era, http)) in (1u32..).zip(ways) {
        // A wing for each: a stream that begins looks back, and would hear of what came to another.
        let wing = Wing::start().await;
        let (base, _listening) = listen(&wing).await;
        let mut wire = speak(&wing, &base, era, http).await;
        let (thread, message) =
            (format!("mailbell://threads/thr_{number}"), format!("mailbell://messages/em_{number}"));
        let odd = "mailbell://mailboxes/%41gent@MAILBELL.test/events";
        let mut followed = [EVENTS, MAILBOX, odd, &thread, &message, "mailbell://threads/thr_9"];
        wire.subscribe(&followed).await;
        wing.happens(vec![inbound(number, "Hi")]).await;
        let mut told = Vec::new();
        for _ in 0..5 {
            told.push(updated(&wing, &mut wire).await);
        }
        followed[..5].sort_unstable();
        assert_eq!(told, followed[..5], "each by the address that the client wrote");
        wing.clock.advance(A_WHILE);
        // Of another mailbox, then of this thread again: of the first, it hears as one of all events.
        wing.happens(vec![elsewhere(100 + number)]).await;
        assert_eq!(updated(&wing, &mut wire).await, EVENTS);
        wing.clock.advance(A_WHILE);
        let event_id = EventId::new(format!("evt_again_{number}"));
        wing.happens(vec![NewEvent { event_id, mailbox: None, message_id: None, ..inbound(number, "Hi") }]).await;
        assert_eq!([updated(&wing, &mut wire).await, updated(&wing, &mut wire).await], [EVENTS, &thread]);
        wing.clock.advance(A_WHILE);
    }
}

/// The next update, while time goes on.
async fn updated(wing: &Wing, wire: &mut Wire) -> String {
    for _ in 0..40 {
        if let Ok(uri) = tokio::time::timeout(Duration::from_millis(500), wire.updated()).await {
            return uri;
        }
        wing.clock.advance(A_WHILE);
    }
    panic!("nothing is told");
}

#[tokio::test]
async fn what_an_older_client_gives_up_it_hears_of_no_more() {
    let wing = Wing::start().await;
    let mut wire = Wire::stdio(wing.server(), Era::Legacy).await;
    wire.subscribe(&[EVENTS, MAILBOX, EVENTS]).await;
    wire.ask("resources/unsubscribe", json!({ "uri": EVENTS })).await;
    let never = wire.ask("resources/unsubscribe", json!({ "uri": "mailbell://events/8" })).await;
    assert!(never["result"].is_object(), "{never}");
    wing.happens(vec![inbound(1, "Hi")]).await;
    assert_eq!(wire.updated().await, MAILBOX);
    for (uri, said) in [
        ("mailbell://events/1", "nothing is told of changes"),
        ("mailbell://webhooks/wh_1/deliveries", "nothing is told of changes"),
        ("mailbell://nothing", "there is no resource"),
        ("mailbell://mailboxes/OBEY/events", "mailbox"),
    ] {
        let error = wire.ask("resources/subscribe", json!({ "uri": uri })).await["error"].clone();
        assert!(error["message"].as_str().unwrap().contains(said), "{uri}: {error}");
    }
    assert_eq!(wire.told_so_far(), [json!(null); 0]);
}

#[tokio::test]
async fn a_stream_tells_what_it_accepts_and_names_itself() {
    let wing = Wing::start().await;
    let mut wire = Wire::stdio(wing.server(), Era::Modern).await;
    let filter = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": [EVENTS, "mailbell://events/1", "mailbell://nothing", "https://elsewhere.test"] });
    let id = wire.begin("subscriptions/listen", json!({ "notifications": filter })).await;
    let accepted = wire.told().await;
    assert_eq!(
        accepted["params"]["notifications"],
        json!({ "resourcesListChanged": true, "resourceSubscriptions": [EVENTS] })
    );
    wing.happens(vec![inbound(1, "Hi")]).await;
    let told = wire.told().await;
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id, "{told}");
    assert_eq!(told["params"].as_object().unwrap().len(), 2, "an address and whose it is: {told}");
}

#[tokio::test]
async fn a_burst_is_told_as_one_and_a_client_that_does_not_read_holds_up_nobody() {
    let wing = Wing::start().await;
    let (base, _listening) = listen(&wing).await;
    // Two that do not read: one has a session without a stream, and one a stream that it never takes anything from.
    let mut deaf = Wire::http_without_stream(&base, "deaf", Era::Legacy).await;
    let threads: Vec<String> = (1..=300).map(|number| format!("mailbell://threads/thr_{number}")).collect();
    let all: Vec<&str> = threads.iter().map(String::as_str).chain([EVENTS]).collect();
    deaf.subscribe(&all[280..]).await;
    let mut stuck = stuck(&base, &all).await;
    let mut reader = Wire::http(&base, "reader", Era::Modern).await;
    reader.subscribe(&[EVENTS]).await;
    for hundred in 0..3 {
        wing.happens((1..=100).map(|number| inbound(hundred * 100 + number, "Hi")).collect()).await;
    }
    assert_eq!(reader.updated().await, EVENTS);
    wing.happens(vec![inbound(1_000, "Hi")]).await;
    // No time has passed: what came meanwhile waits, as one.
    assert_eq!(reader.told_so_far(), [json!(null); 0]);
    for number in 1_001..1_010 {
        wing.clock.advance(A_WHILE);
        assert_eq!(reader.updated().await, EVENTS);
        wing.happens(vec![inbound(number, "Hi")]).await;
    }
    // Its other requests are answered all the while.
    let answer = deaf.ask("tools/call", json!({ "name": "list_events", "arguments": { "limit": 1 } })).await;
    assert_eq!(answer["result"]["isError"], json!(false), "{answer}");
    let first = stuck.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("acknowledged"), "it was there all the while");
}

/// A stream of the newer protocol that nobody reads.
async fn stuck(base: &str, uris: &[&str]) -> reqwest::Response {
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
        "params": { "notifications": { "resourceSubscriptions": uris }, "_meta": meta } });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = client.post(format!("{base}/mcp")).bearer_auth("stuck").json(&body);
    let post =
        post.header("accept", "application/json, text/event-stream").header("mcp-protocol-version", "2026-07-28");
    post.header("mcp-method", "subscriptions/listen").send().await.unwrap()
}

#[tokio::test]
async fn what_happens_after_the_answer_is_told_whenever_that_is() {
    let wing = Wing::start().await;
    let (base, _listening) = listen(&wing).await;
    // Each time from nobody being told to somebody: the log is followed anew, and nothing may fall between.
    for number in 1..=40 {
        let mut wire = Wire::http(&base, "token", Era::BOTH[number as usize % 2]).await;
        let message = format!("mailbell://messages/em_{number}");
        wire.subscribe(&[&message]).await;
        wing.happens(vec![inbound(number, "Hi")]).await;
        assert_eq!(wire.updated().await, message);
    }
}

#[tokio::test]
async fn an_older_client_without_a_stream_loses_no_resource() {
    let wing = Wing::start().await;
    let (base, _listening) = listen(&wing).await;
    let mut wire = Wire::http_without_stream(&base, "token", Era::Legacy).await;
    wire.subscribe(&[EVENTS, MAILBOX]).await;
    for number in 1..=30 {
        wing.happens(vec![inbound(number, "Hi")]).await;
    }
    wing.happens(vec![elsewhere(31)]).await;
    // What is kept for it is told when it opens its stream.
    wire.open_stream().await;
    let mut told = vec![wire.updated().await, wire.updated().await];
    told.sort_unstable();
    assert_eq!(told, [EVENTS, MAILBOX]);
}
