//! The audit record: who did what, append-only, each entry written in the transaction of what it tells.
//!
//! Entries are chained by HMAC-SHA256 with a key outside the database ([`crate::signing::chain`]), so that an entry that is
//! changed, left out or moved shows; a [`Head`] that is kept elsewhere shows an end that was cut off.

mod arguments;
mod head;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

pub use self::{
    arguments::{ITEMS_MAX, argument},
    head::{Head, NotAHead},
};
use super::StoreError;
use crate::domain::{
    clock::{BootTime, Moment, UnixMillis},
    cursor::Seq,
    id::{ActionId, ConsumerName, SourceName},
};

/// The longest error text or note that an entry holds, in characters.
pub const TEXT_CHARS_MAX: usize = 500;

/// What happened. To tell of something new, add a variant and its word.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Entry {
    /// One commit brought events into the log.
    Events {
        /// The first of them.
        first: Seq,
        /// The last of them.
        last: Seq,
        /// How many; between first and last there may be skipped places.
        count: usize,
        /// Who told of them.
        sources: Vec<SourceName>,
        /// Whom the mail was for that they tell was delivered or came back.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        recipients: Vec<String>,
    },
    /// A tool, or a request to the mail API, is about to have an effect outside; what came of it follows as its result. None
    /// follows where the process died, or where whoever asked went away.
    Intent(ToolCall),
    /// A call is over.
    Result {
        /// The call; with an intent, what that told is not told again.
        #[serde(flatten)]
        call: ToolCall,
        /// The id of the intent's entry, where there is one.
        intent: Option<i64>,
        /// `done`, `refused` (nothing was done) or `failed`.
        outcome: &'static str,
        /// What the caller was told, where it was not done.
        error: Option<String>,
        /// To whom a message went out, where that is known only afterwards.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        recipients: Vec<String>,
        /// The ids that the result names, such as `message_id`.
        #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
        ids: serde_json::Map<String, Value>,
        /// How long it took.
        duration_millis: u64,
    },
    /// Events were leased to a worker.
    Leased {
        /// Of which consumer.
        consumer: ConsumerName,
        /// Who has them.
        holder: String,
        /// What the holder's program calls itself.
        client: Option<String>,
        /// The events.
        seqs: Vec<Seq>,
        /// Which attempt it is, event by event.
        attempts: Vec<u32>,
        /// For how long.
        runs: Runs,
    },
    /// A worker said what became of events that it had on lease.
    Settled {
        /// `ack`, `release`, `extend` or `escalate`; or `hold` where the lease's end was moved because something is done, or
        /// waits for an operator, under it.
        act: &'static str,
        /// Of which consumer.
        consumer: ConsumerName,
        /// Who had them.
        holder: Option<String>,
        /// The events.
        seqs: Vec<Seq>,
        /// Which attempt it was, event by event.
        attempts: Vec<i64>,
        /// For how long the lease runs now, where it goes on.
        #[serde(skip_serializing_if = "Option::is_none")]
        runs: Option<Runs>,
        /// Those that are parked by it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parked: Vec<Seq>,
    },
    /// A lease was taken back: its worker went away before it saw the events, or its token was revoked.
    TakenBack {
        /// Why.
        why: &'static str,
        /// Of which consumer.
        consumer: ConsumerName,
        /// The events.
        seqs: Vec<Seq>,
    },
    /// Events were handed out too often and are set aside.
    Parked {
        /// In which consumer.
        consumer: ConsumerName,
        /// The events.
        seqs: Vec<Seq>,
        /// When, on the clock that leases end by.
        boot: BootTime,
    },
    /// A change that an operator is needed for came a step further.
    Action {
        /// Which. Of what was turned away, the id that it would have had.
        action_id: ActionId,
        /// `kept`, `collapsed` (asked for again, it waits once), `turned_away` (too much waits); `approved`, `denied`,
        /// `expired`; `running`, `put_back` (to be done again, since nobody knows whether it was), `done`, `failed`.
        step: &'static str,
        /// Who asked for it or decided on it; none where that is the house.
        by: Option<String>,
        /// The mailbox it concerns.
        #[serde(skip_serializing_if = "Option::is_none")]
        mailbox: Option<String>,
        /// In a line.
        #[serde(skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
        /// The SHA-256 of what is kept, which is what is approved.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// To whom a letter would go.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        recipients: Vec<String>,
        /// The operator's words, or why it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// An agent changed a mailbox's mode by an operator's code.
    CodeUsed {
        /// Of which mailbox.
        mailbox: String,
        /// To which mode.
        mode: &'static str,
        /// Who.
        by: String,
    },
    /// A person before an agent's program was asked whether an action may be done.
    Asked {
        /// The action.
        action: String,
        /// The digest of what they were shown.
        digest: String,
        /// Whose token says that a person is there.
        principal: String,
        /// `approve`, or why nothing was approved by it: `declined`, `no_answer`.
        answer: &'static str,
    },
    /// A letter of notices to the operator is over.
    Notified {
        /// The letter.
        letter: String,
        /// To whom; of a URL its host alone, for the rest may be a secret.
        target: String,
        /// `told` or `given_up`.
        outcome: &'static str,
        /// Why it was given up.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The operator did something.
    Operator {
        /// Which command, such as `consumers requeue`.
        command: &'static str,
        /// What it was about, without secrets.
        about: Value,
    },
    /// Retention removed something old.
    Removed {
        /// From where.
        store: &'static str,
        /// How many rows.
        rows: u64,
        /// The last of them, where they have places.
        through: Option<i64>,
    },
}

impl Entry {
    /// The word for the kind of entry.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Events { .. } => "events",
            Self::Intent(_) => "intent",
            Self::Result { .. } => "result",
            Self::Leased { .. } => "leased",
            Self::Settled { .. } => "settled",
            Self::TakenBack { .. } => "taken_back",
            Self::Parked { .. } => "parked",
            Self::Action { .. } => "action",
            Self::CodeUsed { .. } => "code_used",
            Self::Asked { .. } => "asked",
            Self::Notified { .. } => "notified",
            Self::Operator { .. } => "operator",
            Self::Removed { .. } => "removed",
        }
    }
}

