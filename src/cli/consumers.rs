//! `mailbell consumers`: who has which events, what is set aside, and to put it back. It reads and writes the shared log, so a
//! running house sees a change at once.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::{
    Failure, Where,
    answer::{Answer, say_json},
    say,
    terminal::short,
    time_and_ids,
};
use crate::{
    app::bell_side::open_bell_store,
    domain::{
        clock::{Moment, UnixMillis},
        consumer::{ATTEMPTS_MAX, ParkedBy, principal_of},
        cursor::Seq,
        id::ConsumerName,
    },
    store::{
        bell::BellStore,
        standing::{Acted, OpenClaim, OperatorAct, ParkedClaim, Standing, Standings as _},
    },
};

/// Events of each sort that are shown of one consumer.
const SHOWN_MAX: u32 = 200;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Consumers {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Subcommand)]
enum Command {
    /// Show every consumer: what it has left, with whom, and what is set aside
    List(List),
    /// Show the events of one consumer that are leased, wait for a retry, or are set aside
    Show(Show),
    /// Put events that are set aside back, with their attempts counted anew
    Requeue(Act),
    /// Set events aside; a worker that has one can no longer act on it
    Park(Park),
    /// Say that events that are set aside are done
    Ack(Act),
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
struct Show {
    /// The consumer
    name: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
struct Act {
    /// The consumer
    name: String,
    /// The events, by their place in the log
    #[arg(required = true, value_name = "SEQ")]
    seqs: Vec<i64>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
struct Park {
    #[command(flatten)]
    act: Act,
    /// Why
    #[arg(long)]
    note: Option<String>,
}

impl Consumers {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.command.unwrap_or(Command::List(self.list)) {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Requeue(act) => act.run(OperatorAct::Requeue).await,
            Command::Park(Park { act, note }) => act.run(OperatorAct::Park { note }).await,
            Command::Ack(act) => act.run(OperatorAct::Ack).await,
        }
    }
}

async fn open(place: &Where) -> Result<(BellStore, Moment), Failure> {
    let (clock, ids) = time_and_ids();
    Ok((open_bell_store(&place.open()?, &ids).await?, clock.moment()))
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let (store, now) = open(&self.place).await?;
        for standing in store.standings(now.clone()).await? {
            self.answer.give(&standing, line(&standing, now.wall))?;
        }
        Ok(())
    }
}

impl Show {
    async fn run(self) -> Result<(), Failure> {
        let (store, now) = open(&self.place).await?;
        let name = ConsumerName::new(&self.name);
        let standings = store.standings(now.clone()).await?;
        let Some(standing) = standings.iter().find(|standing| standing.name == name) else {
            return Err(no_consumer(&self.name, &standings));
        };
        let open = store.open_claims(&name, SHOWN_MAX, now.clone()).await?;
        let parked = store.parked_claims(&name, SHOWN_MAX).await?;
        if self.answer.is_json() {
            let open: Vec<_> = open.iter().map(|claim| With::principal(claim, claim.holder.as_deref())).collect();
            let parked: Vec<_> = parked.iter().map(|claim| With::principal(claim, claim.holder.as_deref())).collect();
            return say_json(json!({ "consumer": standing, "open": open, "parked": parked }));
        }
        say(line(standing, now.wall))?;
        for claim in &open {
            say(open_line(claim))?;
        }
        for claim in &parked {
            say(parked_line(claim))?;
        }
        Ok(())
    }
}

impl Act {
    async fn run(self, act: OperatorAct) -> Result<(), Failure> {
        let (store, now) = open(&self.place).await?;
        let name = ConsumerName::new(&self.name);
        let seqs: Vec<Seq> = self.seqs.iter().copied().map(Seq).collect();
        let Some(acted) = store.act(&name, &seqs, &act, now.clone()).await? else {
            return Err(no_consumer(&self.name, &store.standings(now).await?));
        };
        let done = match act {
            OperatorAct::Requeue => "re-queued",
            OperatorAct::Park { .. } => "parked",
            OperatorAct::Ack => "acked",
        };
        for (seq, acted) in &acted {
            let line = format!("{seq:>6} {}", outcome(*acted, done));
            self.answer.give(json!({ "seq": seq, "result": acted }), line)?;
        }
        let left = acted.iter().filter(|(_, acted)| *acted != Acted::Done).count();
        if left > 0 {
            return Err(format!(
                "{left} of {} events were left as they are; see `mailbell consumers show {}`",
                acted.len(),
                self.name
            )
            .into());
        }
        Ok(())
    }
}

fn outcome(acted: Acted, done: &'static str) -> &'static str {
    match acted {
        Acted::Done => done,
        Acted::NotParked => "is not parked",
        Acted::Settled => "is settled already",
        Acted::Parked => "is parked already",
        Acted::Unknown => "is not in the log, or of a kind that this consumer does not own",
    }
}

fn no_consumer(name: &str, standings: &[Standing]) -> Failure {
    let names: Vec<&str> = standings.iter().map(|standing| standing.name.as_str()).collect();
    let there = if names.is_empty() { "there is none yet".into() } else { format!("there are {}", names.join(", ")) };
    format!("there is no consumer {name:?}; {there}. A consumer is made by its first wait").into()
}

/// A claim with the principal that its holder acts for.
#[derive(Serialize)]
struct With<'a, T> {
    #[serde(flatten)]
    claim: &'a T,
    principal: Option<&'a str>,
}

impl<'a, T> With<'a, T> {
    fn principal(claim: &'a T, holder: Option<&'a str>) -> Self {
        Self { claim, principal: holder.and_then(principal_of) }
    }
}

fn line(standing: &Standing, now: UnixMillis) -> String {
    let Standing { name, leased, waiting, parked, escalated, .. } = standing;
    let lag: Vec<String> = standing.lag.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let lag = if lag.is_empty() { "nothing left".to_owned() } else { lag.join(", ") };
    let oldest = standing.oldest_received_at.map(|at| format!(", the oldest {} old", age(at, now))).unwrap_or_default();
    format!(
        "{:<16} {lag}{oldest}; {leased} leased, {waiting} to be tried again, {parked} parked ({escalated} escalated)",
        short(name.as_str())
    )
}

fn open_line(claim: &OpenClaim) -> String {
    let OpenClaim { seq, event_id, kind, attempt, .. } = claim;
    let left = claim.left_millis.map(|left| format!("{} s", left.div_ceil(1000)));
    let how = match (claim.leased, left, claim.since) {
        (true, Some(left), Some(since)) => format!("leased since {since}, {left} left"),
        (true, ..) => "leased".to_owned(),
        (false, Some(left), _) => format!("tried again in {left}"),
        (false, None, _) => "waits for a worker".to_owned(),
    };
    let by = who(claim.holder.as_deref(), claim.client.as_deref());
    format!("{seq:>6} {kind:<9} {} attempt {attempt}: {how}{by}", short(event_id.as_str()), kind = kind.as_str())
}

fn parked_line(claim: &ParkedClaim) -> String {
    let ParkedClaim { seq, attempt, .. } = claim;
    let kind = claim.kind.map_or("-", |kind| kind.as_str());
    let id = short(claim.event_id.as_ref().map_or("(removed by retention)", |id| id.as_str()));
    let why = match claim.parked_by {
        ParkedBy::Agent => "escalated".to_owned(),
        ParkedBy::Attempts => format!("parked after {ATTEMPTS_MAX} attempts"),
        ParkedBy::Operator => "parked by the operator".to_owned(),
    };
    let since = claim.since.map(|since| format!(" at {since}")).unwrap_or_default();
    let by = who(claim.holder.as_deref(), claim.client.as_deref());
    let note = claim.note.as_deref().map(|note| format!(": {:?}", short(note))).unwrap_or_default();
    format!("{seq:>6} {kind:<9} {id} attempt {attempt}: {why}{since}{by}{note}")
}

fn who(holder: Option<&str>, client: Option<&str>) -> String {
    let client = client.map(|client| format!(", {}", short(client))).unwrap_or_default();
    holder.map(|holder| format!(" ({}{client})", short(holder))).unwrap_or_default()
}

fn age(at: UnixMillis, now: UnixMillis) -> String {
    let secs = now.0.saturating_sub(at.0).max(0) / 1000;
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}
