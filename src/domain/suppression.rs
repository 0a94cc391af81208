//! Addresses that we no longer write to, and why.

use std::{fmt, str::FromStr};

use super::{
    address::Address,
    clock::UnixMillis,
    id::{MailboxId, MessageId},
};

/// Why an address is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuppressionReason {
    /// Mail to it bounced for good.
    Bounce,
    /// Its owner called our mail spam.
    Complaint,
    /// Somebody asked for it.
    Manual,
}

impl SuppressionReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Bounce, Self::Complaint, Self::Manual];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for SuppressionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the reasons for a suppression are bounce, complaint and manual")]
pub struct NotAReason;

impl FromStr for SuppressionReason {
    type Err = NotAReason;

    fn from_str(text: &str) -> Result<Self, NotAReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(NotAReason)
    }
}

/// An address on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Its id, `sup_…`; ids rise with time.
    pub id: String,
    /// The address.
    pub address: Address,
    /// Why.
    pub reason: SuppressionReason,
    /// More words on why: of whoever asked, or of the remote server.
    pub note: Option<String>,
    /// Whose mail led to it.
    pub mailbox: Option<MailboxId>,
    /// Which message did.
    pub message: Option<MessageId>,
    /// Since when.
    pub created_at: UnixMillis,
}
