//! What a house takes: memory, CPU when nothing happens, disk, and what it takes to build one.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use mailbell::store::log::EventLog as _;
use serde_json::json;
use tokio::{process::Command, task::JoinSet};

use crate::{
    Failure, How,
    caller::Caller,
    events::Maker,
    house::{House, SOURCE},
    load::{Load, count, put},
    logs,
    rounds::Samples,
    table::{Aim, Table, short},
    usage,
};

/// Agents that wait while nothing happens.
const WAITERS: usize = 100;
/// How long a wait runs: as long as it may.
const WAIT_SECS: u32 = 50;
/// Connections that post.
const POSTERS: usize = 64;
/// After a start, and after load, before anything is looked at.
const SETTLE: Duration = Duration::from_secs(3);

/// Memory, idle CPU, disk.
#[derive(Args)]
pub(crate) struct Resources {
    /// Also build everything anew in a directory of its own, which takes minutes
    #[arg(long)]
    build: bool,
}

/// What a round showed.
#[derive(Default)]
struct Found {
    idle_mib: Samples,
    idle_cpu: Samples,
    waiting_mib: Samples,
    waiting_cpu: Samples,
    loaded_mib: Samples,
    after_mib: Samples,
    bytes_each: Samples,
    body: f64,
}

impl Resources {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        let mut found = Found::default();
        let mut binary = 0;
        for _ in 0..how.rounds {
            binary = fs::metadata(round(how, &mut found).await?)?.len();
        }
        let mut table = Table::new("What a house takes", &["what", "found"]);
        let percent = |share: f64| format!("{} %", short(share * 100.0));
        let mebibytes = |mib: f64| format!("{} MiB", short(mib));
        table.row(["the binary".into(), mebibytes(mib(binary))]);
        table.row(["memory, idle".into(), found.idle_mib.show(mebibytes)]);
        table.row(["CPU, idle, of one core".into(), found.idle_cpu.show(percent)]);
        table.row([format!("memory with {WAITERS} agents that wait"), found.waiting_mib.show(mebibytes)]);
        table.row([format!("CPU with {WAITERS} agents that wait"), found.waiting_cpu.show(percent)]);
        table.row([format!("memory while {POSTERS} post as fast as they can"), found.loaded_mib.show(mebibytes)]);
        table.row(["memory after that".into(), found.after_mib.show(mebibytes)]);
        table.row([format!("bell.db for each event of {} bytes", short(found.body)), found.bytes_each.show(short)]);
        if self.build {
            table.row(["a cold build, everything with it".into(), format!("{} s", short(build(how).await?))]);
        }
        table.aim("bytes on disk for each of an event's body", found.bytes_each.median() / found.body, Aim::Most(2.0));
        let waiting = found.waiting_cpu.median();
        table.aim(
            format!("CPU with {WAITERS} agents that wait, in percent of one core"),
            waiting * 100.0,
            Aim::Most(1.0),
        );
        table.print(how)
    }
}

async fn round(how: &How, found: &mut Found) -> Result<std::path::PathBuf, Failure> {
    let house = House::start(how, &[]).await?;
    tokio::time::sleep(SETTLE).await;
    let turn = how.turn(8.0);
    found.idle_cpu.add(cpu_over(house.pid(), turn).await);
    found.idle_mib.add(mib(usage::of(house.pid()).rss_bytes));

    let mut waiting = JoinSet::new();
    let (mcp, token) = (house.addr("mcp")?, house.token("mcp").await?);
    for n in 0..WAITERS {
        let mut caller = Caller::open(mcp, &token).await?;
        let wait = json!({ "mailbox": format!("idle{n}@measured.test"), "after": "now", "timeout_secs": WAIT_SECS });
        waiting.spawn(async move { caller.call("wait_for_event", &wait).await.map(drop) });
    }
    tokio::time::sleep(SETTLE).await;
    found.waiting_cpu.add(cpu_over(house.pid(), turn).await);
    found.waiting_mib.add(mib(usage::of(house.pid()).rss_bytes));
    if let Some(ended) = waiting.try_join_next() {
        return Err(format!("a wait ended early: {ended:?}").into());
    }
    waiting.shutdown().await;

    let log = logs::open(&house.dir().join("bell.db")).await?;
    let (head, size) = (log.extent().await?.head.0, on_disk(house.dir()));
    let maker = Maker::new(100);
    found.body = count(maker.post().body.len() as u64);
    let load = Load {
        to: house.addr("hooks")?,
        path: format!("/hooks/{SOURCE}"),
        connections: POSTERS,
        warm: Duration::ZERO,
        run: turn,
        per_sec_max: None,
        maker,
    };
    let pid = house.pid();
    let most = tokio::spawn(async move {
        let (began, mut most) = (Instant::now(), 0);
        while began.elapsed() < turn {
            most = most.max(usage::of(pid).rss_bytes);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        most
    });
    put(&load, &[pid]).await?;
    found.loaded_mib.add(mib(most.await?));
    tokio::time::sleep(SETTLE).await;
    found.after_mib.add(mib(usage::of(pid).rss_bytes));
    let events = u64::try_from(log.extent().await?.head.0 - head)?;
    found.bytes_each.add((count(on_disk(house.dir())) - count(size)) / count(events));
    drop(log);
    let binary = house.binary().to_owned();
    house.end().await?;
    Ok(binary)
}

/// The share of one core that the process takes over `span`.
async fn cpu_over(pid: u32, span: Duration) -> f64 {
    let (cpu, began) = (usage::of(pid).cpu, Instant::now());
    tokio::time::sleep(span).await;
    (usage::of(pid).cpu.saturating_sub(cpu)).as_secs_f64() / began.elapsed().as_secs_f64()
}

/// The bytes of `bell.db`; its write-ahead log holds some more, 16 MiB at most.
fn on_disk(dir: &Path) -> u64 {
    fs::metadata(dir.join("bell.db")).map_or(0, |found| found.len())
}

fn mib(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}

/// Seconds that a build takes which finds nothing but the sources of other crates.
async fn build(how: &How) -> Result<f64, Failure> {
    let target = tempfile::TempDir::with_prefix_in("build-", &how.dir)?;
    let began = Instant::now();
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet", "--bin", "mailbell", "--target-dir"]).arg(target.path());
    if !command.status().await?.success() {
        return Err("the build failed".into());
    }
    Ok(began.elapsed().as_secs_f64())
}
