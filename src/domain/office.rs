//! What the mail API keeps beside mail: how a mailbox is set, contacts, the account, and what was used.

use std::str::FromStr;

use super::{address::Address, clock::UnixMillis};

/// How far an agent may go with a mailbox, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OversightMode {
    /// It reads and sends nothing.
    ReadOnly,
    /// An operator approves what comes in and what goes out.
    GatedAll,
    /// An operator approves what goes out.
    GatedSend,
    /// Nothing waits for anybody, and an operator is told.
    Monitored,
    /// Nothing waits for anybody.
    #[default]
    Autonomous,
}

impl OversightMode {
    /// Every mode, the strictest first.
    pub const ALL: [Self; 5] = [Self::ReadOnly, Self::GatedAll, Self::GatedSend, Self::Monitored, Self::Autonomous];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::GatedAll => "gated_all",
            Self::GatedSend => "gated_send",
            Self::Monitored => "monitored",
            Self::Autonomous => "autonomous",
        }
    }

    /// Whether what is sent goes out without anybody's approval.
    pub fn sends_freely(self) -> bool {
        matches!(self, Self::Monitored | Self::Autonomous)
    }
}

/// A word that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`oversight_mode` must be read_only, gated_all, gated_send, monitored or autonomous")]
pub struct NotAMode;

impl FromStr for OversightMode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(NotAMode)
    }
}

/// How a mailbox is set, beside its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxSettings {
    /// How far an agent may go.
    pub oversight_mode: OversightMode,
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
