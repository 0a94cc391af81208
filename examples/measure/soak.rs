//! An hour at half load with everything at work, to see that nothing grows: posts, mail by SMTP, webhooks out, workers and
//! onlookers that wait, checkpoints, and retention that keeps the log short.

mod company;

use std::{fmt::Write as _, fs, path::Path, sync::atomic::Ordering, time::Duration};

use clap::Args;
use mailbell::store::{bell::BellStore, log::EventLog as _};
use tokio_util::sync::CancellationToken;

use self::company::Company;
use crate::{
    Failure, How,
    events::Maker,
    house::{House, SOURCE},
    load::{Load, count, percentile, put},
    logs,
    table::{Aim, Table, short},
    usage,
};

/// Connections that post.
const POSTERS: usize = 64;
/// Mailboxes that they post of.
const MAILBOXES: u32 = 1_000;
/// Events that the log keeps: so few that retention is at work from the second minute on.
const EVENTS_MAX: u32 = 200_000;

/// Whether memory, files and answers stay as they are under half load.
#[derive(Args)]
pub(crate) struct Soak {
    /// How long, in minutes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: u32,
    /// The share of the measured ingest rate that is posted
    #[arg(long, default_value_t = 0.5)]
    share: f64,
}

/// What a minute showed.
struct Minute {
    per_sec: f64,
    p50_ms: f64,
    p99_ms: f64,
    wake_p99_ms: f64,
    rss_mib: f64,
    fds: f64,
    bell_wal_mib: f64,
    mail_wal_mib: f64,
    bell_mib: f64,
    rows: f64,
}

impl Soak {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        let settings = how.dir.join("soak.toml");
        fs::write(&settings, settings_of(EVENTS_MAX))?;
        let config = settings.to_str().ok_or("the directory has a name that is no text")?;
        let house = House::start(how, &["--config", config]).await?;
        let log = logs::open(&house.dir().join("bell.db")).await?;
        let load = Load {
            to: house.addr("hooks")?,
            path: format!("/hooks/{SOURCE}"),
            connections: POSTERS,
            warm: Duration::from_secs(2),
            run: Duration::from_secs(10),
            per_sec_max: None,
            maker: Maker::new(MAILBOXES),
        };
        let full = put(&load, &[house.pid()]).await?.per_sec();
        let paced = Load { per_sec_max: Some(full * self.share), run: how.turn(60.0), warm: Duration::ZERO, ..load };

        let ending = CancellationToken::new();
        let company = Company::gather(&house, ending.clone()).await?;
        let mut table = Table::new(
            &format!("Soak: {} minutes at {} of {} events/s", self.minutes, self.share, short(full)),
            &[
                "minute",
                "events/s",
                "p50 ms",
                "p99 ms",
                "wake p99 ms",
                "rss MiB",
                "fds",
                "bell wal MiB",
                "mail wal MiB",
                "bell.db MiB",
                "rows",
            ],
        );
        let (mut minutes, mut failed) = (Vec::new(), 0);
        for number in 1..=self.minutes {
            let done = put(&paced, &[house.pid()]).await?;
            failed += done.failed;
            let used = usage::of(house.pid());
            let extent = log.extent().await?;
            let minute = Minute {
                per_sec: done.per_sec(),
                p50_ms: done.latency_ms(0.5),
                p99_ms: done.latency_ms(0.99),
                wake_p99_ms: percentile(&company.wakes(), 0.99) / 1e3,
                rss_mib: mib(used.rss_bytes),
                fds: count(used.fds as u64),
                bell_wal_mib: size_mib(house.dir(), "bell.db-wal"),
                mail_wal_mib: size_mib(house.dir(), "mail.db-wal"),
                bell_mib: size_mib(house.dir(), "bell.db"),
                rows: count(u64::try_from(extent.head.0 - extent.tail.0 + 1).unwrap_or(0)),
            };
            let cells = minute.cells(number);
            // An hour is long: whoever watches sees each minute as it comes.
            eprintln!("{}", cells.join("  "));
            table.row(cells);
            minutes.push(minute);
        }
        ending.cancel();
        judge(&mut table, &minutes, failed, &company);
        company.go_home().await;
        drop::<BellStore>(log);
        house.end().await?;
        table.print(how)
    }
}

