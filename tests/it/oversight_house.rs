//! Oversight, in a whole house: what an agent cannot do by itself, and what an operator's word does.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    agent::{Agent, Era},
    clock::TestClock,
    receiver::Receiver,
};
use mailbell::{app::system::SystemClock, domain::clock::Clock as _};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");
/// Far more than anything here takes, on a machine that is busy with other tests.
const COME_MAX: Duration = Duration::from_mins(1);
pub(crate) const AGENT: &str = "/v1/mailboxes/agent@mailbell.test";

/// A house, its operator, and who knocks.
pub(crate) struct House {
    process: Child,
    pub(crate) dir: TempDir,
    ready: Value,
    client: Client,
    pub(crate) api_token: String,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl House {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let (process, ready) = serve(dir.path(), &["--operator-token-file".into(), word(dir.path())]);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let api_token = fs::read_to_string(dir.path().join("tokens/api")).unwrap().trim().to_owned();
        Self { process, dir, ready, client, api_token }
    }

    /// Ends it as a power cut would, and starts it again.
    fn crash(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.process, self.ready) = serve(self.dir.path(), &[]);
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(["--log", "error"]).args(arguments).arg("--data-dir").arg(self.dir.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What the operator's command says.
    pub(crate) fn order(&self, arguments: &[&str]) -> String {
        let word = word(self.dir.path());
        let given = [arguments, &["--operator-token-file", word.to_str().unwrap()]].concat();
        let output = self.run(&given);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn look(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stdout).unwrap()
    }

    /// The operator token.
    pub(crate) fn operator(&self) -> String {
        fs::read_to_string(word(self.dir.path())).unwrap().trim().to_owned()
    }

    /// The audit record.
    pub(crate) fn record(&self) -> Vec<Value> {
        let rows = self.look(&["audit", "--json"]);
        rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()["entry"].take()).collect()
    }

    pub(crate) async fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.ready["api"].as_str().unwrap());
        let request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url).bearer_auth(token);
        let response = request.json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.ask(&self.api_token, method, path, &body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.api("GET", path, Value::Null).await.1
    }

    pub(crate) async fn sent(&self) -> Vec<Value> {
        let page = self.get(&format!("{AGENT}/emails?direction=outbound&limit=100")).await;
        page["emails"].as_array().unwrap().clone()
    }

    pub(crate) async fn agent(&self) -> Agent {
        let token = fs::read_to_string(self.dir.path().join("tokens/mcp")).unwrap();
        let config = StreamableHttpClientTransportConfig::with_uri(self.ready["mcp"].as_str().unwrap())
            .auth_header(token.trim());
        Agent::connect(StreamableHttpClientTransport::from_config(config), Era::Legacy).await
    }

    /// Mail comes in; answers with its id once the agent's mailbox has it.
    pub(crate) async fn mail(&self, subject: &str, headers: &str) -> String {
        let mut peer = TcpStream::connect(self.ready["smtp"].as_str().unwrap()).await.unwrap();
        let letter = format!(
            "From: delivered@simulator.mailbell.test\r\nTo: agent@mailbell.test\r\nSubject: {subject}\r\n{headers}\r\nHello\r\n.\r\n"
        );
        let said = [
            "EHLO x\r\n",
            "MAIL FROM:<delivered@simulator.mailbell.test>\r\n",
            "RCPT TO:<agent@mailbell.test>\r\n",
            "DATA\r\n",
            &letter,
            "QUIT\r\n",
        ];
        let mut heard = [0; 2048];
        let _ = peer.read(&mut heard).await.unwrap();
        for line in said {
            peer.write_all(line.as_bytes()).await.unwrap();
            let read = peer.read(&mut heard).await.unwrap();
            assert!(heard[..read].starts_with(b"2") || heard[..read].starts_with(b"3"), "{line}");
        }
        let page = self.get(&format!("/v1/inbox?subject_contains={subject}")).await;
        page["emails"][0]["id"].as_str().unwrap().to_owned()
    }
}

fn word(dir: &Path) -> PathBuf {
    dir.join("operators-word")
}

pub(crate) fn serve(dir: &Path, more: &[PathBuf]) -> (Child, Value) {
    let ports = ["mcp", "hooks", "api", "smtp", "lmtp", "console"].map(|name| format!("--{name}-addr"));
    let mut command = Command::new(BINARY);
    command.args(["--log", "error", "serve", "--data-dir"]).arg(dir).args(more);
    for port in &ports {
        command.args([port, ":0"]);
    }
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (process, serde_json::from_str(&line).unwrap())
}

