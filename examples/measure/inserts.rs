//! How fast events are appended as the log grows, with ids that rise and with ids by chance.

use std::{path::Path, time::Instant};

use clap::Args;
use mailbell::store::{bell::BellStore, log::EventLog as _};
use tempfile::TempDir;

use crate::{
    Failure, How,
    load::count,
    logs::{self, Keys},
    rounds::{Samples, in_turn},
    table::{Aim, Table, short},
};

/// What is appended, as posters bring it that share commits.
const POST_LEN: u64 = 16;
const POSTS: usize = 16;
/// Events that are appended between two looks at the time.
const STEP: u64 = 4_096;

/// Appending to logs of any size.
#[derive(Args)]
pub(crate) struct Inserts {
    /// Events of the large log
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Which ids, one sort or more
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Keys::Time, Keys::Random])]
    ids: Vec<Keys>,
}

/// A log that is appended to; a fresh one is made anew each round.
struct Rival {
    keys: Keys,
    large: Option<BellStore>,
}

impl Inserts {
    pub(crate) async fn run(self, how: &How) -> Result<(), Failure> {
        let (mut rivals, mut dirs) = (Vec::new(), Vec::new());
        for keys in &self.ids {
            let dir = TempDir::with_prefix_in("log-", &how.dir)?;
            let large = logs::open(&dir.path().join("bell.db")).await?;
            logs::fill(&large, self.rows, *keys).await?;
            rivals.push(Rival { keys: *keys, large: None });
            rivals.push(Rival { keys: *keys, large: Some(large) });
            dirs.push(dir);
        }
        let found = in_turn(how.rounds, &mut rivals, async |rival, _| match &rival.large {
            Some(large) => rate(how, large, rival.keys).await,
            None => fresh(how, rival.keys).await,
        })
        .await?;
        let found: Vec<Samples> = found.into_iter().map(Samples::from_iter).collect();
        let mut table =
            Table::new("Appending as the log grows", &["ids", "events there", "events/s", "beside a fresh log"]);
        for (at, rival) in rivals.iter().enumerate() {
            let ratio = found[at].over(&found[at / 2 * 2]);
            let there = if rival.large.is_some() { short(count(self.rows)) } else { "none".to_owned() };
            let ids = format!("{:?}", rival.keys).to_lowercase();
            table.row([ids.clone(), there, found[at].show(short), ratio.show(short)]);
            if rival.large.is_some() && rival.keys == Keys::Time {
                table.aim(format!("{ids}: beside a fresh log"), ratio.median(), Aim::Least(0.6));
            }
        }
        drop(rivals);
        drop(dirs);
        table.print(how)
    }
}

async fn fresh(how: &How, keys: Keys) -> Result<f64, Failure> {
    let dir = TempDir::with_prefix_in("log-", &how.dir)?;
    let path: &Path = &dir.path().join("bell.db");
    rate(how, &logs::open(path).await?, keys).await
}

/// Events a second.
async fn rate(how: &How, store: &BellStore, keys: Keys) -> Result<f64, Failure> {
    let first = u64::try_from(store.extent().await?.head.0)?;
    let (turn, began, mut done) = (how.turn(3.0), Instant::now(), 0);
    while began.elapsed() < turn {
        logs::append(store, first + done, STEP, POST_LEN, POSTS, keys).await?;
        done += STEP;
    }
    Ok(count(done) / began.elapsed().as_secs_f64())
}
