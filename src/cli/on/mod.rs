//! `mailbell on`: runs a command for each event, so that an agent need not run, nor spend tokens, while nothing happens.
//!
//! ```text
//! mailbell on ── leases an event ──▶ guard ──▶ COMMAND (a process group of its own)
//!     │            JSON on stdin      │
//!     └─ exit 0: acks · else: gives it back with a pause · after five attempts: parked
//! ```
//!
//! The guard between the two is this binary again. It lives no longer than `mailbell on`, and the command no longer than it:
//! a SIGKILL of `mailbell on` leaves no command behind that works on while the event is with another.

mod command;
pub(super) mod guard;

use std::{ffi::OsString, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use self::command::Spawning;
use super::{Failure, Settings, Where, serve::Signals};
use crate::{
    app::{
        StartError,
        bell_side::BellSide,
        succession::Neighbour,
        system::{SystemClock, SystemEntropy},
    },
    bell::{
        attending::{Attending, Orders},
        consumers::Settling,
    },
    domain::{
        consumer::{self, Start},
        event::{EventFilter, EventKind},
    },
};

/// More commands at a time than this would be a mistake: each is a process, and often an agent.
const PARALLEL_MAX: i64 = 64;
/// A day: what takes longer should not be waited for.
const SECS_MAX: i64 = 24 * 3600;

#[derive(Args)]
pub(super) struct On {
    /// Which kinds of event, with commas between them
    #[arg(required = true, num_args = 1, value_delimiter = ',', value_name = "KINDS")]
    kinds: Vec<EventKind>,
    /// Only events of this mailbox
    #[arg(long)]
    mailbox: Option<String>,
    /// Which consumer's events; it remembers across restarts what was handled
    #[arg(long, value_name = "NAME", default_value = "on")]
    consumer: String,
    /// Where the consumer begins, at its first use
    #[arg(long, value_enum, default_value = "earliest")]
    start: Begin,
    /// How many commands may run at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=PARALLEL_MAX))]
    parallel: u32,
    /// How long the command may take for one event
    #[arg(long, alias = "timeout", value_name = "SECS", default_value = "1800", value_parser = clap::value_parser!(u64).range(1..=SECS_MAX.unsigned_abs()))]
    timeout_secs: u64,
    /// The pause after a first failure; each further one is four times as long
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = clap::value_parser!(u64).range(0..=SECS_MAX.unsigned_abs()))]
    retry_secs: u64,
    /// After how long another may take over the events of this process, should it be killed
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=SECS_MAX.unsigned_abs()))]
    lease_secs: u64,
    /// Hand the command to `sh -c`
    #[arg(long)]
    shell: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    pub(super) settings: Settings,
    /// What to run: gets the event as JSON on stdin; exit code 0 says that it is handled
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Begin {
    /// With the oldest event that the log holds
    Earliest,
    /// With the next event to come
    Now,
}

impl On {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let consumer = consumer::named(&self.consumer)?;
        let words =
            if self.shell { vec!["sh".into(), "-c".into(), self.command.join(" ".as_ref())] } else { self.command };
        let orders = Orders {
            consumer,
            start: match self.start {
                Begin::Earliest => Start::Earliest,
                Begin::Now => Start::Now,
            },
            filter: EventFilter { kinds: self.kinds, mailbox: self.mailbox, ..EventFilter::default() },
            holder: format!("on:{}", std::process::id()),
            client: words[0].to_string_lossy().into_owned(),
            parallel: self.parallel,
            lease: Duration::from_secs(self.lease_secs),
            pause: Duration::from_secs(self.retry_secs),
            timeout: Duration::from_secs(self.timeout_secs),
        };
        let loaded = self.settings.load(&[])?;
        let dir = self.place.open()?;
        let lock = dir.keep_or_join().await?;
        let signals = Signals::listen()?;
        let neighbour =
            Neighbour::join(dir, lock, loaded, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await?;
        let ended = attend(neighbour.bell(), orders, words, signals, neighbour.failed()).await;
        neighbour.close().await;
        ended
    }
}

/// Attends until a signal, or until something made it end.
async fn attend(
    bell: &BellSide,
    orders: Orders,
    words: Vec<OsString>,
    signals: Signals,
    failed: impl Future<Output = StartError>,
) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let settling = Settling::new(bell.store.clone(), bell.bell.clone(), bell.clock.clone());
    let handler = Spawning { words, consumer: orders.consumer.clone(), ids: bell.ids.clone() };
    tracing::info!(consumer = %orders.consumer, "waiting for events");
    let attending = Attending::new(Arc::new(bell.waiting()), settling, bell.clock.clone(), orders, Arc::new(handler));
    let mut attended = tokio::spawn(attending.run(shutdown.clone()));
    let fault = tokio::select! {
        ended = &mut attended => return Ok(ended??),
        () = signals.received() => None,
        fault = failed => Some(fault),
    };
    shutdown.cancel();
    attended.await??;
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}
