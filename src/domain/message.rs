//! Mailboxes and the messages in them, as the embedded service knows them.

use std::collections::BTreeMap;

use super::{
    address::Address,
    clock::UnixMillis,
    event::BounceType,
    id::{MailboxId, MessageId, ThreadId},
    verdict::Verdict,
};

/// A mailbox of the embedded service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id.
    pub id: MailboxId,
    /// Its address.
    pub address: Address,
    /// The name shown beside the address.
    pub display_name: Option<String>,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It came in.
    Inbound,
    /// We sent it.
    Outbound,
}

/// Whether an inbound message has been read, or how far an outbound one has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has read it through the API.
    Unread,
    /// Somebody has.
    Read,
    /// It came in, and somebody called it spam.
    SpamQuarantined,
    /// It waits for the time that it is to be sent at.
    Scheduled,
    /// It is tried, for at least one recipient.
    Queued,
    /// No try follows, and at least one recipient's server took it.
    Sent,
    /// No try follows, and nobody took it.
    SendFailed,
    /// It was taken back before anybody took it.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Unread,
        Self::Read,
        Self::SpamQuarantined,
        Self::Scheduled,
        Self::Queued,
        Self::Sent,
        Self::SendFailed,
        Self::Cancelled,
    ];

    /// The word for it, in the API and in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Read => "read",
            Self::SpamQuarantined => "spam_quarantined",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::SendFailed => "send_failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A part of a message that came as a file, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, as the sender gave it, or one made from its place.
    pub name: String,
    /// Its media type, such as `application/pdf`.
    pub content_type: String,
    /// Its size, decoded, in bytes.
    pub size_bytes: u64,
}

/// What a list of messages shows: all but the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSummary {
    /// Its id; ids rise with the time of arrival.
    pub id: MessageId,
    /// The mailbox it is in.
    pub mailbox_id: MailboxId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// Which way it went.
    pub direction: Direction,
    /// Whether it was read, or how far it has got.
    pub status: Status,
    /// The sender's address, from the header `From`.
    pub from: String,
    /// The sender's name.
    pub from_name: Option<String>,
    /// The addresses in `To`.
    pub to: Vec<String>,
    /// The addresses in `Cc`.
    pub cc: Vec<String>,
    /// The subject, decoded.
    pub subject: String,
    /// The first 200 characters of the text.
    pub snippet: String,
    /// When it was stored.
    pub received_at: UnixMillis,
    /// Whether it is an automatic reply (RFC 3834).
    pub auto: bool,
    /// What came as files.
    pub attachments: Vec<Attachment>,
    /// Tags, by key.
    pub tags: BTreeMap<String, String>,
    /// When the first of its recipients was delivered to; none for one that came in.
    pub delivered_at: Option<UnixMillis>,
    /// Its worst bounce; none for one that came in.
    pub bounced: Option<Bounced>,
    /// Whether it is a report on another message (a DSN, a complaint, a receipt), of which an event of its own told: none of
    /// kind `inbound` does.
    pub report: bool,
}

/// The bounce that a message is remembered by: a hard one before a soft one, then the latest. A soft one is forgotten once
/// that recipient was delivered to after all. Only what is proved counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounced {
    /// When it was told.
    pub at: UnixMillis,
    /// Of which class it was.
    pub bounce_type: BounceType,
}

/// A message with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// All but the text.
    pub summary: MessageSummary,
    /// The text: the plain part, or the HTML part as text.
    pub text: String,
    /// What a person should know of how it was read, such as "the HTML part was cut at 1 MiB"; empty for most.
    pub notes: Vec<String>,
    /// Whether it is from whom it says; none where nobody looked.
    pub verdict: Option<Verdict>,
}

/// Which messages of a mailbox to list; each part narrows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Of this thread.
    pub thread_id: Option<ThreadId>,
    /// Of this status.
    pub status: Option<Status>,
    /// Of this direction.
    pub direction: Option<Direction>,
    /// Whose sender's address or name contains this, in any case.
    pub sender: Option<String>,
    /// Whose subject contains this, in any case.
    pub subject_contains: Option<String>,
    /// With (true) or without (false) attachments.
    pub has_attachments: Option<bool>,
    /// Stored at or after.
    pub date_after: Option<UnixMillis>,
    /// Stored at or before.
    pub date_before: Option<UnixMillis>,
    /// Newer than this message.
    pub since_id: Option<MessageId>,
    /// Carrying this tag.
    pub tag: Option<String>,
    /// Not carrying this tag.
    pub without_tag: Option<String>,
}

/// The newest first: a page of at most `limit` messages older than `before`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePage {
    /// Which.
    pub filter: MessageFilter,
    /// Only those older than this one: the last of the page before.
    pub before: Option<MessageId>,
    /// At most so many.
    pub limit: u32,
}
