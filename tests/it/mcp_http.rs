//! MCP over Streamable HTTP: who is let in, and that both eras find the same tools.

use std::sync::Arc;

use async_trait::async_trait;
use axum::serve::ListenerExt as _;
use mailbell::{
    domain::secret::Secret,
    http::mcp::{Gate, router},
    mcp::{Principal, over_http::Reach},
};
use rmcp::{
    model::{CallToolRequest, CallToolRequestParams, ClientRequest},
    service::PeerRequestOptions,
    transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{
    agent::{Agent, Era, Wing, inbound},
    mail_api::email,
};

const TOKEN: &str = "mb_mcp_right";

struct Only;

#[async_trait]
impl Gate for Only {
    async fn admit(&self, token: &Secret) -> Option<Principal> {
        (token.expose() == TOKEN).then(|| Principal::new("mcp"))
    }
}

struct Listening {
    base: String,
    _shutdown: DropGuard,
}

async fn listen(wing: &Wing) -> Listening {
    let shutdown = CancellationToken::new();
    let reach = Reach {
        allowed_hosts: vec!["bell.example.com".into()],
        allowed_origins: vec!["https://app.example.com:443".into()],
        ..Reach::default()
    };
    let router = router(wing.server(), Arc::new(Only), reach, shutdown.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Listening { base, _shutdown: shutdown.drop_guard() }
}

async fn agent(listening: &Listening, era: Era) -> Agent {
    let config = StreamableHttpClientTransportConfig::with_uri(format!("{}/mcp", listening.base)).auth_header(TOKEN);
    Agent::connect(StreamableHttpClientTransport::from_config(config), era).await
}

#[tokio::test]
async fn both_eras_run_the_loop() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        wing.api.add_email("mbx_1", email("em_1", "thr_1", 1, "Hi", "text"));
        wing.happens(vec![inbound(1, "Hi")]).await;
        let listening = listen(&wing).await;
        let mut agent = agent(&listening, era).await;
        assert_eq!(agent.client.list_all_tools().await.unwrap().len(), mailbell::mcp::published_tools().len());
        let waited = agent.call("wait_for_event", json!({})).await;
        assert_eq!(waited["events"][0]["event_id"], "evt_1");
        agent.progress.recv().await.expect("progress was told");
        let tagged = agent.call("tag_email", json!({ "message_id": "em_1", "tags": ["handled"] })).await;
        assert_eq!(tagged["acked"], json!(["evt_1"]), "the holder is known again");
    }
}

#[tokio::test]
async fn sessions_of_the_older_era_do_not_hold_each_other_s_leases() {
    let wing = Wing::start().await;
    wing.api.add_email("mbx_1", email("em_1", "thr_1", 1, "Hi", "text"));
    wing.happens(vec![inbound(1, "Hi")]).await;
    let listening = listen(&wing).await;
    let (first, second) = (agent(&listening, Era::Legacy).await, agent(&listening, Era::Legacy).await);
    first.call("wait_for_event", json!({})).await;
    let tagged = second.call("tag_email", json!({ "message_id": "em_1", "tags": ["handled"] })).await;
    assert_eq!(tagged["stayed"], json!(["evt_1"]));
}

#[tokio::test]
async fn who_does_not_belong_is_refused() {
    let wing = Wing::start().await;
    let listening = listen(&wing).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-11-25",
        "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let post = |headers: &[(&'static str, &str)]| {
        let mut request = http
            .post(format!("{}/mcp", listening.base))
            .header("accept", "application/json, text/event-stream")
            .json(&initialize);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async move { request.send().await.unwrap() }
    };
    let bearer = format!("Bearer {TOKEN}");
    for (headers, challenge) in [
        (&[][..], "Bearer realm=\"mailbell\""),
        (&[("authorization", "Bearer mb_mcp_wrong")][..], "Bearer realm=\"mailbell\", error=\"invalid_token\""),
        (&[("authorization", "Basic bWI6bWI=")][..], "Bearer realm=\"mailbell\""),
    ] {
        let answer = post(headers).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
            (401, &challenge.parse().unwrap())
        );
        assert!(answer.text().await.unwrap().contains("mailbell token show mcp"));
    }
    for (name, value, status) in [
        ("host", "evil.example", 403),
        ("host", "bell.example.com", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://localhost:3000", 200),
        ("origin", "https://app.example.com", 200),
    ] {
        let answer = post(&[("authorization", &bearer), (name, value)]).await;
        assert_eq!(answer.status().as_u16(), status, "{name}: {value}");
    }
    let sse = http.get(format!("{}/sse", listening.base)).send().await.unwrap();
    assert_eq!(sse.status().as_u16(), 404);
    assert!(sse.text().await.unwrap().contains("/mcp"));
}

