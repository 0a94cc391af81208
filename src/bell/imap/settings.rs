//! How an account is set up: kept as JSON beside its source, the password apart.

use serde::{Deserialize, Serialize};

/// Folders of one account at most: each is a connection, or a share of one.
pub const FOLDERS_MAX: usize = 20;
/// Connections to one server unless the account says otherwise: Gmail allows 15, others 10 or fewer, and people's own programs
/// need some.
const CONNECTIONS: usize = 4;
/// The most that an account may say.
pub const CONNECTIONS_MAX: usize = 10;
/// A larger message is kept by its headers alone, unless the account says otherwise: what the embedded service takes.
const MESSAGE_BYTES: u32 = 25 << 20;
/// The most that an account may say, in bytes: it lies in memory while it is read.
pub const MESSAGE_BYTES_MAX: u32 = 50 << 20;

/// How connections are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte; the certificate is verified.
    Tls,
    /// STARTTLS, which must be there; the certificate is verified.
    Starttls,
    /// None: only to a server on loopback.
    None,
}

impl Security {
    /// The port that servers listen on (RFC 8314).
    pub fn port(self) -> u16 {
        if self == Self::Tls { 993 } else { 143 }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server's name, which its certificate must bear.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How connections are secured.
    pub security: Security,
    /// A certificate authority that is trusted beside the system's, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Who logs in.
    pub user: String,
    /// The address that events name as the mailbox, in lower case.
    pub mailbox: String,
    /// Prints an OAuth access token: a program and its arguments. Without one the source's secret is the password.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_command: Vec<String>,
    /// The folders, as the server or a person spells them.
    pub folders: Vec<String>,
    /// Whether messages that are in the log are marked as seen in the mailbox.
    #[serde(default)]
    pub mark_seen: bool,
    /// Connections at once.
    #[serde(default = "connections")]
    pub connections: usize,
    /// Larger messages are kept by their headers.
    #[serde(default = "message_bytes")]
    pub message_bytes_max: u32,
}

/// As many as an account has unless it says otherwise.
pub fn connections() -> usize {
    CONNECTIONS
}

/// As much as an account reads of a message unless it says otherwise.
pub fn message_bytes() -> u32 {
    MESSAGE_BYTES
}

/// Settings that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("the settings of the source could not be read; remove it and add it again")]
pub struct Unreadable(#[from] serde_json::Error);

impl Settings {
    /// Reads what [`Settings::stored`] wrote.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        Ok(serde_json::from_str(text)?)
    }

    /// As JSON, to be kept.
    pub fn stored(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers make JSON")
    }

    /// The folders of each connection.
    pub(super) fn shares(&self) -> Vec<Vec<String>> {
        let count = self.connections.clamp(1, CONNECTIONS_MAX).min(self.folders.len());
        let share = |nth| self.folders.iter().skip(nth).step_by(count.max(1)).cloned().collect();
        (0..count).map(share).collect()
    }
}
