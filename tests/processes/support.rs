//! Processes of mailbell, the clients that speak with them, and mail for them.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rmcp::{RoleClient, ServiceExt as _, model::CallToolRequestParams, service::RunningService};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");
/// What an heir is given by DESIGN.
pub const TAKEOVER_MAX: Duration = Duration::from_secs(2);
/// Far more than anything here takes, on a machine that is busy with other tests.
pub const COME_MAX: Duration = Duration::from_mins(1);
const FREE_PORTS: [&str; 12] = [
    "--mcp-addr",
    ":0",
    "--hooks-addr",
    ":0",
    "--api-addr",
    ":0",
    "--smtp-addr",
    ":0",
    "--lmtp-addr",
    ":0",
    "--console-addr",
    ":0",
];

pub type Client = RunningService<RoleClient, ()>;

/// A process that does not outlive its test, and what it said on stderr.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["--log", "warn"]).args(arguments).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("mailbell starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().expect("piped"), said.clone());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().expect("not poisoned").push_str(&(line + "\n"));
            }
        });
        Self { child, said }
    }

    /// Its stdout and stdin, for an MCP client.
    pub fn pipes(&mut self) -> (ChildStdout, ChildStdin) {
        (self.child.stdout.take().expect("piped"), self.child.stdin.take().expect("piped"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("not zero");
        kill_process(pid, signal).expect("it is ours");
    }

    /// SIGKILL, and its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Whether it ended well.
    pub async fn ended(&mut self) -> bool {
        let ended = tokio::time::timeout(COME_MAX, self.child.wait()).await;
        ended.expect("it goes on").expect("ended").success()
    }

    /// Resolves once it has said that on stderr.
    pub async fn says(&self, words: &str) {
        until(words, async || self.said().contains(words)).await;
    }

    pub fn said(&self) -> String {
        self.said.lock().expect("not poisoned").clone()
    }
}

fn with_dir<'a>(command: &'a [&'a str], dir: &'a Path) -> Vec<&'a str> {
    [command, &["--data-dir", dir.to_str().expect("UTF-8")], &FREE_PORTS].concat()
}

/// A `mailbell serve` that is ready, and its ready line.
pub async fn serve(dir: &Path, more: &[&str]) -> (Running, Value) {
    let mut arguments = with_dir(&["serve"], dir);
    for pair in more.chunks(2) {
        // A flag is given once: the test's own in place of the free port.
        if let Some(at) = arguments.iter().position(|argument| *argument == pair[0]) {
            arguments[at + 1] = pair[1];
        } else {
            arguments.extend(pair);
        }
    }
    let mut running = Running::start(&arguments, &[]);
    let mut line = String::new();
    BufReader::new(running.child.stdout.take().expect("piped")).read_line(&mut line).await.expect("readable");
    let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?} {}", running.said()));
    (running, ready)
}

/// A `mailbell serve` that is expected to refuse.
pub fn serve_in_vain(dir: &Path) -> Running {
    Running::start(&with_dir(&["serve"], dir), &[])
}

/// A `mailbell mcp` with its client.
pub struct Agent {
    pub process: Running,
    pub client: Client,
}

impl Agent {
    pub async fn start(dir: &Path) -> Self {
        Self::of(Running::start(&with_dir(&["mcp"], dir), &[])).await
    }

    pub async fn of(mut process: Running) -> Self {
        let client = ().serve(process.pipes()).await.unwrap_or_else(|error| panic!("{error}: {}", process.said()));
        Self { process, client }
    }

    pub async fn call(&self, tool: &'static str, arguments: Value) -> Result<Value, String> {
        call(&self.client, tool, arguments).await
    }

    /// Calls until it succeeds: what an agent does that is told to try again.
    pub async fn insist(&self, tool: &'static str, arguments: Value) -> Value {
        let began = Instant::now();
        loop {
            match self.call(tool, arguments.clone()).await {
                Ok(result) => return result,
                Err(error) => assert!(began.elapsed() < COME_MAX, "{tool}: {error}"),
            }
        }
    }
}

pub async fn call(client: &Client, tool: &'static str, arguments: Value) -> Result<Value, String> {
    let arguments = arguments.as_object().expect("an object").clone();
    let called = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await;
    let result = called.map_err(|error| error.to_string())?;
    let text = || format!("{:?}", result.content);
    if result.is_error == Some(true) { Err(text()) } else { result.structured_content.clone().ok_or_else(text) }
}

