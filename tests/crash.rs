//! The house is killed (SIGKILL) again and again while many post to it and workers handle what came: every event that got a
//! 2xx is in the log once, and the workers get each one.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mailbell::{domain::secret::Secret, signing::multimail};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rmcp::{
    RoleClient, ServiceExt as _, model::CallToolRequestParams, service::RunningService, transport::TokioChildProcess,
};
use serde_json::{Value, json};
use tokio::sync::watch;

const KILLS: usize = 20;
const POSTERS: u64 = 16;
const WORKERS: usize = 2;
const SECRET: &str = "the crash test's own secret";
/// The whole run, kills and all, takes no longer.
const TIME_MAX: Duration = Duration::from_mins(1);
const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");

struct House {
    process: Child,
    hooks: String,
}

impl House {
    fn start(dir: &Path) -> Self {
        let mut process = Command::new(BINARY)
            .args(["serve", "--log", "error", "--data-dir"])
            .arg(dir)
            .args(["--mcp-addr", ":0", "--hooks-addr", ":0", "--api-addr", ":0"])
            .args(["--smtp-addr", ":0", "--lmtp-addr", ":0", "--console-addr", ":0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("mailbell starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let ready: Value = serde_json::from_str(&line).expect("one JSON line when it is ready");
        Self { process, hooks: ready["hooks"].as_str().expect("an address").to_owned() }
    }
}

/// Kills with SIGKILL.
impl Drop for House {
    fn drop(&mut self) {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("ended");
    }
}

fn run(dir: &Path, arguments: &[&str], stdin: &str) -> String {
    let mut process = Command::new(BINARY)
        .args(arguments)
        .arg("--data-dir")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("mailbell starts");
    process.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("written");
    let output = process.wait_with_output().expect("ended");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What all share.
#[derive(Default)]
struct Tally {
    answered: Mutex<HashSet<String>>,
    acked: Mutex<HashMap<String, u32>>,
    posting_over: AtomicBool,
    made: AtomicU64,
}

/// Posts one event after the other, each until it is answered 2xx, as a provider does.
async fn post(tally: Arc<Tally>, hooks: watch::Receiver<String>) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().expect("a client");
    let secret = Secret::new(SECRET);
    while !tally.posting_over.load(Ordering::Relaxed) {
        let id = format!("evt_crash_{}", tally.made.fetch_add(1, Ordering::Relaxed));
        let now = jiff_now();
        let body = json!({
            "event_type": "delivery", "event_id": id, "mailbox": "agent@mailbell.test", "message_id": format!("em_{id}"),
            "thread_id": "thr_crash", "timestamp": now, "recipient": "bob@customer.test",
        })
        .to_string();
        let signature = multimail::sign(&secret, body.as_bytes());
        loop {
            let url = format!("{}/hooks/crash", *hooks.borrow());
            let sent = client.post(url).header(multimail::HEADER, &signature).body(body.clone()).send().await;
            match sent {
                Ok(answer) if answer.status().is_success() => {
                    tally.answered.lock().expect("not poisoned").insert(id);
                    break;
                }
                Ok(answer) => assert_eq!(answer.status().as_u16(), 503, "a signed event may only be put off"),
                Err(_) if tally.posting_over.load(Ordering::Relaxed) => break,
                // The house is down: ask again when it may be up, which is the provider's retry.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

fn jiff_now() -> String {
    use mailbell::{app::system::SystemClock, domain::clock::Clock as _};
    SystemClock::new().now().to_string()
}

type Agent = RunningService<RoleClient, ()>;

async fn agent(dir: &Path) -> Agent {
    let mut command = tokio::process::Command::new(BINARY);
    command.args(["mcp", "--log", "error", "--data-dir"]).arg(dir);
    ().serve(TokioChildProcess::new(command).expect("mailbell starts")).await.expect("an MCP server")
}

async fn call(agent: &Agent, tool: &'static str, arguments: Value) -> Value {
    let arguments = arguments.as_object().expect("an object").clone();
    let result = agent.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.expect("an answer");
    result.structured_content.unwrap_or_else(|| panic!("{tool} failed: {:?}", result.content))
}

/// Handles what comes until posting is over and nothing is left.
async fn work(tally: Arc<Tally>, agent: Agent) {
    loop {
        let over = tally.posting_over.load(Ordering::Relaxed);
        let wait =
            json!({ "consumer": "crash", "kinds": ["delivery"], "limit": 50, "lease_secs": 30, "timeout_secs": 2 });
        let waited = call(&agent, "wait_for_event", wait).await;
        let events = waited["events"].as_array().expect("a list");
        if events.is_empty() && over {
            break;
        }
        if events.is_empty() {
            continue;
        }
        let acked = call(&agent, "ack_event", json!({ "lease_token": waited["lease_token"] })).await;
        let mut tally = tally.acked.lock().expect("not poisoned");
        for event in events {
            let id = event["event_id"].as_str().expect("an id");
            assert!(acked.to_string().contains(id), "{id} was leased but not acked: {acked}");
            *tally.entry(id.to_owned()).or_default() += 1;
        }
    }
    agent.cancel().await.expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(dir.path(), &["source", "add", "crash", "--dialect", "multimail", "--secret-stdin"], SECRET);
    let mut house = House::start(dir.path());
    let (tell, hooks) = watch::channel(house.hooks.clone());
    let tally = Arc::new(Tally::default());
    let posters: Vec<_> = (0..POSTERS).map(|_| tokio::spawn(post(tally.clone(), hooks.clone()))).collect();
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(tokio::spawn(work(tally.clone(), agent(dir.path()).await)));
    }

    let mut chance = StdRng::seed_from_u64(20);
    for _ in 0..KILLS {
        // The moment of the kill is what is random here; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(chance.random_range(50..900))).await;
        // SIGKILL first: the next one finds the lock free.
        drop(house);
        house = tokio::task::block_in_place(|| House::start(dir.path()));
        tell.send(house.hooks.clone()).expect("posters listen");
    }
    tally.posting_over.store(true, Ordering::Relaxed);
    for poster in posters {
        poster.await.expect("no poster failed");
    }
    for worker in workers {
        worker.await.expect("no worker failed");
    }
    assert!(began.elapsed() < TIME_MAX, "{:?}", began.elapsed());

    let answered = tally.answered.lock().expect("not poisoned").clone();
    let mut in_the_log: HashMap<String, u32> = HashMap::new();
    for line in run(dir.path(), &["events", "--json"], "").lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        if event["source"] == "crash" {
            *in_the_log.entry(event["event_id"].as_str().expect("an id").to_owned()).or_default() += 1;
        }
    }
    drop(house);
    assert!(answered.len() > 500, "only {} events were taken: the house was down most of the time", answered.len());
    let lost: Vec<_> = answered.iter().filter(|id| !in_the_log.contains_key(*id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(in_the_log.values().all(|times| *times == 1), "stored twice");
    let acked = tally.acked.lock().expect("not poisoned");
    let unhandled: Vec<_> = in_the_log.keys().filter(|id| !acked.contains_key(*id)).collect();
    assert!(unhandled.is_empty(), "in the log and never handed to a worker: {unhandled:?}");
    assert!(acked.values().all(|times| *times == 1), "handled twice");
}
