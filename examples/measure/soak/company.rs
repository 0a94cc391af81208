//! Those who use the house while it is measured: agents that wait, a worker, mail that comes in, a receiver of webhooks.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mailbell::{
    app::system::SystemClock,
    domain::{clock::Clock as _, secret::Secret},
    signing::multimail,
};
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Failure,
    caller::Caller,
    endpoints::{self, Seen},
    events::{Post, SECRET},
    house::{House, SOURCE},
    letters::{Letters, MAILBOX},
    load::Connection,
};

/// Onlookers that wait on mailboxes where nothing happens.
const IDLE_WAITS: usize = 100;
/// Onlookers that wait for the mail that comes in.
const ONLOOKERS: usize = 4;
const MAIL_EVERY: Duration = Duration::from_millis(200);
const WORK_EVERY: Duration = Duration::from_millis(500);
/// How long a wait runs.
const WAIT_SECS: u32 = 20;
/// After something failed: it is counted, and does not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Counted {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Counted {
    async fn note(&self, what: &str, ending: Result<(), Failure>) {
        match ending {
            Ok(()) => {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                if self.failed.fetch_add(1, Ordering::Relaxed) < 5 {
                    eprintln!("{what}: {error}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    mails: Counted,
    waits: Counted,
    works: Counted,
    wakes_micros: Mutex<Vec<u32>>,
}

/// All of them.
pub(super) struct Company {
    tally: Arc<Tally>,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

impl Company {
    /// Has them begin, until `ending`.
    pub(super) async fn gather(house: &House, ending: CancellationToken) -> Result<Self, Failure> {
        let (tally, seen) = (Arc::<Tally>::default(), Arc::new(Seen::held(false)));
        let receiver = endpoints::listen(1, &seen).await?[0];
        let (api, key) = (house.addr("api")?, house.token("api").await?);
        let webhook = json!({ "url": format!("http://{receiver}/"), "events": ["inbound"], "mailbox": MAILBOX });
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http.post(format!("http://{api}/v1/webhooks")).bearer_auth(key).json(&webhook).send().await?;
        if !answer.status().is_success() {
            return Err(format!("no webhook: {}", answer.text().await?).into());
        }

        let (mcp, token) = (house.addr("mcp")?, house.token("mcp").await?);
        let mut tasks = JoinSet::new();
        for n in 0..IDLE_WAITS {
            let mailbox = format!("idle{n}@measured.test");
            tasks.spawn(until(ending.clone(), look_on(mcp, token.clone(), mailbox, tally.clone())));
        }
        for _ in 0..ONLOOKERS {
            tasks.spawn(until(ending.clone(), look_on(mcp, token.clone(), MAILBOX.to_owned(), tally.clone())));
        }
        tasks.spawn(until(ending.clone(), work(mcp, house.addr("hooks")?, token, tally.clone())));
        tasks.spawn(until(ending, mail(house.addr("smtp")?, tally.clone())));
        Ok(Self { tally, seen, tasks })
    }

    /// How long the worker waited from the start of each post since this was asked last, in microseconds, the shortest first.
    pub(super) fn wakes(&self) -> Vec<u32> {
        let mut wakes = std::mem::take(&mut *self.tally.wakes_micros.lock().unwrap_or_else(PoisonError::into_inner));
        wakes.sort_unstable();
        wakes
    }

    fn counted(&self) -> [(&'static str, &Counted); 3] {
        [("mails", &self.tally.mails), ("waits", &self.tally.waits), ("leases and acks", &self.tally.works)]
    }

    /// How often what was done.
    pub(super) fn done(&self) -> Vec<(&'static str, u64)> {
        self.counted().map(|(what, counted)| (what, counted.done.load(Ordering::Relaxed))).to_vec()
    }

    /// How often what failed.
    pub(super) fn failures(&self) -> Vec<(&'static str, u64)> {
        self.counted().map(|(what, counted)| (what, counted.failed.load(Ordering::Relaxed))).to_vec()
    }

    /// What the receiver saw.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) async fn go_home(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn until(ending: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = ending.cancelled() => {}
        () = work => {}
    }
}

/// Waits for what happens to `mailbox`, from now on, one wait after another.
async fn look_on(mcp: SocketAddr, token: String, mailbox: String, tally: Arc<Tally>) {
    let mut next = json!({ "mailbox": mailbox, "after": "now", "timeout_secs": WAIT_SECS });
    let mut caller = None;
    loop {
        let waited = waited(&mut caller, mcp, &token, &next).await;
        if let Ok(answer) = &waited {
            next["after"] = answer["cursor"].clone();
        } else {
            caller = None;
            // What lay behind may be gone by retention; from now on, then.
            next["after"] = json!("now");
        }
        tally.waits.note("a wait", waited.map(drop)).await;
    }
}

async fn waited(caller: &mut Option<Caller>, mcp: SocketAddr, token: &str, next: &Value) -> Result<Value, Failure> {
    let caller = match caller {
        Some(caller) => caller,
        none => none.insert(Caller::open(mcp, token).await?),
    };
    caller.call("wait_for_event", next).await
}

/// A worker: each event that is posted for it is leased as it comes, and acked.
async fn work(mcp: SocketAddr, hooks: SocketAddr, token: String, tally: Arc<Tally>) {
    loop {
        let ending = work_on(mcp, hooks, &token, &tally).await;
        tally.works.note("the worker", ending).await;
    }
}

async fn work_on(mcp: SocketAddr, hooks: SocketAddr, token: &str, tally: &Tally) -> Result<(), Failure> {
    let mut caller = Caller::open(mcp, token).await?;
    let mut poster = Connection::open(hooks, &format!("/hooks/{SOURCE}")).await?;
    let wait = json!({ "consumer": "soak", "kinds": ["delivery"], "start": "now", "timeout_secs": WAIT_SECS });
    // Makes the consumer, where it is not there yet.
    caller
        .call(
            "wait_for_event",
            &json!({ "consumer": "soak", "kinds": ["delivery"], "start": "now", "timeout_secs": 0 }),
        )
        .await?;
    loop {
        let post = delivery();
        let waiting = async {
            let answer = caller.call("wait_for_event", &wait).await;
            (Instant::now(), answer)
        };
        let posting = async {
            // So that the wait has begun.
            tokio::time::sleep(WORK_EVERY).await;
            let began = Instant::now();
            (began, poster.post(&post).await)
        };
        let ((ended, answer), (began, status)) = tokio::join!(waiting, posting);
        let (answer, status) = (answer?, status?);
        if status != 200 || answer["events"].as_array().is_none_or(Vec::is_empty) {
            return Err(format!("the post was answered {status}, and the wait {answer}").into());
        }
        let micros = u32::try_from(ended.saturating_duration_since(began).as_micros()).unwrap_or(u32::MAX);
        tally.wakes_micros.lock().unwrap_or_else(PoisonError::into_inner).push(micros);
        let ack = json!({ "lease_token": answer["lease_token"], "action": "ack" });
        caller.call("ack_event", &ack).await?;
        tally.works.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// A delivery, signed.
fn delivery() -> Post {
    let id: u128 = rand::rng().random();
    let now = SystemClock::new().now();
    let body = json!({
        "event_type": "delivery", "event_id": format!("evt_{id:032x}"), "mailbox": "worker@measured.test",
        "message_id": format!("em_{id:032x}"), "timestamp": now, "recipient": "bob@example.com",
    })
    .to_string();
    Post { signature: multimail::sign(&Secret::new(SECRET), body.as_bytes()), body }
}

/// Mail comes in, a few a second.
async fn mail(smtp: SocketAddr, tally: Arc<Tally>) {
    let letters = Letters::to(smtp);
    let mut ticks = tokio::time::interval(MAIL_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0u64.. {
        ticks.tick().await;
        tally.mails.note("a mail", letters.send(number).await).await;
    }
}
