//! A backup of a house at work is of one moment, and what is made out of it is that house again, which sends nothing yet.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post as taking};
use serde_json::{Value, json};

use crate::support::{
    Agent, SOURCE_SECRET, add_source, http, mail, mail_with, post, published, run, run_badly, serve, until,
};

/// Deliveries that the endpoint saw, and whether it takes any.
#[derive(Default)]
struct Endpoint {
    open: AtomicBool,
    seen: Mutex<Vec<String>>,
}

/// Takes webhooks once it is open, and answers 503 before.
async fn endpoint() -> (String, Arc<Endpoint>) {
    async fn take(State(at): State<Arc<Endpoint>>, Json(event): Json<Value>) -> StatusCode {
        at.seen.lock().expect("not poisoned").push(event["event_id"].as_str().unwrap_or_default().to_owned());
        if at.open.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }
    let at: Arc<Endpoint> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let router = Router::new().route("/", taking(take)).with_state(at.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, at)
}

fn token(dir: &Path) -> String {
    fs::read_to_string(dir.join("tokens/api")).expect("a token").trim().to_owned()
}

async fn register(dir: &Path, url: &str) {
    let api = published(dir)["api"].as_str().expect("an address").to_owned();
    let hook = json!({ "endpoint_url": url, "events": ["inbound"] });
    let made = http().post(format!("{api}/v1/webhooks")).bearer_auth(token(dir)).json(&hook).send().await;
    let made = made.expect("sent");
    assert!(made.status().is_success(), "{}", made.text().await.unwrap_or_default());
}

