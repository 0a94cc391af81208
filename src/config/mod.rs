//! The settings: `default.toml` is both their manual and their defaults; a file, the environment and flags lie over it.

pub mod effective;
pub mod load;
pub mod manual;
mod toolset;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use serde::{Deserialize, Deserializer};
use url::Url;

pub use self::toolset::{NotAToolset, Toolset};
use crate::domain::{
    notice::{NoticeTarget, TARGETS_MAX},
    secret::Secret,
};

/// Every setting, by section. `default.toml` says what each means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Agents over HTTP.
    pub mcp: Mcp,
    /// The receiver of webhooks.
    pub hooks: Hooks,
    /// The embedded service's API.
    pub api: Listener,
    /// The embedded service's SMTP listener.
    pub smtp: Smtp,
    /// The embedded service's LMTP listener.
    pub lmtp: Listener,
    /// The operator's listener.
    pub console: Listener,
    /// The mail service, embedded or hosted.
    pub mail: Mail,
    /// Webhooks that the embedded service sends.
    pub webhooks: Webhooks,
    /// How long things are kept.
    pub retention: Retention,
    /// The record of who did what.
    pub audit: Audit,
    /// The person in charge.
    pub operator: Operator,
    /// What is said on stderr.
    pub log: Log,
}

/// A listener with nothing to set but its address.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Listener {
    pub addr: ListenAddr,
}

/// `[mcp]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Mcp {
    pub addr: ListenAddr,
    #[serde(deserialize_with = "list")]
    pub allowed_hosts: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub allowed_origins: Vec<String>,
    #[serde(deserialize_with = "toolset::list")]
    pub toolsets: Vec<Toolset>,
    pub session_idle_secs: u64,
    pub calls_per_minute_max: u32,
    pub waits_max: u32,
    pub sessions_max: u32,
    pub subscriptions_max: u32,
}

/// `[hooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Hooks {
    pub addr: ListenAddr,
    pub public_url: Option<Url>,
}

/// `[smtp]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Smtp {
    pub addr: ListenAddr,
    pub hostname: String,
    pub message_bytes_max: usize,
    pub connections_max: usize,
    pub idle_secs: u64,
}

/// `[mail]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Mail {
    #[serde(deserialize_with = "list")]
    pub domains: Vec<String>,
    pub base_url: Option<Url>,
    pub api_key: Option<Secret>,
    pub free_bytes_min: u64,
    #[serde(deserialize_with = "list")]
    pub arf_reporters: Vec<String>,
    pub auth: MailAuth,
    pub relay: Relay,
}

/// `[mail.auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct MailAuth {
    pub verify: bool,
    pub resolver: Option<SocketAddr>,
    pub authserv_id: Option<String>,
    #[serde(deserialize_with = "list")]
    pub trusted_peers: Vec<String>,
}

/// `[mail.relay]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Relay {
    pub host: Option<String>,
    pub port: u16,
    pub tls: Option<RelayTls>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

impl Relay {
    /// Whether the relay is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.as_deref().unwrap_or_default();
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// How to secure its connections: as the settings say, or else STARTTLS; without a password, a relay on this machine
    /// needs neither.
    pub fn security(&self) -> RelayTls {
        let plain = self.is_loopback() && self.username.is_none();
        self.tls.unwrap_or(if plain { RelayTls::None } else { RelayTls::Starttls })
    }
}

/// How connections to the relay are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "default.toml says what each word means, once")]
pub enum RelayTls {
    Starttls,
    Implicit,
    None,
}

/// `[retention]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Retention {
    pub events_days: u16,
    pub events_max: u32,
    pub unsettled_days: u16,
    pub ids_days: u16,
    pub ids_max: u32,
    pub quarantine_days: u16,
    pub audit_days: u16,
    pub audit_max: u32,
    pub mail_days: u16,
    pub mail_bytes_max: u64,
    pub attempts_days: u16,
}

/// `[audit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Audit {
    pub key_file: Option<PathBuf>,
}

/// `[operator]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Operator {
    #[serde(deserialize_with = "targets")]
    pub notify: Vec<NoticeTarget>,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Log {
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "default.toml says what each word means, once")]
pub enum LogFormat {
    Text,
    Json,
}

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml says what each key means, once")]
pub struct Webhooks {
    #[serde(deserialize_with = "list")]
    pub allow_hosts: Vec<String>,
}

/// Where a listener listens: an IP address and a port, or `:PORT` for that port on loopback. Port 0 is any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr(pub SocketAddr);

/// A text that is no address to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an address to listen at is an IP address and a port, such as 127.0.0.1:7411, or :0 for any free port on loopback"
)]
pub struct NotAListenAddr;

impl FromStr for ListenAddr {
    type Err = NotAListenAddr;

    fn from_str(text: &str) -> Result<Self, NotAListenAddr> {
        let whole = if text.starts_with(':') { format!("127.0.0.1{text}") } else { text.to_owned() };
        whole.parse().map(Self).map_err(|_| NotAListenAddr)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ListenAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Places for notices, as a list or one text with commas.
fn targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NoticeTarget>, D::Error> {
    let mut targets = Vec::new();
    for text in items(deserializer)? {
        let target = NoticeTarget::of_settings(&text).map_err(serde::de::Error::custom)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    if targets.len() > TARGETS_MAX {
        return Err(serde::de::Error::custom(format!(
            "at most {TARGETS_MAX} places are told; name a list's address instead"
        )));
    }
    Ok(targets)
}

/// The same in lower case.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(items(deserializer)?.into_iter().map(|item| item.to_lowercase()).collect())
}

/// A list, or one text with commas between its items, which is how the environment and a flag can say it.
fn items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Items;
    impl<'de> serde::de::Visitor<'de> for Items {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts, or one text with commas between them")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element::<String>()? {
                list.push(item.trim().to_owned());
            }
            Ok(list)
        }
    }
    deserializer.deserialize_any(Items)
}
