//! What is to be sent: submitted, due, settled; with what is told of it, all in one transaction each.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    StoreError,
    mailroom::{NewMessage, Raw},
};
use crate::domain::{
    address::Address,
    clock::UnixMillis,
    event::{Detail, NewEvent},
    id::{MailboxId, MessageId, ThreadId},
    message::{Mailbox, Message, Status},
    suppression::Suppression,
};

/// How many messages may go to whom within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourlyLimits {
    /// To one correspondent, from one mailbox.
    pub per_correspondent: u32,
    /// In one thread.
    pub per_thread: u32,
}

/// The hour that the limits speak of; it slides.
pub const LIMITED_SPAN: Duration = Duration::from_hours(1);

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct NewOutbound {
    /// The message as its mailbox shows it; the store may put it into another thread than the one named here.
    pub message: Message,
    /// Its raw bytes.
    pub raw: Raw,
    /// Its Message-ID, without angle brackets.
    pub internet_id: String,
    /// The Message-IDs it answers, the nearest first.
    pub references: Vec<String>,
    /// Its secret.
    pub token: String,
    /// Its return path.
    pub envelope_from: Address,
    /// Recipients that no header names.
    pub bcc: Vec<String>,
    /// Whether it carries a tracking image; as its mailbox has it otherwise.
    pub track_opens: Option<bool>,
    /// Everybody it is for, each once.
    pub recipients: Vec<Address>,
    /// When it is to be tried first.
    pub due_at: UnixMillis,
    /// The caller's name for this request; a second one within `key_span` is the same request.
    pub idempotency_key: Option<String>,
    /// How long a key holds.
    pub key_span: Duration,
    /// What it replies to, with a digest of its content.
    pub reply: Option<Reply>,
    /// The limits that it must keep.
    pub limits: HourlyLimits,
}

/// That a message is a reply, to what, and with what content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The message answered.
    pub to: MessageId,
    /// A digest of the reply's content.
    pub digest: Vec<u8>,
    /// How long an equal reply counts as the same one.
    pub same_span: Duration,
}

/// What became of a message handed in to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It is stored, and will be tried.
    Fresh(ThreadId),
    /// The same key was used before: this message came of it.
    Before {
        /// That message.
        message: MessageId,
        /// Its thread.
        thread: ThreadId,
    },
    /// The same reply to the same message was given a moment ago, as this message.
    SameReply(MessageId),
    /// A recipient is on the suppression list.
    Suppressed(Box<Suppression>),
    /// It would go over an hourly limit.
    TooMany(TooMany),
}

/// Which limit was met, and when there is room again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany {
    /// The correspondent; none where it is the thread's limit.
    pub correspondent: Option<Address>,
    /// The limit.
    pub limit: u32,
    /// From when on one more is allowed.
    pub room_at: UnixMillis,
}

/// A message with recipients that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub sent: Sent,
    /// Its mailbox.
    pub mailbox: Mailbox,
    /// The name of its raw bytes.
    pub blob: String,
    /// Those due.
    pub recipients: Vec<DueRecipient>,
}

/// A recipient that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRecipient {
    /// Its row.
    pub seq: i64,
    /// Its address.
    pub address: Address,
    /// Tries before this one.
    pub attempts: u32,
    /// When it was first tried, if it was.
    pub since: Option<UnixMillis>,
    /// 1 if it had been given up and somebody asked for one more try.
    pub round: u32,
}

/// What is due, and when the next is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DuePage {
    /// What is due, the longest due first.
    pub due: Vec<Due>,
    /// When the next recipient after these falls due.
    pub next_at: Option<UnixMillis>,
}

/// A message that we sent, as a report is tied to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub message: MessageId,
    /// Its mailbox's id.
    pub mailbox_id: MailboxId,
    /// Its mailbox's address.
    pub mailbox: Address,
    /// Its thread.
    pub thread: ThreadId,
    /// Its secret.
    pub token: String,
    /// Its Message-ID.
    pub internet_id: String,
    /// Everybody it was for.
    pub recipients: Vec<Address>,
}

/// Where a recipient stands after a try or a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was taken.
    Accepted,
    /// It was given up.
    Failed,
    /// It is tried again then.
    RetryAt(UnixMillis),
}

/// An event to be told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// The event. Where it names no thread, the store fills in that of the message it comes with.
    pub event: NewEvent,
    /// Which part of its kind it is, such as a bounce's last word; a second event of the same message, recipient, kind and
    /// part is not told. None: it is told however often it happens.
    pub part: Option<String>,
    /// What it proves of the recipient's place in the queue.
    pub proves: Option<Ending>,
    /// What it puts on the suppression list.
    pub suppress: Option<Suppression>,
}

