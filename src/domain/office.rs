//! What the mail API keeps beside mail: how a mailbox is set, contacts, the account, and what was used.

use std::str::FromStr;

use super::{address::Address, clock::UnixMillis, id::WebhookId, webhook::Endpoint};

/// How a mailbox is set, beside its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Who gets a copy of all it sends.
    pub auto_cc: Option<Address>,
    /// Who gets a copy of all it sends that no header names.
    pub auto_bcc: Option<Address>,
    /// What stands under all it sends.
    pub signature_block: Option<String>,
    /// What else it has.
    pub features: MailboxFeatures,
}

/// What a mailbox has beside its copies and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxFeatures {
    /// The webhook that is told of everything that happens to it, and where that leads.
    pub webhook: Option<(WebhookId, Endpoint)>,
    /// Where an operator wants to be told of what waits for them.
    pub oversight_webhook: Option<Endpoint>,
    /// What comes first where a letter is to be sent later and needs an approval.
    pub gate_timing: Option<GateTiming>,
    /// Whether it may send later.
    pub scheduling: bool,
    /// Whether what it sends says that an AI wrote it.
    pub ai_disclosure: bool,
    /// Whether it was set up. MultiMail's MCP server asks for a setup in every result where it was not.
    pub mcp_configured: bool,
}

impl Default for MailboxFeatures {
    fn default() -> Self {
        Self {
            webhook: None,
            oversight_webhook: None,
            gate_timing: None,
            scheduling: true,
            ai_disclosure: false,
            mcp_configured: true,
        }
    }
}

/// What comes first where a letter is to be sent later and needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateTiming {
    /// The approval; then it waits for its moment.
    GateFirst,
    /// The moment; then it waits for the approval.
    ScheduleFirst,
}

impl GateTiming {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GateFirst => "gate_first",
            Self::ScheduleFirst => "schedule_first",
        }
    }
}

/// A word that names no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a gate timing is gate_first or schedule_first, or empty")]
pub struct NotAGateTiming;

impl FromStr for GateTiming {
    type Err = NotAGateTiming;

    fn from_str(text: &str) -> Result<Self, NotAGateTiming> {
        [Self::GateFirst, Self::ScheduleFirst].into_iter().find(|one| one.as_str() == text).ok_or(NotAGateTiming)
    }
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

/// A domain whose mail is taken here, lower-cased, in A-labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeDomain {
    /// Its name.
    pub name: String,
    /// Whether the settings name it; then only they end it.
    pub of_the_settings: bool,
    /// When the API added it, where it did.
    pub added_at: Option<UnixMillis>,
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
