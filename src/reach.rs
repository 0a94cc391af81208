//! Where a connection to somebody else's host may go: judged by the address, whatever name or spelling led there.
//!
//! A name is looked up at every connection, and only addresses within reach are connected to: a name can be pointed elsewhere
//! between two looks.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::dns;
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect, retry,
};
use tower_service::Service;
use url::Host;

/// How long a connection may take to be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections kept per host: as many as there may be webhooks in flight to an endpoint.
pub(crate) const IDLE_PER_HOST_MAX: usize = 8;

/// What we call ourselves.
pub(crate) const USER_AGENT: &str = concat!("mailbell/", env!("CARGO_PKG_VERSION"));

/// Where a connection may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// To this machine and nowhere else.
    Loopback,
    /// To public addresses and nowhere else.
    Public,
    /// To the address of our own receiver, which is ours whatever it is.
    Own,
}

/// Knows what names stand for.
#[async_trait]
pub trait Names: fmt::Debug + Send + Sync {
    /// The addresses of `name`.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The names that this machine knows.
#[derive(Debug, Clone, Copy)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The address that `host` is, where it is one. The URL standard has read its decimal, octal and hexadecimal spellings.
pub fn literal(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(*ip)),
    }
}

/// Whether a connection of this reach may go to `ip`.
pub fn may_reach(ip: IpAddr, reach: Reach) -> bool {
    // ::ffff:127.0.0.1 is 127.0.0.1.
    let ip = ip.to_canonical();
    match reach {
        Reach::Own => true,
        Reach::Loopback => ip.is_loopback(),
        Reach::Public => match ip {
            IpAddr::V4(ip) => is_public_v4(ip),
            IpAddr::V6(ip) => is_public_v6(ip),
        },
    }
}

/// Not in the IANA registry of special-purpose addresses (RFC 6890).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        // 169.254.169.254 is where clouds keep their metadata.
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        // "This network" (RFC 791 section 3.2).
        || a == 0
        // Shared by carriers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments (RFC 6890), the old 6to4 relays (RFC 7526).
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        // Benchmarks (RFC 2544).
        || (a == 198 && (b == 18 || b == 19))
        // Reserved (RFC 1112 section 4).
        || a >= 240;
    !special
}

/// Global unicast that carries no IPv4 address inside, because a translator would unpack it.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    // 2000::/3 is all that is handed out (RFC 4291); loopback, unique-local, link-local, site-local, multicast, mapped,
    // compatible and NAT64 addresses lie outside it.
    let global = first & 0xe000 == 0x2000;
    // Teredo and the rest of 2001::/23 (RFC 2928), documentation (RFC 3849, RFC 9637), 6to4 (RFC 3056).
    let special = (first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        || (first == 0x3fff && second < 0x1000)
        || first == 0x2002;
    global && !special
}

/// A client that follows no redirect, takes no proxy, and connects to nothing beyond `reach`.
pub fn client(reach: Reach, names: Arc<dyn Names>) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        // HTTP/1 has nothing that it would try again; a request that could be is copied first.
        .retry(retry::never().max_retries_per_request(0))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .dns_resolver(Guarded { reach, names })
}

/// Resolves names, and lets through only the addresses that its reach allows.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    pub(crate) reach: Reach,
    pub(crate) names: Arc<dyn Names>,
}

/// Of the addresses of a name, none is within reach.
#[derive(Debug, thiserror::Error)]
#[error("the name stands for no address that may be connected to")]
pub struct NoAllowedAddress;

type Cause = Box<dyn std::error::Error + Send + Sync>;
type Allowed = std::vec::IntoIter<SocketAddr>;

impl Guarded {
    fn allowed(&self, name: String) -> BoxFuture<'static, Result<Allowed, Cause>> {
        let Self { reach, names } = self.clone();
        Box::pin(async move {
            let addresses = names.addresses(&name).await?.into_iter();
            // Port 0 stands for the URL's own.
            let allowed: Vec<SocketAddr> =
                addresses.filter(|ip| may_reach(*ip, reach)).map(|ip| (ip, 0).into()).collect();
            if allowed.is_empty() {
                return Err(NoAllowedAddress.into());
            }
            Ok(allowed.into_iter())
        })
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(allowed.await?) as Addrs) })
    }
}

impl Service<dns::Name> for Guarded {
    type Response = Allowed;
    type Error = Cause;
    type Future = BoxFuture<'static, Result<Allowed, Cause>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        self.allowed(name.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolved_address_is_judged_by_where_it_leads() {
        let ip = |text: &str| text.parse::<IpAddr>().expect(text);
        assert!(may_reach(ip("::ffff:127.0.0.1"), Reach::Loopback));
        assert!(!may_reach(ip("::ffff:127.0.0.1"), Reach::Public));
        assert!(!may_reach(ip("8.8.8.8"), Reach::Loopback));
        assert!(may_reach(ip("2606:4700::1111"), Reach::Public));
        for special in ["198.18.0.1", "192.0.0.170", "240.0.0.1", "2001:db8::1", "2001::1", "fec0::1", "3fff::1"] {
            assert!(!may_reach(ip(special), Reach::Public), "{special}");
        }
    }
}
