//! Why a message was not delivered, in our words.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a message was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No such address at that domain.
    UserUnknown,
    /// No such domain, or none that has a mail server.
    HostUnknown,
    /// The mailbox is over its quota.
    MailboxFull,
    /// The mailbox exists and is switched off, locked or suspended.
    MailboxDisabled,
    /// The recipient has another address now.
    HasMoved,
    /// The domain takes no mail at all, such as by a null MX (RFC 7505).
    NotAccepting,
    /// The server does not relay for us.
    RelayingDenied,
    /// It was taken for spam.
    SpamBlock,
    /// A rule of the receiving side, such as one against unlisted senders.
    Policy,
    /// SPF, DKIM, DMARC, or missing SMTP authentication.
    AuthFailure,
    /// The sending address, domain or network has a bad name, or no name in the DNS.
    Reputation,
    /// Too many messages, recipients or connections.
    RateLimited,
    /// A first try is refused on principle; a later one will pass.
    Greylisted,
    /// What is in the message: a virus, a kind of file, a broken header.
    Content,
    /// The message is too large.
    TooLarge,
    /// The server could not be reached.
    Network,
    /// It was tried for too long.
    Timeout,
    /// The message went round in circles.
    Loop,
    /// The receiving or sending system is broken.
    System,
    /// Anything else.
    Other,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 20] = [
        Self::UserUnknown,
        Self::HostUnknown,
        Self::MailboxFull,
        Self::MailboxDisabled,
        Self::HasMoved,
        Self::NotAccepting,
        Self::RelayingDenied,
        Self::SpamBlock,
        Self::Policy,
        Self::AuthFailure,
        Self::Reputation,
        Self::RateLimited,
        Self::Greylisted,
        Self::Content,
        Self::TooLarge,
        Self::Network,
        Self::Timeout,
        Self::Loop,
        Self::System,
        Self::Other,
    ];

    /// The word for it in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserUnknown => "user_unknown",
            Self::HostUnknown => "host_unknown",
            Self::MailboxFull => "mailbox_full",
            Self::MailboxDisabled => "mailbox_disabled",
            Self::HasMoved => "has_moved",
            Self::NotAccepting => "not_accepting",
            Self::RelayingDenied => "relaying_denied",
            Self::SpamBlock => "spam_block",
            Self::Policy => "policy",
            Self::AuthFailure => "auth_failure",
            Self::Reputation => "reputation",
            Self::RateLimited => "rate_limited",
            Self::Greylisted => "greylisted",
            Self::Content => "content",
            Self::TooLarge => "too_large",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Loop => "loop",
            Self::System => "system",
            Self::Other => "other",
        }
    }

    /// Whether the address is dead for good, if the refusal was permanent. A full, locked or protected mailbox is not.
    pub fn is_death(self) -> bool {
        matches!(self, Self::UserUnknown | Self::HostUnknown | Self::HasMoved | Self::NotAccepting)
    }

    /// The code that says as much (RFC 3463), for reports that tell none. What a later try may cure is transient.
    pub(super) fn usual_code(self) -> &'static str {
        match self {
            Self::UserUnknown => "5.1.1",
            Self::HostUnknown => "5.1.2",
            Self::MailboxFull => "5.2.2",
            Self::MailboxDisabled => "5.2.1",
            Self::HasMoved => "5.1.6",
            Self::NotAccepting => "5.1.10",
            Self::RelayingDenied | Self::Policy | Self::SpamBlock | Self::Reputation => "5.7.1",
            Self::AuthFailure => "5.7.0",
            Self::RateLimited => "4.7.28",
            Self::Greylisted => "4.7.1",
            Self::Content => "5.6.0",
            Self::TooLarge => "5.3.4",
            Self::Network => "4.4.1",
            Self::Timeout => "4.4.7",
            Self::Loop => "5.4.6",
            Self::System => "5.3.0",
            Self::Other => "5.0.0",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("that is no reason for a bounce; user_unknown, mailbox_full and other are some of the twenty")]
pub struct NotAReason;

impl FromStr for Reason {
    type Err = NotAReason;

    fn from_str(text: &str) -> Result<Self, NotAReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(NotAReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::code::EnhancedStatusCode;

    #[test]
    fn every_reason_is_read_back_and_has_a_code() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
            assert!(reason.usual_code().parse::<EnhancedStatusCode>().is_ok(), "{reason}");
        }
        assert_eq!("unheard_of".parse::<Reason>(), Err(NotAReason));
    }
}
