//! By what names a listener may be called: a page that has its own name point here (DNS rebinding) is told nothing.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{header, uri::Authority},
};

/// The names of a listener, beside every address and `localhost`. An address cannot be rebound the way a name can.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// Those that `allowed` has, each with a port or without.
    pub fn new(allowed: &[String]) -> Self {
        Self(allowed.iter().map(|host| host.to_lowercase()).collect())
    }

    /// Whether `request` calls the listener by a name of its. Without any name it comes from no browser (RFC 9112 section 3.2
    /// has them all send one).
    pub(super) fn are_used_by(&self, request: &Request) -> bool {
        let named = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default().to_owned());
        let named = named.or_else(|| request.uri().authority().map(ToString::to_string));
        named.is_none_or(|host| self.has(&host))
    }

    fn has(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().to_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost"
            || bare.parse::<IpAddr>().is_ok()
            || self.0.iter().any(|allowed| *allowed == name || *allowed == authority.as_str().to_lowercase())
    }
}