/// How long a lease runs, on the clock of one boot of the machine: on another boot it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// The boot.
    pub boot_id: String,
    /// Now, in milliseconds of its clock.
    pub from_millis: i64,
    /// From when on the events may be another's, on the same clock.
    pub until_millis: i64,
}

impl Runs {
    /// So many milliseconds from now.
    pub fn on(now: &Moment, millis: i64) -> Self {
        Self { boot_id: now.boot.boot_id.clone(), from_millis: now.boot.millis, until_millis: now.boot_in(millis) }
    }
}

/// A call of a tool, or a request to the mail API that changes something, as it is told: long texts as a digest and a size,
/// secrets as a digest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolCall {
    /// The tool; of a request, its method and route.
    pub tool: String,
    /// Whose token or key was shown; none for a process of this user, which needs none.
    pub principal: Option<String>,
    /// Which session or process it came from.
    pub holder: String,
    /// What the caller's program calls itself.
    pub client: Option<String>,
    /// Which version of itself.
    pub client_version: Option<String>,
    /// The arguments.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its place; there are no gaps.
    pub id: i64,
    /// When it was written.
    pub at: UnixMillis,
    /// What it says.
    pub entry: Value,
    /// Its link of the chain, in hexadecimal.
    pub mac: String,
    /// What it says, to the byte: that is what the chain is over.
    #[serde(skip)]
    pub text: String,
}

impl Row {
    /// The entry as others can check it, as one line of JSON: what the chain is over is in it to the byte.
    pub fn exported(&self) -> String {
        #[derive(Serialize)]
        struct Exported<'a> {
            id: i64,
            at: UnixMillis,
            entry: Box<RawValue>,
            mac: &'a str,
        }
        // What was tampered with may be no JSON any more; it is still shown.
        let entry = RawValue::from_string(self.text.clone()).or_else(|_| to_raw_value(&self.text));
        let entry = entry.expect("a text is JSON");
        serde_json::to_string(&Exported { id: self.id, at: self.at, entry, mac: &self.mac }).expect("texts and numbers")
    }
}

/// Which entries to read.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of these kinds; empty for all.
    pub what: Vec<String>,
    /// Only those of this principal.
    pub principal: Option<String>,
    /// Only those of this tool.
    pub tool: Option<String>,
    /// Only those written at this time or later.
    pub since: Option<UnixMillis>,
}

/// What came of checking the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is whole.
    Whole {
        /// Entries checked.
        entries: u64,
        /// The first that is still there; those before it are in sealed segments.
        first: i64,
        /// Its end.
        head: Head,
        /// Whether a head to compare with lies in a segment that is gone, so that it could not be compared.
        head_is_sealed: bool,
    },
    /// It is not; this is the first place that shows it.
    Broken {
        /// The place.
        id: i64,
        /// What is wrong there.
        why: Fault,
    },
}

/// What can be wrong with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The entry is not what was written there.
    #[error("it was changed, or another entry was put in its place, or the key is not the one it was written with")]
    Changed,
    /// There is no such entry, though there are later ones or a head that names it.
    #[error("it is missing")]
    Missing,
    /// A sealed segment is not what was sealed.
    #[error("the seal of the segment that ends there does not hold")]
    Seal,
    /// The entry holds, and is not the one that the head names.
    #[error("it is another one than the head names")]
    OtherHead,
}

/// The audit record.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Writes an entry about something that has no transaction in this store; answers with its id once it is on disk.
    async fn record(&self, entry: Entry, now: UnixMillis) -> Result<i64, StoreError>;

    /// The first `limit` entries after `after` that the filter takes, and up to where was looked.
    async fn entries(&self, filter: &AuditFilter, after: i64, limit: u32) -> Result<(Vec<Row>, i64), StoreError>;

    /// The end of the record.
    async fn head(&self) -> Result<Head, StoreError>;

    /// The same once it is on the disk, to be kept elsewhere: no power loss leaves the record short of it.
    async fn head_to_keep(&self) -> Result<Head, StoreError>;

    /// Checks all of it, and that `kept` is in it.
    async fn verify(&self, kept: Option<&Head>) -> Result<Verdict, StoreError>;
}
