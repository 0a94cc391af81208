//! Emails, alone, in pages and in threads.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Moment, texts};
use crate::{
    domain::{
        clock::UnixMillis,
        message::{self, Direction, Status},
        verdict::Verdict,
    },
    mail::{
        api::{Page, ThreadView},
        quoted,
    },
    store::opens,
};

/// An email without its text.
#[derive(Clone, Serialize, JsonSchema)]
pub(in super::super) struct EmailSummary {
    id: String,
    message_id: String,
    email_id: String,
    mailbox_id: String,
    thread_id: String,
    /// `inbound` or `outbound`.
    direction: &'static str,
    status: &'static str,
    from: String,
    from_address: String,
    from_name: Option<String>,
    to: Vec<String>,
    to_addresses: Vec<String>,
    cc: Vec<String>,
    subject: String,
    /// The first 200 characters of the text.
    snippet: String,
    #[schemars(with = "Moment")]
    received_at: UnixMillis,
    #[schemars(with = "Moment")]
    created_at: UnixMillis,
    /// Whether it is an automatic reply (RFC 3834).
    auto: bool,
    /// Whether it is a report on another email (a bounce, a complaint, a receipt), of which an event of its own kind told.
    report: bool,
    has_attachments: bool,
    attachments: Vec<Attachment>,
    tags: BTreeMap<String, String>,
    spam_score: Option<f64>,
    spam_verdict: Option<&'static str>,
    #[schemars(with = "Option<Moment>")]
    delivered_at: Option<UnixMillis>,
    #[schemars(with = "Option<Moment>")]
    bounced_at: Option<UnixMillis>,
    /// `hard` or `soft`.
    bounce_type: Option<&'static str>,
}

/// A file that came along.
#[derive(Clone, Serialize, JsonSchema)]
struct Attachment {
    name: String,
    filename: String,
    /// Decoded, in bytes.
    size: u64,
    size_bytes: u64,
    content_type: String,
}

/// An email with its text, under each name that somebody looks for it.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Email {
    #[serde(flatten)]
    summary: EmailSummary,
    /// The text: the plain part, or the HTML part as text.
    markdown: String,
    body_text: String,
    text_body: String,
    body: String,
    /// What its writer wrote, without what it quotes.
    extracted_text: String,
    /// The address of the mailbox it is in.
    mailbox: String,
    /// What a person should know of how it was read.
    notes: Vec<String>,
    /// Whether it is from whom it says (SPF, DKIM, DMARC); null where nobody looked.
    #[schemars(schema_with = "verdict_schema")]
    auth_results: Option<Verdict>,
    /// Whether the sender of what came in was ever written to from here; null of what was sent.
    sender_written_to_before: Option<bool>,
    #[schemars(with = "Option<Moment>")]
    approved_at: Option<UnixMillis>,
    approved_by: Option<String>,
    /// Who opened it, by day; only of what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    opens: Option<Vec<OpenDay>>,
}

fn verdict_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["object", "null"] })
}

/// Who opened an email on a day.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct OpenDay {
    recipient: Option<String>,
    fetches: u32,
    by_machines: u32,
    first_at: Moment,
    last_at: Moment,
}

/// A page of emails, the newest first, under both of its names.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct EmailPage {
    emails: Vec<EmailSummary>,
    messages: Vec<EmailSummary>,
    /// Where the next page begins; null on the last.
    cursor: Option<String>,
}

/// A thread, the oldest email first.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Thread {
    thread_id: String,
    message_count: usize,
    participants: Vec<String>,
    last_activity: Moment,
    /// Whether the last word is somebody else's.
    has_unanswered_inbound: bool,
    emails: Vec<EmailSummary>,
    messages: Vec<EmailSummary>,
}

impl From<&message::MessageSummary> for EmailSummary {
    fn from(email: &message::MessageSummary) -> Self {
        Self {
            id: email.id.to_string(),
            message_id: email.id.to_string(),
            email_id: email.id.to_string(),
            mailbox_id: email.mailbox_id.to_string(),
            thread_id: email.thread_id.to_string(),
            direction: match email.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            },
            status: email.status.as_str(),
            from: email.from.clone(),
            from_address: email.from.clone(),
            from_name: email.from_name.clone(),
            to: email.to.clone(),
            to_addresses: email.to.clone(),
            cc: email.cc.clone(),
            subject: email.subject.clone(),
            snippet: email.snippet.clone(),
            received_at: email.received_at,
            created_at: email.received_at,
            auto: email.auto,
            report: email.report,
            has_attachments: !email.attachments.is_empty(),
            attachments: email.attachments.iter().map(Attachment::from).collect(),
            tags: email.tags.clone(),
            spam_score: None,
            spam_verdict: (email.status == Status::SpamQuarantined).then_some("quarantined"),
            delivered_at: email.delivered_at,
            bounced_at: email.bounced.map(|bounced| bounced.at),
            bounce_type: email.bounced.map(|bounced| bounced.bounce_type.as_str()),
        }
    }
}

impl From<&message::Attachment> for Attachment {
    fn from(file: &message::Attachment) -> Self {
        Self {
            name: file.name.clone(),
            filename: file.name.clone(),
            size: file.size_bytes,
            size_bytes: file.size_bytes,
            content_type: file.content_type.clone(),
        }
    }
}

impl Email {
    /// `message` in `mailbox`; `opens` are of one that we sent.
    pub(in super::super) fn of(
        mailbox: &message::Mailbox,
        message: &message::Message,
        opens: Option<&[opens::OpenDay]>,
        sender_written_to_before: Option<bool>,
    ) -> Self {
        let text = &message.text;
        Self {
            summary: (&message.summary).into(),
            markdown: text.clone(),
            body_text: text.clone(),
            text_body: text.clone(),
            body: text.clone(),
            extracted_text: quoted::reply_of(text),
            mailbox: mailbox.address.to_string(),
            notes: message.notes.clone(),
            auth_results: message.verdict.clone(),
            sender_written_to_before,
            approved_at: None,
            approved_by: None,
            opens: opens.map(|days| days.iter().map(OpenDay::from).collect()),
        }
    }
}

impl From<&opens::OpenDay> for OpenDay {
    fn from(day: &opens::OpenDay) -> Self {
        Self {
            recipient: day.recipient.clone(),
            fetches: day.fetches,
            by_machines: day.by_machines,
            first_at: day.first_at.into(),
            last_at: day.last_at.into(),
        }
    }
}

impl EmailPage {
    /// A page with nothing on it.
    pub(in super::super) fn empty() -> Self {
        Self { emails: Vec::new(), messages: Vec::new(), cursor: None }
    }
}

impl From<&Page> for EmailPage {
    fn from(page: &Page) -> Self {
        let emails: Vec<_> = page.emails.iter().map(EmailSummary::from).collect();
        Self { messages: emails.clone(), emails, cursor: page.cursor.as_ref().map(ToString::to_string) }
    }
}

impl From<&ThreadView> for Thread {
    fn from(thread: &ThreadView) -> Self {
        let emails: Vec<_> = thread.emails.iter().map(EmailSummary::from).collect();
        Self {
            thread_id: thread.id.to_string(),
            message_count: emails.len(),
            participants: texts(&thread.participants),
            last_activity: thread.last_activity.into(),
            has_unanswered_inbound: thread.has_unanswered_inbound,
            messages: emails.clone(),
            emails,
        }
    }
}
