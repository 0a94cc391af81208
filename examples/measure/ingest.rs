//! Durable ingest of signed, unique events over HTTP, beside a limit, a floor and peers.
//!
//! All of a round's servers are started before it and rest while another has its turn; each begins with an empty database.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    Failure, How,
    events::Maker,
    house::{self, House, SOURCE},
    load::{self, Load, Outcome},
    peers::{self, Peer},
    receiver::Kept,
    rounds::{self, Samples},
    table::{Aim, Table, short},
};

/// How long each rival posts at each number of connections, in seconds.
const TURN_SECS: f64 = 1.2;
/// How long it posts before that counts.
const WARM: Duration = Duration::from_millis(300);
/// Mailboxes that the events are of.
const MAILBOXES: u32 = 100;

/// Durable ingest.
#[derive(Args)]
pub(crate) struct Ingest {
    /// How many connections post at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    connections: Vec<usize>,
    /// Which rivals; the peers need `benches/peers/install`
    #[arg(long, value_delimiter = ',', default_values_t = Rival::ALL.map(Rival::name).map(String::from), value_parser = Rival::NAMES)]
    rivals: Vec<String>,
}

/// Who takes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rival {
    /// The real `mailbell serve`.
    Ours,
    /// Our receiver without the house.
    Bare(Kept),
    /// Somebody else's way.
    Peer(Peer),
}

impl Rival {
    const ALL: [Self; 7] = [
        Self::Ours,
        Self::Bare(Kept::Nothing),
        Self::Bare(Kept::Alone),
        Self::Peer(Peer::FastapiSqlite),
        Self::Peer(Peer::FastapiRedis),
        Self::Peer(Peer::FastapiRedisAlways),
        Self::Peer(Peer::ExpressSqlite),
    ];
    /// All that may be named; `bare` is for looking into the cost of the house.
    const NAMES: [&str; 8] = [
        "mailbell",
        "limit",
        "floor",
        "bare",
        "fastapi-sqlite",
        "fastapi-redis",
        "fastapi-redis-always",
        "express-sqlite",
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "mailbell",
            Self::Bare(Kept::Nothing) => "limit",
            Self::Bare(Kept::Alone) => "floor",
            Self::Bare(Kept::Together) => "bare",
            Self::Peer(peer) => peer.name(),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Bare(Kept::Together)]).find(|rival| rival.name() == name)
    }

    fn says(self) -> &'static str {
        match self {
            Self::Ours => "`mailbell serve`",
            Self::Bare(Kept::Nothing) => "limit: verifies, parses, stores nothing",
            Self::Bare(Kept::Alone) => "floor: a transaction per event",
            Self::Bare(Kept::Together) => "our receiver without the house",
            Self::Peer(peer) => peer.says(),
        }
    }

    async fn start(self, how: &How) -> Result<Server, Failure> {
        match self {
            Self::Ours => {
                let house = House::start(how, &[]).await?;
                let (to, pids) = (house.addr("hooks")?, vec![house.pid()]);
                Ok(Server { to, path: format!("/hooks/{SOURCE}"), pids, what: What::House(Box::new(house)) })
            }
            Self::Bare(kept) => {
                let dir = TempDir::with_prefix_in("bare-", &how.dir)?;
                let kept = clap::ValueEnum::to_possible_value(&kept).ok_or("every way has a name")?;
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("receiver").arg(dir.path()).arg(kept.get_name());
                let (child, url) = house::until_it_speaks(&mut command).await?;
                let (to, path) = place(&url)?;
                let pids = child.id().into_iter().collect();
                Ok(Server { to, path, pids, what: What::Children(vec![child], dir) })
            }
            Self::Peer(peer) => {
                let dir = TempDir::with_prefix_in("peer-", &how.dir)?;
                let (children, url) = peers::start(peer, dir.path()).await?;
                let (to, path) = place(&url)?;
                let pids = children.iter().filter_map(Child::id).collect();
                Ok(Server { to, path, pids, what: What::Children(children, dir) })
            }
        }
    }
}

/// One that is running.
struct Server {
    to: SocketAddr,
    path: String,
    pids: Vec<u32>,
    what: What,
}

enum What {
    House(Box<House>),
    Children(Vec<Child>, TempDir),
}

impl Server {
    async fn end(self) -> Result<(), Failure> {
        match self.what {
            What::House(house) => house.end().await,
            What::Children(children, _dir) => {
                for child in children {
                    house::end(child).await?;
                }
                Ok(())
            }
        }
    }
}

