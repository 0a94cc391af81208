//! The house is killed (SIGKILL) again and again while mail comes in by SMTP: every message that got its `250` is there, told
//! of in the log, and its raw bytes can be read, whether they lie in the database or in a file.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mailbell::{
    domain::id::MessageId,
    mail::blobs::{Blobs, IN_DATABASE_BYTES_MAX},
    store::{
        mail::MailStore,
        mailroom::{Mailroom as _, RawMail as _},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::{mail_with, run, serve, until};

const KILLS: usize = 8;
const PEERS: usize = 8;
/// Of so many mails one is too large for the database.
const LARGE_EACH: usize = 5;

/// What all share: what was answered `250`, by id, with how its text ends.
#[derive(Default)]
struct Tally {
    answered: Mutex<HashMap<String, String>>,
    over: AtomicBool,
    made: AtomicUsize,
}

/// Hands over one mail after the other. One that is not answered is forgotten: it may be there or not.
async fn hand_over(tally: Arc<Tally>, smtp: watch::Receiver<String>) {
    while !tally.over.load(Ordering::Relaxed) {
        let n = tally.made.fetch_add(1, Ordering::Relaxed);
        let lines = if n.is_multiple_of(LARGE_EACH) { IN_DATABASE_BYTES_MAX / 20 + 1 } else { n % 200 };
        let text = format!("{}the last line of mail {n}", "a line of a letter\r\n".repeat(lines));
        let addr = smtp.borrow().clone();
        match mail_with(&addr, &format!("mail {n}"), &text).await {
            Some(id) => drop(tally.answered.lock().expect("not poisoned").insert(id, text + "\r\n")),
            // The house is down: ask again when it may be up.
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// How many were answered `250`: small ones, and large ones.
fn taken(tally: &Tally) -> (usize, usize) {
    let answered = tally.answered.lock().expect("not poisoned");
    let large = answered.values().filter(|text| text.len() > IN_DATABASE_BYTES_MAX).count();
    (answered.len() - large, large)
}

async fn told(dir: &Path) -> Vec<String> {
    let lines = run(dir, &["events", "--json"], "").await;
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.map(|event| event["message_id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_that_was_answered_250_is_there_with_its_raw_bytes() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("house");
    let address = |ready: &Value| ready["smtp"].as_str().expect("an address").to_owned();
    let (mut house, ready) = serve(&dir, &[]).await;
    let (tell, smtp) = watch::channel(address(&ready));
    let tally = Arc::new(Tally::default());
    let peers: Vec<_> = (0..PEERS).map(|_| tokio::spawn(hand_over(tally.clone(), smtp.clone()))).collect();
    let mut chance = StdRng::seed_from_u64(9);
    for _ in 0..KILLS {
        let before = taken(&tally);
        until("mail of both sorts since the last kill", async || {
            let now = taken(&tally);
            now.0 > before.0 && now.1 > before.1
        })
        .await;
        // The moment of the kill is what is random here; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..100))).await;
        house.kill().await;
        let (next, ready) = serve(&dir, &[]).await;
        house = next;
        tell.send(address(&ready)).expect("peers listen");
    }
    tally.over.store(true, Ordering::Relaxed);
    for peer in peers {
        peer.await.expect("no peer failed");
    }
    let answered = std::mem::take(&mut *tally.answered.lock().expect("not poisoned"));
    until("the event of each", async || {
        let told = told(&dir).await;
        answered.keys().all(|id| told.contains(id))
    })
    .await;
    house.kill().await;

    let store = Arc::new(MailStore::open(&dir.join("mail.db"), CancellationToken::new()).await.expect("opened"));
    let blobs = Blobs::open(&dir.join("blobs"), store.clone()).expect("opened");
    let (mut in_database, mut in_files) = (0, 0);
    for (id, text) in answered {
        let id = MessageId::new(id);
        let mailbox = store.mailbox_of(&id).await.expect("read").expect("it is there");
        let name = store.blob_of(&mailbox, &id).await.expect("read").expect("it is there");
        let raw = blobs.get(&name).await.expect("its raw bytes are there");
        assert!(raw.ends_with(text.as_bytes()), "{id} has other bytes");
        match store.raw(&name).await.expect("read") {
            Some(_) => in_database += 1,
            None => in_files += 1,
        }
    }
    assert!(in_database > 0 && in_files > 0, "{in_database} in the database, {in_files} in files");
}
