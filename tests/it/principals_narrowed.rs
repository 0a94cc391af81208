//! Principals: a token that is narrowed to some mailboxes or to reading, over every tool and resource; and whose session is
//! whose.

use std::sync::Arc;

use async_trait::async_trait;
use mailbell::{
    domain::{
        event::NewEvent,
        grant::{Grant, Mailboxes, May},
        secret::Secret,
    },
    http::mcp::{Gate, router},
    mcp::{Limits, Principal, over_http::Reach},
};
use rmcp::{
    model::{GetPromptRequestParams, ReadResourceRequestParams},
    transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{
    agent::{Agent, Era, Wing, inbound},
    mail_api::email,
};

const MINE: &str = "mine@mailbell.test";
const THEIRS: &str = "agent@mailbell.test";
const LIMITS: Limits = Limits { calls_per_minute_max: 1_000, waits_max: 2, sessions_max: 2, subscriptions_max: 4 };

/// Two principals: one that sees its own mailbox, one that sees all and may only read.
struct Two {
    narrowed: Principal,
    reader: Principal,
}

#[async_trait]
impl Gate for Two {
    async fn admit(&self, token: &Secret) -> Option<Principal> {
        match token.expose() {
            "narrowed" => Some(self.narrowed.clone()),
            "reader" => Some(self.reader.clone()),
            _ => None,
        }
    }
}

struct Listening {
    base: String,
    gate: Arc<Two>,
    _shutdown: DropGuard,
}

async fn listen(wing: &Wing) -> Listening {
    let narrowed = Grant { mailboxes: Mailboxes::only(vec![MINE.into()]), ..Grant::default() };
    let reader = Grant { may: May::Read, ..Grant::default() };
    let gate = Arc::new(Two {
        narrowed: Principal::granted("narrowed", narrowed, LIMITS),
        reader: Principal::granted("reader", reader, LIMITS),
    });
    let shutdown = CancellationToken::new();
    let router = router(wing.server(), gate.clone(), Reach::default(), shutdown.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Listening { base, gate, _shutdown: shutdown.drop_guard() }
}

async fn agent(listening: &Listening, token: &str, era: Era) -> Agent {
    let config = StreamableHttpClientTransportConfig::with_uri(format!("{}/mcp", listening.base)).auth_header(token);
    Agent::connect(StreamableHttpClientTransport::from_config(config), era).await
}

fn mine(number: u32) -> NewEvent {
    NewEvent { mailbox: Some(MINE.into()), ..inbound(number, "Mine") }
}

/// One mailbox is the narrowed principal's, the other is not; each has a message, and its event.
async fn wing() -> Wing {
    let wing = Wing::start().await;
    wing.api.add_mailbox("mbx_2", MINE);
    // A file too large to be shown needs no more of the API to be told of.
    for (mailbox, mut message) in
        [("mbx_1", email("em_1", "thr_1", 1, "THEIRS", "text")), ("mbx_2", email("em_2", "thr_2", 2, "Mine", "text"))]
    {
        message["attachments"] = json!([{ "name": "a.iso", "size": 1 << 30, "content_type": "application/x-iso" }]);
        wing.api.add_email(mailbox, message);
    }
    wing.happens(vec![inbound(1, "THEIRS"), mine(2)]).await;
    wing
}

#[tokio::test]
async fn a_narrowed_token_reaches_its_mailboxes_alone_by_every_tool() {
    let wing = wing().await;
    let listening = listen(&wing).await;
    let agent = agent(&listening, "narrowed", Era::Modern).await;
    let theirs = [
        ("wait_for_event", json!({ "mailbox": THEIRS, "timeout_secs": 0 }), "no mailbox"),
        ("list_events", json!({ "mailbox": THEIRS }), "no mailbox"),
        ("ack_event", json!({ "lease_token": "lt_nobody" }), "does not hold"),
        ("list_mailboxes", json!({}), ""),
        ("check_inbox", json!({ "mailbox": THEIRS }), "no mailbox"),
        ("read_email", json!({ "message_id": "em_1" }), "no message"),
        ("get_thread", json!({ "thread_id": "thr_1" }), "no thread"),
        ("tag_email", json!({ "message_id": "em_1", "tags": ["x"] }), "no message"),
        ("send_email", json!({ "mailbox": THEIRS, "to": ["b@c.test"], "subject": "s", "markdown": "m" }), "no mailbox"),
        ("reply_email", json!({ "message_id": "em_1", "markdown": "m" }), "no message"),
        ("schedule_retry", json!({ "message_id": "em_1", "recipient": "b@c.test" }), "no message"),
        ("suppress_address", json!({ "address": "b@c.test" }), "whole account"),
        ("list_suppressions", json!({}), "whole account"),
        ("register_webhook", json!({ "mailbox": THEIRS }), "no mailbox"),
        ("list_webhooks", json!({}), ""),
        ("delete_webhook", json!({ "webhook_id": "wh_1" }), "no webhook"),
        ("test_webhook", json!({ "webhook_id": "wh_1" }), "no webhook"),
        ("list_webhook_deliveries", json!({}), "needs"),
        ("replay_delivery", json!({ "delivery_id": "dlv_1" }), "whole account"),
    ];
    let mut named: Vec<&str> = theirs.iter().map(|(tool, ..)| *tool).collect();
    let mut all: Vec<String> = mailbell::mcp::published_tools().iter().map(|tool| tool.name.to_string()).collect();
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all, "every tool has its line");

    for (tool, arguments, refusal) in theirs {
        let told = if refusal.is_empty() {
            agent.call(tool, arguments).await.to_string()
        } else {
            let told = agent.refused(tool, arguments).await;
            assert!(told.contains(refusal), "{tool}: {told}");
            told
        };
        assert!(!told.contains("THEIRS"), "{tool}: {told}");
    }
    for arguments in [json!({}), json!({ "domain": "mailbell.test" })] {
        for scope in ["register_webhook"] {
            assert!(agent.refused(scope, arguments.clone()).await.contains("`mailbox`"));
        }
    }
    for (arguments, told) in [
        (json!({ "event_id": "evt_1" }), "there is no inbound event"),
        (json!({ "event_id": "1" }), "there is no inbound event"),
        (json!({ "mailbox": THEIRS }), "no mailbox"),
        (json!({ "event_id": "2", "mailbox": MINE }), ""),
    ] {
        let params =
            GetPromptRequestParams::new("triage_inbound").with_arguments(arguments.as_object().unwrap().clone());
        let asked = agent.client.get_prompt(params).await.map_err(|error| error.to_string());
        match told {
            "" => assert!(asked.is_ok(), "{asked:?}"),
            told => assert!(asked.as_ref().unwrap_err().contains(told), "{arguments}: {asked:?}"),
        }
        assert!(!format!("{asked:?}").contains("THEIRS"));
    }
    for (uri, there) in [
        ("mailbell://events/1", false),
        ("mailbell://events/2", true),
        ("mailbell://mailboxes/agent@mailbell.test/events", false),
        ("mailbell://mailboxes/mine@mailbell.test/events", true),
        ("mailbell://threads/thr_1", false),
        ("mailbell://messages/em_1", false),
        ("mailbell://messages/em_1/attachments/1", false),
        ("mailbell://messages/em_2", true),
        ("mailbell://messages/em_2/attachments/1", true),
        ("mailbell://webhooks/wh_1/deliveries", false),
        ("mailbell://events", true),
    ] {
        let read = agent.client.read_resource(ReadResourceRequestParams::new(uri)).await;
        assert_eq!(read.is_ok(), there, "{uri}: {read:?}");
        assert!(!format!("{read:?}").contains("THEIRS"), "{uri}");
    }
    let listed = agent.client.list_all_resources().await.unwrap();
    assert!(!format!("{listed:?}").contains(THEIRS), "{listed:?}");

    // And its own mailbox is all there is.
    let waited = agent.call("wait_for_event", json!({})).await;
    assert_eq!((waited["events"].as_array().unwrap().len(), &waited["events"][0]["event_id"]), (1, &json!("evt_2")));
    assert_eq!(waited.get("backlog").filter(|backlog| !backlog.is_null()), None, "it counts what others have");
    let listed = agent.call("list_events", json!({})).await;
    assert_eq!(listed["events"].as_array().unwrap().len(), 1);
    let inbox = agent.call("check_inbox", json!({})).await;
    assert_eq!(inbox["messages"].as_array().unwrap().len(), 1);
    let mailboxes = agent.call("list_mailboxes", json!({})).await;
    assert_eq!(mailboxes["mailboxes"].as_array().unwrap().len(), 1);
    agent.try_call("send_email", json!({ "to": ["b@c.test"], "subject": "s", "markdown": "m" })).await;
    assert!(wing.api.asked().iter().any(|asked| asked.path == "/v1/mailboxes/mbx_2/send"), "from its only mailbox");
    let acting = wing.api.asked();
    assert!(!acting.iter().any(|asked| asked.path.contains("mbx_1") && asked.body != Value::Null), "{acting:?}");
}

#[tokio::test]
async fn a_token_that_may_read_changes_nothing() {
    let wing = wing().await;
    let listening = listen(&wing).await;
    let agent = agent(&listening, "reader", Era::Modern).await;
    let mut changing = Vec::new();
    for (tool, arguments) in [
        ("wait_for_event", json!({ "timeout_secs": 0 })),
        ("ack_event", json!({ "lease_token": "lt_1" })),
        ("tag_email", json!({ "message_id": "em_1", "tags": ["x"] })),
        ("send_email", json!({ "mailbox": MINE, "to": ["b@c.test"], "subject": "s", "markdown": "m" })),
        ("reply_email", json!({ "message_id": "em_1", "markdown": "m" })),
        ("schedule_retry", json!({ "message_id": "em_1", "recipient": "b@c.test" })),
        ("suppress_address", json!({ "address": "b@c.test" })),
        ("register_webhook", json!({})),
        ("delete_webhook", json!({ "webhook_id": "wh_1" })),
        ("test_webhook", json!({ "webhook_id": "wh_1" })),
        ("replay_delivery", json!({ "delivery_id": "dlv_1" })),
    ] {
        let told = agent.refused(tool, arguments).await;
        assert!(told.contains("may only read"), "{tool}: {told}");
        changing.push(tool);
    }
    let annotated = mailbell::mcp::published_tools();
    let annotated = annotated
        .iter()
        .filter(|tool| tool.annotations.as_ref().unwrap().read_only_hint != Some(true) && tool.name != "read_email");
    assert_eq!(annotated.count(), changing.len(), "every tool that changes something has its line");
    assert_eq!(
        agent.call("wait_for_event", json!({ "after": "earliest" })).await["events"].as_array().unwrap().len(),
        2
    );
    agent.call("read_email", json!({ "message_id": "em_1" })).await;
    assert!(wing.api.asked().iter().all(|asked| asked.body == Value::Null), "nothing was asked for that changes");
}

#[tokio::test]
async fn a_lease_is_its_principal_s() {
    let wing = wing().await;
    let listening = listen(&wing).await;
    let first = agent(&listening, "narrowed", Era::Modern).await;
    let token = first.call("wait_for_event", json!({})).await["lease_token"].clone();
    let Listening { gate, .. } = &listening;
    assert_eq!(gate.reader.name(), Some("reader"));
    // As a process of this user, which needs no token, it may: it was handed the lease.
    let told =
        agent(&listening, "reader", Era::Modern).await.refused("ack_event", json!({ "lease_token": token })).await;
    assert!(told.contains("may only read"), "{told}");
    first.call("ack_event", json!({ "lease_token": token })).await;
}

#[tokio::test]
async fn sessions_belong_to_their_principal_and_are_counted() {
    let wing = wing().await;
    let listening = listen(&wing).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let post = |token: &'static str, session: Option<String>| {
        let request = http
            .post(format!("{}/mcp", listening.base))
            .bearer_auth(token)
            .header("accept", "application/json, text/event-stream")
            .json(&initialize);
        let request = match session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        };
        async move { request.send().await.unwrap() }
    };
    let opened = post("reader", None).await;
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    assert_eq!(post("narrowed", Some(session.clone())).await.status().as_u16(), 404, "as if it were not there");
    assert_eq!(post("reader", None).await.status().as_u16(), 200);
    let third = post("reader", None).await;
    assert_eq!(third.status().as_u16(), 429);
    assert!(third.text().await.unwrap().contains("mcp.sessions_max"));
    assert_eq!(post("narrowed", None).await.status().as_u16(), 200, "others have their own");
    let ended = http.delete(format!("{}/mcp", listening.base)).bearer_auth("reader").header("mcp-session-id", session);
    assert!(ended.send().await.unwrap().status().is_success());
    assert_eq!(post("reader", None).await.status().as_u16(), 200, "one has ended");
}

