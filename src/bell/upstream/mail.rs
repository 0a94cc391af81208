//! Mail as the mail API tells it: strings where another system chooses the words, nothing that must be there but an id.

use std::collections::BTreeMap;

use crate::domain::{
    clock::UnixMillis,
    id::{MailboxId, MessageId, ThreadId},
    verdict::Verdict,
};

pub use crate::domain::oversight::HANDLED;
/// A mailbox of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id.
    pub id: MailboxId,
    /// Its address, as the API writes it.
    pub address: String,
    /// The name shown beside the address.
    pub display_name: Option<String>,
}

/// What a list of messages shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: MessageId,
    /// The mailbox it is in.
    pub mailbox: Mailbox,
    /// Its thread.
    pub thread_id: Option<ThreadId>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// Such as `unread`, `read`, `scheduled`.
    pub status: Option<String>,
    /// The sender's address.
    pub from: String,
    /// The sender's name.
    pub from_name: Option<String>,
    /// The addresses it was sent to.
    pub to: Vec<String>,
    /// The copies.
    pub cc: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The beginning of the text, where the API tells it.
    pub snippet: Option<String>,
    /// When it came in or was sent.
    pub received_at: Option<UnixMillis>,
    /// Whether it is an automatic reply, where the API tells it.
    pub auto: Option<bool>,
    /// Whether its sender was written to before, where the API tells it.
    pub sender_written_to_before: Option<bool>,
    /// Whether it is a report on another message, of which another event tells; only an API such as ours says so.
    pub report: bool,
    /// Whether files came with it.
    pub has_attachments: bool,
    /// Tags by key; none where the API does not tell them here.
    pub tags: Option<BTreeMap<String, String>>,
}

impl Summary {
    /// Whether it is tagged `handled`; none where the API does not tell.
    pub fn handled(&self) -> Option<bool> {
        self.tags.as_ref().map(|tags| tags.contains_key(HANDLED))
    }

    /// Whether it came in.
    pub fn is_inbound(&self) -> bool {
        self.direction.as_deref() != Some("outbound")
    }
}

/// A file that came with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A message with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// All but the text.
    pub summary: Summary,
    /// The text.
    pub text: String,
    /// The text without what it quotes, where the service tells it.
    pub extracted_text: Option<String>,
    /// Whether it is from whom it says, where the service tells it.
    pub verdict: Option<Verdict>,
    /// The files.
    pub attachments: Vec<Attachment>,
    /// What the service remarks on how it read the message.
    pub notes: Vec<String>,
}

/// A thread, the oldest message first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its id.
    pub id: ThreadId,
    /// Its messages.
    pub messages: Vec<Summary>,
}

impl Thread {
    /// Whether its newest inbound message is handled: a new one reopens the thread. None where the API does not tell.
    pub fn handled(&self) -> Option<bool> {
        self.messages.iter().rev().find(|message| message.is_inbound())?.handled()
    }
}
