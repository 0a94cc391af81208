//! `mailbell events`: shows the operator what fired, and with `--follow`, what fires.
//!
//! The default is lines for people; `--json` prints each event as one JSON object a line, the oldest first.

use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Where,
    answer::{Answer, say_json, say_marked, tell},
    terminal::{of_kind, short},
    time_and_ids,
};
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

#[derive(Args)]
pub(super) struct Events {
    #[command(flatten)]
    place: Where,
    /// Go on with each new event as it comes
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    answer: Answer,
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
            tell(format_args!(
                "mailbell: the keeper with pid {pid} does not answer: it is stopped or stuck, and nothing comes in until it goes on (kill -CONT {pid}) or ends (kill -KILL {pid})"
            ));
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
                on_disk: true,
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
            if self.answer.is_json() {
                say_json(event)?;
            } else {
                show(event)?;
            }
        }
        Ok(())
    }
}

/// One event as a line. Terminals obey control characters, so foreign text is shown without any.
fn show(event: &Event) -> Result<(), Failure> {
    let fact = &event.fact;
    let what = match &fact.detail {
        Detail::Inbound { from, subject, .. } => format!("from {} {:?}", short(from), short(subject)),
        Detail::Delivery { recipient, .. } => format!("to {}", short(recipient)),
        Detail::Bounce { recipient, bounce_code, diagnostic, .. } => format!(
            "to {} {} {:?}",
            short(recipient.as_deref().unwrap_or("?")),
            short(bounce_code),
            short(diagnostic.as_deref().unwrap_or_default())
        ),
        Detail::Complaint { recipient, .. } | Detail::Open { recipient, .. } => {
            format!("by {}", short(recipient.as_deref().unwrap_or("?")))
        }
        Detail::Approval { action_id, outcome } => format!("{action_id} {}", short(outcome)),
        Detail::Other {} => short(fact.provider_kind.as_deref().unwrap_or("?")),
    };
    let kind = fact.detail.kind();
    say_marked(
        format_args!("{} {:>6} ", event.received_at, event.seq),
        of_kind(kind),
        format_args!("{:<9}", kind.as_str()),
        format_args!(" {:<28} {what}", short(fact.mailbox.as_deref().unwrap_or("-"))),
    )
}
