//! From the start of a webhook's POST to the return of `wait_for_event`, beside the POST's own answer, which comes after the
//! commit: over HTTP and over stdio, in the keeper's process and in another, alone and among a thousand who wait for others.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    Failure, How,
    agents::Agent,
    events::{Maker, SECRET},
    house::{self, House, PATIENCE, SOURCE},
    load::{Connection, percentile},
    rounds::Samples,
    table::{Aim, Table, short},
};

/// How long a wait is given to fall asleep before the POST: it is to be woken, not to find the event at its first look.
const ASLEEP: Duration = Duration::from_millis(4);
/// How long the other waits are given to fall asleep.
const ALL_ASLEEP: Duration = Duration::from_millis(700);
/// Nobody waits longer in one call, in seconds.
const WAIT_SECS: u64 = 50;
const MAILBOX: &str = "agent0@measured.test";

/// The wake-up.
#[derive(Args)]
pub(crate) struct Wake {
    /// How many events are posted in each turn
    #[arg(long, default_value_t = 100)]
    events: usize,
    /// How many wait for other mailboxes
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1_000])]
    others: Vec<usize>,
}

/// Where the one who is woken waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Http,
    Stdio,
    StdioBeside,
}

impl At {
    const ALL: [Self; 3] = [Self::Http, Self::Stdio, Self::StdioBeside];

    fn says(self) -> &'static str {
        match self {
            Self::Http => "HTTP, in the keeper",
            Self::Stdio => "stdio, in the keeper",
            Self::StdioBeside => "stdio, beside a keeper",
        }
    }
}

/// As what it waits: a worker's events are leased to it, which is a commit more.
const READERS: [&str; 2] = ["onlooker", "worker"];

/// A running mailbell with the one who waits.
struct Scene {
    agent: Agent,
    hooks: SocketAddr,
    mcp: SocketAddr,
    token: String,
    /// What keeps the house where the agent does not.
    house: Option<House>,
    _dir: TempDir,
}

impl Scene {
    async fn set(how: &How, at: At) -> Result<Self, Failure> {
        let dir = TempDir::with_prefix_in("wake-", &how.dir)?;
        if at == At::Stdio {
            let doors = ["mcp", "hooks", "api", "smtp", "lmtp", "console"];
            let addrs = free(doors.len())?;
            let mut flags = Vec::new();
            for (door, addr) in doors.iter().zip(&addrs) {
                flags.extend([format!("--{door}-addr"), addr.to_string()]);
            }
            let binary = house::binary(how)?;
            let (agent, _) = Agent::over_stdio(&binary, dir.path(), &flags).await?;
            let add = ["source", "add", SOURCE, "--dialect", "multimail", "--secret-stdin"];
            house::run(&binary, dir.path(), &add, SECRET).await?;
            let token = house::run(&binary, dir.path(), &["token", "show", "mcp"], "").await?;
            return Ok(Self { agent, hooks: addrs[1], mcp: addrs[0], token, house: None, _dir: dir });
        }
        let house = House::start(how, &[]).await?;
        let (mcp, token) = (house.addr("mcp")?, house.token("mcp").await?);
        let agent = match at {
            At::StdioBeside => Agent::over_stdio(house.binary(), house.dir(), &[]).await?.0,
            At::Http | At::Stdio => Agent::over_http(mcp, &token).await?,
        };
        Ok(Self { agent, hooks: house.addr("hooks")?, mcp, token, house: Some(house), _dir: dir })
    }

    async fn end(self) -> Result<(), Failure> {
        self.agent.end().await?;
        if let Some(house) = self.house {
            house.end().await?;
        }
        Ok(())
    }
}

/// Addresses that are free now.
fn free(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(held.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?)
}

/// What one turn found, in microseconds.
#[derive(Default)]
struct Turn {
    woken: Vec<u32>,
    acked: Vec<u32>,
    /// Answers to those who wait for others.
    strays: u64,
}

/// What all turns found of one row.
#[derive(Default)]
struct Found {
    woken: Samples,
    woken_p99: Samples,
    acked: Samples,
    strays: u64,
}

