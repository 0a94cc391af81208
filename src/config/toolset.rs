//! Sets of tools: what an agent is not shown costs it no tokens, and what it is not given it cannot do.

use std::{fmt, str::FromStr};

use serde::{Deserializer, de::Error as _};

/// A word of `mcp.toolsets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolset {
    /// To wait for events, to look back at them, and to settle them.
    Events,
    /// To find, read, tag, send and answer mail.
    Mail,
    /// Whom nobody may write to.
    Suppression,
    /// Webhooks and their deliveries.
    Webhooks,
    /// No set of its own: of the others, what changes nothing.
    ReadOnly,
}

/// A text that names no toolset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a toolset is one of events, mail, suppression, webhooks and read-only")]
pub struct NotAToolset;

impl Toolset {
    /// Every word.
    pub const ALL: [Self; 5] = [Self::Events, Self::Mail, Self::Suppression, Self::Webhooks, Self::ReadOnly];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Mail => "mail",
            Self::Suppression => "suppression",
            Self::Webhooks => "webhooks",
            Self::ReadOnly => "read-only",
        }
    }
}

impl fmt::Display for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Toolset {
    type Err = NotAToolset;

    fn from_str(text: &str) -> Result<Self, NotAToolset> {
        // `read_only` is how the mode of oversight is written.
        let text = text.replace('_', "-");
        Self::ALL.into_iter().find(|toolset| toolset.as_str() == text).ok_or(NotAToolset)
    }
}

/// At least one word; a server without any tool would be a mistake.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Toolset>, D::Error> {
    let words = super::list(deserializer)?;
    if words.is_empty() {
        return Err(D::Error::custom("it is empty; name at least one toolset, or leave it out"));
    }
    words.iter().map(|word| word.parse().map_err(D::Error::custom)).collect()
}
