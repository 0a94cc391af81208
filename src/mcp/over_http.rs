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

use super::SessionBook;

/// Hosts that a client on this machine may name; others are refused, or a web page could reach us by rebinding its name.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Origins of pages on this machine, such as the MCP Inspector's.
const LOOPBACK_ORIGINS: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// Beside loopback: who may be named in `Host`, and where a browser page may come from.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Hosts, or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// Origins, such as `https://app.example.com:443` or `http://localhost:*`.
    pub allowed_origins: Vec<String>,
    /// A session of the older protocol ends after so long without a message; none takes an hour. The library's five minutes
    /// end sessions whose agent thinks or waits silently.
    pub session_idle: Option<Duration>,
}

/// Where the settings say nothing.
const SESSION_IDLE: Duration = Duration::from_hours(1);

/// The service to be mounted at `/mcp`, and the book of its sessions. It ends its streams when `shutdown` is cancelled.
///
/// `handler` is a [`super::Server`], or what stands before one.
///
/// Its listener must set `TCP_NODELAY`: a reply is two small writes, which otherwise wait 40 ms for each other.
pub fn service<H: ServerHandler + Clone>(
    handler: H,
    reach: Reach,
    shutdown: CancellationToken,
) -> (StreamableHttpService<H, LocalSessionManager>, SessionBook) {
    let mut sessions = LocalSessionManager::default();
    let mut session = SessionConfig::default();
    session.keep_alive = Some(reach.session_idle.unwrap_or(SESSION_IDLE));
    sessions.session_config = session;
    let hosts = LOOPBACK_HOSTS.map(str::to_owned).into_iter().chain(reach.allowed_hosts);
    let origins = LOOPBACK_ORIGINS.map(str::to_owned).into_iter().chain(reach.allowed_origins);
    let config = StreamableHttpServerConfig::default()
        .with_cancellation_token(shutdown)
        // An answer that nothing comes before needs no stream. Where something does, such as progress, it is one all the same.
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .enforce_origin_validation();
    let sessions = Arc::new(sessions);
    let book = SessionBook::new(sessions.clone(), config.cancellation_token.clone());
    (StreamableHttpService::new(move || Ok(handler.clone()), sessions, config), book)
}
