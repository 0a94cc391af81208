//! Which URLs a webhook may be sent to. Asked at registration, and again before each try: settings may have changed.
//!
//! There are three kinds of target and no fourth: our own receiver (`self`), loopback for who sits at this machine, and
//! the hosts that the operator has listed. What a name stands for is checked a third time when it is connected to (see
//! `egress`), because a name can be pointed elsewhere between two looks.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::timeout;
use url::{Host, Url};

use crate::{
    domain::allow_hosts::{AllowHosts, is_loopback},
    reach::{Names, Reach, literal, may_reach},
};

/// How long a name may take when a webhook is registered. One that takes longer is not refused for it: what it stands for
/// is checked at every connection anyway.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(5);
/// Longer URLs are a mistake or an attack.
pub const URL_BYTES_MAX: usize = 2048;

/// Who asks for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The house's own `api` token, which only somebody at this machine can read.
    House,
    /// The person in charge: every public host, which from then on may be sent to.
    Operator,
    /// Any other key.
    Other,
}

/// Why a URL may not be a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefusal {
    /// It is longer than any real one.
    #[error("the endpoint URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// It carries a user name or a password.
    #[error("an endpoint URL must not carry a user name or password; the signature is what proves the sender")]
    Userinfo,
    /// It is of another scheme, or of http where that is not taken.
    #[error(
        "an endpoint must be an https:// URL; plain http:// is taken only for loopback, such as http://127.0.0.1:9000/hook"
    )]
    Scheme,
    /// It is loopback, https.
    #[error("loopback endpoints take plain http://; nothing is encrypted on the way to the same machine")]
    LoopbackHttps,
    /// It is loopback, and this asker may not name that.
    #[error(
        "loopback endpoints are taken only with the `api` token, while the API listens on loopback; to allow one for every key, put its host and port on `webhooks.allow_hosts`"
    )]
    Loopback,
    /// It is an address that no webhook is sent to.
    #[error(
        "{0} is a private, link-local or otherwise special address; webhooks go to public addresses, and on this machine to 127.0.0.1, [::1] and localhost"
    )]
    Special(String),
    /// It is a name that stands for no other address than such.
    #[error(
        "{0} stands for a private, link-local or otherwise special address; webhooks go to hosts with a public one"
    )]
    LeadsInside(String),
    /// It is another name for this machine.
    #[error("{0} is a name of this machine; write http://localhost or http://127.0.0.1 for it")]
    Alias(String),
    /// It is not on the list.
    #[error(
        "{0} is not among the hosts that webhooks may be sent to; the operator can allow it with `webhooks.allow_hosts = [\"{0}\"]` in config.toml; `self` is mailbell's own receiver"
    )]
    NotListed(String),
}

/// The rule, with what the operator has set.
#[derive(Debug, Clone)]
pub struct Targets {
    allow_hosts: AllowHosts,
    api_on_loopback: bool,
    /// What operators have let webhooks be sent to, with the port; clones share it.
    approved: Arc<RwLock<BTreeSet<String>>>,
    /// Asked at registration; none: only connections ask.
    names: Option<Arc<dyn Names>>,
}

impl Targets {
    /// `allow_hosts` as in the settings: `name` for any port or `name:port`; `api_on_loopback`: whether the API listens
    /// on loopback only.
    pub fn new(allow_hosts: &[String], api_on_loopback: bool) -> Self {
        Self { allow_hosts: AllowHosts::new(allow_hosts), api_on_loopback, approved: Arc::default(), names: None }
    }

    /// The same, which also looks at what names stand for.
    #[must_use]
    pub fn resolving(self, names: Arc<dyn Names>) -> Self {
        Self { names: Some(names), ..self }
    }

    /// Lets webhooks be sent to this host and port, whatever the settings list.
    pub fn approve(&self, host: String) {
        self.approved.write().unwrap_or_else(PoisonError::into_inner).insert(host);
    }

    /// How the host of `url` is approved, where the settings do not list it and it is none of this machine's.
    pub fn to_approve(&self, url: &Url) -> Option<String> {
        let host = url.host()?;
        (!self.allow_hosts.lists(url) && !is_loopback(&host)).then(|| with_port(url)).flatten()
    }

    fn is_approved(&self, url: &Url) -> bool {
        let approved = self.approved.read().unwrap_or_else(PoisonError::into_inner);
        with_port(url).is_some_and(|host| approved.contains(&host))
    }

    /// What [`Targets::admit`] says, and for a name what it stands for now: a webhook that could never be sent is better
    /// refused at once. A name that stands for nothing yet is taken.
    pub async fn admit_resolved(&self, url: &Url, asker: Asker) -> Result<Reach, TargetRefusal> {
        let reach = self.admit(url, asker)?;
        if let (Some(names), Some(Host::Domain(name))) = (&self.names, url.host())
            && let Ok(Ok(addresses)) = timeout(LOOK_UP_TIME_MAX, names.addresses(name)).await
            && !addresses.is_empty()
            && !addresses.into_iter().any(|ip| may_reach(ip, reach))
        {
            return Err(TargetRefusal::LeadsInside(name.to_owned()));
        }
        Ok(reach)
    }