impl Minute {
    fn cells(&self, number: u32) -> Vec<String> {
        let mut cells = vec![number.to_string()];
        let found = [
            self.per_sec,
            self.p50_ms,
            self.p99_ms,
            self.wake_p99_ms,
            self.rss_mib,
            self.fds,
            self.bell_wal_mib,
            self.mail_wal_mib,
            self.bell_mib,
            self.rows,
        ];
        cells.extend(found.map(short));
        cells
    }
}

/// Flat or not: the least-squares line through what came after the first sixth, and the last third's p99 beside the first's.
fn judge(table: &mut Table, minutes: &[Minute], failed: u64, company: &Company) {
    let settled = &minutes[minutes.len() / 6..];
    for (what, of) in
        [("memory", (|minute| minute.rss_mib) as fn(&Minute) -> f64), ("file descriptors", |minute| minute.fds)]
    {
        let (begin, end) = line(&settled.iter().map(of).collect::<Vec<_>>());
        table.aim(
            format!("{what} at the end, over after the first sixth (by the line through them)"),
            end / begin,
            Aim::Most(1.1),
        );
    }
    let third = (minutes.len() / 3).max(1);
    let p99 = |minutes: &[Minute]| {
        let mut all: Vec<_> = minutes.iter().map(|minute| minute.p99_ms).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let (first, last) = (p99(&minutes[..third]), p99(&minutes[minutes.len() - third..]));
    table.aim("p99 of the last third, over the first third's (medians)", last / first, Aim::Most(1.5));
    let most = minutes.iter().skip(2).map(|minute| minute.rows).fold(0.0, f64::max);
    table.aim(
        "the most rows after the second minute, over what the settings keep",
        most / f64::from(EVENTS_MAX),
        Aim::Most(5.0),
    );
    table.aim("posts that failed", count(failed), Aim::Most(0.0));
    for (what, counted) in company.failures() {
        table.aim(format!("{what} that failed"), count(counted), Aim::Most(0.0));
    }
    let seen = company.seen();
    table.aim("webhooks out of order", count(seen.disorder.load(Ordering::Relaxed)), Aim::Most(0.0));
    let mut done = String::new();
    for (what, counted) in company.done() {
        let _ = write!(done, "{what}: {counted}; ");
    }
    table.note(format!("{done}webhooks received: {}", seen.posts.load(Ordering::Relaxed)));
}

/// Where the least-squares line through `values` begins and ends.
fn line(values: &[f64]) -> (f64, f64) {
    let len = count(values.len() as u64);
    let mean = values.iter().sum::<f64>() / len;
    let middle = (len - 1.0) / 2.0;
    let (mut over, mut under) = (0.0, 0.0);
    for (at, value) in (0u32..).zip(values) {
        let x = f64::from(at) - middle;
        over += x * (value - mean);
        under += x * x;
    }
    let slope = if under > 0.0 { over / under } else { 0.0 };
    (mean - slope * middle, mean + slope * middle)
}

/// Retention as short as the settings let it be.
fn settings_of(events_max: u32) -> String {
    format!(
        "[retention]\nevents_days = 1\nevents_max = {events_max}\nids_days = 1\naudit_days = 1\naudit_max = {events_max}\n\
         mail_days = 1\nmail_bytes_max = 8388608\nattempts_days = 1\n"
    )
}

fn mib(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}

fn size_mib(dir: &Path, file: &str) -> f64 {
    mib(fs::metadata(dir.join(file)).map_or(0, |found| found.len()))
}