#[tokio::test]
async fn a_closed_stream_of_the_modern_era_ends_the_wait() {
    let wing = Wing::start().await;
    let listening = listen(&wing).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
        "progressToken": 1 });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "wait_for_event", "arguments": {}, "_meta": meta } });
    let answer = http
        .post(format!("{}/mcp", listening.base))
        .bearer_auth(TOKEN)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "wait_for_event")
        .json(&call)
        .send()
        .await
        .unwrap();
    // Progress at once is what brings the headers before the wait is over.
    assert_eq!(answer.status().as_u16(), 200);
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while wing.clock.sleepers() < 2 {
            tokio::task::yield_now().await;
        }
        drop(answer);
        while wing.clock.sleepers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the wait ends with its stream");
    wing.happens(vec![inbound(1, "Hi")]).await;
    let agent = agent(&listening, Era::Modern).await;
    // A claim that was under way is taken back, and that rings; no time passes, so no lease runs out.
    let limit = std::time::Duration::from_secs(10);
    let waited = tokio::time::timeout(limit, agent.call("wait_for_event", json!({}))).await;
    assert_eq!(waited.expect("it is free")["events"][0]["attempt"], 1);
}

#[tokio::test]
async fn a_session_that_is_deleted_is_handed_nothing_more() {
    let wing = Wing::start().await;
    let listening = listen(&wing).await;
    let mut first = agent(&listening, Era::Legacy).await;
    let params = CallToolRequestParams::new("wait_for_event").with_arguments(serde_json::Map::new());
    let call = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let _waiting = first.client.send_cancellable_request(call, PeerRequestOptions::no_options()).await.unwrap();
    first.progress.recv().await.expect("it waits");
    tokio::time::timeout(std::time::Duration::from_secs(3), async {
        while wing.clock.sleepers() < 2 + Era::Legacy.sleepers() {
            tokio::task::yield_now().await;
        }
        // The client deletes its session as it leaves.
        first.client.cancel().await.unwrap();
        while wing.clock.sleepers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the wait ends with its session, not after the five seconds that rmcp gives to answers under way");
    wing.happens(vec![inbound(1, "Hi")]).await;
    let second = agent(&listening, Era::Legacy).await;
    let limit = std::time::Duration::from_secs(10);
    let waited = tokio::time::timeout(limit, second.call("wait_for_event", json!({}))).await;
    assert_eq!(waited.expect("it is free")["events"][0]["attempt"], 1);
}

#[tokio::test]
async fn an_answer_is_a_stream_only_where_something_comes_before_it() {
    let wing = Wing::start().await;
    let listening = listen(&wing).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |name: &str, arguments: serde_json::Value, meta: serde_json::Value| {
        let mut all = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" } });
        all.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        let params = json!({ "name": name, "arguments": arguments, "_meta": all });
        http.post(format!("{}/mcp", listening.base))
            .bearer_auth(TOKEN)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", name)
            .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
            .send()
            .await
            .unwrap()
    };
    let whole = post("list_events", json!({}), json!({})).await;
    assert_eq!(whole.headers()["content-type"], "application/json");
    assert!(whole.headers().contains_key("content-length"));
    assert_eq!(whole.json::<serde_json::Value>().await.unwrap()["result"]["structuredContent"]["events"], json!([]));

    wing.happens(vec![inbound(1, "Hi")]).await;
    let stream = post("wait_for_event", json!({}), json!({ "progressToken": 1 })).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let told = stream.text().await.unwrap();
    let (progress, result) = (told.find("notifications/progress").unwrap(), told.find("lease_token").unwrap());
    assert!(progress < result, "{told}");
}
