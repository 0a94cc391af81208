//! Webhooks out, in order, with durable state: the real engine beside a bare client that posts as much, and beside the same
//! client where it also signs and records each delivery: what our promises cost a plain sender that has no queue to read.
//!
//! The receivers are a process of their own, a port each, and look whether each sees its events in order. For the engine
//! they hold their first answers back until everything is owed, so that what is measured is delivery and not arrival.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
};

use crate::{
    Failure, How,
    endpoints::{self, EVENT_ID, Seen},
    house::{self, House},
    letters::{Letters, MAILBOX},
    load::count,
    recorded::{Recorder, Unrecorded},
    rounds::{Samples, in_turn},
    table::{Aim, Table, short},
    usage,
};

/// Deliveries of a turn; a single endpoint gets a twentieth, because they go one after another.
const DELIVERIES: u64 = 20_000;
/// How long the receivers may hold their first answers back: a try ends after 10 s, and would be made again.
const HELD_MAX: Duration = Duration::from_secs(8);
/// How often the receivers are asked what they saw.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a turn may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Deliveries a second, in order, to many endpoints.
#[derive(Args)]
pub(crate) struct Webhooks {
    /// How many endpoints; a house takes 1,000 webhooks at most
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1_000])]
    endpoints: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rival {
    Bare,
    /// The same, signed and recorded.
    Recorded,
    Ours,
}

/// What a turn showed.
struct Turn {
    per_sec: f64,
    micros: f64,
    disorder: u64,
}

impl Webhooks {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        let columns = [
            "client",
            "endpoints",
            "deliveries/s",
            "client CPU µs each",
            "out of order",
            "beside the bare client",
            "beside signed and recorded",
        ];
        let mut table = Table::new("Webhooks in order to many endpoints", &columns);
        for endpoints in self.endpoints {
            let each = (if endpoints == 1 { DELIVERIES / 20 } else { DELIVERIES } / endpoints).max(1);
            let mut rivals = [Rival::Bare, Rival::Recorded, Rival::Ours];
            let found = in_turn(how.rounds, &mut rivals, async |rival, _| match rival {
                Rival::Bare => bare(endpoints, each, None).await,
                Rival::Recorded => recorded(how, endpoints, each).await,
                Rival::Ours => ours(how, endpoints, each).await,
            })
            .await?;
            let of = |rival: usize, what: fn(&Turn) -> f64| found[rival].iter().map(what).collect::<Samples>();
            for (at, name) in ["bare reqwest", "signed and recorded", "mailbell"].into_iter().enumerate() {
                let (per_sec, micros) = (of(at, |turn| turn.per_sec), of(at, |turn| turn.micros));
                let disorder: u64 = found[at].iter().map(|turn| turn.disorder).sum();
                let [beside_bare, beside_recorded] = [0, 1].map(|other| per_sec.over(&of(other, |turn| turn.per_sec)));
                let cells = [
                    endpoints.to_string(),
                    per_sec.show(short),
                    micros.show(short),
                    disorder.to_string(),
                    beside_bare.show(short),
                    beside_recorded.show(short),
                ];
                table.row([vec![name.to_owned()], cells.to_vec()].concat());
                if at == 2 {
                    table.aim(format!("{endpoints} endpoints: out of order"), count(disorder), Aim::Most(0.0));
                    if endpoints >= 100 {
                        table.aim(
                            format!("{endpoints} endpoints: beside the bare client"),
                            beside_bare.median(),
                            Aim::Least(0.7),
                        );
                    }
                }
            }
        }
        table.print(how)
    }
}

/// Receivers in a process of their own.
struct Receivers {
    child: Child,
    at: Vec<SocketAddr>,
    control: SocketAddr,
}

