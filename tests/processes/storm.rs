//! Six processes, four waiters each, on one directory, while keepers and waiters are killed, stopped and let go on at random:
//! every event is acked exactly once for each consumer, none is lost, and none is leased to two at a time: by what the waiters
//! saw, and by the audit record alone, as a checker reads it that shares no code with what wrote it.
//!
//! `MAILBELL_STORM_EVENTS=20000` is the long form; it takes some minutes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Row as _, sqlite::SqliteConnectOptions};

use crate::{
    check::check,
    support::{Agent, add_source, http, post, published, record},
};

const PROCESSES: usize = 6;
const WAITERS: usize = 4;
const POSTERS: usize = 8;
/// The short form.
const EVENTS: usize = 1_000;
/// A pause of each poster between two events: 160 events a second while there is a keeper, so that the long form's take two
/// minutes and more.
const PACE: Duration = Duration::from_millis(50);
/// How long the kills go on at most; what is left to be posted and handled then is in peace.
const RAGE_MAX: Duration = Duration::from_mins(2);
/// A waiter that is killed holds its events for no longer.
const LEASE: Duration = Duration::from_secs(8);
/// What a message between two processes may take on a busy machine; by so much the two sides' clocks may seem to differ.
const SLACK: Duration = Duration::from_millis(5);
const CONSUMERS: [&str; 2] = ["red", "blue"];

/// One handing out, as the waiter saw it.
struct Handed {
    attempt: u64,
    /// The lease began after this,
    asked: Instant,
    /// and before this.
    got: Instant,
}

#[derive(Default)]
struct Tally {
    posted: AtomicUsize,
    handed: Mutex<HashMap<(usize, u64), Vec<Handed>>>,
    acked: Mutex<HashMap<(usize, u64), u32>>,
    over: AtomicBool,
}

/// A process, started anew whenever it was killed; its waiters take whichever runs.
struct Seat {
    agent: tokio::sync::RwLock<Arc<Agent>>,
}

