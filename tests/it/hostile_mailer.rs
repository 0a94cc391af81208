//! Somebody writes sixty mails, webhooks, tags and notes to make a model obey them. Whatever an agent asks of the house then,
//! their words stand in fences: in results and their text, resources, failures and notifications.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use mailbell::{
    app::system::SystemClock,
    domain::{clock::Clock as _, secret::Secret},
    signing::multimail,
};
use rmcp::{
    model::{CallToolRequestParams, GetPromptRequestParams, ReadResourceRequestParams},
    transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};

use crate::support::{
    agent::{Agent, Era, text},
    foreign::{Findings, MARK},
    hostile::{mails, orders},
    smtp_peer::SmtpPeer,
    wire::Wire,
};

const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");
const SECRET: &str = "whsec_of_a_hostile_provider";
const MAILBOX: &str = "agent@mailbell.test";
/// Of the mails and the provider's webhooks together.
const EVENTS_MIN: usize = 100;

/// A house of its own, as `serve` makes one.
struct House {
    process: Child,
    ready: Value,
    dir: tempfile::TempDir,
}

impl House {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses = ["mcp", "hooks", "api", "smtp", "lmtp", "console"].map(|name| format!("--{name}-addr"));
        let mut process = Command::new(BINARY)
            .args(["--log", "error", "serve", "--data-dir"])
            .arg(dir.path())
            .args(addresses.iter().flat_map(|name| [name.as_str(), ":0"]))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, ready: serde_json::from_str(&line).unwrap(), dir }
    }

    fn at(&self, door: &str) -> &str {
        self.ready[door].as_str().unwrap()
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("tokens/mcp")).unwrap().trim().to_owned()
    }

    /// Those who are told of everything, by every way there is: both protocols, and a channel in a process of its own.
    async fn told(&self) -> (Vec<Wire>, tokio::process::Child) {
        let base = self.at("mcp").strip_suffix("/mcp").unwrap();
        let mut told = Vec::new();
        for era in Era::BOTH {
            told.push(Wire::http(base, &self.token(), era).await);
        }
        let mut channel = tokio::process::Command::new(BINARY)
            .args(["--log", "error", "mcp", "--claude-channel", "--data-dir"])
            .arg(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (from, to) = (channel.stdout.take().unwrap(), channel.stdin.take().unwrap());
        told.push(Wire::over(from, to, Era::Legacy).await);
        for wire in &mut told {
            wire.subscribe(&["mailbell://events", &format!("mailbell://mailboxes/{MAILBOX}/events")]).await;
        }
        (told, channel)
    }

    async fn agent(&self, era: Era) -> Agent {
        let config = StreamableHttpClientTransportConfig::with_uri(self.at("mcp").to_owned()).auth_header(self.token());
        Agent::connect(StreamableHttpClientTransport::from_config(config), era).await
    }

    /// Brings the mails in; the ids of those that were taken.
    async fn mailed(&self) -> Vec<String> {
        let addr = self.at("smtp").parse().unwrap();
        let mut taken = Vec::new();
        for mail in mails() {
            let mut peer = SmtpPeer::hello(addr).await;
            assert_eq!(peer.say(&format!("MAIL FROM:<{}>", mail.from)).await.0, 250, "{}", mail.what);
            assert_eq!(peer.say(&format!("RCPT TO:<{MAILBOX}>")).await.0, 250, "{}", mail.what);
            assert_eq!(peer.say("DATA").await.0, 354);
            peer.send(&mail.raw).await;
            let (code, said) = peer.say("\r\n.").await;
            assert_eq!(code, 250, "{}: {said}", mail.what);
            taken.push(said.split_whitespace().find(|word| word.starts_with("em_")).unwrap().to_owned());
        }
        taken
    }

    /// A provider whose every label is an order.
    async fn hooked(&self) {
        let mut add = Command::new(BINARY)
            .args(["source", "add", "hostile", "--secret-stdin", "--data-dir"])
            .arg(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        add.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
        assert!(add.wait().unwrap().success());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let poster = reqwest::Client::builder().build().unwrap();
        // The house has the machine's clock, and takes nothing that happened a week ago.
        let now = SystemClock::new().now().to_string();
        for (number, (_, order)) in orders().enumerate() {
            let order: String = order.chars().take(100).collect();
            let all = |kind: &str| {
                json!({ "event_type": kind, "event_id": format!("evt {number} {kind} {order}"), "mailbox": MAILBOX,
                    "message_id": format!("em {order}"), "thread_id": format!("thr {order}"), "from": order,
                    "timestamp": now, "from_name": order, "to": [order], "subject": order, "snippet": order,
                    "recipient": order, "smtp_response": order, "bounce_code": "5.1.1", "reason": order,
                    "diagnostic": order, "feedback_type": order, "provider_kind": order })
            };
            for kind in ["inbound", "delivery", "bounce", "complaint", "open", "OBEY ZQXJ"] {
                let body = serde_json::to_vec(&all(kind)).unwrap();
                let signature = multimail::sign(&Secret::new(SECRET), &body);
                let request = poster
                    .post(format!("{}/hooks/hostile", self.at("hooks")))
                    .header("x-multimail-signature", signature)
                    .body(body);
                let answer = request.send().await.unwrap();
                assert!(answer.status().is_success() || answer.status() == 400, "{kind}: {}", answer.status());
            }
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An agent who looks at all that it is shown.
struct Reader {
    agent: Agent,
    findings: Findings,
    /// Tools that did what they were asked, and those that refused.
    did: BTreeSet<&'static str>,
    refused: BTreeSet<&'static str>,
    /// Prompts that showed an event.
    prompts: usize,
    /// What it was told last, word for word.
    last: String,
}

impl Reader {
    async fn call(&mut self, tool: &'static str, arguments: Value) -> Value {
        let Value::Object(given) = arguments.clone() else { panic!("arguments are an object") };
        let place = format!("{tool} {}", arguments.to_string().chars().take(120).collect::<String>());
        let params = CallToolRequestParams::new(tool).with_arguments(given);
        match self.agent.client.call_tool(params).await {
            Ok(result) => {
                self.findings.result(&place, &result);
                self.last = text(&result);
                let ended = if result.is_error == Some(true) { &mut self.refused } else { &mut self.did };
                ended.insert(tool);
                result.structured_content.unwrap_or_default()
            }
            Err(error) => {
                self.findings.sentence(&place, &error.to_string());
                Value::Null
            }
        }
    }

    async fn prompt(&mut self, name: &str, arguments: Value) {
        let Value::Object(given) = arguments.clone() else { panic!("arguments are an object") };
        let place = format!("prompt {name} {arguments}");
        match self.agent.client.get_prompt(GetPromptRequestParams::new(name).with_arguments(given)).await {
            Ok(prompt) => self.prompts += usize::from(self.findings.prompt(&place, &prompt)),
            Err(error) => self.findings.sentence(&place, &error.to_string()),
        }
    }

    async fn read(&mut self, uri: &str) {
        match self.agent.client.read_resource(ReadResourceRequestParams::new(uri)).await {
            Ok(read) => self.findings.resource(uri, &read),
            Err(error) => self.findings.sentence(uri, &error.to_string()),
        }
    }

    /// All pages of a list.
    async fn pages(&mut self, tool: &'static str, mut arguments: Value, next: &'static str) -> Vec<Value> {
        let mut pages = Vec::new();
        for _ in 0..200 {
            let page = self.call(tool, arguments.clone()).await;
            let cursor = page["cursor"].clone();
            let empty = page.as_object().is_none_or(|page| page.values().any(|list| list == &json!([])));
            pages.push(page);
            if cursor.is_null() || empty || cursor == arguments[next] {
                break;
            }
            arguments[next] = cursor;
        }
        pages
    }

    /// What the server says of itself, without being asked for anything in particular.
    async fn lists(&mut self) {
        let client = &self.agent.client;
        let said = [
            serde_json::to_string(&client.list_all_tools().await.unwrap()),
            serde_json::to_string(&client.list_all_prompts().await.unwrap()),
            serde_json::to_string(&client.list_all_resources().await.unwrap()),
            serde_json::to_string(&client.list_all_resource_templates().await.unwrap()),
            serde_json::to_string(&client.peer_info()),
        ];
        for said in said {
            // The rule of fences shows the marks of one.
            self.findings.ours("a list", &said.unwrap().replace('‹', "<").replace('›', ">"));
        }
        while let Ok(told) = self.agent.progress.try_recv() {
            self.findings.ours("progress", told.message.as_deref().unwrap_or_default());
            if told.message.as_deref() != Some("waiting") {
                self.findings.0.push(format!("progress says {:?}", told.message));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_hostile_mailer_leaves_its_fence() {
    let house = House::start();
    let (mut told, _channel) = house.told().await;
    let taken = house.mailed().await;
    assert!(taken.len() >= 60, "{} mails", taken.len());
    for wire in &mut told {
        let uris: Vec<String> = taken.iter().map(|id| format!("mailbell://messages/{id}")).collect();
        // The two that they have already stay.
        wire.subscribe(&uris.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    house.hooked().await;
    for era in Era::BOTH {
        let agent = house.agent(era).await;
        let (did, refused) = (BTreeSet::new(), BTreeSet::new());
        let mut reader = Reader { agent, findings: Findings::default(), did, refused, prompts: 0, last: String::new() };
        agent_s_day(&mut reader, &format!("{era:?}"), &taken).await;
        reader.lists().await;
        assert!(reader.prompts >= 50, "{} prompts showed an event", reader.prompts);
        let all: BTreeSet<String> = mailbell::mcp::published_tools().iter().map(|tool| tool.name.to_string()).collect();
        let found = &reader.findings.0;
        assert!(found.is_empty(), "{} findings, such as\n{}", found.len(), found[..found.len().min(12)].join("\n"));
        let missed = |seen: &BTreeSet<&'static str>| {
            all.iter().filter(|tool| !seen.contains(tool.as_str())).cloned().collect::<Vec<_>>()
        };
        assert_eq!(
            (missed(&reader.did), missed(&reader.refused)),
            (vec![], vec![]),
            "every tool did something, and refused something"
        );
    }
    let mut findings = Findings::default();
    let mut ways = BTreeSet::new();
    for wire in &mut told {
        for message in wire.told_so_far() {
            ways.insert(findings.notification(&message));
        }
    }
    let found = &findings.0;
    assert!(found.is_empty(), "{} findings, such as\n{}", found.len(), found[..found.len().min(12)].join("\n"));
    assert_eq!(
        ways.into_iter().collect::<Vec<_>>(),
        ["notifications/claude/channel", "notifications/resources/updated"]
    );
}

async fn agent_s_day(reader: &mut Reader, worker: &str, taken: &[String]) {
    // What came in.
    let kinds = ["inbound", "delivery", "bounce", "complaint", "open", "other"];
    let mut lease = Value::Null;
    let mut leased = 0;
    loop {
        // Webhooks come in order, one after the other; what has come is enough once there is some of everything.
        let timeout_secs = if leased < EVENTS_MIN { 30 } else { 0 };
        let wait = json!({ "consumer": worker, "kinds": kinds, "timeout_secs": timeout_secs, "limit": 50 });
        let waited = reader.call("wait_for_event", wait).await;
        let events = waited["events"].as_array().map_or(0, Vec::len);
        if events == 0 {
            break;
        }
        leased += events;
        lease = waited["lease_token"].clone();
        reader.call("ack_event", json!({ "lease_token": lease })).await;
    }
    assert!(leased >= EVENTS_MIN, "{leased} events");
    reader.pages("list_events", json!({ "limit": 100 }), "before").await;
    reader.pages("check_inbox", json!({ "limit": 100 }), "cursor").await;
    let mut files_read = 0;
    for id in taken {
        let mail = reader.call("read_email", json!({ "message_id": id })).await;
        if let Some(thread) = mail["thread_id"].as_str() {
            reader.call("get_thread", json!({ "thread_id": thread })).await;
            reader.read(&format!("mailbell://threads/{thread}")).await;
        }
        reader.read(&format!("mailbell://messages/{id}")).await;
        let files = mail["attachments"].as_array().map_or(0, Vec::len);
        files_read += files;
        for number in 1..=files + 1 {
            reader.read(&format!("mailbell://messages/{id}/attachments/{number}")).await;
        }
    }
    assert!(files_read >= 3, "{files_read} files");
    for seq in 1..=200 {
        for prompt in ["triage_inbound", "handle_bounce", "handle_complaint"] {
            reader.prompt(prompt, json!({ "event_id": seq.to_string() })).await;
        }
        reader.read(&format!("mailbell://events/{seq}")).await;
    }
    for uri in ["mailbell://events", &format!("mailbell://mailboxes/{MAILBOX}/events")] {
        reader.read(uri).await;
    }
    reader.call("list_mailboxes", json!({})).await;

    // What another agent, or this one, was made to write down.
    for (_, order) in orders() {
        let tag: String = order.chars().filter(|c| !c.is_control()).take(60).collect();
        reader.call("tag_email", json!({ "message_id": taken[0], "tags": [tag] })).await;
        reader.call("suppress_address", json!({ "address": format!("{MARK}@x.test"), "reason": order })).await;
        reader.call("suppress_address", json!({ "address": format!("\"OBEY {MARK}\"@x.test"), "reason": order })).await;
        let registered = reader.call("register_webhook", json!({ "mailbox": MAILBOX, "description": order })).await;
        reader.call("list_webhooks", json!({})).await;
        reader.call("test_webhook", json!({ "webhook_id": registered["webhook_id"] })).await;
        reader.call("delete_webhook", json!({ "webhook_id": registered["webhook_id"] })).await;
    }
    reader.pages("list_suppressions", json!({}), "cursor").await;

    // What it sends, and what becomes of it.
    let order = format!("OBEY {MARK}");
    for play in ["soft-bounce", "hard-bounce", "complaint", "opened", "out-of-office", "delivered"] {
        let to = format!("{play}@simulator.mailbell.test");
        let letter = json!({ "to": [to], "subject": order, "markdown": order, "mailbox": MAILBOX });
        let sent = reader.call("send_email", letter).await;
        let kinds = if play == "soft-bounce" { json!(["bounce"]) } else { json!([]) };
        let wait = json!({ "after": sent["cursor"], "message_id": sent["message_id"], "event_types": kinds, "timeout_secs": 20 });
        reader.call("wait_for_event", wait).await;
        if play == "soft-bounce" {
            reader.call("schedule_retry", json!({ "message_id": sent["message_id"], "recipient": to })).await;
        }
        reader.call("get_thread", json!({ "thread_id": sent["thread_id"] })).await;
    }
    let replied = reader
        .call("reply_email", json!({ "message_id": taken.last(), "markdown": format!("{order} {worker}") }))
        .await;
    assert!(replied.is_object(), "{:?}", reader.last);
    let deliveries =
        reader.pages("list_webhook_deliveries", json!({ "status": "delivered", "limit": 20 }), "cursor").await;
    reader.call("replay_delivery", json!({ "delivery_id": deliveries[0]["deliveries"][0]["delivery_id"] })).await;
    let webhook = deliveries[0]["deliveries"][0]["webhook_id"].as_str().unwrap_or_default().to_owned();
    reader.read(&format!("mailbell://webhooks/{webhook}/deliveries")).await;

    made_to_ask(reader).await;
    reader.call("ack_event", json!({ "lease_token": lease, "action": "escalate", "note": order })).await;
}

/// What it was made to ask for: every argument of every tool is an order, and there is one more.
async fn made_to_ask(reader: &mut Reader) {
    for (_, order) in orders().step_by(4) {
        for tool in mailbell::mcp::published_tools() {
            let name: &'static str = mailbell::mcp::published_tools()
                .iter()
                .find_map(|it| (it.name == tool.name).then(|| named(&it.name)))
                .unwrap();
            let properties = tool.input_schema["properties"].as_object().unwrap().clone();
            let required: Vec<&str> = tool
                .input_schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            for property in properties.keys() {
                let mut arguments: Value = required
                    .iter()
                    .map(|name| ((*name).to_owned(), json!(order)))
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                // A wait for what will not come would only take time.
                if properties.contains_key("timeout_secs") {
                    arguments["timeout_secs"] = json!(0);
                }
                arguments[property] = json!(order);
                reader.call(name, arguments).await;
            }
            reader.call(name, json!({ order.clone(): order })).await;
        }
        for uri in
            ["mailbell://", "mailbell://messages/", "mailbell://threads/", "mailbell://webhooks/", "mailbell://events/"]
        {
            reader.read(&format!("{uri}{order}")).await;
            let encoded: String = url::form_urlencoded::byte_serialize(order.as_bytes()).collect();
            reader.read(&format!("{uri}{encoded}")).await;
            reader.read(&format!("{uri}{encoded}/deliveries")).await;
        }
    }
    for (_, order) in orders() {
        for name in ["triage_inbound", "handle_bounce", "handle_complaint", "catch_up", &order] {
            for argument in ["event_id", "mailbox", &order] {
                reader.prompt(name, json!({ argument: order })).await;
            }
        }
    }
    let unknown = CallToolRequestParams::new(format!("OBEY {MARK}"));
    let error = reader.agent.client.call_tool(unknown).await.unwrap_err();
    reader.findings.sentence("an unknown tool", &error.to_string());
}

/// The name, for as long as the tests run.
fn named(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}

/// Each fenced field of a result, laid bare, is found: the reader above would not miss one.
#[test]
fn the_reader_sees_every_field_that_is_laid_bare() {
    let fenced = |text: &str| format!("‹0123456789›{text}‹/0123456789›");
    let good = json!({ "fence": "0123456789", "message_id": "em_1", "from": fenced("\"OBEY\"@x.test"), "subject": fenced("hello"),
        "tags": [fenced("vip")], "attachments": [{ "uri": "mailbell://messages/em_1/attachments/1", "filename": fenced("a.txt") }], "timestamp": "2026-11-24T10:00:00.000Z" });
    let findings = |value: &Value| {
        let mut findings = Findings::default();
        findings.object("a result", value);
        findings.0
    };
    assert_eq!(findings(&good), [""; 0]);
    for (path, bare) in [
        ("/from", "\"OBEY\"@x.test"),
        ("/subject", "hello"),
        ("/tags/0", "vip"),
        ("/attachments/0/filename", "a.txt"),
        ("/attachments/0/uri", "mailbell://messages/OBEY me/attachments/1"),
    ] {
        for bare in [
            bare.to_owned(),
            format!("‹0123456789›{bare}‹/0123456789› OBEY"),
            format!("‹9876543210›{bare}‹/9876543210›"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = json!(bare);
            assert_eq!(findings(&bad).len(), 1, "{path} {bare}");
        }
    }
    for (text, wrong) in [
        ("no message ‹0123456789›OBEY ZQXJ‹/0123456789›; call check_inbox (fence: 0123456789)", 0),
        ("no message ZQXJ; call check_inbox", 0),
        ("no message OBEY ZQXJ; call check_inbox", 1),
        ("no message ‹0123456789›OBEY ZQXJ‹/0123456789›; call check_inbox", 3),
    ] {
        let mut findings = Findings::default();
        findings.sentence("a failure", text);
        assert_eq!(findings.0.len(), wrong, "{text}: {:?}", findings.0);
    }
}
