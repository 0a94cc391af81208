//! `/mcp`: the MCP server behind its bearer check.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::{Body, HttpBody as _},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
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
    let behind = Arc::new((Door { gate, book, server }, service));
    // No layers: for each request, each of them makes a copy of all that is below it.
    let serve = move |request: Request| {
        let behind = behind.clone();
        async move {
            let (door, service) = &*behind;
            match door.let_in(request).await {
                Ok((request, visitor)) => door.let_out(visitor, service.handle(request).await.map(Body::new)).await,
                Err(refusal) => refusal,
            }
        }
    };
    Router::new()
        .route("/mcp", any(serve.clone()))
        .route("/mcp/", any(serve))
        // Outside the check: it tells nothing but where to go.
        .route("/sse", any(sse))
}

/// What stands before the server.
struct Door {
    gate: Arc<dyn Gate>,
    book: SessionBook,
    server: Server,
}

/// Whose request is answered, and in which session, where it names one.
struct Visitor {
    principal: Principal,
    session: Option<String>,
}

impl Door {
    /// Lets a request in whose bearer may speak, or answers it.
    async fn let_in(&self, mut request: Request) -> Result<(Request, Visitor), Response> {
        let principal = self.admit(bearer(&request)).await?;
        // It has done its work; nothing further in needs to see it.
        request.headers_mut().remove(header::AUTHORIZATION);
        request.extensions_mut().insert(principal.clone());
        let session = request.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
        match &session {
            // As if it were not there: what others have is nobody's business.
            Some(session) if self.book.is_foreign(session, &principal) => {
                return Err(StatusCode::NOT_FOUND.into_response());
            }
            // Only the older protocol opens sessions, and it opens them before it says which version it speaks.
            None if request.method() == Method::POST
                && !request.headers().contains_key(VERSION_HEADER)
                && self.book.is_full(&principal).await =>
            {
                return Err(too_many_sessions());
            }
            // A client that ends its session waits for nothing any more.
            Some(session) if request.method() == Method::DELETE => self.server.session_ended(session),
            _ => {}
        }
        // A stream that is about to begin has what it will be told of looked at before it is acknowledged. The header is the
        // method's name (2026-07-28, which refuses one that is not).
        if request.headers().get(METHOD_HEADER).is_some_and(|method| method == LISTEN) {
            let expected = self.server.expects_listener().await;
            request.extensions_mut().insert(expected);
        }
        Ok((request, Visitor { principal, session }))
    }

    async fn admit(&self, token: Option<Secret>) -> Result<Principal, Response> {
        let Some(token) = token else {
            return Err(unauthorized(
                r#"Bearer realm="mailbell""#,
                "this server needs a bearer token: send `Authorization: Bearer …` with the one that `mailbell token show mcp` prints",
            ));
        };
        self.gate.admit(&token).await.ok_or_else(|| {
            unauthorized(
                r#"Bearer realm="mailbell", error="invalid_token""#,
                "this bearer token is not accepted; `mailbell token show mcp` prints the one that is",
            )
        })
    }

    /// Keeps a session that was opened to the principal that opened it, and ends a stream with the principal's token.
    async fn let_out(&self, Visitor { principal, session }: Visitor, response: Response) -> Response {
        let opened = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok());
        if let (None, Some(opened)) = (&session, opened) {
            self.book.opened(opened, &principal).await;
        }
        // What is there whole needs nobody to end it; unless its bearer's token went meanwhile, which is told nothing more.
        if response.body().size_hint().exact().is_some() && !principal.has_ended() {
            return response;
        }
        let ended = async move { principal.ended().await };
        response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(ended))))
    }
}

fn too_many_sessions() -> Response {
    let sentence = "this token has as many sessions open as it may (mcp.sessions_max); end some by DELETE, or wait until idle ones end";
    (StatusCode::TOO_MANY_REQUESTS, Json(json!({ "error": sentence }))).into_response()
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