/// Looks again and again, at short distance, for what another process does in its own time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < COME_MAX, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the keeper has published.
pub fn published(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("keeper.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Resolves once that process has published that it keeps the directory.
pub async fn keeps(dir: &Path, pid: u32) {
    until("that it keeps the directory", async || published(dir)["pid"] == pid).await;
}

/// Hands one mail to `smtp`; true is a 250 after its final dot.
pub async fn mail(smtp: &str, subject: &str) -> bool {
    mail_with(smtp, subject, "Hello").await.is_some()
}

/// Hands one mail with that text to `smtp`; answers with the id of what was stored.
pub async fn mail_with(smtp: &str, subject: &str, text: &str) -> Option<String> {
    let spoken = async {
        let stream = TcpStream::connect(smtp).await.ok()?;
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        let letter = format!("From: ann@customer.test\r\nSubject: {subject}\r\n\r\n{text}\r\n.");
        let commands = ["EHLO test", "MAIL FROM:<ann@customer.test>", "RCPT TO:<agent@mailbell.test>", "DATA", &letter];
        let mut said = String::new();
        for command in [""].iter().chain(&commands) {
            if !command.is_empty() {
                to.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
            }
            loop {
                let line = lines.next_line().await.ok()??;
                if line.as_bytes().get(3) != Some(&b'-') {
                    if !line.starts_with(['2', '3']) {
                        return None;
                    }
                    said = line;
                    break;
                }
            }
        }
        said.split_whitespace().find(|word| word.starts_with("em_")).map(str::to_owned)
    };
    tokio::time::timeout(Duration::from_secs(5), spoken).await.ok().flatten()
}

/// Runs a command that must succeed; answers with its stdout.
pub async fn run(dir: &Path, arguments: &[&str], stdin: &str) -> String {
    let mut running = Running::start(&[arguments, &["--data-dir", dir.to_str().expect("UTF-8")]].concat(), &[]);
    let mut input = running.child.stdin.take().expect("piped");
    input.write_all(stdin.as_bytes()).await.expect("written");
    drop(input);
    let said = running.said.clone();
    let output = running.child.wait_with_output().await.expect("ended");
    assert!(output.status.success(), "{arguments:?}: {}", said.lock().expect("not poisoned"));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command that must not succeed; answers with its exit code and its stderr.
pub async fn run_badly(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--data-dir").arg(dir).stdin(Stdio::null());
    let output = command.output().await.expect("ended");
    assert!(!output.status.success(), "{arguments:?} went well");
    (output.status.code().expect("an exit"), String::from_utf8(output.stderr).expect("text"))
}

/// The audit record as it is exported, and the text of its key.
pub async fn record(dir: &Path) -> (String, String) {
    let key = std::fs::read_to_string(dir.join("audit.key")).expect("a key");
    (run(dir, &["audit", "export"], "").await, key)
}

/// Posts a delivery event to the keeper's receiver as the source `test`; true is a 2xx.
pub async fn post(client: &reqwest::Client, dir: &Path, id: &str) -> bool {
    use mailbell::{app::system::SystemClock, domain::clock::Clock as _, domain::secret::Secret, signing::multimail};
    let Some(hooks) = published(dir)["hooks"].as_str().map(str::to_owned) else { return false };
    let body = json!({
        "event_type": "delivery", "event_id": id, "mailbox": "agent@mailbell.test", "message_id": format!("em_{id}"),
        "thread_id": format!("thr_{id}"), "timestamp": SystemClock::new().now().to_string(), "recipient": "bob@customer.test",
    })
    .to_string();
    let signature = multimail::sign(&Secret::new(SOURCE_SECRET), body.as_bytes());
    let sent = client.post(format!("{hooks}/hooks/test")).header(multimail::HEADER, signature).body(body).send().await;
    sent.is_ok_and(|answer| answer.status().is_success())
}

pub const SOURCE_SECRET: &str = "the processes test's own secret";

/// Adds the source that [`post`] posts as.
pub async fn add_source(dir: &Path) {
    run(dir, &["source", "add", "test", "--dialect", "multimail", "--secret-stdin"], SOURCE_SECRET).await;
}

pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build().expect("a client")
}
