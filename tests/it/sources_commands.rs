//! `mailbell source` as a process, beside a house that runs: what each of its commands says and does.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use mailbell::{
    app::system::SystemClock,
    domain::{clock::Clock as _, secret::Secret},
    signing::multimail,
};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");
const FREE_PORTS: [&str; 6] =
    ["--mcp-addr", "--hooks-addr", "--api-addr", "--smtp-addr", "--lmtp-addr", "--console-addr"];
const SECRET: &str = "acme-secret-0123456789";
const ANOTHER: &str = "another-secret-0123456789";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:mail-events";

/// A house on a directory of its own.
struct House {
    process: Child,
    directory: tempfile::TempDir,
    hooks: String,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl House {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new(BINARY)
            .args(["serve", "--data-dir"])
            .arg(directory.path())
            .args(FREE_PORTS.iter().flat_map(|flag| [flag, ":0"]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let hooks = ready["hooks"].as_str().unwrap().to_owned();
        Self { process, directory, hooks }
    }

    fn source(&self, arguments: &[&str], stdin: &str) -> Result<String, String> {
        source(self.directory.path(), arguments, stdin)
    }

    /// Posts a body of the multimail dialect, signed with `secret`; the status.
    fn post(&self, name: &str, secret: &str, body: &str) -> String {
        let address = self.hooks.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let signature = multimail::sign(&Secret::new(secret), body.as_bytes());
        write!(
            stream,
            "POST /hooks/{name} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-multimail-signature: {signature}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }
}

/// What the command says: on stdout where it works, and else on stderr.
fn source(dir: &Path, arguments: &[&str], stdin: &str) -> Result<String, String> {
    let mut command = Command::new(BINARY)
        .arg("source")
        .args(arguments)
        .arg("--data-dir")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be over already.
    let _ = command.stdin.take().unwrap().write_all(stdin.as_bytes());
    let ran = command.wait_with_output().unwrap();
    let said = String::from_utf8(if ran.status.success() { ran.stdout } else { ran.stderr }).unwrap();
    assert!(!said.contains("-secret-01"), "a secret is never shown: {said}");
    if ran.status.success() { Ok(said) } else { Err(said) }
}

/// Of now: the house, whose clock is the machine's, takes nothing that happened a week ago.
fn event(id: u32) -> String {
    let now = SystemClock::new().now();
    format!(
        r#"{{"event_type":"open","event_id":"e{id}","mailbox":"a@b.test","message_id":"m","thread_id":"t","timestamp":"{now}"}}"#
    )
}

fn mapping(dir: &Path, auth: &str) -> PathBuf {
    let path = dir.join("mapping.json");
    fs::write(&path, format!(r#"{{"auth": {auth}, "fields": {{"event": "/type", "id": "/id"}}}}"#)).unwrap();
    path
}

#[test]
fn a_source_is_added_shown_tested_rotated_and_removed_while_the_house_runs() {
    let house = House::start();
    assert_eq!(house.post("acme", SECRET, &event(1)), "404");
    let added = house.source(&["add", "acme", "--secret-stdin"], SECRET).unwrap();
    assert!(
        added.starts_with(&format!("{}/hooks/acme takes webhooks of the multimail dialect\n", house.hooks)),
        "{added}"
    );
    assert!(added.contains("  1. ") && added.contains("Its secret is "), "{added}");
    let taken = house.source(&["add", "acme", "--secret-stdin"], ANOTHER).unwrap_err();
    assert!(taken.contains("a source named `acme` exists already"), "{taken}");
    assert!(house.source(&["show", "acme"], "").unwrap().contains("nothing of it was ever taken"));

    assert_eq!(house.post("acme", SECRET, &event(1)), "200");
    assert_eq!(house.post("acme", ANOTHER, &event(2)), "401");
    let tested = house.source(&["test", "acme"], "").unwrap();
    assert!(tested.starts_with("the running receiver took a signed sample: 200"), "{tested}");
    let listed = house.source(&["list"], "").unwrap();
    assert!(listed.contains("acme  multimail  ") && listed.contains("1 secret(s)"), "{listed}");
    let json = house.source(&["list", "--json"], "").unwrap();
    let names: Vec<String> =
        json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].to_string()).collect();
    assert_eq!(names, [r#""acme""#, r#""multimail""#]);
    let shown = house.source(&["show", "acme"], "").unwrap();
    assert!(shown.contains("  open (-): 1, the last at ") && shown.contains("  refused 1, the last at "), "{shown}");

    let rotated = house.source(&["rotate", "acme", "--secret-stdin", "--keep-old-secs", "3600"], ANOTHER).unwrap();
    assert!(rotated.starts_with("the new secret vouches from now on, the old ones until "), "{rotated}");
    // The same twice: with another time in it, it would be another event under the same id.
    let second = event(2);
    assert_eq!([SECRET, ANOTHER].map(|secret| house.post("acme", secret, &second)), ["200", "200"]);
    assert!(house.source(&["show", "acme"], "").unwrap().contains("  one of them vouches until "));
    let third = "third-secret-0123456789";
    house.source(&["rotate", "acme", "--secret-stdin", "--keep-old-secs", "0"], third).unwrap();
    assert_eq!([SECRET, ANOTHER, third].map(|secret| house.post("acme", secret, &event(3))), ["401", "401", "200"]);

    assert_eq!(house.post("acme", third, r#"{"event_type":"?"}"#), "400");
    let kept = house.source(&["quarantine"], "").unwrap();
    assert!(kept.contains("  acme  1 time(s)  18 bytes  "), "{kept}");
    let kept: Value = serde_json::from_str(&house.source(&["quarantine", "acme", "--json"], "").unwrap()).unwrap();
    assert_eq!(kept["body"], r#"{"event_type":"?"}"#);
    assert_eq!(house.source(&["quarantine", "other"], "").unwrap(), "");

    let removed = house.source(&["remove", "acme"], "").unwrap();
    assert_eq!(removed, "removed; nothing more is taken or read for acme\n");
    assert_eq!(house.post("acme", third, &event(4)), "404");
    for command in ["remove", "show", "test"] {
        let unknown = house.source(&[command, "acme"], "").unwrap_err();
        assert!(unknown.contains("there is no source named `acme`"), "{command}: {unknown}");
    }
    assert!(house.source(&["rotate", "acme", "--secret-stdin"], SECRET).unwrap_err().contains("no source named"));
}

#[test]
fn a_sample_of_every_dialect_that_can_sign_comes_through_the_running_receiver() {
    let house = House::start();
    let mapping = mapping(house.directory.path(), r#"{"hmac": {"header": "X-Sig", "algorithm": "sha1"}}"#);
    let svix = |n: u8| format!("whsec_{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [n; 32]));
    for (n, speaks) in
        (1..).zip(["standard-webhooks", "resend", "agentmail", "mailgun", "postmark", "sendgrid-inbound", "multimail"])
    {
        house
            .source(&["add", speaks, "--dialect", speaks, "--secret-stdin"], &svix(n))
            .map_or_else(|refused| assert!(refused.contains("exists already"), "{speaks}: {refused}"), drop);
        let tested = house.source(&["test", speaks], "").unwrap();
        assert!(tested.contains("took a signed sample: 200"), "{speaks}: {tested}");
    }
    let file = mapping.to_str().unwrap();
    house.source(&["add", "own", "--dialect", "generic", "--mapping", file, "--secret-stdin"], SECRET).unwrap();
    assert!(house.source(&["test", "own"], "").unwrap().contains("took a signed sample: 200"));

    let added = house.source(&["add", "amazon", "--dialect", "ses", "--topic", TOPIC], "").unwrap();
    assert!(
        added.contains("In Amazon SNS create a standard topic") && added.contains("raw message delivery off"),
        "{added}"
    );
    assert!(added.contains(&format!("endpoint {}/hooks/amazon", house.hooks)), "{added}");
    let unable = house.source(&["test", "amazon"], "").unwrap_err();
    assert!(unable.contains("only the provider can sign for this source"), "{unable}");
    assert!(house.source(&["show", "amazon"], "").unwrap().contains(TOPIC));
    let none = house.source(&["rotate", "amazon", "--secret-stdin"], SECRET).unwrap_err();
    assert!(none.contains("the ses dialect has no secret"), "{none}");
}

#[test]
fn what_cannot_be_is_refused_in_a_sentence_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let wrong = mapping(dir, r#"{"hmac": {"header": "X-Sig", "signed": "{id}"}}"#);
    let wrong = wrong.to_str().unwrap();
    for (arguments, stdin, says) in [
        (&["add", "no name", "--secret-stdin"][..], SECRET, "is no name for a source"),
        (&["add", "x", "--dialect", "klingon", "--secret-stdin"], SECRET, "there are: multimail, "),
        (&["add", "x"], "", "give it with --secret-stdin or --secret-file"),
        (&["add", "x", "--secret-stdin"], "short", "a signing secret has 16 to 1024 characters"),
        (&["add", "x", "--topic", TOPIC, "--secret-stdin"], SECRET, "--topic and --sha256-only are for --dialect ses"),
        (&["add", "x", "--mapping", wrong, "--secret-stdin"], SECRET, "--mapping is for --dialect generic"),
        (&["add", "x", "--dialect", "ses"], "", "needs the ARN of each topic"),
        (&["add", "x", "--dialect", "ses", "--topic", "mail-events"], "", "`mail-events` is no topic; write its ARN"),
        (&["add", "x", "--dialect", "ses", "--topic", TOPIC, "--secret-stdin"], SECRET, "has no secret"),
        (&["add", "x", "--dialect", "generic", "--secret-stdin"], SECRET, "a generic source needs a mapping"),
        (&["add", "x", "--dialect", "generic", "--mapping", wrong, "--secret-stdin"], SECRET, "must hold {body} once"),
        (
            &["add", "x", "--dialect", "generic", "--mapping", "/nowhere", "--secret-stdin"],
            SECRET,
            "could not read /nowhere",
        ),
        (&["add", "x", "--dialect", "sendgrid", "--secret-stdin"], SECRET, "P-256 public key"),
    ] {
        let said = source(dir, arguments, stdin).unwrap_err();
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    assert_eq!(source(dir, &["list"], "").unwrap(), "");
    source(dir, &["add", "alone", "--secret-stdin"], SECRET).unwrap();
    let none = source(dir, &["test", "alone"], "").unwrap_err();
    assert!(none.contains("start `mailbell serve` first"), "{none}");
}