/// Looks until `found` finds something.
pub(crate) async fn until<T>(mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(asked.elapsed() < COME_MAX, "it does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn letter(subject: &str) -> Value {
    json!({ "to": ["delivered@simulator.mailbell.test"], "subject": subject, "markdown": "**Hello**" })
}

/// Each of these would act; with every token that an agent can hold, each waits for an operator or is refused.
#[tokio::test(flavor = "multi_thread")]
async fn in_gated_all_thirty_ways_to_act_without_approval_fail() {
    let house = House::start();
    let email = house.mail("first", "").await;
    let webhook = house.get("/v1/webhooks").await["webhooks"][0]["webhook_id"].as_str().unwrap().to_owned();
    let (_, scheduled) = house
        .api(
            "POST",
            &format!("{AGENT}/send"),
            json!({ "to": ["a@mailbell.test"], "subject": "later", "markdown": "x",
            "send_at": "2027-11-01T00:00:00Z" }),
        )
        .await;
    let later = scheduled["id"].as_str().unwrap();
    let operator = fs::read_to_string(word(house.dir.path())).unwrap();
    let (status, key) = house
        .ask(operator.trim(), "POST", "/v1/api-keys", &json!({ "name": "agents", "scopes": ["read", "send", "admin"] }))
        .await;
    assert_eq!(status, 201, "{key}");
    let agents = key["api_key"].as_str().unwrap().to_owned();
    house.order(&["mode", "gated_all"]);
    let before = everything(&house).await;

    let ways: Vec<(&str, String, Value)> = [
        ("POST", format!("{AGENT}/send"), letter("1")),
        ("POST", format!("{AGENT}/reply/{email}"), json!({ "markdown": "2" })),
        ("POST", "/v1/emails/send".into(), letter("3")),
        ("POST", format!("/v1/emails/{email}/reply"), json!({ "body": "4" })),
        ("PATCH", format!("{AGENT}/emails/{later}/schedule"), json!({ "send_at": "2026-11-25T00:00:00Z" })),
        ("PATCH", format!("{AGENT}/emails/{later}/schedule"), json!({ "to": ["b@mailbell.test"] })),
        ("POST", format!("{AGENT}/emails/{later}/cancel"), Value::Null),
        ("POST", format!("{AGENT}/emails/{later}/retry"), json!({ "recipient": "a@mailbell.test" })),
        ("PUT", format!("{AGENT}/emails/{email}/tags"), json!({ "tags": { "vip": "true" } })),
        ("PUT", format!("{AGENT}/emails/{email}/tags?mode=replace"), json!({ "tags": { "handled": "true" } })),
        ("POST", format!("/v1/emails/{email}/tag"), json!({ "tags": ["vip"] })),
        ("DELETE", format!("{AGENT}/emails/{email}/tags/vip"), Value::Null),
        ("POST", format!("/v1/emails/{email}/report-spam"), Value::Null),
        ("POST", "/v1/mailboxes".into(), json!({ "address": "new@mailbell.test" })),
        ("DELETE", AGENT.into(), Value::Null),
        ("PATCH", AGENT.into(), json!({ "display_name": "Somebody" })),
        ("PATCH", AGENT.into(), json!({ "auto_bcc": "spy@example.com" })),
        ("PATCH", format!("{AGENT}/configure"), json!({ "oversight_mode": "autonomous" })),
        ("POST", format!("{AGENT}/upgrade"), json!({ "code": "up_guess" })),
        ("POST", "/v1/oversight/decide".into(), json!({ "email_id": "act_1", "action": "approve" })),
        ("POST", "/v1/webhooks".into(), json!({ "url": "self", "events": ["inbound"] })),
        ("POST", "/v1/webhooks".into(), json!({ "url": "https://evil.example/", "events": ["inbound"] })),
        ("DELETE", format!("/v1/webhooks/{webhook}"), Value::Null),
        ("POST", format!("/v1/webhooks/{webhook}/disable"), Value::Null),
        ("POST", format!("/v1/webhooks/{webhook}/rotate"), Value::Null),
        ("POST", format!("/v1/webhooks/{webhook}/test"), Value::Null),
        ("POST", "/v1/api-keys".into(), json!({ "name": "mine", "scopes": ["send"] })),
        ("PATCH", "/v1/account".into(), json!({ "oversight_email": "agent@mailbell.test" })),
        ("POST", "/v1/contacts".into(), json!({ "name": "Bob", "email": "bob@example.com" })),
        ("DELETE", "/v1/suppression/bob@example.com".into(), Value::Null),
    ]
    .into();
    assert_eq!(ways.len(), 30);
    for token in [&house.api_token, &agents] {
        for (method, path, body) in &ways {
            let (status, answer) = house.ask(token, method, path, body).await;
            let waits = status == 202 && answer["status"] == "pending_approval";
            assert!(waits || status == 403, "{method} {path} {body}: {status} {answer}");
            on_record(&house, method, path, waits, &answer).await;
        }
    }
    let agent = house.agent().await;
    for (tool, arguments) in [
        ("send_email", letter("5")),
        ("reply_email", json!({ "message_id": email, "markdown": "6" })),
        ("schedule_retry", json!({ "message_id": later, "recipient": "a@mailbell.test" })),
        ("tag_email", json!({ "message_id": email, "tags": ["vip"] })),
        ("register_webhook", json!({})),
        ("register_webhook", json!({ "endpoint_url": "https://evil.example/" })),
        ("delete_webhook", json!({ "webhook_id": webhook })),
        ("test_webhook", json!({ "webhook_id": webhook })),
        ("replay_delivery", json!({ "delivery_id": "dlv_1" })),
    ] {
        let answer = agent.call(tool, arguments.clone()).await;
        assert_eq!(answer["status"], "pending_approval", "{tool} {arguments}: {answer}");
        assert!(answer["action_id"].as_str().unwrap().starts_with("act_"), "{answer}");
        let told = latest(&house, "result", |entry| entry["tool"] == tool).await;
        assert_eq!(told["ids"]["action_id"], answer["action_id"], "{told}");
        latest(&house, "action", |entry| entry["action_id"] == answer["action_id"]).await;
    }
    assert_eq!(everything(&house).await, before, "nothing has changed");

    // What says that work is done, or keeps mail from going out, goes on.
    assert_eq!(agent.call("tag_email", json!({ "message_id": email, "tags": ["handled"] })).await["handled"], true);
    assert!(agent.call("suppress_address", json!({ "address": "bob@example.com" })).await.get("action_id").is_none());

    // No command line of an agent's loosens it: neither a flag nor a variable, nor a token that is not the operator's.
    assert!(!house.run(&["mode", "autonomous"]).status.success());
    let api = house.dir.path().join("tokens/api");
    assert!(!house.run(&["mode", "autonomous", "--operator-token-file", api.to_str().unwrap()]).status.success());
    assert!(house.look(&["mode"]).starts_with("gated_all"));
    assert!(house.look(&["audit", "verify"]).starts_with("the audit record is whole"));
}

/// The newest of the record's last entries that is one.
async fn latest(house: &House, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let page = house.get("/v1/audit-log?limit=30").await;
    let mut entries = page["entries"].as_array().unwrap().iter().map(|entry| &entry["metadata"]);
    entries.find(|entry| entry["what"] == what && is(entry)).unwrap_or_else(|| panic!("no {what}: {page:#}")).clone()
}

/// That the record tells of a way that was tried, and of what it came to.
async fn on_record(house: &House, method: &str, path: &str, waits: bool, answer: &Value) {
    let path = path.split('?').next().unwrap();
    let told = latest(house, "result", |entry| entry["tool"].as_str().unwrap().starts_with(method)).await;
    assert_eq!(
        (&told["arguments"]["path"], &told["intent"]),
        (&json!(path), &Value::Null),
        "nothing was begun: {told}"
    );
    if waits {
        assert_eq!((&told["outcome"], &told["ids"]["action_id"]), (&json!("done"), &answer["action_id"]), "{told}");
        let kept = latest(house, "action", |entry| entry["action_id"] == answer["action_id"]).await;
        assert!(kept["step"] == "kept" || kept["step"] == "collapsed", "{kept}");
    } else {
        assert_eq!((&told["outcome"], &told["error"]), (&json!("refused"), &answer["error"]), "{told}");
    }
}

/// All that a change could show in.
async fn everything(house: &House) -> Value {
    let mut all = Vec::new();
    for path in ["/v1/mailboxes", "/v1/webhooks", "/v1/api-keys", "/v1/contacts", "/v1/suppression", "/v1/inbox"] {
        let mut shown = house.get(path).await;
        // How its webhook fares changes by itself.
        for list in ["subscriptions", "webhooks"] {
            for webhook in shown[list].as_array_mut().into_iter().flatten() {
                *webhook = json!([webhook["webhook_id"], webhook["disabled_at"], webhook["events"]]);
            }
        }
        all.push(shown);
    }
    all.push(house.get("/v1/account").await["oversight_email"].clone());
    all.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_is_what_was_shown_and_its_outcome_is_told() {
    let house = House::start();
    house.order(&["mode", "gated_send"]);
    let agent = house.agent().await;
    let held = agent.call("send_email", letter("Offer")).await;
    let action = held["action_id"].as_str().unwrap();
    let again = agent.call("send_email", letter("Offer")).await;
    assert_eq!(again["action_id"], action, "the same asked twice waits once");
    let shown = house.look(&["approvals", "show", action]);
    assert!(shown.contains("<strong>Hello</strong>") && shown.contains("delivered@simulator.mailbell.test"), "{shown}");
    let (_, pending) = house.api("GET", "/v1/oversight/pending", Value::Null).await;
    assert_eq!((&pending["emails"][0]["id"], &pending["pending"][0]["subject"]), (&json!(action), &json!("Offer")));

    // Whoever has something else shown approves nothing, and what is set meanwhile is not added.
    let operator = fs::read_to_string(word(house.dir.path())).unwrap();
    let other = json!({ "email_id": action, "action": "approve", "digest": "0".repeat(64) });
    assert_eq!(house.ask(operator.trim(), "POST", "/v1/oversight/decide", &other).await.0, 409);
    let bcc = json!({ "auto_bcc": "delivered@simulator.mailbell.test", "signature_block": "Other words" });
    assert_eq!(house.ask(operator.trim(), "PATCH", AGENT, &bcc).await.0, 200);
    house.order(&["approvals", "approve", action]);
    let waited =
        agent.call("wait_for_event", json!({ "after": held["cursor"], "action_id": action, "timeout_secs": 25 })).await;
    assert_eq!(waited["events"][0]["outcome"], "approved", "{waited}");
    let sent = house.sent().await;
    assert_eq!(sent.len(), 1);
    let whole = house.get(&format!("{AGENT}/emails/{}", sent[0]["id"].as_str().unwrap())).await;
    assert_eq!(whole["markdown"].as_str().unwrap().trim(), "**Hello**", "to the letter");

    let denied = agent.call("send_email", letter("Spam")).await;
    house.order(&["approvals", "deny", denied["action_id"].as_str().unwrap(), "--note", "no"]);
    let arguments = json!({ "after": denied["cursor"], "action_id": denied["action_id"], "timeout_secs": 25 });
    assert_eq!(agent.call("wait_for_event", arguments).await["events"][0]["outcome"], "denied");
    assert_eq!(house.sent().await.len(), 1);

    // An agent asks for another mode with an operator's code, which works once.
    let code = house.order(&["mode", "monitored", "agent@mailbell.test", "--code"]);
    let upgrade = json!({ "code": code.trim() });
    assert_eq!(house.api("POST", &format!("{AGENT}/upgrade"), upgrade.clone()).await.1["status"], "upgraded");
    assert_eq!(house.api("POST", &format!("{AGENT}/upgrade"), upgrade).await.0, 403);
    assert_eq!(agent.call("send_email", letter("At once")).await["status"], "pending_scan");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_is_killed_does_what_was_approved_once() {
    let mut house = House::start();
    house.order(&["mode", "gated_all"]);
    for round in 0..4_u64 {
        let (status, held) = house.api("POST", &format!("{AGENT}/send"), letter(&format!("Round {round}"))).await;
        assert_eq!(status, 202, "{held}");
        house.order(&["approvals", "approve", held["action_id"].as_str().unwrap()]);
        // Before it is done, while it is, and after.
        tokio::time::sleep(Duration::from_millis(round * 90)).await;
        house.crash();
        let action = held["action_id"].as_str().unwrap();
        until(async || house.look(&["approvals", "show", action]).contains("  done  ").then_some(())).await;
        assert_eq!(house.sent().await.len(), usize::try_from(round).unwrap() + 1, "round {round}");
    }
    assert!(house.look(&["mode"]).starts_with("gated_all"), "the mode outlives the process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_what_goes_out_and_not_what_comes_in() {
    let mut house = House::start();
    let agent = house.agent().await;
    assert_eq!(agent.call("send_email", letter("Monitored")).await["status"], "pending_scan", "at once");
    let receiver = Receiver::answering(TestClock::default(), []).await;
    let webhook = json!({ "url": receiver.url(), "events": ["inbound"] });
    assert_eq!(house.api("POST", "/v1/webhooks", webhook).await.0, 201);
    house.order(&["pause"]);
    house.crash();
    let agent = house.agent().await;
    let refused = agent.refused("send_email", letter("Paused")).await;
    assert!(refused.contains("paused"), "{refused}");
    assert_eq!(house.api("POST", &format!("{AGENT}/send"), letter("Paused")).await.0, 403);
    let email = house.mail("comes-in", "").await;
    let heard = agent.call("wait_for_event", json!({ "event_types": ["inbound"], "timeout_secs": 25 })).await;
    assert_eq!(heard["events"][0]["message_id"], email, "{heard}");
    assert_eq!(receiver.hits().len(), 0, "nothing goes to others");
    house.order(&["resume"]);
    until(async || (!receiver.hits().is_empty()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automatic_message_is_answered_only_with_an_operator_s_word() {
    let house = House::start();
    let email = house.mail("robot", "Auto-Submitted: auto-generated\r\n").await;
    let agent = house.agent().await;
    let held = agent.call("reply_email", json!({ "message_id": email, "markdown": "Hello, robot" })).await;
    assert_eq!(held["status"], "pending_approval", "{held}");
    assert!(house.look(&["approvals", "show", held["action_id"].as_str().unwrap()]).contains("sent by a program"));
    assert_eq!(house.sent().await.len(), 0);
    house.order(&["approvals", "approve", held["action_id"].as_str().unwrap()]);
    until(async || (house.sent().await.len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_later_asks_before_or_at_its_moment_as_it_is_told() {
    let house = House::start();
    let operator = fs::read_to_string(word(house.dir.path())).unwrap();
    let decide = async |id: &str, decision: &str| {
        let path = format!("/v1/emails/{id}/decide");
        house.ask(operator.trim(), "POST", &path, &json!({ "decision": decision, "reason": "a story" })).await
    };
    let waiting = async || -> Vec<String> {
        let pending = house.get("/v1/oversight/pending").await["pending"].clone();
        pending.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let in_secs = |secs: u64| SystemClock::new().now().plus(Duration::from_secs(secs)).to_string();
    let send = format!("{AGENT}/send");
    let later = |subject: &str, send_at: String, timing: Option<&str>| {
        let mut letter = letter(subject);
        letter["send_at"] = json!(send_at);
        letter["gate_timing"] = json!(timing);
        letter
    };
    house.order(&["mode", "gated_send"]);
    let (status, said) = house.api("POST", &send, later("Odd", in_secs(60), Some("never"))).await;
    assert!(status == 400 && said["error"].as_str().unwrap().contains("schedule_first"), "{said}");

    // The approval first: it is scheduled by it.
    let (_, held) = house.api("POST", &send, later("First", in_secs(3600), None)).await;
    assert_eq!((&held["status"], &held["asked_at"]), (&json!("pending_approval"), &Value::Null));
    assert_eq!(decide(held["id"].as_str().unwrap(), "approve").await.0, 200);
    until(async || (house.sent().await.first()?["status"] == "scheduled").then_some(())).await;

    // The moment first, as the mailbox has it from now on: nothing waits before it.
    let first = json!({ "default_gate_timing": "schedule_first" });
    assert_eq!(house.api("PATCH", AGENT, first).await.0, 200);
    let at = in_secs(3600);
    let (status, held) = house.api("POST", &send, later("Taken back", at.clone(), None)).await;
    assert_eq!((status, &held["status"], &held["asked_at"]), (202, &json!("scheduled"), &json!(at)));
    let taken_back = held["id"].as_str().unwrap();
    let (status, soon) = house.api("POST", &send, later("Soon", in_secs(2), None)).await;
    assert_eq!((status, &soon["status"]), (202, &json!("scheduled")));
    let soon = soon["id"].as_str().unwrap();
    until(async || (waiting().await == [soon]).then_some(())).await;
    assert_eq!(house.sent().await.len(), 1, "only its moment has come");
    let (status, said) = decide(soon, "approve").await;
    assert_eq!((status, &said["status"]), (200, &json!("approved")), "{said}");
    until(async || (house.sent().await.first()?["subject"] == "Soon").then_some(())).await;

    for _ in 0..2 {
        let (status, said) = house.api("POST", &format!("{AGENT}/emails/{taken_back}/cancel"), Value::Null).await;
        assert_eq!((status, &said["status"]), (200, &json!("cancelled")), "{said}");
    }
    assert!(house.look(&["approvals", "show", taken_back]).contains("  denied  "));
    assert_eq!(house.api("POST", &format!("{AGENT}/emails/{soon}/cancel"), Value::Null).await.0, 409);
    assert_eq!(decide("act_none", "approve").await.0, 404);
    let other = json!({ "decision": "approve", "email_id": soon });
    assert_eq!(house.ask(operator.trim(), "POST", &format!("/v1/emails/{taken_back}/decide"), &other).await.0, 400);
    let own = json!({ "decision": "approve" });
    assert_eq!(house.api("POST", &format!("/v1/emails/{taken_back}/decide"), own).await.0, 403);
}
