//! What those see who watch the house from outside: whether it can work, the numbers, and the log.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio};

use mailbell::{
    app::system::SystemClock,
    domain::{clock::Clock as _, secret::Secret},
    measures::TABLE,
    signing::multimail,
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::support::{Agent, BINARY, SOURCE_SECRET, add_source, http, mail, post, run, serve, until};

async fn get(base: &Value, path: &str) -> (u16, String) {
    let url = format!("{}{path}", base.as_str().expect("an address").trim_end_matches("/mcp"));
    let answer = http().get(url).send().await.expect("answered");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

/// Each line of the numbers, by its name and labels.
fn numbers(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let number = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a number");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(number).collect()
}

async fn measured(ready: &Value) -> (String, BTreeMap<String, f64>) {
    let (status, text) = get(&ready["console"], "/metrics").await;
    assert_eq!(status, 200, "{text}");
    let numbers = numbers(&text);
    (text, numbers)
}

/// Asks for two recipients who are not taken, and says goodbye.
async fn refused(smtp: &str) {
    let mut stream = TcpStream::connect(smtp).await.expect("connected");
    let asks = "EHLO test\r\nMAIL FROM:<ann@customer.test>\r\nRCPT TO:<planted@mailbell.test>\r\n\
        RCPT TO:<planted@customer.test>\r\nQUIT\r\n";
    stream.write_all(asks.as_bytes()).await.expect("sent");
    let mut said = String::new();
    stream.read_to_string(&mut said).await.expect("read to its end");
    assert!(said.contains("550 5.1.1") && said.contains("550 5.7.1") && said.contains("\r\n221 "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_tell_what_happened_and_nothing_of_whose_it_was() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (_house, ready) = serve(dir, &[]).await;
    add_source(dir).await;
    let agent = Agent::start(dir).await;
    let client = http();
    // The same id with another timestamp is quarantined; the same bytes again are known.
    assert!(post(&client, dir, "one").await && post(&client, dir, "one").await);
    let hooks = ready["hooks"].as_str().expect("an address");
    let again =
        json!({ "event_type": "delivery", "event_id": "two", "mailbox": "agent@mailbell.test", "message_id": "em_two",
        "timestamp": SystemClock::new().now().to_string(), "recipient": "bob@customer.test" })
        .to_string();
    for _ in 0..2 {
        let signature = multimail::sign(&Secret::new(SOURCE_SECRET), again.as_bytes());
        let sent =
            client.post(format!("{hooks}/hooks/test")).header(multimail::HEADER, signature).body(again.clone()).send();
        assert_eq!(sent.await.expect("answered").status(), 200);
    }
    for (source, status) in [("test", 401), ("nobody@example.com", 404), ("nowhere", 404)] {
        let url = format!("{hooks}/hooks/{source}");
        let answer = client.post(url).header(multimail::HEADER, "00").body("{}").send().await.expect("answered");
        assert_eq!(answer.status(), status);
    }
    let smtp = ready["smtp"].as_str().expect("an address");
    assert!(mail(smtp, "planted-subject").await);
    refused(smtp).await;
    let wait = json!({ "consumer": "planted@consumer.test", "event_types": ["inbound"], "kinds": ["inbound"], "timeout_secs": 20 });
    let refused = agent.call("wait_for_event", wait).await;
    assert!(refused.is_err(), "a consumer is named in other characters");
    let waited = agent.insist("wait_for_event", json!({ "consumer": "reader", "timeout_secs": 20 })).await;
    assert_eq!(waited["events"].as_array().map(Vec::len), Some(1));

    let counted = |numbers: &BTreeMap<String, f64>, name: &str| numbers.get(&format!("mailbell_{name}")).copied();
    until("the webhook to be recorded, and the sessions to end", async || {
        let (_, numbers) = measured(&ready).await;
        counted(&numbers, "webhook_posts_total{result=\"delivered\"}") == Some(1.0)
            && counted(&numbers, "smtp_sessions") == Some(0.0)
    })
    .await;
    let (text, numbers) = measured(&ready).await;
    for (name, value) in [
        ("ingest_events_total{source=\"test\",result=\"fresh\"}", 2.0),
        ("ingest_events_total{source=\"test\",result=\"duplicate\"}", 1.0),
        ("ingest_events_total{source=\"multimail\",result=\"fresh\"}", 1.0),
        ("ingest_requests_total{source=\"test\",result=\"taken\"}", 3.0),
        ("ingest_requests_total{source=\"test\",result=\"quarantined\"}", 1.0),
        ("quarantine", 1.0),
        ("ingest_requests_total{source=\"test\",result=\"unauthenticated\"}", 1.0),
        ("ingest_requests_total{source=\"unknown\",result=\"unknown_source\"}", 2.0),
        ("mail_in_total{result=\"stored\"}", 1.0),
        ("smtp_sessions", 0.0),
        ("smtp_sessions_ended_total{result=\"closed\"}", 1.0),
        ("smtp_sessions_ended_total{result=\"gone\"}", 1.0),
        ("smtp_refusals_total{status=\"5.1.1\"}", 1.0),
        ("smtp_refusals_total{status=\"5.7.1\"}", 1.0),
        ("log_tail", 1.0),
        ("term", 1.0),
        ("paused", 0.0),
        ("consumer_lag{consumer=\"reader\"}", 1.0),
        ("consumer_leased{consumer=\"reader\"}", 1.0),
        ("webhook_deliveries_pending", 0.0),
        ("mail_queued", 0.0),
    ] {
        assert_eq!(counted(&numbers, name), Some(value), "{name}\n{text}");
    }
    assert!(counted(&numbers, "log_head").is_some_and(|head| head >= 3.0), "places may skip");
    assert!(counted(&numbers, "store_commit_seconds_count{database=\"bell\"}").is_some_and(|commits| commits > 0.0));
    assert!(counted(&numbers, "store_commit_seconds_count{database=\"mail\"}").is_some_and(|commits| commits > 0.0));
    assert!(counted(&numbers, "store_flush_seconds_count{database=\"bell\"}").is_some_and(|flushes| flushes > 0.0));
    assert!(counted(&numbers, "disk_free_bytes").is_some_and(|bytes| bytes > 0.0));
    for planted in ["@", "planted", "customer.test", "mailbell.test", SOURCE_SECRET, "nowhere"] {
        assert!(!text.contains(planted), "{planted} is in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    for name in numbers.keys() {
        let name = name.split('{').next().unwrap_or_default().trim_start_matches("mailbell_");
        let bare =
            ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(TABLE.iter().any(|described| described.name == bare), "{name} is not in the table");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_cannot_write_says_so_and_still_lives() {
    let home = tempfile::tempdir().expect("a directory");
    let (_house, ready) = serve(home.path(), &[]).await;
    for listener in ["console", "hooks", "mcp", "api"] {
        for path in ["/livez", "/readyz"] {
            assert_eq!(get(&ready[listener], path).await, (200, "{\"status\":\"ok\"}".to_owned()), "{listener} {path}");
        }
    }
    assert_eq!(get(&ready["hooks"], "/metrics").await.0, 404, "the world has no business with them");
    for path in ["/metrics", "/livez", "/readyz"] {
        let url = format!("{}{path}", ready["console"].as_str().expect("an address"));
        for (host, status) in
            [("rebound.example", 403), ("rebound.example:7414", 403), ("localhost", 200), ("[::1]:9", 200)]
        {
            let asked = http().get(&url).header("host", host).send().await.expect("answered");
            assert_eq!(asked.status().as_u16(), status, "{path} called {host}");
        }
    }
    let options = SqliteConnectOptions::new().filename(home.path().join("bell.db"));
    let mut other = options.connect().await.expect("opened");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("begun");
    // The client gives up after 2 seconds, which is how long the house waits for the lock.
    let patient = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = async |listener: &str| {
        let base = ready[listener].as_str().expect("an address").to_owned();
        let answer = patient.get(format!("{base}/readyz")).send().await.expect("answered");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let (status, text) = ask("console").await;
    assert!(status == 503 && text.contains("the event log cannot be written"), "{text}");
    assert_eq!(ask("hooks").await, (503, "{\"status\":\"degraded\"}".to_owned()));
    assert_eq!(get(&ready["console"], "/livez").await.0, 200);
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("ended");
    until("that it is ready again", async || ask("console").await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_json_has_no_word_of_anybody_s() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, settings) = (home.path().join("data"), home.path().join("config.toml"));
    fs::write(&settings, "[log]\nformat = \"json\"\n").expect("written");
    let more = ["--config", settings.to_str().expect("UTF-8"), "--log", "warn,mailbell=trace"];
    let (house, ready) = serve_saying(&dir, &more).await;
    add_source(&dir).await;
    let client = http();
    assert!(post(&client, &dir, "planted-event").await);
    let hooks = ready["hooks"].as_str().expect("an address");
    let signed = "{\"planted-body\": 1}";
    let signature = multimail::sign(&Secret::new(SOURCE_SECRET), signed.as_bytes());
    for (signature, body) in [("00", "planted-forgery"), (signature.as_str(), signed)] {
        let url = format!("{hooks}/hooks/test");
        let answer = client.post(url).header(multimail::HEADER, signature).body(body).send().await.expect("answered");
        assert!(answer.status().is_client_error());
    }
    let smtp = ready["smtp"].as_str().expect("an address");
    assert!(mail(smtp, "planted-subject").await);
    run(&dir, &["try", "bounce"], "").await;
    let agent = Agent::start(&dir).await;
    let waited = agent.insist("wait_for_event", json!({ "timeout_secs": 20 })).await;
    agent.insist("ack_event", json!({ "lease_token": waited["lease_token"] })).await;
    let letter = json!({ "mailbox": "agent@mailbell.test", "to": ["planted@simulator.mailbell.test"],
        "subject": "planted-letter", "markdown": "planted-markdown" });
    let _ = agent.call("send_email", letter).await;
    let token = fs::read_to_string(dir.join("tokens/api")).expect("a token");
    let api = ready["api"].as_str().expect("an address");
    let refused = client.get(format!("{api}/v1/emails/planted-path")).bearer_auth("planted-bearer").send().await;
    assert_eq!(refused.expect("answered").status(), 401);
    drop(agent);
    let said = house.ended().await;
    assert!(said.lines().count() > 5, "{said}");
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["message"].is_string() && line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    let lease = waited["lease_token"].as_str().expect("a token");
    for planted in ["planted", "@", "customer.test", SOURCE_SECRET, token.trim(), lease, "whsec_", "Hello"] {
        let told: Vec<&str> = said.lines().filter(|line| line.contains(planted)).collect();
        assert!(told.is_empty(), "{planted:.8} is in the log: {told:?}");
    }
}

/// A `serve` all of whose log is kept until it ends.
struct Saying(tokio::process::Child);

impl Saying {
    /// Ends it as a signal does, and answers with its log.
    async fn ended(self) -> String {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.0.id().expect("it runs")).expect("a pid"));
        rustix::process::kill_process(pid.expect("not zero"), rustix::process::Signal::TERM).expect("it is ours");
        let output = self.0.wait_with_output().await.expect("ended");
        String::from_utf8(output.stderr).expect("text")
    }
}

async fn serve_saying(dir: &Path, more: &[&str]) -> (Saying, Value) {
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--data-dir").arg(dir).args(more).kill_on_drop(true);
    for listener in ["mcp", "hooks", "api", "smtp", "lmtp", "console"] {
        command.args([format!("--{listener}-addr"), ":0".to_owned()]);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("mailbell starts");
    let mut line = String::new();
    let mut out = tokio::io::BufReader::new(child.stdout.take().expect("piped"));
    tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line).await.expect("readable");
    (Saying(child), serde_json::from_str(&line).expect("one JSON line"))
}