async fn events(dir: &Path) -> Vec<Value> {
    let lines = run(dir, &["events", "--json"], "").await;
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The messages that events of `dir` tell came in.
async fn told(dir: &Path) -> BTreeSet<String> {
    let inbound = events(dir).await.into_iter().filter(|event| event["event_type"] == "inbound");
    inbound.map(|event| event["message_id"].as_str().expect("an id").to_owned()).collect()
}

/// Each message that is told of can be read, and there are as many as there are events for.
async fn whole(dir: &Path, messages: u64) {
    until("an event for each message", async || told(dir).await.len() as u64 == messages).await;
    let api = published(dir)["api"].as_str().expect("an address").to_owned();
    for id in told(dir).await {
        let read = http().get(format!("{api}/v1/emails/{id}")).bearer_auth(token(dir)).send().await.expect("sent");
        assert_eq!(read.status(), 200, "{id} has an event and is no message");
    }
}

fn bytes_under(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        bytes.extend(if path.is_dir() { bytes_under(&path) } else { fs::read(path).expect("a file") });
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_of_one_moment_and_what_comes_out_of_it_holds_still() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, operator) = (home.path().join("house"), home.path().join("operator"));
    fs::create_dir(&dir).expect("made");
    let operator_file = operator.to_str().expect("UTF-8");
    let (house, ready) = serve(&dir, &["--operator-token-file", operator_file]).await;
    add_source(&dir).await;
    let (url, endpoint) = endpoint().await;
    register(&dir, &url).await;
    let smtp = ready["smtp"].as_str().expect("an address").to_owned();
    let agent = Agent::start(&dir).await;

    let old_cursor = agent.call("list_events", json!({ "limit": 1 })).await.expect("listed")["cursor"].clone();

    // Mail comes, a provider posts, and an agent works, all the while.
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = Vec::new();
    for lane in 0..3 {
        let (stop, smtp, dir) = (stop.clone(), smtp.clone(), dir.clone());
        load.push(tokio::spawn(async move {
            let client = http();
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                mail(&smtp, &format!("lane {lane}, mail {n}")).await;
                post(&client, &dir, &format!("d{lane}x{n}")).await;
            }
        }));
    }
    let working = stop.clone();
    load.push(tokio::spawn(async move {
        while !working.load(Ordering::Relaxed) {
            let waited = agent.insist("wait_for_event", json!({ "timeout_secs": 1, "limit": 3 })).await;
            if waited["lease_token"].is_string() {
                let _ = agent.call("ack_event", json!({ "lease_token": waited["lease_token"] })).await;
            }
        }
    }));
    until("some mail", async || told(&dir).await.len() > 20).await;
    let (bare, full) = (home.path().join("bare"), home.path().join("full"));
    let made = run(&dir, &["backup", bare.to_str().expect("UTF-8"), "--json"], "").await;
    let manifest: Value = serde_json::from_str(&made).expect("JSON");
    until("more mail", async || told(&dir).await.len() as u64 > manifest["messages"].as_u64().expect("a number")).await;
    run(&dir, &["backup", full.to_str().expect("UTF-8"), "--with-secrets"], "").await;
    stop.store(true, Ordering::Relaxed);
    for lane in load {
        lane.await.expect("it ran");
    }
    assert!(!endpoint.seen.lock().expect("not poisoned").is_empty(), "it was tried, and it answered 503");

    // Nothing that proves who somebody is is in the one, and all of it in the other.
    let key = fs::read_to_string(dir.join("audit.key")).expect("a key");
    let (in_bare, in_full) = (bytes_under(&bare), bytes_under(&full));
    for secret in [SOURCE_SECRET, key.trim(), &token(&dir), "whsec_"] {
        assert!(!holds(&in_bare, secret), "a backup without secrets holds {secret:.6}…");
        assert!(holds(&in_full, secret), "a backup with secrets lacks {secret:.6}…");
    }

    // With secrets: the same house, at another place.
    let full_manifest: Value =
        serde_json::from_slice(&fs::read(full.join("manifest.json")).expect("a manifest")).expect("JSON");
    let again = home.path().join("again");
    let restored = run(&again, &["restore", full.to_str().expect("UTF-8"), "--json"], "").await;
    let restored: Value = serde_json::from_str(&restored).expect("JSON");
    assert_ne!(restored["log"], full_manifest["log"]);
    assert_eq!((&restored["paused"], &restored["audit_goes_on"]), (&json!(true), &json!(true)));
    drop(house);
    let before = endpoint.seen.lock().expect("not poisoned").len();
    endpoint.open.store(true, Ordering::Relaxed);
    let (_again, _) = serve(&again, &[]).await;
    whole(&again, full_manifest["messages"].as_u64().expect("a number")).await;
    let checked = run(&again, &["audit", "verify", "--json"], "").await;
    assert!(checked.contains("\"whole\":true"), "{checked}");
    let head = full_manifest["audit_head"].as_str().expect("a head");
    run(&again, &["audit", "verify", "--head", head], "").await;
    assert!(post(&http(), &again, "after").await, "the source's secret is there");
    let refused = Agent::start(&again).await.call("wait_for_event", json!({ "after": old_cursor })).await;
    assert!(refused.expect_err("a cursor of the log that was").contains("belongs to another log"));

    // Held until the operator lets go; then all of it goes.
    assert_eq!(endpoint.seen.lock().expect("not poisoned").len(), before, "what is held went out");
    let inbound = events(&again).await.into_iter().filter(|event| event["event_type"] == "inbound");
    let owed: BTreeSet<String> = inbound.map(|event| event["event_id"].as_str().expect("an id").to_owned()).collect();
    run(&again, &["resume", "--operator-token-file", operator_file], "").await;
    until("what was owed", async || {
        let seen = endpoint.seen.lock().expect("not poisoned");
        seen[before..].iter().cloned().collect::<BTreeSet<_>>() == owed
    })
    .await;

    // Without: a house that everybody must be let into again, whose audit record begins anew beside the old one.
    let anew = home.path().join("anew");
    let restored = run(&anew, &["restore", bare.to_str().expect("UTF-8"), "--json"], "").await;
    let restored: Value = serde_json::from_str(&restored).expect("JSON");
    assert_eq!(restored["audit_goes_on"], false);
    assert_eq!(restored["new_webhook_secrets"], 2);
    let (_anew, _) = serve(&anew, &[]).await;
    whole(&anew, manifest["messages"].as_u64().expect("a number")).await;
    assert!(!post(&http(), &anew, "after").await, "the source's secret is not there");
    run(&anew, &["audit", "verify"], "").await;
    let exported = fs::read_to_string(anew.join("audit-before-restore.jsonl")).expect("the record from before");
    let faults = crate::check::check(&exported, Some(&key), &[]).faults;
    assert!(faults.iter().all(|fault| !fault.contains("chain")), "{faults:?}");

    // With the key from its other place, the record goes on.
    let goes_on = home.path().join("goes-on");
    let key_file = dir.join("audit.key");
    let arguments =
        ["restore", bare.to_str().expect("UTF-8"), "--audit-key", key_file.to_str().expect("UTF-8"), "--json"];
    let restored = run(&goes_on, &arguments, "").await;
    assert!(restored.contains("\"audit_goes_on\":true"), "{restored}");
    run(&goes_on, &["audit", "verify", "--head", manifest["audit_head"].as_str().expect("a head")], "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_refuses_what_it_would_spoil_or_cannot_trust_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().expect("a directory");
    let (dir, backup) = (home.path().join("house"), home.path().join("backup"));
    fs::create_dir(&dir).expect("made");
    let (house, ready) = serve(&dir, &[]).await;
    let large = "a line of a letter that is too large for mail.db\r\n".repeat(2_000);
    assert!(mail_with(ready["smtp"].as_str().expect("an address"), "one", &large).await.is_some());
    until("its event", async || told(&dir).await.len() == 1).await;
    let place = backup.to_str().expect("UTF-8").to_owned();
    run(&dir, &["backup", &place], "").await;

    let refused = async |to: &Path| run_badly(to, &["restore", &place]).await;
    let (code, said) = refused(&dir).await;
    assert!(code == 1 && said.contains("another mailbell (process"), "{code} {said}");
    drop(house);
    let full = home.path().join("full");
    fs::create_dir(&full).expect("made");
    fs::write(full.join("thesis.txt"), "years of work").expect("written");
    let (_, said) = refused(&full).await;
    assert!(said.contains("is not empty; restore into a new directory"), "{said}");
    assert!(full.join("thesis.txt").exists());
    let (code, said) = run_badly(&dir, &["backup", &place]).await;
    assert!(code == 1 && said.contains("is not empty; a backup goes into a new directory"), "{code} {said}");

    let target = home.path().join("target");
    let manifest = fs::read_to_string(backup.join("manifest.json")).expect("a manifest");
    let known: Value = serde_json::from_str(&manifest).expect("JSON");
    for (field, what) in
        [("bell_schema", "the schema of bell.db"), ("mail_schema", "the schema of mail.db"), ("format", "the format")]
    {
        let mut newer = known.clone();
        newer[field] = json!(9_999);
        fs::write(backup.join("manifest.json"), newer.to_string()).expect("written");
        let (_, said) = refused(&target).await;
        assert!(said.contains(&format!("with {what} 9999")), "{said}");
    }
    let mut astray = known.clone();
    astray["files"][0]["name"] = json!("../astray");
    fs::write(backup.join("manifest.json"), astray.to_string()).expect("written");
    let (_, said) = refused(&target).await;
    assert!(said.contains("leads out of the directory"), "{said}");
    fs::write(backup.join("manifest.json"), &manifest).expect("written");

    // A byte of a message, then one of a database.
    let blob = known["files"].as_array().expect("a list").len();
    assert_eq!(blob, 2, "databases alone");
    let shelf = fs::read_dir(backup.join("blobs")).expect("raw mail").flatten().next().expect("a shelf").path();
    let letter = fs::read_dir(shelf).expect("a shelf").flatten().next().expect("a letter").path();
    for file in [letter, backup.join("mail.db")] {
        let whole = fs::read(&file).expect("a file");
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&file, damaged).expect("written");
        let (_, said) = refused(&target).await;
        assert!(said.contains("is not what was backed up"), "{said}");
        assert_eq!(fs::read_dir(&target).map_or(0, Iterator::count), 0, "it is as empty as it was");
        fs::write(&file, whole).expect("written");
    }
    fs::remove_file(backup.join("manifest.json")).expect("removed");
    let (_, said) = refused(&target).await;
    assert!(said.contains("is no whole backup"), "{said}");
    fs::write(backup.join("manifest.json"), manifest).expect("written");
    run(&target, &["restore", &place], "").await;
}
