//! What the mail API keeps beside mail: how a mailbox is set, contacts, the account, and what was used.

use super::{address::Address, clock::UnixMillis};

/// How a mailbox is set, beside its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Who gets a copy of all it sends.
    pub auto_cc: Option<Address>,
    /// Who gets a copy of all it sends that no header names.
    pub auto_bcc: Option<Address>,
    /// What stands under all it sends.
    pub signature_block: Option<String>,
}

/// Somebody to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// `con_…`.
    pub id: String,
    /// The name.
    pub name: String,
    /// The address.
    pub email: Address,
    /// Words to find them by.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// What the account is called; there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: Option<String>,
    /// Where the person in charge is reached.
    pub oversight_email: Option<String>,
    /// The postal address that commercial mail must carry.
    pub physical_address: Option<String>,
}

/// What was used in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages sent.
    pub sent: u64,
    /// Messages that came in.
    pub received: u64,
    /// Requests to the API.
    pub api_calls: u64,
    /// The bytes of those messages.
    pub bytes: u64,
}

/// What was used on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageDay {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// What was used then.
    pub usage: Usage,
}

/// A day, in milliseconds.
pub const DAY_MILLIS: i64 = 86_400_000;

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            sent: sum.sent + one.sent,
            received: sum.received + one.received,
            api_calls: sum.api_calls + one.api_calls,
            bytes: sum.bytes + one.bytes,
        })
    }
}
