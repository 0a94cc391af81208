//! Consumers and leases: who has handled what, and who is at it now.
//!
//! A consumer is a named reader with a low-water mark: every event of its kinds up to the mark is acked or parked. Above
//! it, each event is free, leased to one worker until a deadline, acked, or parked.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    cursor::Seq,
    event::{Event, EventKind},
    id::{ConsumerName, EventId},
};

/// Proves that its bearer holds a lease. A newer lease on the same event makes it stale, and a stale one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(String);

impl LeaseToken {
    /// Takes `text` as a lease token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// In whose name leases are held: an agent finds its own by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// A session, a process, or a principal.
    pub name: String,
    /// Whether that is one worker, and not whoever shares a token: one worker may have several events of a thread.
    pub one_worker: bool,
}

impl Holder {
    /// A holder that is one worker.
    pub fn worker(name: impl Into<String>) -> Self {
        Self { name: name.into(), one_worker: true }
    }
}

/// The name of the token in whose name a holder of that name holds; none for a process of this user, which needs none.
pub fn principal_of(holder: &str) -> Option<&str> {
    let mut parts = holder.split(':');
    matches!(parts.next(), Some("session" | "principal")).then(|| parts.next()).flatten()
}

/// What a token holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Of which consumer.
    pub consumer: ConsumerName,
    /// Which events, the oldest first; never none.
    pub events: Vec<EventId>,
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest name of a consumer.
pub const NAME_CHARS_MAX: usize = 64;

/// A text that names no consumer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a consumer has a name of 1 to {NAME_CHARS_MAX} letters, digits, dots, hyphens and underscores")]
pub struct NotAName;

/// The consumer that `text` names.
pub fn named(text: &str) -> Result<ConsumerName, NotAName> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain);
    if fits { Ok(ConsumerName::new(text)) } else { Err(NotAName) }
}

/// Where a consumer begins at its first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest event that the log still holds.
    #[default]
    Earliest,
    /// With the next event to come.
    Now,
}

/// The kinds that a consumer owns when it does not say: all but the ones that merely confirm.
pub const KINDS_BY_DEFAULT: [EventKind; 5] =
    [EventKind::Inbound, EventKind::Bounce, EventKind::Complaint, EventKind::Approval, EventKind::Other];

/// An event in the hands of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedEvent {
    /// The event.
    pub event: Event,
    /// How often it has been handed out, this time included.
    pub attempt: u32,
}

/// Events that fell behind the log's tail before their reader saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last event that the reader had seen.
    pub after: Seq,
    /// The oldest event that the log still holds.
    pub resumes_at: Seq,
}

/// An event that was handed out this often without an ack is parked: whatever it does to workers, it does no more.
pub const ATTEMPTS_MAX: u32 = 5;

/// Who set an event aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkedBy {
    /// An agent that escalated it.
    Agent,
    /// Nobody: it was handed out [`ATTEMPTS_MAX`] times without an ack.
    Attempts,
    /// The operator.
    Operator,
}

/// What a worker says of events it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Handled: this consumer sees it no more.
    Ack,
    /// Not handled: it may be handed out again, unless that was its last attempt.
    Release {
        /// Not before this has passed on the boot clock; 0 for at once.
        pause_millis: i64,
    },
    /// Still at it: the lease runs this many milliseconds from now.
    Extend {
        /// Counted on the boot clock.
        lease_millis: i64,
    },
    /// Beyond this agent: set aside for the operator, with the reason.
    Escalate {
        /// The agent's words.
        note: Option<String>,
    },
}

/// What became of a settlement, event by event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Those it took effect on.
    pub done: Vec<EventId>,
    /// Those named by the caller that this token does not hold (any more).
    pub stale: Vec<EventId>,
    /// Of those done, the ones that were released after their last attempt, and so are parked.
    pub parked: Vec<EventId>,
    /// The consumer whose waiters are to be told: something was given back, or is no longer held up by its thread.
    pub consumer: Option<ConsumerName>,
}
