//! The hosts that an operator lets webhooks be sent to, and what counts as this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// The hosts of `webhooks.allow_hosts`: `name` for any port, or `name:port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowHosts(Vec<String>);

impl AllowHosts {
    /// Those that the settings list.
    pub fn new(listed: &[String]) -> Self {
        Self(listed.iter().map(|host| host.trim().to_ascii_lowercase()).collect())
    }

    /// These, and the host and port of `url`, where our own receiver is reached from a hosted service.
    #[must_use]
    pub fn and(mut self, url: &Url) -> Self {
        if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
            self.0.push(format!("{host}:{port}"));
        }
        self
    }

    /// Whether the host of `url` is among them, with its port where they name one.
    pub fn lists(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let with_port = format!("{host}:{port}");
        self.0.iter().any(|listed| *listed == host || *listed == with_port)
    }
}

/// `localhost` and the loopback addresses themselves. Mapped spellings, other names under `localhost` and a dot behind
/// are not among them: who means loopback can say so.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// Where to connect to reach a listener at this machine: one that listens everywhere is reached by loopback.
pub fn connectable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
