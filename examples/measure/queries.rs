//! Reading the log as it grows: every filter, every pair of filters, as a page and as a consumer's claim, in logs of ten
//! thousand events and of many more, asked in turn.
//!
//! A page is as full in every log: a query asks for as many events as the smallest log has for it, at most [`PAGE`].

mod filters;

use std::{path::Path, time::Instant};

use clap::Args;
use mailbell::{
    app::system::SystemClock,
    domain::{
        clock::Clock as _,
        consumer::{Holder, LeaseToken, Settlement, Start},
        cursor::Seq,
        event::{EventFilter, EventKind},
        id::ConsumerName,
    },
    store::{
        bell::BellStore,
        leases::{Claim, Consumers as _},
        log::{EventLog as _, Order, PageRequest},
    },
};

use self::filters::Asked;
use crate::{
    Failure, How,
    load::count,
    logs::{self, Keys, LONG_AGO, mix},
    rounds::{Samples, in_turn},
    table::{Aim, Table, short},
};

/// Events on a page at most.
const PAGE: u32 = 20;
/// Filters of one sort that are asked, each of another event's values.
const PICKS: u64 = 24;
/// Rows of a table that are shown without `--all`, the worst first.
const WORST: usize = 8;

/// Reading, and claiming, in logs of 10 thousand events and more
#[derive(Args)]
pub(crate) struct Queries {
    /// Events of the largest log; those of 10 thousand and 1 million are made in any case up to it
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Show every filter, not the worst alone
    #[arg(long)]
    all: bool,
    /// Keep the logs, and take those that are there: ten million events take long to make
    #[arg(long)]
    keep: bool,
}

/// What is asked of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Newest,
    Onward,
    Claim,
    Idle,
}

const ASKS: [(Ask, &str); 4] = [
    (Ask::Newest, "list_events, the newest first"),
    (Ask::Onward, "list_events, on from a cursor"),
    (Ask::Claim, "a claim that leases an event"),
    (Ask::Idle, "a claim that finds nothing new"),
];

/// A log, and how many events it has.
struct Log {
    rows: u64,
    store: BellStore,
}

impl Queries {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        let mut sizes: Vec<u64> =
            [LONG_AGO, 1_000_000, self.rows].into_iter().filter(|rows| *rows <= self.rows).collect();
        sizes.dedup();
        let (mut logs, mut places) = (Vec::new(), Vec::new());
        for rows in sizes {
            let dir = how.dir.join(format!("log-{rows}"));
            let log = self.log(&dir, rows).await?;
            logs.push(log);
            places.push(dir);
        }
        let asked = filters::all(logs[0].rows, PICKS);
        for (ask, title) in ASKS {
            self.table(how, title, ask, &asked, &mut logs).await?.print(how)?;
        }
        drop(logs);
        if !self.keep {
            places.iter().try_for_each(std::fs::remove_dir_all)?;
        }
        Ok(())
    }

    async fn log(&self, dir: &Path, rows: u64) -> Result<Log, Failure> {
        if !self.keep && dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        let store = logs::open(&dir.join("bell.db")).await?;
        let began = Instant::now();
        logs::fill(&store, rows, Keys::Time).await?;
        let secs = began.elapsed().as_secs_f64();
        eprintln!("{} events made in {secs:.1} s", short(count(rows)));
        Ok(Log { rows, store })
    }

    async fn table(
        &self,
        how: &How,
        title: &str,
        ask: Ask,
        asked: &[Asked],
        logs: &mut [Log],
    ) -> Result<Table, Failure> {
        let mut limits = Vec::new();
        for one in asked {
            limits.push(fill(ask, one, &logs[0]).await?);
        }
        let found = in_turn(how.rounds, logs, async |log, round| {
            let mut medians = Vec::with_capacity(asked.len());
            for (one, limit) in asked.iter().zip(&limits) {
                medians.push(micros(ask, one, *limit, log, round).await?);
            }
            Ok::<_, Failure>(medians)
        })
        .await?;

        let mut columns = vec!["filter".to_owned(), "page".to_owned()];
        columns.extend(logs.iter().map(|log| format!("{} µs", short(count(log.rows)))));
        columns.push("largest / smallest".to_owned());
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut table = Table::new(title, &columns);
        let mut rows: Vec<(f64, Vec<String>)> = Vec::new();
        for (at, one) in asked.iter().enumerate() {
            let samples: Vec<Samples> = found
                .iter()
                .map(|rounds| {
                    let mut samples = Samples::default();
                    for medians in rounds {
                        samples.add(medians[at]);
                    }
                    samples
                })
                .collect();
            let ratio = samples[samples.len() - 1].over(&samples[0]);
            let mut cells = vec![one.name.clone(), limits[at].to_string()];
            cells.extend(samples.iter().map(|samples| samples.show(short)));
            cells.push(ratio.show(short));
            rows.push((ratio.median(), cells));
        }
        rows.sort_by(|one, other| other.0.total_cmp(&one.0));
        let worst = rows.first().map_or(f64::NAN, |(ratio, _)| *ratio);
        let shown = if self.all { rows.len() } else { WORST };
        rows.into_iter().take(shown).for_each(|(_, cells)| table.row(cells));
        table.aim(
            format!("the slowest of {} filters, largest log over smallest (p50)", asked.len()),
            worst,
            Aim::Most(3.0),
        );
        Ok(table)
    }
}

