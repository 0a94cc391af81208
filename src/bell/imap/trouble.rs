//! What keeps a mailbox from being watched, as sentences an operator can act on.

use crate::store::StoreError;

/// Characters kept of what a server says.
const SAID_CHARS_MAX: usize = 200;

/// Why a mailbox is not watched now.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The settings cannot be read.
    #[error("the settings of the source could not be read; remove it and add it again")]
    Unset,
    /// No connection.
    #[error(
        "could not connect to {host} port {port} ({kind}): see whether that is the server's address, and whether it runs"
    )]
    Unreachable {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
        /// What the operating system said.
        kind: std::io::ErrorKind,
    },
    /// TLS did not come about.
    #[error(
        "no verified TLS with {host}: {why}. The certificate must bear that name and be signed by an authority of this system or of --ca-file"
    )]
    Tls {
        /// The server.
        host: String,
        /// What rustls said.
        why: String,
    },
    /// A password would go over the net in the clear.
    #[error(
        "{0} is not on this machine, and without TLS a password goes only to a server on loopback; use --security tls or starttls"
    )]
    Plain(String),
    /// There is nothing to log in with.
    #[error("the source has no password; give it one with `mailbell source rotate NAME --secret-stdin`")]
    NoPassword,
    /// The command that prints a token did not.
    #[error("the token command {0}")]
    TokenCommand(&'static str),
    /// The server did not let us in.
    #[error(
        "the server refuses the login ({said}): see whether user and app password are right and IMAP is switched on there; `mailbell source rotate NAME --secret-stdin` takes a new password"
    )]
    Refused {
        /// What it said.
        said: String,
    },
    /// The server said no.
    #[error("the server refuses while {doing}: {said}")]
    Said {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        said: String,
    },
    /// It took too long.
    #[error("the server took too long while {doing}")]
    TooSlow {
        /// What was being done.
        doing: &'static str,
    },
    /// It broke off, or said what is no IMAP, or too much.
    #[error("the connection ended while {doing}: {why}")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// In our words.
        why: &'static str,
    },
    /// The server numbers nothing.
    #[error("the server gives folder `{0}` no UIDVALIDITY, so its messages cannot be told apart over time")]
    NoUids(String),
    /// What the account itself sends is there, which is no news.
    #[error(
        "folder `{0}` is where the server puts what is sent from the account, and mail of one's own is told as no event; remove the source and add it again without that folder"
    )]
    Sent(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Trouble {
    /// What may stand in the log: no word of a stranger.
    pub(super) fn logged(&self) -> &'static str {
        match self {
            Self::Unset => "its settings cannot be read",
            Self::Unreachable { .. } => "no connection",
            Self::Tls { .. } => "no verified TLS",
            Self::Plain(_) => "no TLS to a server elsewhere",
            Self::NoPassword => "no password",
            Self::Refused { .. } => "the login is refused",
            Self::Said { doing, .. } => doing,
            Self::TooSlow { .. } => "the server is too slow",
            Self::TokenCommand(why) | Self::Broken { why, .. } => why,
            Self::NoUids(_) => "no UIDVALIDITY",
            Self::Sent(_) => "a folder of sent mail is not watched",
            Self::Store(_) => "the store failed",
        }
    }

    /// Whether trying again soon does harm, as servers lock accounts whose logins fail often, or is of no use.
    pub(super) fn is_login(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NoPassword | Self::Unset | Self::Plain(_) | Self::Sent(_))
    }
}

/// What a server said, on one line, without `secret`.
pub(super) fn said(text: &str, secret: &str) -> String {
    if !secret.is_empty() && text.contains(secret) {
        return "it repeated the secret; its words are left out".into();
    }
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_CHARS_MAX).collect();
    if plain.trim().is_empty() { "without a reason".into() } else { plain.trim().to_owned() }
}
