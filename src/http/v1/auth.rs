//! The gate before every route: the host we are called by, then the key.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt as _;

use super::{answer::Failure, attachments::SIGNATURE, input::BodyTime};
use crate::{
    bell::oversight::Oversight,
    domain::{key::ApiKey, secret::Secret},
    http::names::Names,
    mail::api::{Api, ApiError},
};

/// What clients of ours and theirs send a key in, beside `Authorization`.
const X_API_KEY: &str = "x-api-key";
/// No token is longer; a longer one is not even hashed.
const TOKEN_BYTES_MAX: usize = 256;
/// The paths that need no key: whether the service is well, and what it can do, are no secrets.
const OPEN: [&str; 2] = ["/health", "/v1/openapi.json"];

pub(super) struct Gate {
    api: Arc<Api>,
    oversight: Arc<Oversight>,
    names: Names,
    body_time: BodyTime,
}

/// Who asks; the gate puts it into each request that it lets through.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) ApiKey);

impl Gate {
    pub(super) fn new(api: Arc<Api>, oversight: Arc<Oversight>, allowed_hosts: &[String], body_time: Duration) -> Self {
        let names = Names::new(allowed_hosts);
        Self { api, oversight, names, body_time: BodyTime(body_time) }
    }
}

pub(super) async fn pass(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    if !gate.names.are_used_by(&request) {
        return Failure::ForeignHost.into_response();
    }
    request.extensions_mut().insert(gate.body_time);
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let token = token(request.headers());
    if token.is_none() && is_link(request.uri()) {
        return next.run(request).await;
    }
    match authenticate(&gate, token).await {
        Ok(key) => {
            request.extensions_mut().insert(Caller(key));
            next.run(request).await
        }
        Err(error) => Failure::from(error).into_response(),
    }
}

/// Who a token stands for: a key of the API's, or the person in charge.
async fn authenticate(gate: &Gate, token: Option<&str>) -> Result<ApiKey, ApiError> {
    match gate.api.authenticate(token).await {
        Err(ApiError::Unauthenticated) => {}
        known => return known,
    }
    match token.filter(|token| token.len() <= TOKEN_BYTES_MAX) {
        Some(token) if gate.oversight.is_operator(&Secret::new(token)).await? => {
            gate.api.count_call().await;
            Ok(ApiKey::operator())
        }
        _ => Err(ApiError::Unauthenticated),
    }
}

/// Whether the request brings a signature in the place of a key. Only the route that checks signatures answers without a
/// [`Caller`].
fn is_link(uri: &Uri) -> bool {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).any(|(name, _)| name == SIGNATURE)
}

fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(header) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some(token.trim());
    }
    headers.get(X_API_KEY)?.to_str().ok().map(str::trim)
}

/// Answers in JSON even where the code below panics.
pub(super) async fn catch(request: Request, next: Next) -> Response {
    // What a panic leaves half done is the request's own: everything shared is behind the store's transactions.
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("an API request panicked; what it said is on standard error");
        Failure::Panicked.into_response()
    })
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn panics() -> &'static str {
        panic!("on purpose")
    }

    #[tokio::test]
    async fn a_panic_is_answered_in_json() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut peer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let router = Router::new().route("/", get(panics)).layer(middleware::from_fn(catch));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let asked = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        peer.write_all(asked).await.expect("it reads");
        let mut said = String::new();
        peer.read_to_string(&mut said).await.expect("it answers");
        assert!(said.starts_with("HTTP/1.1 500 ") && said.contains(r#"{"error":"#), "{said}");
        assert!(!said.contains("on purpose"), "{said}");
    }
}
