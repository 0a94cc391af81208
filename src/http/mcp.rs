//! `/mcp`: the MCP server behind its bearer check.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures::StreamExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::secret::Secret,
    mcp::{
        Principal, SESSION_HEADER, Server, SessionBook,
        over_http::{self, Reach},
    },
};

/// A longer credential is none of ours, and is not worth hashing.
const BEARER_BYTES_MAX: usize = 256;

/// Said with every request but the first, since protocol version 2025-06-18.
const VERSION_HEADER: &str = "mcp-protocol-version";

/// Says what a request asks for, since protocol version 2026-07-28; and the request that begins a stream.
const METHOD_HEADER: &str = "mcp-method";
const LISTEN: &str = "subscriptions/listen";

/// Knows the tokens that may speak MCP.
#[async_trait]
pub trait Gate: Send + Sync + 'static {
    /// Whom `token` stands for, if it may.
    async fn admit(&self, token: &Secret) -> Option<Principal>;
}

/// The routes of the MCP listener: `/mcp`, and a word to those who look for `/sse`.
///
/// Its listener must set `TCP_NODELAY` (`axum::serve::ListenerExt::tap_io`), or each reply takes 40 ms longer. Streams, waits and
/// tasks end when `shutdown` is cancelled, so that a graceful shutdown can.
pub fn router(server: Server, gate: Arc<dyn Gate>, reach: Reach, shutdown: CancellationToken) -> Router {
    let server = server.until(shutdown.clone());
    let (service, book) = over_http::service(server.clone(), reach, shutdown);
    Router::new()
        .route_service("/mcp", service.clone())
        .route_service("/mcp/", service)
        .layer(middleware::from_fn_with_state(server.clone(), beginning_streams))
        .layer(middleware::from_fn_with_state(server, ending_sessions))
        .layer(middleware::from_fn_with_state(book, of_one_principal))
        .layer(middleware::from_fn_with_state(gate, authenticated))
        // Outside the check: it tells nothing but where to go.
        .route("/sse", any(sse))
}

async fn authenticated(State(gate): State<Arc<dyn Gate>>, mut request: Request, next: Next) -> Response {
    let Some(token) = bearer(&request) else {
        return unauthorized(
            r#"Bearer realm="mailbell""#,
            "this server needs a bearer token: send `Authorization: Bearer …` with the one that `mailbell token show mcp` prints",
        );
    };
    let Some(principal) = gate.admit(&token).await else {
        return unauthorized(
            r#"Bearer realm="mailbell", error="invalid_token""#,
            "this bearer token is not accepted; `mailbell token show mcp` prints the one that is",
        );
    };
    request.extensions_mut().insert(principal);
    // It has done its work; nothing further in needs to see it.
    request.headers_mut().remove(header::AUTHORIZATION);
    next.run(request).await
}

/// Keeps each session to the principal that opened it, and ends streams and sessions with the principal's token.
async fn of_one_principal(State(book): State<SessionBook>, request: Request, next: Next) -> Response {
    let Some(principal) = request.extensions().get::<Principal>().cloned() else { return next.run(request).await };
    let session = request.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
    match &session {
        // As if it were not there: what others have is nobody's business.
        Some(session) if book.is_foreign(session, &principal) => return StatusCode::NOT_FOUND.into_response(),
        // Only the older protocol opens sessions, and it opens them before it says which version it speaks.
        None if request.method() == Method::POST
            && !request.headers().contains_key(VERSION_HEADER)
            && book.is_full(&principal).await =>
        {
            return too_many_sessions();
        }
        _ => {}
    }
    let response = next.run(request).await;
    let opened = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok());
    if let (None, Some(opened)) = (&session, opened) {
        book.opened(opened, &principal).await;
    }
    let (parts, body) = response.into_parts();
    let ended = async move { principal.ended().await };
    Response::from_parts(parts, Body::from_stream(body.into_data_stream().take_until(Box::pin(ended))))
}

fn too_many_sessions() -> Response {
    let sentence = "this token has as many sessions open as it may (mcp.sessions_max); end some by DELETE, or wait until idle ones end";
    (StatusCode::TOO_MANY_REQUESTS, Json(json!({ "error": sentence }))).into_response()
}

/// A client that ends its session waits for nothing any more.
async fn ending_sessions(State(server): State<Server>, request: Request, next: Next) -> Response {
    if request.method() == Method::DELETE
        && let Some(session) = request.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok())
    {
        server.session_ended(session);
    }
    next.run(request).await
}

/// A stream that is about to begin has what it will be told of looked at before it is acknowledged. The header is the
/// method's name (2026-07-28, which refuses one that is not).
async fn beginning_streams(State(server): State<Server>, mut request: Request, next: Next) -> Response {
    if request.headers().get(METHOD_HEADER).is_some_and(|method| method == LISTEN) {
        let expected = server.expects_listener().await;
        request.extensions_mut().insert(expected);
    }
    next.run(request).await
}

/// The bearer token (RFC 6750 section 2.1); the scheme's name is case-insensitive (RFC 9110 section 11.1).
fn bearer(request: &Request) -> Option<Secret> {
    let text = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=BEARER_BYTES_MAX).contains(&token.len())).then(|| Secret::new(token))
}

fn unauthorized(challenge: &'static str, sentence: &str) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))];
    (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "error": sentence }))).into_response()
}

async fn sse() -> Response {
    let sentence = "the HTTP+SSE transport of 2024 is not served; connect to /mcp by Streamable HTTP (in client settings: type \
                    \"http\", URL ending in /mcp)";
    (StatusCode::NOT_FOUND, Json(json!({ "error": sentence }))).into_response()
}
