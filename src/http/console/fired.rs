//! What fired, and what an agent did about it: the same words for the page, the feed and the time line of a message.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    Rooms,
    words::{short, visible},
};
use crate::{
    domain::{
        cursor::Seq,
        event::{Detail, Event},
    },
    store::{StoreError, audit::Row},
};

/// Characters of a stranger's words in a line.
const LINE_CHARS_MAX: usize = 160;
/// Entries of the record that are looked through for what was done.
pub(super) const RECORD_MAX: u32 = 500;

/// An event in a line; the text may be a stranger's.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fired {
    pub(super) seq: i64,
    pub(super) kind: &'static str,
    pub(super) at: i64,
    pub(super) mailbox: String,
    pub(super) thread: String,
    pub(super) message: String,
    pub(super) source: String,
    pub(super) text: String,
}

impl Fired {
    pub(super) fn of(event: &Event) -> Self {
        let fact = &event.fact;
        let id = |id: Option<&str>| visible(&short(id.unwrap_or_default(), LINE_CHARS_MAX));
        Self {
            seq: event.seq.0,
            kind: fact.detail.kind().as_str(),
            at: event.received_at.0,
            mailbox: id(fact.mailbox.as_deref()),
            thread: id(fact.thread_id.as_ref().map(crate::domain::id::ThreadId::as_str)),
            // To be gone to as it is.
            message: fact.message_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            source: event.source.to_string(),
            text: visible(&short(&line(&fact.detail, fact.provider_kind.as_deref()), LINE_CHARS_MAX)),
        }
    }
}

fn line(detail: &Detail, provider_kind: Option<&str>) -> String {
    let to = |recipient: &Option<String>| recipient.clone().unwrap_or_else(|| "somebody".to_owned());
    match detail {
        Detail::Inbound { from, subject, auto, .. } => {
            let auto = if *auto { " (automatic)" } else { "" };
            format!("from {from}: {subject}{auto}")
        }
        Detail::Delivery { recipient, .. } => format!("accepted for {recipient}"),
        Detail::Bounce { recipient, bounce_code, reason, r#final, .. } => {
            let reason = reason.as_deref().unwrap_or("no reason known");
            let end = if *r#final { "given up" } else { "tried again" };
            format!("{bounce_code} {reason}, {end}: {}", to(recipient))
        }
        Detail::Complaint { recipient, .. } => format!("called spam by {}", to(recipient)),
        Detail::Open { recipient, machine } => {
            let who = if *machine == Some(true) { "a machine of " } else { "" };
            format!("opened by {who}{}", to(recipient))
        }
        Detail::Approval { action_id, outcome } => format!("{outcome}: {action_id}"),
        Detail::Other {} => provider_kind.unwrap_or("something else").to_owned(),
    }
}

/// What became of an event, in our words.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Did {
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) text: String,
}

/// What an entry of the record tells of events that were handed out.
pub(super) fn did(row: &Row) -> Vec<Did> {
    let says = |name: &str| row.entry.get(name).and_then(Value::as_str);
    let consumer = says("consumer").unwrap_or_default();
    let text = match says("what") {
        Some("leased") => format!("with {} ({consumer})", says("client").or(says("holder")).unwrap_or("a worker")),
        Some("settled") => {
            let word = match says("act").unwrap_or_default() {
                "ack" => "acked",
                "release" => "released",
                "extend" => "kept longer",
                "escalate" => "escalated",
                "hold" => "held for an action",
                other => other,
            };
            format!("{word} ({consumer})")
        }
        Some("parked") => format!("set aside ({consumer})"),
        Some("taken_back") => format!("taken back ({consumer})"),
        _ => return Vec::new(),
    };
    let text = visible(&short(&text, LINE_CHARS_MAX));
    let seqs = row.entry.get("seqs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64);
    seqs.map(|seq| Did { seq, at: row.at.0, text: text.clone() }).collect()
}

impl Rooms {
    /// What the newest entries of the record tell, by event; and the id of the newest.
    pub(super) async fn lately_done(&self) -> Result<(HashMap<i64, Did>, i64), StoreError> {
        let rows = self.parts.oversight.record_before(None, RECORD_MAX).await?;
        let head = rows.first().map_or(0, |row| row.id);
        let mut latest = HashMap::new();
        for row in rows.iter().rev() {
            for did in did(row) {
                latest.insert(did.seq, did);
            }
        }
        Ok((latest, head))
    }

    /// What the record tells of these events that came after its entry `after`; and up to where.
    pub(super) async fn done_since(&self, after: i64) -> Result<(Vec<Did>, i64), StoreError> {
        let rows = self.parts.oversight.record_after(after, RECORD_MAX).await?;
        let through = rows.last().map_or(after, |row| row.id);
        Ok((rows.iter().flat_map(did).collect(), through))
    }
}

/// The place in the log that a reader asked for.
pub(super) fn seq(text: Option<&str>) -> Option<Seq> {
    text?.parse().ok().filter(|seq| *seq >= 0).map(Seq)
}
