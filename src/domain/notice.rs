//! What the operator is told without asking, and where.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{address::Address, allow_hosts::is_loopback, clock::UnixMillis};

/// Places that are told; more are a mailing list's business.
pub const TARGETS_MAX: usize = 5;
/// Characters of a stranger's text in a notice: enough to know it by.
pub const QUOTED_CHARS_MAX: usize = 160;
/// Begins the name of a mailbox's own overseer.
const MAILBOX_PREFIX: &str = "mailbox:";

/// Where notices go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeTarget {
    /// By mail.
    Address(Address),
    /// By a signed POST: https, or http to this machine.
    Url(Url),
    /// To whatever URL oversees the mailbox of this address.
    Mailbox(String),
}

/// A text that is no place to tell anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place for notices is an address, such as ann@example.com, or an https:// URL without user name and password (http:// on \
     this machine)"
)]
pub struct NotATarget;

impl NoticeTarget {
    /// As the settings name it: not a mailbox's own overseer.
    pub fn of_settings(text: &str) -> Result<Self, NotATarget> {
        let text = text.trim();
        if !text.contains("://") {
            return text.parse().map(Self::Address).map_err(|_| NotATarget);
        }
        let url: Url = text.parse().map_err(|_| NotATarget)?;
        let here = url.host().ok_or(NotATarget).map(|host| is_loopback(&host))?;
        let fits = if here { url.scheme() == "http" } else { url.scheme() == "https" };
        if fits && url.username().is_empty() && url.password().is_none() { Ok(Self::Url(url)) } else { Err(NotATarget) }
    }

    /// Of a URL the host alone: the rest of it may be a secret.
    pub fn shown(&self) -> String {
        match self {
            Self::Url(url) => format!("{}://{}/…", url.scheme(), url.host_str().unwrap_or_default()),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for NoticeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Url(url) => url.fmt(f),
            Self::Mailbox(address) => write!(f, "{MAILBOX_PREFIX}{address}"),
        }
    }
}

impl FromStr for NoticeTarget {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, NotATarget> {
        match text.strip_prefix(MAILBOX_PREFIX) {
            Some(address) => Ok(Self::Mailbox(address.to_owned())),
            None => Self::of_settings(text),
        }
    }
}

/// One thing that an operator is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What kind of thing it is.
    pub kind: NoticeKind,
    /// When it happened.
    pub at: UnixMillis,
    /// In a sentence of ours, with ids, names of our own and addresses of the house.
    pub says: String,
    /// What strangers, or agents, wrote: by name, shortened, on one line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quoted: BTreeMap<String, String>,
    /// The action that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
}

/// What an operator is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is")]
pub enum NoticeKind {
    ApprovalWaits,
    ApprovalExpires,
    EventParked,
    EventEscalated,
    DeliveriesDead,
    WebhookFailing,
    SourceFailing,
    HardBounce,
    Complaint,
    Test,
}

impl NoticeKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalWaits => "approval_waits",
            Self::ApprovalExpires => "approval_expires",
            Self::EventParked => "event_parked",
            Self::EventEscalated => "event_escalated",
            Self::DeliveriesDead => "deliveries_dead",
            Self::WebhookFailing => "webhook_failing",
            Self::SourceFailing => "source_failing",
            Self::HardBounce => "hard_bounce",
            Self::Complaint => "complaint",
            Self::Test => "test",
        }
    }
}

impl Notice {
    /// A notice in a sentence of ours.
    pub fn new(kind: NoticeKind, at: UnixMillis, says: String) -> Self {
        Self { kind, at, says, quoted: BTreeMap::new(), action_id: None }
    }

    /// The same with what a stranger wrote.
    #[must_use]
    pub fn quoting(mut self, name: &str, foreign: &str) -> Self {
        let quoted = quoted(foreign);
        if !quoted.is_empty() {
            self.quoted.insert(name.to_owned(), quoted);
        }
        self
    }
}

/// A stranger's text on one line, without what could look like something else, and shortened.
pub fn quoted(foreign: &str) -> String {
    let visible = |char: &char| {
        !char.is_control()
            && !matches!(char, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let line = foreign.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = line.chars().filter(visible);
    let mut short: String = line.by_ref().take(QUOTED_CHARS_MAX).collect();
    if line.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_as_it_is_written_and_shows_no_path() {
        for text in
            ["ann@example.com", "https://hooks.example.com/T0/SECRET", "http://127.0.0.1:9/x", "mailbox:a@b.test"]
        {
            assert_eq!(text.parse::<NoticeTarget>().expect(text).to_string(), text);
        }
        let url: NoticeTarget = "https://hooks.example.com/T0/SECRET".parse().expect("a URL");
        assert_eq!(url.shown(), "https://hooks.example.com/…");
        for wrong in
            ["", "ann", "http://example.com/", "https://a:b@example.com/", "ftp://example.com/", "https://127.0.0.1/"]
        {
            assert!(NoticeTarget::of_settings(wrong).is_err(), "{wrong}");
        }
        assert!(NoticeTarget::of_settings("mailbox:a@b.test").is_err());
    }

    #[test]
    fn what_strangers_wrote_is_one_short_line() {
        assert_eq!(quoted("a\r\n> b\u{202E}c\u{7}\t d"), "a > bc d");
        assert_eq!(quoted(&"é".repeat(500)).chars().count(), QUOTED_CHARS_MAX + 1);
    }
}
