//! The audit record, tokens and the doctor through the real binary: a kill between intent and result, a revocation that ends a
//! wait, sessions that are abandoned, and databases of a newer version.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");
const ADDRESSES: [&str; 6] = ["mcp", "hooks", "api", "smtp", "lmtp", "console"];
/// Far more than any step takes, on a machine that is busy with other tests.
const COME_MAX: Duration = Duration::from_mins(2);

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(command: &str, dir: &Path, environment: &[(&str, String)]) -> Self {
        let child = Command::new(BINARY)
            .args([command, "--log", "error", "--data-dir"])
            .arg(dir)
            .args(ADDRESSES.iter().flat_map(|name| [format!("--{name}-addr"), ":0".to_owned()]))
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }
}

/// Kills with SIGKILL.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn try_run(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).arg("--data-dir").arg(dir).output().unwrap()
}

fn run(dir: &Path, arguments: &[&str]) -> String {
    let ran = try_run(dir, arguments);
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < COME_MAX, "{what}");
    }
}

fn serve(dir: &Path, environment: &[(&str, String)]) -> (Running, String) {
    let mut house = Running::start("serve", dir, environment);
    let ready: Value = serde_json::from_str(&house.first_line()).unwrap();
    let mcp = ready["mcp"].as_str().unwrap().to_owned();
    (house, mcp)
}

#[test]
fn a_kill_between_intent_and_result_leaves_the_intent() {
    let dir = tempfile::tempdir().unwrap();
    // A mail API that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", silent.local_addr().unwrap());
    let environment = [("MAILBELL_MAIL__BASE_URL", api), ("MAILBELL_MAIL__API_KEY", "mm_test_1".to_owned())];
    let mut server = Running::start("mcp", dir.path(), &environment);
    let mut stdin = server.0.stdin.take().unwrap();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "a test", "version": "7" } });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "send_email", "_meta": meta,
        "arguments": { "mailbox": "agent@mailbell.test", "to": ["bob@example.com"], "subject": "s", "markdown": "words" } } });
    writeln!(stdin, "{call}").unwrap();
    let intent = until("the intent is on record", || {
        let told = try_run(dir.path(), &["audit", "--json", "--what", "intent"]);
        lines(&String::from_utf8_lossy(&told.stdout)).pop()
    });
    drop(server);
    assert_eq!(intent["entry"]["arguments"]["to"], json!(["bob@example.com"]));
    assert_eq!((&intent["entry"]["client"], &intent["entry"]["client_version"]), (&json!("a test"), &json!("7")));
    assert!(!intent.to_string().contains("words"));
    assert_eq!(run(dir.path(), &["audit", "--json", "--what", "result", "--tool", "send_email"]), "");
    assert!(run(dir.path(), &["audit", "verify"]).contains("is whole"));
}

#[test]
fn the_record_is_read_exported_and_checked_by_commands() {
    let dir = tempfile::tempdir().unwrap();
    let (house, _) = serve(dir.path(), &[]);
    run(
        dir.path(),
        &["token", "create", "alice", "--scope", "read", "--mailbox", "Agent@mailbell.test", "--expires", "30d"],
    );
    let listed = lines(&run(dir.path(), &["token", "list", "--json"]));
    let alice = listed.iter().find(|token| token["name"] == "alice").unwrap();
    assert_eq!((&alice["may"], &alice["mailboxes"]), (&json!("read"), &json!(["agent@mailbell.test"])));
    let twice = try_run(dir.path(), &["token", "create", "alice"]);
    assert!(!twice.status.success() && String::from_utf8_lossy(&twice.stderr).contains("token list"));
    assert!(!try_run(dir.path(), &["token", "create", "mcp"]).status.success());
    assert!(!try_run(dir.path(), &["token", "create", "a:b"]).status.success());
    let created = lines(&run(dir.path(), &["audit", "--json", "--what", "operator"]));
    assert!(
        created.iter().any(|row| row["entry"]["command"] == "token create" && row["entry"]["about"]["name"] == "alice")
    );

    let head = run(dir.path(), &["audit", "head"]);
    run(dir.path(), &["token", "revoke", "alice"]);
    let file = dir.path().join("export.jsonl");
    run(dir.path(), &["audit", "export", file.to_str().unwrap()]);
    assert_eq!(lines(&fs::read_to_string(&file).unwrap())[0]["id"], 1);
    assert!(run(dir.path(), &["audit", "verify", "--head", head.trim()]).contains("is whole"));

    let doctor: Value = serde_json::from_str(&run(dir.path(), &["doctor", "--json"])).unwrap();
    assert_eq!(doctor["ok"], true, "{doctor:#}");
    for check in [
        "settings", "clock", "disk", "sources", "bell.db", "mail.db", "raw mail", "audit", "keeper", "mcp", "hooks",
        "api", "smtp",
    ] {
        let found = doctor["checks"].as_array().unwrap().iter().find(|found| found["check"] == check);
        assert_eq!(found.unwrap()["state"], "ok", "{check}: {doctor:#}");
    }
    drop(house);
    let ran = try_run(dir.path(), &["doctor"]);
    assert_eq!(ran.status.code(), Some(3), "a warning is no failure, and is not nothing");
    let alone = String::from_utf8(ran.stdout).unwrap();
    assert!(alone.contains("mailbell serve"), "{alone}");
}

