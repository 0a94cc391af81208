//! MCP over Streamable HTTP, as a service that `http::mcp` mounts behind its bearer check.
//!
//! "SSE" in the wishes of clients means this transport; the older HTTP+SSE one is deprecated and not served.

use std::{sync::Arc, time::Duration};

use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService,
        session::local::{LocalSessionManager, SessionConfig},
    },
};
use tokio_util::sync::CancellationToken;

/// A session of the older protocol ends after so long without a message. The default of five minutes ends sessions whose
/// agent thinks or waits silently.
const SESSION_KEEP_ALIVE: Duration = Duration::from_hours(1);
/// Hosts that a client on this machine may name; others are refused, or a web page could reach us by rebinding its name.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Origins of pages on this machine, such as the MCP Inspector's.
const LOOPBACK_ORIGINS: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// Who a request's bearer token stands for. The mount puts it into the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(Arc<str>);

impl Principal {
    /// A principal of that name, which must not be the token.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Beside loopback: who may be named in `Host`, and where a browser page may come from.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Hosts, or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// Origins, such as `https://app.example.com:443` or `http://localhost:*`.
    pub allowed_origins: Vec<String>,
}

/// The service to be mounted at `/mcp`. It ends its streams when `shutdown` is cancelled.
///
/// `handler` is a [`super::Server`], or what stands before one.
///
/// Its listener must set `TCP_NODELAY`: a reply is two small writes, which otherwise wait 40 ms for each other.
pub fn service<H: ServerHandler + Clone>(
    handler: H,
    reach: Reach,
    shutdown: CancellationToken,
) -> StreamableHttpService<H, LocalSessionManager> {
    let mut sessions = LocalSessionManager::default();
    let mut session = SessionConfig::default();
    session.keep_alive = Some(SESSION_KEEP_ALIVE);
    sessions.session_config = session;
    let hosts = LOOPBACK_HOSTS.map(str::to_owned).into_iter().chain(reach.allowed_hosts);
    let origins = LOOPBACK_ORIGINS.map(str::to_owned).into_iter().chain(reach.allowed_origins);
    let config = StreamableHttpServerConfig::default()
        .with_cancellation_token(shutdown)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .enforce_origin_validation();
    StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(sessions), config)
}
