//! What a token lets its bearer do: change things or only read, and of which mailboxes.

use std::sync::Arc;

use serde::Serialize;

use super::clock::UnixMillis;

/// Whether a bearer may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum May {
    /// Only read: nothing is sent, tagged, leased or registered.
    Read,
    /// Everything that an agent may.
    #[default]
    Act,
}

impl May {
    /// The word for it, on the command line and in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
        }
    }
}

/// Some mailboxes by their addresses as the log writes them, or all there are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Mailboxes(Option<Arc<[String]>>);

impl Mailboxes {
    /// Every mailbox.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of these addresses; none of them means all.
    pub fn only(addresses: Vec<String>) -> Self {
        Self((!addresses.is_empty()).then(|| addresses.into()))
    }

    /// The addresses; nothing where it is all.
    pub fn named(&self) -> Option<&[String]> {
        self.0.as_deref()
    }

    /// Whether the mailbox of this address is among them.
    pub fn holds(&self, address: &str) -> bool {
        self.named().is_none_or(|named| named.iter().any(|one| one == address))
    }

    /// Whether an event of `mailbox` is theirs. One of no mailbox is for who sees all.
    pub fn hold_event_of(&self, mailbox: Option<&str>) -> bool {
        self.named().is_none() || mailbox.is_some_and(|mailbox| self.holds(mailbox))
    }
}

/// What a token grants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Grant {
    /// Whether its bearer may change anything.
    pub may: May,
    /// Of which mailboxes; null for all.
    pub mailboxes: Mailboxes,
    /// Whether a person sits before the bearer's program, who may be asked.
    pub human_present: bool,
    /// When it ends by itself.
    pub expires_at: Option<UnixMillis>,
}
