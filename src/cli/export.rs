//! `mailbell export`: the events as JSON lines, the oldest first, for another program to keep; or the raw mail.

mod raw;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Where,
    answer::{Answer, tell},
    terminal::escaped,
    time_and_ids,
};
use crate::{
    app::bell_side::BellSide,
    bell::waiting::{ListRequest, Position},
    domain::{
        cursor::Cursor,
        event::{EventFilter, EventKind},
        id::{ActionId, MessageId, ThreadId},
    },
    store::log::Order,
};

/// How many events are read at a time.
const PAGE: u32 = 500;
/// What says which events.
const OF_EVENTS: [&str; 8] =
    ["file", "cursor_file", "after", "kinds", "domain", "thread_id", "message_id", "action_id"];

/// `mailbell export`
#[derive(Args)]
pub(super) struct Export {
    /// Add to this file instead of writing to stdout
    file: Option<PathBuf>,
    /// Not the events but the mail: write each message as it came to a file of its own in this directory, and a line about it
    /// to stdout. What is there already is left alone
    #[arg(long, value_name = "DIR", conflicts_with_all = OF_EVENTS)]
    raw: Option<PathBuf>,
    /// Go on after the cursor in this file, and keep there how far it came: the next export with it begins at that place
    #[arg(long, value_name = "FILE", conflicts_with = "after")]
    cursor_file: Option<PathBuf>,
    /// Begin after this cursor [default: the oldest event]
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Only events of these kinds, with commas between them
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<EventKind>,
    /// Only events, or mail, of this mailbox
    #[arg(long)]
    mailbox: Option<String>,
    /// Only events of mailboxes of this domain
    #[arg(long)]
    domain: Option<String>,
    /// Only events of this thread
    #[arg(long)]
    thread_id: Option<String>,
    /// Only events about this message
    #[arg(long)]
    message_id: Option<String>,
    /// Only events about this action
    #[arg(long)]
    action_id: Option<String>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if let Some(to) = &self.raw {
            let mailbox = self.mailbox.as_deref().map(str::to_lowercase);
            return raw::run(&self.place.open()?, to, mailbox.as_deref(), self.answer.is_json()).await;
        }
        let (clock, ids) = time_and_ids();
        let bell = BellSide::open(&self.place.open()?, clock, ids, CancellationToken::new()).await?;
        let mut at = self.begin()?;
        let mut out: Box<dyn Write> = match &self.file {
            None => Box::new(io::stdout().lock()),
            Some(path) => {
                let file = File::options().create(true).append(true).open(path);
                Box::new(file.map_err(|error| format!("could not open {}: {error}", path.display()))?)
            }
        };
        let filter = EventFilter {
            kinds: self.kinds.clone(),
            mailbox: self.mailbox.as_deref().map(str::to_lowercase),
            domain: self.domain.as_deref().map(str::to_lowercase),
            thread_id: self.thread_id.clone().map(ThreadId::new),
            message_id: self.message_id.clone().map(MessageId::new),
            action_id: self.action_id.clone().map(ActionId::new),
            ..EventFilter::default()
        };
        loop {
            let request =
                ListRequest { filter: filter.clone(), after: at, before: None, order: Order::Ascending, limit: PAGE };
            let page = bell.waiting().list(request).await?;
            if let Some(gap) = page.gap {
                tell(if self.answer.is_json() {
                    json!({ "gap": gap }).to_string()
                } else {
                    format!(
                        "mailbell: retention has removed events before this export came to them; it goes on at {}",
                        gap.resumes_at
                    )
                });
            }
            for event in &page.events {
                writeln!(out, "{}", escaped(&serde_json::to_string(event)?))?;
            }
            // What is told to be exported is written before the cursor says so: a crash between exports twice, never not at all.
            out.flush()?;
            if let Some(path) = &self.cursor_file {
                keep(path, &page.cursor)?;
            }
            if page.events.len() < PAGE as usize {
                return Ok(());
            }
            at = Position::After(page.cursor);
        }
    }

    fn begin(&self) -> Result<Position, Failure> {
        let kept = match &self.cursor_file {
            Some(path) if path.exists() => Some(fs::read_to_string(path)?.trim().to_owned()),
            _ => self.after.clone(),
        };
        Ok(match kept {
            Some(cursor) => Position::After(cursor.parse()?),
            None => Position::Earliest,
        })
    }
}

/// Writes the cursor so that the file holds the old one or the new, whatever happens.
fn keep(path: &Path, cursor: &Cursor) -> Result<(), Failure> {
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(beside)?;
    writeln!(file, "{cursor}")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
