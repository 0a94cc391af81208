//! Rows as they are stored, and their way into the words of the domain and back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        clock::UnixMillis,
        event::BounceType,
        id::{MailboxId, MessageId, ThreadId},
        message::{Attachment, Bounced, Direction, Mailbox, MessageSummary, Status},
    },
    store::StoreError,
};

/// The columns of a [`SummaryRow`], from a message called `m`.
pub(super) const SUMMARY: &str = "m.id, m.mailbox_id, m.thread_id, m.direction, m.status, m.sender, m.sender_name, \
     m.recipients, m.cc, m.subject, m.snippet, m.received_at, m.auto, m.report, m.attachments, \
     (SELECT json_group_object(own.key, own.value) FROM tag own WHERE own.seq = m.seq) AS tags, \
     (SELECT min(r.delivered_at) FROM recipient r WHERE r.message_id = m.id) AS delivered_at, \
     (SELECT max(r.bounced_at) FROM recipient r WHERE r.message_id = m.id AND r.bounce_type = 'hard') AS hard_at, \
     (SELECT max(r.bounced_at) FROM recipient r WHERE r.message_id = m.id AND r.bounce_type = 'soft') AS soft_at";

fn corrupt(table: &'static str, row: &str, why: &'static str) -> StoreError {
    StoreError::Corrupt { table, row: row.to_owned(), why }
}

#[derive(sqlx::FromRow)]
pub(super) struct MailboxRow {
    id: String,
    address: String,
    display_name: Option<String>,
    created_at: i64,
}

impl MailboxRow {
    pub(super) fn read(self) -> Result<Mailbox, StoreError> {
        let address = self.address.parse().map_err(|_| corrupt("mailbox", &self.id, "its address is none"))?;
        Ok(Mailbox {
            id: MailboxId::new(self.id),
            address,
            display_name: self.display_name,
            created_at: UnixMillis(self.created_at),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct SummaryRow {
    id: String,
    mailbox_id: String,
    thread_id: String,
    direction: String,
    status: String,
    sender: String,
    sender_name: Option<String>,
    recipients: String,
    cc: String,
    subject: String,
    snippet: String,
    received_at: i64,
    auto: bool,
    report: bool,
    attachments: String,
    tags: String,
    delivered_at: Option<i64>,
    hard_at: Option<i64>,
    soft_at: Option<i64>,
}

impl SummaryRow {
    pub(super) fn read(self) -> Result<MessageSummary, StoreError> {
        let wrong = |why| corrupt("message", &self.id, why);
        let direction = direction_of(&self.direction).ok_or_else(|| wrong("its direction is none of ours"))?;
        let status = status_of(&self.status).ok_or_else(|| wrong("its status is none of ours"))?;
        let to = list(&self.recipients).ok_or_else(|| wrong("its recipients are no list"))?;
        let cc = list(&self.cc).ok_or_else(|| wrong("its cc is no list"))?;
        let attachments = attachments_of(&self.attachments).ok_or_else(|| wrong("its attachments are no list"))?;
        let tags: BTreeMap<String, String> =
            serde_json::from_str(&self.tags).map_err(|_| wrong("its tags are no map"))?;
        let bounced = |at: Option<i64>, bounce_type| at.map(|at| Bounced { at: UnixMillis(at), bounce_type });
        Ok(MessageSummary {
            id: MessageId::new(self.id),
            mailbox_id: MailboxId::new(self.mailbox_id),
            thread_id: ThreadId::new(self.thread_id),
            direction,
            status,
            from: self.sender,
            from_name: self.sender_name,
            to,
            cc,
            subject: self.subject,
            snippet: self.snippet,
            received_at: UnixMillis(self.received_at),
            auto: self.auto,
            report: self.report,
            attachments,
            tags,
            delivered_at: self.delivered_at.map(UnixMillis),
            bounced: bounced(self.hard_at, BounceType::Hard).or_else(|| bounced(self.soft_at, BounceType::Soft)),
        })
    }
}

pub(super) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn direction_of(text: &str) -> Option<Direction> {
    [Direction::Inbound, Direction::Outbound].into_iter().find(|known| direction(*known) == text)
}

pub(super) fn status_of(text: &str) -> Option<Status> {
    Status::ALL.into_iter().find(|known| known.as_str() == text)
}

pub(super) fn list(json: &str) -> Option<Vec<String>> {
    serde_json::from_str(json).ok()
}

pub(super) fn to_list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// An attachment as the column holds it.
#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    content_type: String,
    size_bytes: u64,
}

fn attachments_of(json: &str) -> Option<Vec<Attachment>> {
    let stored: Vec<Stored> = serde_json::from_str(json).ok()?;
    let read = |Stored { name, content_type, size_bytes }| Attachment { name, content_type, size_bytes };
    Some(stored.into_iter().map(read).collect())
}

pub(super) fn to_attachments(attachments: &[Attachment]) -> String {
    let stored: Vec<Stored> = attachments
        .iter()
        .map(|Attachment { name, content_type, size_bytes }| Stored {
            name: name.clone(),
            content_type: content_type.clone(),
            size_bytes: *size_bytes,
        })
        .collect();
    serde_json::to_string(&stored).expect("strings and numbers are always JSON")
}