/// How many events the smallest log has for it, at most a page; a page where it has none.
async fn fill(ask: Ask, asked: &Asked, smallest: &Log) -> Result<u32, Failure> {
    if matches!(ask, Ask::Claim | Ask::Idle) {
        return Ok(1);
    }
    let mut found = Vec::new();
    for n in &asked.events {
        let page = smallest.store.page(&page(ask, &asked.filter(*n), PAGE, smallest.rows)).await?;
        found.push(page.len());
    }
    found.sort_unstable();
    let middle = found.get(found.len() / 2).copied().unwrap_or(0);
    Ok(u32::try_from(middle)?.clamp(1, PAGE))
}

fn page(ask: Ask, filter: &EventFilter, limit: u32, rows: u64) -> PageRequest {
    let onward = ask == Ask::Onward;
    PageRequest {
        filter: filter.clone(),
        after: if onward { Seq(i64::try_from(rows / 4).unwrap_or(0)) } else { Seq::ZERO },
        before: None,
        order: if onward { Order::Ascending } else { Order::Descending },
        limit,
    }
}

/// The median time of one of `asked`'s filters, in microseconds.
async fn micros(ask: Ask, asked: &Asked, limit: u32, log: &Log, round: u32) -> Result<f64, Failure> {
    let mut took = Samples::default();
    // The values of events all over this log; what was long ago stays that.
    for (at, n) in (0u64..).zip(&asked.events) {
        let n = if asked.fixed { *n } else { asked.like(*n, log.rows) };
        let filter = asked.filter(n);
        let number = mix(u64::from(round) << 32 | at);
        took.add(
            match ask {
                Ask::Newest | Ask::Onward => {
                    let request = page(ask, &filter, limit, log.rows);
                    // Once before, so that pages of the file which no other query has read are not what is measured.
                    log.store.page(&request).await?;
                    let began = Instant::now();
                    log.store.page(&request).await?;
                    began.elapsed().as_secs_f64()
                }
                Ask::Claim | Ask::Idle => {
                    let claim = claim(ask, filter, number);
                    if ask == Ask::Idle {
                        log.store.claim(&claim, SystemClock::new().moment()).await?;
                    }
                    let now = SystemClock::new().moment();
                    let began = Instant::now();
                    let claimed = log.store.claim(&claim, now).await?;
                    let took = began.elapsed().as_secs_f64();
                    if !claimed.events.is_empty() {
                        log.store.settle(&claim.token, None, &Settlement::Ack, SystemClock::new().moment()).await?;
                    }
                    took
                }
            } * 1e6,
        );
    }
    Ok(took.median())
}

fn claim(ask: Ask, filter: EventFilter, number: u64) -> Claim {
    let (consumer, start) = if ask == Ask::Idle { ("late", Start::Now) } else { ("early", Start::Earliest) };
    Claim {
        consumer: ConsumerName::new(consumer),
        start,
        kinds: EventKind::ALL.to_vec(),
        filter,
        limit: 1,
        holder: Holder::worker("measure"),
        client: None,
        token: LeaseToken::new(format!("lease_{number:032x}")),
        lease_millis: 600_000,
        on_disk: false,
        rung: false,
    }
}