impl Wake {
    pub(crate) async fn run(&self, how: &How) -> Result<(), Failure> {
        let mut rows: Vec<(At, usize, &str, Found)> = Vec::new();
        for at in At::ALL {
            for others in &self.others {
                rows.extend(READERS.map(|reader| (at, *others, reader, Found::default())));
            }
        }
        for _ in 0..how.rounds {
            for (at, others, reader, found) in &mut rows {
                let turn = self.turn(how, *at, *others, reader).await?;
                found.woken.add(percentile(&turn.woken, 0.5) / 1e3);
                found.woken_p99.add(percentile(&turn.woken, 0.99) / 1e3);
                found.acked.add(percentile(&turn.acked, 0.5) / 1e3);
                found.strays += turn.strays;
            }
        }
        let columns =
            ["who waits", "others", "as", "woken p50 ms", "p99 ms", "POST answered p50 ms", "ratio", "strays"];
        let mut table = Table::new("Wake-up, from the start of the POST", &columns);
        for (at, others, reader, found) in &rows {
            let ratio = found.woken.over(&found.acked);
            table.row([
                at.says().to_owned(),
                others.to_string(),
                (*reader).to_owned(),
                found.woken.show(short),
                short(found.woken_p99.median()),
                short(found.acked.median()),
                ratio.show(short),
                found.strays.to_string(),
            ]);
            table.aim(
                format!("{}, {reader} among {others}: woken / answered", at.says()),
                ratio.median(),
                Aim::Most(2.0),
            );
        }
        let strays = rows.iter().map(|(.., found)| found.strays).sum();
        table.aim("answers to those who wait for other mailboxes", crate::load::count(strays), Aim::Most(0.0));
        table.print(how)
    }

    async fn turn(&self, how: &How, at: At, others: usize, reader: &str) -> Result<Turn, Failure> {
        let scene = Scene::set(how, at).await?;
        let strays = Arc::new(AtomicU64::new(0));
        let waiters = others_wait(&scene, others, &strays).await?;
        let mut poster = Connection::open(scene.hooks, &format!("/hooks/{SOURCE}")).await?;
        let (maker, mut turn) = (Maker::new(1), Turn::default());
        let look = json!({ "after": "now", "mailbox": MAILBOX, "timeout_secs": 0 });
        let mut cursor = scene.agent.call("wait_for_event", look).await?["cursor"].clone();
        for _ in 0..self.events {
            let arguments = match reader {
                "onlooker" => json!({ "after": cursor, "mailbox": MAILBOX, "timeout_secs": WAIT_SECS }),
                _ => json!({ "mailbox": MAILBOX, "timeout_secs": WAIT_SECS }),
            };
            let post = maker.post();
            let wait = async {
                let waited = scene.agent.call("wait_for_event", arguments).await?;
                Ok::<_, Failure>((waited, Instant::now()))
            };
            let post = async {
                tokio::time::sleep(ASLEEP).await;
                let began = Instant::now();
                let status = poster.post(&post).await?;
                if status != 200 {
                    return Err::<_, Failure>(format!("the POST was answered with {status}").into());
                }
                Ok((began, Instant::now()))
            };
            let both = async { tokio::try_join!(wait, post) };
            let ((waited, woken), (began, acked)) =
                tokio::time::timeout(PATIENCE, both).await.map_err(|_| "nobody was woken")??;
            let micros = |until: Instant| u32::try_from((until - began).as_micros()).unwrap_or(u32::MAX);
            turn.woken.push(micros(woken));
            turn.acked.push(micros(acked));
            if waited["events"].as_array().is_none_or(|events| events.len() != 1) {
                return Err("a wait returned something else than the one event".into());
            }
            cursor = bare(&waited, "cursor").unwrap_or(cursor);
            if let Some(lease) = bare(&waited, "lease_token") {
                scene.agent.call("ack_event", json!({ "lease_token": lease })).await?;
            }
        }
        turn.woken.sort_unstable();
        turn.acked.sort_unstable();
        turn.strays = strays.load(Ordering::Relaxed);
        drop(waiters);
        scene.end().await?;
        Ok(turn)
    }
}

/// A field of a result that an agent gives back.
fn bare(result: &Value, name: &str) -> Option<Value> {
    result.get(name).filter(|value| value.is_string()).cloned()
}

/// Has `count` others wait, by HTTP and each for a mailbox of its own; what they are answered while they wait is counted.
async fn others_wait(scene: &Scene, count: usize, strays: &Arc<AtomicU64>) -> Result<JoinSet<()>, Failure> {
    let mut waiters = JoinSet::new();
    if count == 0 {
        return Ok(waiters);
    }
    let agent = Arc::new(Agent::over_http(scene.mcp, &scene.token).await?);
    for n in 0..count {
        let (agent, strays) = (agent.clone(), strays.clone());
        waiters.spawn(async move {
            let mailbox = format!("other{n}@elsewhere.test");
            let wait = json!({ "after": "now", "mailbox": mailbox, "timeout_secs": WAIT_SECS });
            if let Err(error) = agent.call("wait_for_event", wait).await {
                tracing::warn!(error, "one of the others could not wait");
            }
            strays.fetch_add(1, Ordering::Relaxed);
        });
    }
    tokio::time::sleep(ALL_ASLEEP).await;
    Ok(waiters)
}