fn place(url: &str) -> Result<(SocketAddr, String), Failure> {
    let url = url::Url::parse(url).map_err(|_| format!("the server said {url:?}, which is no URL"))?;
    let to = url.socket_addrs(|| None)?.into_iter().next().ok_or("the URL has no address")?;
    Ok((to, url.path().to_owned()))
}

/// What the rounds found of one rival at one number of connections.
#[derive(Default)]
struct Found {
    per_sec: Samples,
    server_micros: Samples,
    own_micros: Samples,
    p50: Samples,
    p99: Samples,
    failed: u64,
}

impl Found {
    fn add(&mut self, outcome: &Outcome) {
        self.per_sec.add(outcome.per_sec());
        self.server_micros.add(outcome.server_micros());
        self.own_micros.add(outcome.own_micros());
        self.p50.add(outcome.latency_ms(0.5));
        self.p99.add(outcome.latency_ms(0.99));
        self.failed += outcome.failed;
    }
}

impl Ingest {
    pub(crate) async fn run(&self, how: &How) -> Result<(), Failure> {
        let rivals: Vec<Rival> = self.rivals.iter().filter_map(|name| Rival::named(name)).collect();
        let maker = Maker::new(MAILBOXES);
        let mut found: Vec<Vec<Found>> =
            self.connections.iter().map(|_| rivals.iter().map(|_| Found::default()).collect()).collect();
        for _ in 0..how.rounds {
            let mut servers = Vec::new();
            for rival in &rivals {
                servers.push(rival.start(how).await?);
            }
            for (connections, found) in self.connections.iter().zip(&mut found) {
                let outcomes = rounds::in_turn(1, &mut servers, async |server, _| {
                    let (to, path) = (server.to, server.path.clone());
                    let run = how.turn(TURN_SECS);
                    let load = Load {
                        to,
                        path,
                        connections: *connections,
                        warm: WARM,
                        run,
                        per_sec_max: None,
                        maker: maker.clone(),
                    };
                    load::put(&load, &server.pids).await
                });
                for (found, outcome) in found.iter_mut().zip(outcomes.await?) {
                    for outcome in &outcome {
                        found.add(outcome);
                    }
                }
            }
            for server in servers {
                server.end().await?;
            }
        }
        let tables = self.connections.iter().zip(&found);
        for (connections, found) in tables {
            table(*connections, &rivals, found).print(how)?;
        }
        Ok(())
    }
}

fn table(connections: usize, rivals: &[Rival], found: &[Found]) -> Table {
    let title = format!("Ingest at {connections} connections");
    let columns = ["server", "events/s", "ours is", "CPU us/event", "p50 ms", "p99 ms", "load us/event", "failed"];
    let mut table = Table::new(&title, &columns);
    let of = |rival| rivals.iter().position(|known| *known == rival).map(|at| &found[at]);
    let ours = of(Rival::Ours);
    for (rival, found) in rivals.iter().zip(found) {
        let ratio = ours.map(|ours| ours.per_sec.over(&found.per_sec).show(|ratio| format!("{ratio:.2}")));
        table.row([
            rival.says().to_owned(),
            found.per_sec.show(short),
            ratio.unwrap_or_default(),
            short(found.server_micros.median()),
            short(found.p50.median()),
            short(found.p99.median()),
            short(found.own_micros.median()),
            found.failed.to_string(),
        ]);
    }
    let Some(ours) = ours.filter(|_| connections == 64) else { return table };
    let aims = [
        (Rival::Bare(Kept::Nothing), 0.35),
        (Rival::Bare(Kept::Alone), 5.0),
        (Rival::Peer(Peer::FastapiSqlite), 5.0),
        (Rival::Peer(Peer::FastapiRedis), 2.5),
        (Rival::Peer(Peer::FastapiRedisAlways), 5.0),
        (Rival::Peer(Peer::ExpressSqlite), 5.0),
    ];
    for (rival, least) in aims {
        if let Some(other) = of(rival) {
            let ratio = ours.per_sec.over(&other.per_sec).median();
            table.aim(format!("events/s beside {}", rival.says()), ratio, Aim::Least(least));
        }
    }
    if let Some(redis) = of(Rival::Peer(Peer::FastapiRedis)) {
        let ratio = ours.server_micros.over(&redis.server_micros).median();
        table.aim("server CPU per event beside FastAPI with Redis", ratio, Aim::Most(0.3));
    }
    table.note("On a busy disk 3 times the floor and the durable peers is what to expect.");
    table
}
