//! `mailbell audit`: reads, exports and checks the record of who did what.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure, Where,
    answer::{Answer, say_json},
    say,
    terminal::{escaped, short},
    time_and_ids,
};
use crate::{
    app::bell_side::open_bell_store,
    domain::clock::UnixMillis,
    store::{
        audit::{AuditFilter, AuditLog as _, Head, Row, Verdict},
        bell::BellStore,
    },
};

/// How many entries are read at a time.
const PAGE: u32 = 500;
/// How often `--follow` looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    read: Read,
}

#[derive(Subcommand)]
enum Command {
    /// Write all of it as JSON lines, each with its link of the chain, to a new file or to stdout
    Export(Export),
    /// Check that nothing in it was changed, removed or moved
    Verify(Verify),
    /// Print its end, to be kept elsewhere: with it, `verify --head` shows whether the end was cut off
    Head(End),
}

#[derive(Args)]
struct Read {
    #[command(flatten)]
    place: Where,
    /// Go on with each new entry
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    answer: Answer,
    /// Only entries of these kinds, such as intent,result, with commas between them
    #[arg(long, value_delimiter = ',')]
    what: Vec<String>,
    /// Only calls with the token of this name
    #[arg(long)]
    principal: Option<String>,
    /// Only calls of this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only entries from this time on (RFC 3339)
    #[arg(long)]
    since: Option<UnixMillis>,
}

#[derive(Args)]
struct Export {
    /// The file, which must not exist yet; without it, stdout
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
struct End {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
struct Verify {
    /// An end that was printed by `audit head` and kept elsewhere
    #[arg(long)]
    head: Option<Head>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

impl Audit {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.command {
            None => self.read.run().await,
            Some(Command::Export(export)) => export.run().await,
            Some(Command::Verify(verify)) => verify.run().await,
            Some(Command::Head(End { place, answer })) => {
                let head = open(&place).await?.head_to_keep().await?;
                answer.give(json!({ "head": head.to_string() }), head)
            }
        }
    }
}

async fn open(place: &Where) -> Result<BellStore, Failure> {
    Ok(open_bell_store(&place.open()?, &time_and_ids().1).await?)
}

impl Read {
    async fn run(self) -> Result<(), Failure> {
        let store = open(&self.place).await?;
        let (clock, _) = time_and_ids();
        let filter = AuditFilter { what: self.what, principal: self.principal, tool: self.tool, since: self.since };
        let mut at = 0;
        loop {
            let (rows, looked) = store.entries(&filter, at, PAGE).await?;
            for row in &rows {
                self.answer.give(row, line(row))?;
            }
            let full = rows.len() == PAGE as usize;
            at = looked;
            if !full && !self.follow {
                return Ok(());
            }
            if !full {
                clock.sleep(LOOK_EVERY).await;
            }
        }
    }
}

impl Export {
    async fn run(self) -> Result<(), Failure> {
        let store = open(&self.place).await?;
        let mut out: Box<dyn std::io::Write> = match &self.file {
            None => Box::new(std::io::stdout().lock()),
            Some(path) => Box::new(
                File::create_new(path)
                    .map_err(|error| format!("could not make the new file {}: {error}", path.display()))?,
            ),
        };
        let shown = self.file.is_none() && io::stdout().is_terminal();
        let (mut at, mut entries) = (0, 0);
        loop {
            let (rows, looked) = store.entries(&AuditFilter::default(), at, PAGE).await?;
            if rows.is_empty() {
                out.flush()?;
                // On stdout the entries are the answer.
                return match &self.file {
                    Some(file) if self.answer.is_json() => say_json(json!({ "file": file, "entries": entries })),
                    _ => Ok(()),
                };
            }
            entries += rows.len();
            for row in &rows {
                let line = row.exported();
                writeln!(out, "{}", if shown { escaped(&line) } else { line })?;
            }
            at = looked;
        }
    }
}

impl Verify {
    async fn run(self) -> Result<(), Failure> {
        let store = open(&self.place).await?;
        let broken = match store.verify(self.head.as_ref()).await? {
            Verdict::Whole { entries, first, head, head_is_sealed } => {
                if self.answer.is_json() {
                    return say_json(
                        json!({ "whole": true, "entries": entries, "first": first, "head": head.to_string(),
                        "head_is_sealed": head_is_sealed }),
                    );
                }
                say(format!("the audit record is whole: {entries} entries, from {first} to {}", head.id))?;
                if head_is_sealed {
                    say(
                        "the head given lies inside a segment that retention has removed, so it could not be compared",
                    )?;
                }
                return say(format!("its head is {head}"));
            }
            Verdict::Broken { id, why } => (id, why),
        };
        let (id, why) = broken;
        if self.answer.is_json() {
            say_json(json!({ "whole": false, "id": id, "why": why.to_string() }))?;
        }
        Err(format!(
            "the audit record does not hold from entry {id} on: {why}; compare it with an export or a backup from before"
        )
        .into())
    }
}

/// One entry as a line. Texts in it may be anybody's, so it is shown without control characters.
fn line(row: &Row) -> String {
    let what = row.entry["what"].as_str().unwrap_or("?");
    let fields = match &row.entry {
        Value::Object(fields) => fields.iter().filter(|(name, value)| *name != "what" && !value.is_null()).collect(),
        _ => BTreeMap::new(),
    };
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", short(&value.to_string()))).collect();
    format!("{} {:>6} {:<10} {}", row.at, row.id, short(what), fields.join(" "))
}