#[tokio::test]
async fn waits_and_calls_are_counted_by_principal() {
    let wing = wing().await;
    let listening = listen(&wing).await;
    let agent = Arc::new(agent(&listening, "reader", Era::Modern).await);
    let before = wing.clock.sleepers();
    let wait = |agent: Arc<Agent>| {
        tokio::spawn(
            async move { agent.try_call("wait_for_event", json!({ "after": "now", "timeout_secs": 50 })).await },
        )
    };
    let _two = [wait(agent.clone()), wait(agent.clone())];
    // Each sleeps until its timeout, and until its next beat of progress.
    while wing.clock.sleepers() < before + 4 {
        tokio::task::yield_now().await;
    }
    let third = agent.refused("wait_for_event", json!({ "after": "now" })).await;
    assert!(third.contains("2 waits in progress"), "{third}");
    let mut told = String::new();
    for _ in 0..LIMITS.calls_per_minute_max {
        let listed = agent.try_call("list_events", json!({ "limit": 1 })).await;
        if listed.is_error == Some(true) {
            told = crate::support::agent::text(&listed);
            break;
        }
    }
    assert!(told.contains("1000 times a minute"), "{told}");
    wing.clock.advance(std::time::Duration::from_secs(61));
    agent.call("list_events", json!({})).await;
}