async fn post_all(tally: Arc<Tally>, dir: PathBuf, events: usize) {
    let client = http();
    loop {
        let n = tally.posted.fetch_add(1, Ordering::Relaxed);
        if n >= events {
            return;
        }
        let id = format!("evt_{n}");
        // As a provider does: until it is answered.
        while !post(&client, &dir, &id).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn work(tally: Arc<Tally>, seat: Arc<Seat>, consumer: usize) {
    let wait = json!({
        "consumer": CONSUMERS[consumer], "kinds": ["delivery"], "limit": 5,
        "lease_secs": LEASE.as_secs(), "timeout_secs": 2,
    });
    while !tally.over.load(Ordering::Relaxed) {
        let agent = seat.agent.read().await.clone();
        let asked = Instant::now();
        let Ok(waited) = agent.call("wait_for_event", wait.clone()).await else {
            // Killed: its seat gets a new process.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let got = Instant::now();
        let events = waited["events"].as_array().expect("a list");
        for event in events {
            let (seq, attempt) = (event["seq"].as_u64().expect("a seq"), event["attempt"].as_u64().expect("a number"));
            let mut handed = tally.handed.lock().expect("not poisoned");
            handed.entry((consumer, seq)).or_default().push(Handed { attempt, asked, got });
        }
        if events.is_empty() {
            continue;
        }
        let seqs: HashMap<&str, u64> = events
            .iter()
            .map(|event| (event["event_id"].as_str().expect("an id"), event["seq"].as_u64().expect("a seq")))
            .collect();
        // A waiter that is stopped here holds a stale token when it goes on, and acks nothing.
        let Ok(settled) = agent.call("ack_event", json!({ "lease_token": waited["lease_token"] })).await else {
            continue;
        };
        let done = settled["done"].as_array().expect("a list");
        let mut acks = tally.acked.lock().expect("not poisoned");
        for id in done.iter().filter_map(Value::as_str) {
            *acks.entry((consumer, seqs[id])).or_default() += 1;
        }
    }
}

/// Kills, and stops for a while, keepers and others, until all is posted, or for two minutes.
async fn rage(tally: Arc<Tally>, seats: Vec<Arc<Seat>>, dir: PathBuf) -> (usize, usize, usize) {
    let mut chance = StdRng::seed_from_u64(6);
    let (mut kills, mut keepers, mut stops) = (0, 0, 0);
    let began = Instant::now();
    while began.elapsed() < RAGE_MAX && tally.posted.load(Ordering::Relaxed) < tally_target() {
        // The moment is what is random here; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(chance.random_range(100..800))).await;
        let keeper = published(&dir)["pid"].as_u64();
        let mut victim = chance.random_range(0..seats.len());
        if chance.random_bool(0.5) {
            for (n, seat) in seats.iter().enumerate() {
                if Some(u64::from(seat.agent.read().await.process.pid())) == keeper {
                    victim = n;
                }
            }
        }
        let agent = seats[victim].agent.read().await.clone();
        keepers += usize::from(Some(u64::from(agent.process.pid())) == keeper);
        if chance.random_bool(0.4) {
            stops += 1;
            agent.process.signal(Signal::STOP);
            tokio::time::sleep(Duration::from_millis(chance.random_range(100..1500))).await;
            agent.process.signal(Signal::CONT);
        } else {
            kills += 1;
            agent.process.signal(Signal::KILL);
            drop(agent);
            *seats[victim].agent.write().await = Arc::new(Agent::start(&dir).await);
        }
    }
    (kills, keepers, stops)
}

fn tally_target() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the service")]
    let asked = std::env::var("MAILBELL_STORM_EVENTS").ok();
    asked.map_or(EVENTS, |text| text.parse().expect("MAILBELL_STORM_EVENTS is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_acked_once_for_each_consumer_whoever_is_killed_or_stopped() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().to_owned();
    let (events, began) = (tally_target(), Instant::now());
    add_source(&dir).await;
    let mut seats = Vec::new();
    for _ in 0..PROCESSES {
        seats.push(Arc::new(Seat { agent: tokio::sync::RwLock::new(Arc::new(Agent::start(&dir).await)) }));
    }
    let tally = Arc::new(Tally::default());
    let workers: Vec<_> = seats
        .iter()
        .flat_map(|seat| (0..WAITERS).map(|n| tokio::spawn(work(tally.clone(), seat.clone(), n % CONSUMERS.len()))))
        .collect();
    let raging = tokio::spawn(rage(tally.clone(), seats.clone(), dir.clone()));
    let posters: Vec<_> = (0..POSTERS).map(|_| tokio::spawn(post_all(tally.clone(), dir.clone(), events))).collect();
    for poster in posters {
        poster.await.expect("posted");
    }
    let (kills, keepers, stops) = raging.await.expect("raged");
    let quiet = Instant::now();
    let done_max = LEASE * 6 + Duration::from_secs(30);
    while owed(&dir).await > 0 {
        assert!(quiet.elapsed() < done_max, "{} events are still owed", owed(&dir).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tally.over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("worked");
    }
    eprintln!(
        "{events} events, {kills} kills and {stops} stops, {keepers} of them of keepers, in {:?}",
        began.elapsed()
    );
    assert!(kills > 0 && stops > 0 && keepers > 0, "{kills} kills, {stops} stops, {keepers} of keepers");
    audit(&dir, &tally, events).await;
    let (export, key) = record(&dir).await;
    let found = check(&export, Some(&key), &CONSUMERS);
    eprintln!(
        "the record: {} entries, {} leases, {} of them after one that had run out; acked: {:?}",
        found.entries, found.leases, found.run_out, found.acked
    );
    assert_eq!(found.faults, Vec::<String>::new());
    assert_eq!(found.events, events as u64);
}

async fn rows(dir: &Path, sql: &'static str) -> Vec<sqlx::sqlite::SqliteRow> {
    let options = SqliteConnectOptions::new().filename(dir.join("bell.db")).read_only(true);
    let mut conn = options.busy_timeout(Duration::from_secs(5)).connect().await.expect("opened");
    sqlx::query(sql).fetch_all(&mut conn).await.expect("read")
}

/// How many events some consumer has not acked, by the store's own records.
async fn owed(dir: &Path) -> i64 {
    let rows = rows(
        dir,
        "SELECT (SELECT count(*) FROM events e WHERE e.kind = 'delivery' AND e.seq > c.low_water AND NOT EXISTS
                 (SELECT 1 FROM claims k WHERE k.consumer = c.id AND k.seq = e.seq AND k.state = 'acked')) AS owed
         FROM consumers c",
    )
    .await;
    assert_eq!(rows.len(), CONSUMERS.len(), "every consumer has begun");
    rows.iter().map(|row| row.get::<i64, _>("owed")).sum()
}

/// What the records and what the waiters saw say together.
async fn audit(dir: &Path, tally: &Tally, events: usize) {
    let logged = rows(dir, "SELECT seq, event_id FROM events WHERE kind = 'delivery' ORDER BY seq").await;
    let ids: HashSet<String> = logged.iter().map(|row| row.get("event_id")).collect();
    assert_eq!((logged.len(), ids.len()), (events, events), "posted and answered, so in the log once");
    let parked = rows(dir, "SELECT seq FROM claims WHERE state IN ('parked', 'leased', 'free')").await;
    assert!(parked.is_empty(), "{} events are not acked", parked.len());

    let acked = tally.acked.lock().expect("not poisoned");
    let twice: Vec<_> = acked.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "acked more than once: {twice:?}");
    let handed = tally.handed.lock().expect("not poisoned");
    let mut attempts: BTreeMap<u64, usize> = BTreeMap::new();
    for ((consumer, seq), times) in &*handed {
        let mut times: Vec<&Handed> = times.iter().collect();
        times.sort_by_key(|handed| handed.attempt);
        *attempts.entry(times.last().map_or(0, |last| last.attempt)).or_default() += 1;
        for pair in times.windows(2) {
            let (earlier, later) = (pair[0], pair[1]);
            let event = format!("event {seq} for {}", CONSUMERS[*consumer]);
            assert!(earlier.attempt < later.attempt, "{event} was handed out twice as attempt {}", later.attempt);
            // Nobody releases here, so an event is handed out anew only when its lease has run out.
            assert!(
                later.got + SLACK >= earlier.asked + LEASE,
                "{event}: attempt {} came {:?} after attempt {} was asked for",
                later.attempt,
                later.got - earlier.asked,
                earlier.attempt
            );
        }
    }
    assert_eq!(acked.keys().filter(|key| !handed.contains_key(key)).count(), 0, "acked and never handed out");
    // Acks whose answer a killed process could not give are in the store alone.
    assert!(acked.len() * 10 >= events * CONSUMERS.len() * 9, "only {} acks were answered", acked.len());
}
