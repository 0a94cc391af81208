//! How long things are kept, and what it takes to forget them: small transactions, each with what it removed.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::clock::UnixMillis;

/// How long the bell wing keeps what; spans in milliseconds, 0 for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BellPolicy {
    /// Events.
    pub events_millis: i64,
    /// Events, by number: beyond so many the oldest go, 0 for any number.
    pub events_max: i64,
    /// Events that a consumer has not settled, whatever the two above say.
    pub unsettled_millis: i64,
    /// The ids of removed events, by which an event that is told again is known.
    pub ids_millis: i64,
    /// These ids, by number: beyond so many, and an eighth of that, the oldest go; 0 for any number.
    pub ids_max: i64,
    /// Bodies that were not taken.
    pub quarantine_millis: i64,
    /// Messages that came without a mail API; what they are known by stays.
    pub received_millis: i64,
    /// The audit record.
    pub audit_millis: i64,
    /// The audit record, by number of entries, 0 for any number.
    pub audit_max: i64,
}

/// What one sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BellSwept {
    /// Events.
    pub events: u64,
    /// Bodies that were not taken.
    pub quarantine: u64,
    /// Received messages.
    pub received: u64,
    /// Entries of the audit record.
    pub audit: u64,
}

impl BellSwept {
    /// Whether there was anything to remove, so that there may be more.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// How far a walk that forgets ids of removed events has come; it goes through them in their own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdWalk {
    /// The last place whose id it forgets.
    pub through: i64,
    /// The number of the source whose ids it is at.
    pub origin: i64,
    /// The last id that it has been at.
    pub after: String,
}

/// Forgetting in the bell wing.
#[async_trait]
pub trait BellRetention: Send + Sync + 'static {
    /// Removes some of what is too old, a bounded number of rows of each sort, in one transaction a sort.
    async fn sweep(&self, policy: &BellPolicy, now: UnixMillis) -> Result<BellSwept, StoreError>;

    /// The walk to take now, where enough ids of removed events are too old or too many for one.
    async fn to_forget(&self, policy: &BellPolicy, now: UnixMillis) -> Result<Option<IdWalk>, StoreError>;

    /// Takes a step of the walk, in one small transaction. Answers how far that came, or none at its end.
    async fn forget_some(&self, walk: &IdWalk, now: UnixMillis) -> Result<Option<IdWalk>, StoreError>;
}

/// How long the mail wing keeps what; spans in milliseconds, 0 for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailPolicy {
    /// Messages with their raw bytes; one that is still to be sent stays.
    pub mail_millis: i64,
    /// Messages, by the bytes of all of them: beyond so many the oldest go, 0 for any number.
    pub mail_bytes_max: i64,
    /// Deliveries of webhooks that are over, with their attempts.
    pub attempts_millis: i64,
}

/// Forgetting in the mail wing.
#[async_trait]
pub trait MailRetention: Send + Sync + 'static {
    /// Removes some of what is too old, a bounded number of rows of each sort, in one transaction; answers with how many.
    async fn sweep(&self, policy: &MailPolicy, now: UnixMillis) -> Result<u64, StoreError>;

    /// Those of the raw messages of these names that no message has.
    async fn orphans(&self, names: Vec<String>) -> Result<Vec<String>, StoreError>;
}
