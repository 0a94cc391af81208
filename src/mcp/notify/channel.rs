//! Claude Code's channel: news that a running session is told of without asking. Kinds, places and counts, and no word of
//! anybody's: what is in an event, a session takes by a tool, inside a fence.
//!
//! The channel is an experiment of that client's, on stdio and in the older protocol
//! (<https://code.claude.com/docs/en/channels-reference>), so it is told only where somebody has asked for it.

use std::{collections::BTreeMap, time::Duration};

use rmcp::model::{CustomNotification, ExperimentalCapabilities, JsonObject, ServerNotification};
use serde_json::json;

use super::super::present::{Sentence, sentence};
use crate::domain::{cursor::Seq, event::EventKind};

/// The capability that tells the client of it.
const CAPABILITY: &str = "claude/channel";
/// What it is told by.
const METHOD: &str = "notifications/claude/channel";
/// Each notification costs a model a turn, so what happens within this is told as one.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// Told to a session with a channel, after the other instructions.
pub(in crate::mcp) const INSTRUCTIONS: &str = "

<channel source=\"mailbell\"> tells you that events have come, by kind, and nothing of what is in them: call wait_for_event \
to take them.";

/// What a server with a channel declares.
pub(in crate::mcp) fn capability() -> ExperimentalCapabilities {
    ExperimentalCapabilities::from([(CAPABILITY.to_owned(), JsonObject::new())])
}

/// Whether it is told of events of this kind: of those that a consumer has from the start.
pub(super) fn tells_of(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Delivery | EventKind::Open)
}

/// What a channel is to tell.
#[derive(Default)]
pub(super) struct News {
    counts: BTreeMap<EventKind, u64>,
    /// The first event and the last.
    span: Option<(Seq, Seq)>,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    pub(super) fn add(&mut self, kind: EventKind, seq: Seq) {
        *self.counts.entry(kind).or_default() += 1;
        self.span = Some((self.span.map_or(seq, |(first, _)| first), seq));
    }

    pub(super) fn notification(&self) -> ServerNotification {
        let count: u64 = self.counts.values().sum();
        let (first, last) = self.span.unwrap_or_default();
        let kinds = Sentence::joined(self.counts.iter().map(|(kind, count)| sentence!("{} {}", *count, *kind)), ", ");
        let events = if count == 1 { "event" } else { "events" };
        let content =
            sentence!("{} new e-mail {}: {}. Call wait_for_event to take what is yours.", count, events, kinds);
        // Names of letters, digits and `_`; others the client drops.
        let mut meta = BTreeMap::from([
            ("events", count.to_string()),
            ("first_seq", first.0.to_string()),
            ("last_seq", last.0.to_string()),
        ]);
        meta.extend(self.counts.iter().map(|(kind, count)| (kind.as_str(), count.to_string())));
        let params = json!({ "content": content.to_string(), "meta": meta });
        ServerNotification::CustomNotification(CustomNotification::new(METHOD, Some(params)))
    }
}