impl Tell {
    /// Whether it says no more than that a message came into `mailbox`: then it is told, and nothing else follows from it.
    pub fn is_inbound_of(&self, mailbox: &Mailbox) -> bool {
        let Self { event, part: None, proves: None, suppress: None } = self else { return false };
        let here = event.mailbox.as_deref().is_none_or(|named| named == mailbox.address.as_str());
        here && matches!(event.detail, Detail::Inbound { .. })
    }
}

/// What a try led to for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its row.
    pub recipient: i64,
    /// Where it stands now.
    pub ending: Ending,
    /// What was said of it.
    pub reply: Option<String>,
    /// What is told of it.
    pub tells: Vec<Tell>,
}

/// What a try led to, with the messages that it put into mailboxes here.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which message was tried.
    pub message: MessageId,
    /// When.
    pub at: UnixMillis,
    /// What came of it, a recipient each.
    pub outcomes: Vec<Outcome>,
    /// Messages that came in by it.
    pub arrivals: Vec<NewMessage>,
}

/// How far a message of ours has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The message's status.
    pub status: Status,
    /// When its first try is due, while it is scheduled.
    pub send_at: Option<UnixMillis>,
    /// Recipients that no header names.
    pub bcc: Vec<String>,
    /// Whether it was asked to carry a tracking image, or not to; none: as its mailbox has it.
    pub track_opens: Option<bool>,
    /// Its return path.
    pub envelope_from: String,
    /// The Message-ID.
    pub internet_id: String,
}

/// What came of taking a message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is taken back, now or before.
    Done,
    /// It is no message of ours that waits: its status.
    TooLate(Status),
    /// There is none.
    NoMessage,
}

/// A scheduled message in its new form.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The message as its mailbox shows it, of the same id and thread.
    pub message: Message,
    /// Its new raw bytes.
    pub raw: Raw,
    /// Recipients that no header names.
    pub bcc: Vec<String>,
    /// Everybody it is for.
    pub recipients: Vec<Address>,
    /// When it is to be tried first.
    pub due_at: UnixMillis,
    /// The limits that it must keep.
    pub limits: HourlyLimits,
}

/// What came of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// It is in place.
    Done,
    /// The message is not scheduled any more.
    TooLate(Status),
    /// A recipient is on the suppression list.
    Suppressed(Box<Suppression>),
    /// It would go over an hourly limit.
    TooMany(TooMany),
}

/// What came of asking for another try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It was queued still: only the time of its next try is another.
    Moved,
    /// It had been given up, and has one more try.
    Again,
    /// It had that one more try already.
    Used,
    /// It was taken, so there is nothing to try.
    Accepted,
    /// It was cancelled.
    Cancelled,
    /// The message is not for that address, or there is no such message.
    NoRecipient,
    /// The address is on the suppression list.
    Suppressed(Box<Suppression>),
}

/// The queue of what is to be sent. One worker, in the keeper, takes from it.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Stores a message and queues it, unless its key, its reply, the suppression list or a limit speaks against it.
    async fn submit(&self, new: NewOutbound) -> Result<Submitted, StoreError>;
    /// What is due at `now`, without the messages in `busy`, at most `limit` messages. What was scheduled until now is
    /// queued by this, so that nobody can take back what is being sent.
    async fn due(&self, now: UnixMillis, busy: &[MessageId], limit: u32) -> Result<DuePage, StoreError>;
    /// Records what a try led to, puts its arrivals into their mailboxes and tells of everything.
    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError>;

    /// Fails where another keeper has taken over, so that nothing may be handed to the relay any more.
    async fn check_term(&self) -> Result<(), StoreError>;

    /// The message with this secret.
    async fn sent_by_token(&self, token: &str) -> Result<Option<Sent>, StoreError>;
    /// The message with this Message-ID that `mailbox` sent.
    async fn sent_by_internet_id(&self, mailbox: &MailboxId, internet_id: &str) -> Result<Option<Sent>, StoreError>;
    /// How far a message of ours has got; none if there is no such outbound message.
    async fn standing(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<Standing>, StoreError>;
    /// Whether anything was ever sent, or is to be sent, to this address.
    async fn was_written_to(&self, address: &Address) -> Result<bool, StoreError>;
    /// The envelope's sender of any message.
    async fn envelope_from(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<String>, StoreError>;

    /// Takes a scheduled message back.
    async fn cancel(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Cancelled, StoreError>;
    /// Puts a scheduled message into a new form.
    async fn edit(&self, edit: Edit) -> Result<Edited, StoreError>;
    /// Tries one recipient again, at `at`.
    async fn retry(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
        recipient: &Address,
        at: UnixMillis,
    ) -> Result<Retried, StoreError>;
}