impl Receivers {
    async fn start(count: u64, held: bool) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["endpoints", "--count", &count.to_string()]);
        if held {
            command.arg("--held");
        }
        let (child, line) = house::until_it_speaks(&mut command).await?;
        let said: Value = serde_json::from_str(&line)?;
        Ok(Self {
            child,
            at: serde_json::from_value(said["at"].clone())?,
            control: serde_json::from_value(said["control"].clone())?,
        })
    }

    /// How many posts they saw, and how many of them out of order.
    async fn seen(&self) -> Result<(u64, u64), Failure> {
        let mut text = String::new();
        TcpStream::connect(self.control).await?.read_to_string(&mut text).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Gives the word to those that hold their answers back.
    async fn let_go(&self) -> Result<(), Failure> {
        let mut stream = TcpStream::connect(self.control).await?;
        stream.write_all(b"g").await?;
        stream.read_to_string(&mut String::new()).await?;
        Ok(())
    }

    async fn until(&self, posts: u64) -> Result<u64, Failure> {
        let began = Instant::now();
        loop {
            let (seen, disorder) = self.seen().await?;
            if seen >= posts {
                return Ok(disorder);
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{seen} of {posts} deliveries after {PATIENCE:?}").into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Posts, by the `recorder` where there is one. The turn is over when all is answered: as with ours, the last records may come
/// later.
async fn bare(endpoints: u64, each: u64, recorder: Option<&Arc<Recorder>>) -> Result<Turn, Failure> {
    let receivers = Receivers::start(endpoints, false).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let body = json!({ "event_type": "inbound", "snippet": "A line of a letter. ".repeat(30) }).to_string();
    let own = std::process::id();
    let (cpu, began) = (usage::of(own).cpu, Instant::now());
    let mut posting = JoinSet::new();
    for at in receivers.at.clone() {
        let (client, body, recorder) = (client.clone(), body.clone(), recorder.cloned());
        posting.spawn(async move {
            let mut unrecorded = Unrecorded::new();
            for n in 0..each {
                let (id, body) = (format!("evt_{n:026}"), body.clone());
                let post = client.post(format!("http://{at}/hook")).header("content-type", "application/json");
                let post = post.header(EVENT_ID, &id);
                match &recorder {
                    Some(recorder) => recorder.deliver(post, at.port(), &mut unrecorded, id, body).await?,
                    None => drop(post.body(body).send().await?.error_for_status()?),
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(posted) = posting.join_next().await {
        posted??;
    }
    let (took, cpu) = (began.elapsed(), usage::of(own).cpu.saturating_sub(cpu));
    let disorder = receivers.until(endpoints * each).await?;
    house::end(receivers.child).await?;
    Ok(turn(endpoints * each, took, cpu, disorder))
}

async fn recorded(how: &How, endpoints: u64, each: u64) -> Result<Turn, Failure> {
    let dir = TempDir::with_prefix_in("recorded-", &how.dir)?;
    let (recorder, writing) = Recorder::start(&dir.path().join("recorded.db")).await?;
    let turn = bare(endpoints, each, Some(&recorder)).await;
    drop(recorder);
    // Where the writer has failed, the posts did because of it.
    let written = writing.await??;
    let turn = turn?;
    if written != endpoints * each {
        return Err(format!("{written} of {} deliveries were recorded", endpoints * each).into());
    }
    Ok(turn)
}

async fn ours(how: &How, endpoints: u64, each: u64) -> Result<Turn, Failure> {
    let receivers = Receivers::start(endpoints, true).await?;
    let house = House::start(how, &[]).await?;
    register(&house, &receivers.at).await?;
    let letters = Letters::to(house.addr("smtp")?);
    // One after another: the ids of events that are made at the same time do not rise in the order of their commits.
    let began = Instant::now();
    for n in 0..each {
        letters.send(n).await?;
    }
    if began.elapsed() > HELD_MAX {
        return Err(format!("it took {:?} to bring the letters in; the machine is too busy", began.elapsed()).into());
    }

    let (cpu, began) = (usage::of(house.pid()).cpu, Instant::now());
    receivers.let_go().await?;
    let disorder = receivers.until(endpoints * each).await?;
    let (took, cpu) = (began.elapsed(), usage::of(house.pid()).cpu.saturating_sub(cpu));
    house.end().await?;
    house::end(receivers.child).await?;
    Ok(turn(endpoints * each, took, cpu, disorder))
}

fn turn(deliveries: u64, took: Duration, cpu: Duration, disorder: u64) -> Turn {
    let deliveries = count(deliveries);
    Turn { per_sec: deliveries / took.as_secs_f64(), micros: cpu.as_secs_f64() * 1e6 / deliveries, disorder }
}

/// Has the house tell these of mail, and nobody else.
async fn register(house: &House, endpoints: &[SocketAddr]) -> Result<(), Failure> {
    let (api, key) = (house.addr("api")?, house.token("api").await?);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let all = format!("http://{api}/v1/webhooks");
    let there: Value = client.get(&all).bearer_auth(&key).send().await?.error_for_status()?.json().await?;
    for webhook in there["webhooks"].as_array().into_iter().flatten() {
        let one = format!("{all}/{}", webhook["id"].as_str().unwrap_or_default());
        client.delete(one).bearer_auth(&key).send().await?.error_for_status()?;
    }
    for at in endpoints {
        let webhook = json!({ "url": format!("http://{at}/hook"), "events": ["inbound"], "mailbox": MAILBOX });
        let answer = client.post(&all).bearer_auth(&key).json(&webhook).send().await?;
        if !answer.status().is_success() {
            return Err(format!("no webhook: {}", answer.text().await?).into());
        }
    }
    Ok(())
}

/// Be receivers of webhooks, until SIGTERM.
#[derive(Args)]
pub(crate) struct Endpoints {
    /// How many, a port each
    #[arg(long)]
    count: usize,
    /// Answer nothing before the word is given
    #[arg(long)]
    held: bool,
}

impl Endpoints {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let seen = Arc::new(Seen::held(self.held));
        let at = endpoints::listen(self.count, &seen).await?;
        let control = TcpListener::bind("127.0.0.1:0").await?;
        let ready = json!({ "at": at, "control": control.local_addr()? });
        std::io::Write::write_all(&mut std::io::stdout(), format!("{ready}\n").as_bytes())?;
        loop {
            let (mut stream, _) = control.accept().await?;
            let told = json!([seen.posts.load(Ordering::Relaxed), seen.disorder.load(Ordering::Relaxed)]);
            let _ = stream.write_all(told.to_string().as_bytes()).await;
            // The word, or the end of whoever only asks.
            let _ = stream.shutdown().await;
            if let Ok(b'g') = stream.read_u8().await {
                seen.let_go();
            }
        }
    }
}
