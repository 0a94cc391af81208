//! `mailbell events`: shows the operator what fired, and with `--follow`, what fires.
//!
//! The default is lines for people; `--json` prints each event as one JSON object a line, the oldest first.

use std::{io::Write as _, time::Duration};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, Where, say, time_and_ids};
use crate::{
    app::{
        bell_side::BellSide,
        local_socket::{Pulse, pulse},
    },
    bell::waiting::{ListRequest, Position, Reader, WaitRequest},
    domain::{
        consumer::Holder,
        event::{Detail, Event, EventFilter, EventKind},
    },
    store::log::Order,
};

/// How many events are read at a time.
const PAGE: u32 = 500;
/// How long one look for new events takes; then the next begins.
const LOOK: Duration = Duration::from_mins(1);
/// Lines for people hold no more than this of a foreign text.
const TEXT_CHARS_MAX: usize = 80;

#[derive(Args)]
pub(super) struct Events {
    #[command(flatten)]
    place: Where,
    /// Go on with each new event as it comes
    #[arg(long, short)]
    follow: bool,
    /// Print JSON, one event a line
    #[arg(long)]
    json: bool,
    /// Only events of this mailbox
    #[arg(long)]
    mailbox: Option<String>,
    /// Only events of these kinds, with commas between them
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<EventKind>,
    /// Begin with those that come from now on
    #[arg(long)]
    new: bool,
}

impl Events {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let ended = CancellationToken::new();
        let dir = self.place.open()?;
        let bell = BellSide::open(&dir, clock, ids, ended.clone()).await?;
        if pulse(&dir).await == Pulse::Silent {
            let pid = dir.published()?.map_or(0, |published| published.addresses.pid);
            writeln!(
                std::io::stderr(),
                "mailbell: the keeper with pid {pid} does not answer: it is stopped or stuck, and nothing comes in until it goes on (kill -CONT {pid}) or ends (kill -KILL {pid})"
            )?;
        }
        let filter = EventFilter {
            kinds: self.kinds.clone(),
            mailbox: self.mailbox.as_deref().map(str::to_lowercase),
            ..EventFilter::default()
        };
        let mut at = if self.new { Position::Now } else { Position::Earliest };
        loop {
            let request =
                ListRequest { filter: filter.clone(), after: at, before: None, order: Order::Ascending, limit: PAGE };
            let page = bell.waiting().list(request).await?;
            self.show(page.events.iter())?;
            let full = page.events.len() == PAGE as usize;
            at = Position::After(page.cursor);
            if !full {
                break;
            }
        }
        if self.follow {
            self.follow(&bell, filter, at, ended).await?;
        }
        Ok(())
    }

    async fn follow(
        &self,
        bell: &BellSide,
        filter: EventFilter,
        mut at: Position,
        ended: CancellationToken,
    ) -> Result<(), Failure> {
        tokio::spawn(bell.watch(ended.clone()));
        let waiting = bell.waiting();
        loop {
            let request = WaitRequest {
                filter: filter.clone(),
                reader: Reader::Onlooker(at.clone()),
                limit: PAGE,
                timeout: LOOK,
                holder: Holder::worker("operator"),
                client: None,
            };
            let waited = waiting.wait(request, ended.clone()).await?;
            self.show(waited.events.iter().map(|leased| &leased.event))?;
            if let Some(cursor) = waited.cursor {
                at = Position::After(cursor);
            }
        }
    }

    fn show<'a>(&self, events: impl Iterator<Item = &'a Event>) -> Result<(), Failure> {
        for event in events {
            if self.json {
                say(serde_json::to_string(event)?)?;
            } else {
                say(line(event))?;
            }
        }
        Ok(())
    }
}

/// One event as a line. Terminals obey control characters, so foreign text is shown without any.
fn line(event: &Event) -> String {
    let fact = &event.fact;
    let what = match &fact.detail {
        Detail::Inbound { from, subject, .. } => format!("from {} {:?}", plain(from), plain(subject)),
        Detail::Delivery { recipient, .. } => format!("to {}", plain(recipient)),
        Detail::Bounce { recipient, bounce_code, diagnostic, .. } => format!(
            "to {} {} {:?}",
            plain(recipient.as_deref().unwrap_or("?")),
            plain(bounce_code),
            plain(diagnostic.as_deref().unwrap_or_default())
        ),
        Detail::Complaint { recipient, .. } | Detail::Open { recipient, .. } => {
            format!("by {}", plain(recipient.as_deref().unwrap_or("?")))
        }
        Detail::Approval { action_id, outcome } => format!("{action_id} {}", plain(outcome)),
        Detail::Other {} => plain(fact.provider_kind.as_deref().unwrap_or("?")),
    };
    format!(
        "{} {:>6} {:<9} {:<28} {what}",
        event.received_at,
        event.seq,
        fact.detail.kind().as_str(),
        plain(fact.mailbox.as_deref().unwrap_or("-")),
    )
}

/// Marks that have the rest of a line shown from right to left, our own part of it included.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Foreign text as a terminal may have it: short, and without what moves a cursor or turns the line.
pub(super) fn plain(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).map(|c| if c.is_control() || turns_the_line(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_move_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}c\u{202E}d\re"), "a [2Jb c d e");
        assert_eq!(plain(&"é".repeat(100)).chars().count(), TEXT_CHARS_MAX);
    }
}
