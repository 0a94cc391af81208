//! The measurements of `docs/performance.md`, one command each. What is measured runs in processes of its own, the rivals in
//! turn within each round, so that a noisy machine is as noisy for each: only ratios within one run mean something.
//!
//! ```text
//! cargo build --release && cargo run --release --example measure -- ingest
//! ```

mod agents;
mod caller;
mod endpoints;
mod events;
mod house;
mod letters;
mod load;
mod logs;
mod recorded;
mod rounds;
mod table;
mod usage;

mod calls;
mod ingest;
mod inserts;
mod parsing;
mod peers;
mod queries;
mod receiver;
mod resources;
mod sending;
mod smtp;
mod soak;
mod wake;
mod webhooks;

use std::{error::Error, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;

/// As in the product, for limits and bare rivals that run from here.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What went wrong, said so that somebody can act on it.
type Failure = Box<dyn Error + Send + Sync>;

/// Measure mailbell beside its limits and its peers.
#[derive(Parser)]
#[command(name = "measure")]
struct Measure {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    how: How,
}

/// What every measurement is told.
#[derive(Args)]
struct How {
    /// How often each rival has its turn; the table shows medians
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// How long one turn takes, in seconds [default: the measurement's own]
    #[arg(long, global = true)]
    secs: Option<f64>,
    /// Where data directories are made, which should be on a disk
    #[arg(long, global = true, default_value = "target/measure")]
    dir: PathBuf,
    /// The binary that is measured [default: the one built beside this program]
    #[arg(long, global = true)]
    mailbell: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

impl How {
    /// How long one turn takes, where the measurement takes `usual_secs` unless told otherwise.
    fn turn(&self, usual_secs: f64) -> Duration {
        Duration::from_secs_f64(self.secs.unwrap_or(usual_secs).clamp(0.05, 86_400.0))
    }
}

#[derive(Subcommand)]
enum What {
    /// Durable ingest of signed webhooks beside its limit, its floor and peers
    Ingest(ingest::Ingest),
    /// Every filter and pair of filters in logs of 10 thousand events and more
    Queries(queries::Queries),
    /// Appending as the log grows
    Inserts(inserts::Inserts),
    /// Bounces and whole messages beside mail-parser alone
    Parsing(parsing::Parsing),
    /// Calls of tools beside plain axum
    Calls(calls::Calls),
    /// Webhooks in order to many endpoints beside bare clients
    Webhooks(webhooks::Webhooks),
    /// Mail out through a relay on this machine
    Sending(sending::Sending),
    /// Memory, CPU when nothing happens, disk, and the build
    Resources(resources::Resources),
    /// An hour at half load, to see that nothing grows
    Soak(soak::Soak),
    /// Be receivers of webhooks: whom `webhooks` posts to
    #[command(hide = true)]
    Endpoints(webhooks::Endpoints),
    /// Be plain axum: what `calls` compares with
    #[command(hide = true)]
    Plain(calls::Plain),
    /// From the POST of a webhook to the return of `wait_for_event`
    Wake(wake::Wake),
    /// Mail accepted over SMTP, beside Postfix
    Smtp(smtp::Smtp),
    /// Be a bare receiver of webhooks: what `ingest` compares with
    #[command(hide = true)]
    Receiver(receiver::Receiver),
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    mailbell::app::system::settle_in();
    // What is made here may be entered, for Postfix has users of its own. A mailbell sees to its own directory.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let Measure { what, how } = Measure::parse();
    std::fs::create_dir_all(&how.dir).map_err(|error| format!("could not make {}: {error}", how.dir.display()))?;
    match what {
        What::Ingest(ingest) => ingest.run(&how).await,
        What::Queries(queries) => queries.run(&how).await,
        What::Inserts(inserts) => inserts.run(&how).await,
        What::Parsing(parsing) => parsing.run(&how).await,
        What::Calls(calls) => calls.run(&how).await,
        What::Webhooks(webhooks) => webhooks.run(&how).await,
        What::Sending(sending) => sending.run(&how).await,
        What::Resources(resources) => resources.run(&how).await,
        What::Endpoints(endpoints) => endpoints.run().await,
        What::Soak(soak) => soak.run(&how).await,
        What::Plain(plain) => plain.run().await,
        What::Wake(wake) => wake.run(&how).await,
        What::Smtp(smtp) => smtp.run(&how).await,
        What::Receiver(receiver) => receiver.run().await,
    }
}