    /// Whether `asker` may have webhooks sent to `url`, and where connections for it may go.
    pub fn admit(&self, url: &Url, asker: Asker) -> Result<Reach, TargetRefusal> {
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(TargetRefusal::TooLong);
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetRefusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetRefusal::Userinfo);
        }
        let host = url.host().ok_or(TargetRefusal::Scheme)?;
        if is_loopback(&host) {
            return match url.scheme() {
                "https" => Err(TargetRefusal::LoopbackHttps),
                _ if self.allow_hosts.lists(url) || (asker != Asker::Other && self.api_on_loopback) => {
                    Ok(Reach::Loopback)
                }
                _ => Err(TargetRefusal::Loopback),
            };
        }
        if let Host::Domain(name) = host
            && is_alias_of_loopback(name)
        {
            return Err(TargetRefusal::Alias(host.to_string()));
        }
        if let Some(ip) = literal(&host)
            && !may_reach(ip, Reach::Public)
        {
            return Err(TargetRefusal::Special(host.to_string()));
        }
        if !self.allow_hosts.lists(url) && asker != Asker::Operator && !self.is_approved(url) {
            return Err(TargetRefusal::NotListed(host.to_string()));
        }
        if url.scheme() == "https" { Ok(Reach::Public) } else { Err(TargetRefusal::Scheme) }
    }
}

fn with_port(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// Whether `name` is `localhost` in disguise, or lies below it (RFC 6761 section 6.3).
fn is_alias_of_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        let listed =
            ["hooks.example.com", "Ports.example.com:8443", "8.8.8.8", "10.0.0.5", "127.0.0.1:9000", "internal"];
        Targets::new(&listed.map(String::from), true)
    }

    fn admit(url: &str, asker: Asker) -> Result<Reach, TargetRefusal> {
        targets().admit(&url.parse().expect(url), asker)
    }

    #[test]
    fn the_operator_s_hosts_are_taken_by_https() {
        for url in [
            "https://hooks.example.com/h",
            "https://HOOKS.example.com:9443/h?x=1",
            "https://ports.example.com:8443/",
            "https://8.8.8.8/",
            "https://134744072/",
        ] {
            assert_eq!(admit(url, Asker::Other), Ok(Reach::Public), "{url}");
        }
        assert_eq!(admit("http://hooks.example.com/h", Asker::House), Err(TargetRefusal::Scheme));
        assert!(matches!(admit("https://ports.example.com/", Asker::House), Err(TargetRefusal::NotListed(_))));
    }

    #[test]
    fn loopback_is_for_the_house_or_listed() {
        for url in ["http://127.0.0.1:1/", "http://localhost:9001/x", "http://[::1]:9001/", "http://127.9.9.9/"] {
            assert_eq!(admit(url, Asker::House), Ok(Reach::Loopback), "{url}");
            assert_eq!(admit(url, Asker::Other), Err(TargetRefusal::Loopback), "{url}");
            let exposed = Targets::new(&[], false);
            assert_eq!(exposed.admit(&url.parse().expect(url), Asker::House), Err(TargetRefusal::Loopback), "{url}");
        }
        assert_eq!(admit("http://127.0.0.1:9000/", Asker::Other), Ok(Reach::Loopback));
        assert_eq!(admit("https://127.0.0.1:9000/", Asker::House), Err(TargetRefusal::LoopbackHttps));
    }

    #[test]
    fn everything_else_is_refused_whoever_asks() {
        for url in [
            // Private, link-local, metadata, shared, unspecified, multicast, broadcast; listing an address does not help.
            "https://10.0.0.5/",
            "https://192.168.1.1/",
            "https://172.16.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[::]/",
            "https://[ff02::1]/",
            // The same in other spellings.
            "https://[::ffff:169.254.169.254]/",
            "https://[::ffff:10.0.0.5]/",
            "http://[::ffff:127.0.0.1]:9000/",
            "http://[::127.0.0.1]:9000/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://2852039166/",
            "https://0xa9fea9fe/",
            "https://0251.0376.0251.0376/",
            "https://10.5/",
            // Names that mean loopback or pretend to be listed.
            "http://localhost.:9000/",
            "http://x.localhost:9000/",
            "https://hooks.example.com./",
            "https://hooks.example.com@evil.example/",
            "https://hooks.example.com:x@evil.example/",
            "https://user@hooks.example.com/",
            "https://hooks.example.com.evil.example/",
            "https://evil.example/hooks.example.com",
            "https://evil.example#hooks.example.com",
            // Other schemes.
            "ftp://hooks.example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:9000/",
            "data:text/plain,x",
        ] {
            assert!(admit(url, Asker::House).is_err(), "{url}: {:?}", admit(url, Asker::House));
            assert!(admit(url, Asker::Other).is_err(), "{url}");
        }
    }

    #[test]
    fn spellings_of_loopback_are_seen_through() {
        // 2130706433, 0x7f.1 and 017700000001 are 127.0.0.1 by the URL standard; they are loopback, not a way around it.
        for url in ["http://2130706433/", "http://0x7f.1/", "http://017700000001/"] {
            assert_eq!(admit(url, Asker::Other), Err(TargetRefusal::Loopback), "{url}");
        }
    }
}