/// Starts a wait over the older protocol; its answer ends when the wait does.
async fn initialize(http: &reqwest::Client, mcp: &str, token: &str) -> reqwest::Response {
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    post(http, mcp, token, None, &initialize).await
}

async fn post(
    http: &reqwest::Client,
    mcp: &str,
    token: &str,
    session: Option<&str>,
    body: &Value,
) -> reqwest::Response {
    let mut request =
        http.post(mcp).bearer_auth(token).header("accept", "application/json, text/event-stream").json(body);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session).header("mcp-protocol-version", "2025-06-18");
    }
    request.send().await.unwrap()
}

fn wait(id: u32) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": "wait_for_event", "arguments": { "timeout_secs": 50 } } })
}

async fn open(http: &reqwest::Client, mcp: &str, token: &str) -> String {
    let opened = initialize(http, mcp, token).await;
    assert_eq!(opened.status().as_u16(), 200);
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    opened.bytes().await.unwrap();
    post(http, mcp, token, Some(&session), &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    session
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_a_running_wait_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let (_house, mcp) = serve(dir.path(), &[]);
    let token = run(dir.path(), &["token", "create", "alice"]).trim().to_owned();
    let http = client();
    let session = open(&http, &mcp, &token).await;
    // It holds an event, and waits for the next one.
    run(dir.path(), &["try", "inbound"]);
    let first = post(&http, &mcp, &token, Some(&session), &wait(2)).await.text().await.unwrap();
    assert!(first.contains("lease_token"), "{first}");
    let held = || lines(&run(dir.path(), &["consumers", "--json"]))[0]["leased"].clone();
    assert_eq!(held(), 1);
    let waiting = tokio::spawn({
        let (http, mcp, token, session) = (http.clone(), mcp.clone(), token.clone(), session.clone());
        async move {
            let answer = post(&http, &mcp, &token, Some(&session), &wait(3)).await;
            let _ = answer.text().await;
            Instant::now()
        }
    });
    let stream =
        http.get(&mcp).bearer_auth(&token).header("accept", "text/event-stream").header("mcp-session-id", &session);
    let stream = stream.send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    let stream = tokio::spawn(async move {
        let _ = stream.bytes().await;
        Instant::now()
    });
    run(dir.path(), &["token", "revoke", "alice"]);
    let revoked = Instant::now();
    for ended in [waiting, stream] {
        let ended = tokio::time::timeout(COME_MAX, ended).await.unwrap().unwrap();
        assert!(ended.saturating_duration_since(revoked) < Duration::from_secs(1), "{:?}", ended - revoked);
    }
    assert_eq!(initialize(&http, &mcp, &token).await.status().as_u16(), 401);
    // Its wait may have been handed what was given back, before it ended; that is given back too.
    until("what it held is free for others", || (held() == 0).then_some(()));
    let told = run(dir.path(), &["audit", "--json", "--what", "taken_back"]);
    assert!(told.contains("its token was revoked"), "{told}");
}

/// When an abandoned session ends.
const IDLE: Duration = Duration::from_secs(2);
/// Longer than the library's five seconds for calls of a session that has ended.
const DRAINED: Duration = Duration::from_secs(7);
/// When the client of a wait goes away.
const GONE: Duration = Duration::from_millis(300);

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sessions that are opened and abandoned, and waits whose clients go away: a second such round costs no more memory, and
/// none of it stays. `MAILBELL_TEST_SESSIONS=5000 MAILBELL_TEST_WAITS=200` is the long form.
#[tokio::test(flavor = "multi_thread")]
async fn what_agents_abandon_does_not_stay() {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings")]
    let count = |name: &str, short: usize| std::env::var(name).ok().and_then(|said| said.parse().ok()).unwrap_or(short);
    let (sessions, waits) = (count("MAILBELL_TEST_SESSIONS", 400), count("MAILBELL_TEST_WAITS", 40));
    let dir = tempfile::tempdir().unwrap();
    let idle = [("MAILBELL_MCP__SESSION_IDLE_SECS", IDLE.as_secs().to_string())];
    let (house, mcp) = serve(dir.path(), &idle);
    let token = run(dir.path(), &["token", "show", "mcp"]).trim().to_owned();
    let mut sizes = Vec::new();
    for _ in 0..2 {
        let http = client();
        let mut last = String::new();
        for _ in 0..sessions {
            last = open(&http, &mcp, &token).await;
        }
        let waiting = (0..waits).map(|_| async {
            let (http, session) = (client(), open(&http, &mcp, &token).await);
            // Its client goes away while it waits.
            tokio::time::timeout(GONE, post(&http, &mcp, &token, Some(&session), &wait(2))).await.map(drop)
        });
        futures::future::join_all(waiting).await;
        // Each question keeps a session alive, so it is asked only after its time.
        let ping = json!({ "jsonrpc": "2.0", "id": 9, "method": "ping" });
        let began = Instant::now();
        while post(&http, &mcp, &token, Some(&last), &ping).await.status().as_u16() != 404 {
            assert!(began.elapsed() < COME_MAX, "the session stays");
            tokio::time::sleep(IDLE * 2).await;
        }
        sizes.push(resident_kib(house.0.id()));
    }
    eprintln!("{sessions} sessions and {waits} waits, twice: {sizes:?} KiB");
    assert!(sizes[1] * 10 <= sizes[0] * 12, "{sizes:?}");
    // Calls of a session that has ended by being idle go on in the MCP library for so long; nothing outside shows their end.
    tokio::time::sleep(DRAINED).await;
    run(dir.path(), &["try", "inbound"]);
    let standing = until("the event comes", || {
        let standings = lines(&run(dir.path(), &["consumers", "--json"]));
        standings.into_iter().find(|standing| standing["lag"]["inbound"] == 1)
    });
    assert_eq!(standing["leased"], 0, "nobody who is gone was handed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_binary_refuses_a_newer_schema_in_one_sentence() {
    for name in ["bell.db", "mail.db"] {
        let dir = tempfile::tempdir().unwrap();
        drop(serve(dir.path(), &[]));
        let mut conn = SqliteConnectOptions::new().filename(dir.path().join(name)).connect().await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (9999, 'of a later version', 1, x'00', 0)";
        sqlx::query(newer).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        let mut house = Command::new(BINARY)
            .args(["serve", "--data-dir"])
            .arg(dir.path())
            .args(ADDRESSES.iter().flat_map(|name| [format!("--{name}-addr"), ":0".to_owned()]))
            .args(["--log", "error"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = until("it ends", || house.try_wait().unwrap());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut house.stderr.take().unwrap(), &mut said).unwrap();
        assert!(!status.success());
        assert!(said.contains("newer mailbell") && said.contains(name) && said.trim().lines().count() == 1, "{said}");
        let doctor = try_run(dir.path(), &["doctor"]);
        assert!(!doctor.status.success());
        assert!(String::from_utf8_lossy(&doctor.stdout).contains("newer mailbell"), "{doctor:?}");
    }
}
