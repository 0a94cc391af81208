//! The keeper goes, by SIGKILL or because a `serve` asks: another process goes on at the same addresses.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{Json, Router, extract::State, routing::post};
use mailbell::store::mail::MailStore;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Agent, COME_MAX, TAKEOVER_MAX, http, keeps, mail, published, run, serve, until};

/// Takes webhooks, and notes their subjects as they come.
async fn receiver() -> (String, Arc<Mutex<Vec<String>>>) {
    async fn note(State(heard): State<Arc<Mutex<Vec<String>>>>, Json(event): Json<Value>) {
        heard.lock().expect("not poisoned").push(event["subject"].as_str().unwrap_or_default().to_owned());
    }
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let router = Router::new().route("/", post(note)).with_state(heard.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_heir_is_at_work_within_two_seconds_of_a_kill_and_nothing_is_lost_or_out_of_order() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (mut keeper, ready) = serve(dir, &[]).await;
    let (first, second) = (Agent::start(dir).await, Agent::start(dir).await);
    let (url, heard) = receiver().await;
    let token = std::fs::read_to_string(dir.join("tokens/api")).expect("a token");
    let hook = json!({ "url": url, "events": ["message.received"], "mailbox": "agent@mailbell.test" });
    let hook = http()
        .post(format!("{}/v1/webhooks", ready["api"].as_str().expect("an address")))
        .bearer_auth(token.trim())
        .json(&hook)
        .send()
        .await
        .expect("sent");
    assert!(hook.status().is_success(), "{}", hook.text().await.unwrap_or_default());

    let smtp = ready["smtp"].as_str().expect("an address").to_owned();
    let subjects: Vec<String> = (0..30).map(|n| format!("mail {n:02}")).collect();
    for subject in &subjects[..15] {
        assert!(mail(&smtp, subject).await, "{subject}");
    }
    let newest = first.call("list_events", json!({ "limit": 1 })).await.expect("listed")["cursor"].clone();
    // One agent waits all the while, for what comes only after.
    let sleeping = json!({ "after": newest, "timeout_secs": 40, "event_types": ["delivery"] });
    let waiting = tokio::spawn(async move { (second.call("wait_for_event", sleeping).await, second) });

    keeper.kill().await;
    let killed = Instant::now();
    let mut refused = 0;
    while !mail(&smtp, &subjects[15]).await {
        refused += 1;
        assert!(killed.elapsed() < COME_MAX, "nobody took over");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let took = killed.elapsed();
    assert!(took < TAKEOVER_MAX, "it took {took:?} and {refused} tries");
    let heir = published(dir);
    for listener in ["mcp", "hooks", "api", "smtp", "lmtp", "console"] {
        assert_eq!(heir[listener], ready[listener], "{listener}");
    }
    for subject in &subjects[16..] {
        assert!(mail(&smtp, subject).await, "{subject}");
    }
    let sent = json!({ "to": ["agent@mailbell.test"], "subject": "wakes", "markdown": "x" });
    first.insist("send_email", sent).await;
    let (woken, second) = waiting.await.expect("ran");
    assert_eq!(woken.expect("its wait went on")["events"][0]["event_type"], "delivery");

    until("every webhook", async || heard.lock().expect("not poisoned").iter().any(|subject| subject == "wakes")).await;
    let mut in_order: Vec<String> = Vec::new();
    for subject in &*heard.lock().expect("not poisoned") {
        // A post whose answer the killed keeper could not record is made again; the first ones tell the order.
        if !in_order.contains(subject) {
            in_order.push(subject.clone());
        }
    }
    let expected = [&subjects[..], &["wakes".to_owned()]].concat();
    assert_eq!(in_order, expected);

    until("every event, in order", async || {
        let listed = run(dir, &["events", "--json"], "").await;
        let events = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let inbound = events.filter(|event| event["event_type"] == "inbound");
        inbound.map(|event| event["subject"].as_str().expect("a text").to_owned()).collect::<Vec<_>>() == expected
    })
    .await;
    // Both processes read mail, whichever of them keeps it now.
    for agent in [&first, &second] {
        agent.insist("check_inbox", json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeping_mcp_gives_way_to_a_serve_and_takes_over_when_that_ends() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let agent = Agent::start(dir).await;
    keeps(dir, agent.process.pid()).await;
    let mine = published(dir);
    let agent = Arc::new(agent);
    let waiter = agent.clone();
    let wait = json!({ "consumer": "w", "timeout_secs": 40 });
    let waiting = tokio::spawn(async move { waiter.call("wait_for_event", wait).await });

    let (mut served, ready) = serve(dir, &[]).await;
    assert_eq!(published(dir)["pid"], served.pid());
    assert!(published(dir)["epoch"].as_i64() > mine["epoch"].as_i64(), "a term of its own");
    agent.insist("check_inbox", json!({})).await;
    assert!(mail(ready["smtp"].as_str().expect("an address"), "hello").await);
    let woken = waiting.await.expect("ran").expect("its wait went on");
    assert!(woken["events"][0]["subject"].as_str().expect("a text").contains("hello"));

    served.signal(Signal::TERM);
    assert!(served.ended().await);
    keeps(dir, agent.process.pid()).await;
    let heir = published(dir);
    assert_eq!((&heir["smtp"], &heir["hooks"]), (&ready["smtp"], &ready["hooks"]));
    let inbox = agent.insist("check_inbox", json!({})).await;
    assert!(inbox.to_string().contains("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serve_does_not_give_way_to_another() {
    let home = tempfile::tempdir().expect("a directory");
    let (keeper, _) = serve(home.path(), &[]).await;
    let mut other = crate::support::serve_in_vain(home.path());
    assert!(!other.ended().await);
    other.says(&format!("another mailbell (process {}) keeps", keeper.pid())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_on_whose_data_another_term_has_begun_stops() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    let (mut keeper, ready) = serve(dir, &[]).await;
    let agent = Agent::start(dir).await;
    // By other means than the lock, as on a file system that does not keep it.
    let other = MailStore::open(&dir.join("mail.db"), CancellationToken::new()).await.expect("opened");
    assert!(!keeper.ended().await, "it must not go on");
    keeper.says("another process has begun to keep this data directory").await;
    // The lock came free, so the next keeper's term ends that of the intruder.
    keeps(dir, agent.process.pid()).await;
    assert_eq!(published(dir)["smtp"], ready["smtp"]);
    assert!(other.check_term().await.is_err());
    assert!(mail(ready["smtp"].as_str().expect("an address"), "hello").await);
}
