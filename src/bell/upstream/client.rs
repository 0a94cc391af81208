//! One call to the mail API: deadlines, bounded retries, a bounded answer, and no word of the key anywhere.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::StreamExt as _;
use reqwest::{Method, Response, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::watch;
use url::Url;

use super::{
    error::{SAID_CHARS_MAX, UpstreamError},
    keeper::{Keeper, Proofs},
};
use crate::{
    bell::oversight::{Held, Pass},
    domain::{clock::Clock, clock::UnixMillis, id::ActionId, oversight::Change, secret::Secret},
};

/// A connection on loopback takes none of it, one across the world a fifth.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Silence after which an answer is given up: a mail API that thinks longer has a problem.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The whole of one try. An agent waits for it, so it stays well below the 60 s after which many clients give up.
const TRY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for an address that is not known: an heir is there within two seconds.
const ADDRESS_WAIT: Duration = Duration::from_secs(3);
/// Tries after the first: with the delays below they span about three seconds of somebody's restart.
const RETRIES_MAX: usize = 3;
/// The first delay between two tries.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(200);
/// The longest delay of ours between two tries.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);
/// A `Retry-After` up to this is waited for here; a longer one is told to the agent, who has other things to do.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// What is told where the API names no time itself.
const RETRY_AFTER_DEFAULT_SECS: u64 = 30;
/// Told to an agent at most: a stranger's header must not park it for a year.
const RETRY_AFTER_TOLD_SECS_MAX: u64 = 3600;
/// The largest answer taken, in bytes. A message's text is at most some hundred KiB; a page of 100 summaries is less.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// A call that is safe to make twice, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// The second one changes nothing.
    Safe,
    /// Only where the API says that it has not begun (429, 503) or was never reached.
    UnlessBegun,
}

/// Speaks HTTP with the mail API; clones share its connections.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: watch::Receiver<Option<Url>>,
    key: Secret,
    /// Who has to prove itself at `base`, where that is a published address.
    pub(super) keeper: Option<Keeper>,
    proofs: Proofs,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: serde_json::Value,
}

impl Client {
    pub(super) fn new(
        base: watch::Receiver<Option<Url>>,
        key: Secret,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, reqwest::Error> {
        // Idempotent: `main` has done it already, a test or an embedder may not have.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .timeout(TRY_TIMEOUT)
                // The key must go nowhere but to the configured host.
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .user_agent(concat!("mailbell/", env!("CARGO_PKG_VERSION")))
        };
        // A container without certificates can still reach the embedded service, which speaks plain HTTP on loopback.
        let http = builder().build().or_else(|error| {
            tracing::warn!(%error, "no TLS certificates on this system; https mail APIs cannot be reached");
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self { http, base, key, keeper: None, proofs: Proofs::default(), clock })
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, UpstreamError> {
        self.call(Method::GET, path, query, None, Repeat::Safe).await
    }

    /// Gets what is no JSON: at most `bytes_max` of it.
    pub(super) async fn get_bytes(&self, path: &[&str], bytes_max: usize) -> Result<Vec<u8>, UpstreamError> {
        let response = self.answered(Method::GET, path, &[], None, Repeat::Safe).await?;
        bounded(response, bytes_max).await?.ok_or(UpstreamError::Unreadable("it is longer than it was said to be"))
    }

    /// Asks for a change that the gate has let through; there is no other way to ask for one.
    pub(super) async fn change<T: DeserializeOwned>(&self, pass: &Pass) -> Result<T, UpstreamError> {
        let Change { method, path, query, body, .. } = pass.change();
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| UpstreamError::Unreadable("a change by a method that is none"))?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let query: Vec<(&str, String)> = query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let repeat = if method == Method::POST { Repeat::UnlessBegun } else { Repeat::Safe };
        self.call(method, &path, &query, Some(body).filter(|body| !body.is_null()), repeat).await
    }

    /// Asks what a letter would come to. It is a POST for the size of its question, and changes nothing.
    pub(super) async fn preview<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Result<T, UpstreamError> {
        self.call(Method::POST, path, &[], Some(body), Repeat::Safe).await
    }

    /// Where the API is. Between two keepers, and when a process has just begun beside one, that is known in a moment.
    async fn base(&self) -> Result<Url, UpstreamError> {
        let mut base = self.base.clone();
        tokio::select! {
            biased;
            known = base.wait_for(Option::is_some) => known.ok().and_then(|url| url.clone()),
            () = self.clock.sleep(ADDRESS_WAIT) => None,
        }
        .ok_or(UpstreamError::NotReady)
    }

    /// One request, and its answer, whatever that is. `url` is at `base`.
    async fn send(&self, base: &Url, request: reqwest::RequestBuilder) -> Result<Response, Unsent> {
        if let Some(keeper) = &self.keeper {
            keeper.prove(&self.proofs, &self.http, base).await.map_err(|why| Unsent { begun: false, why })?;
        }
        request.bearer_auth(self.key.expose()).send().await.map_err(|error| Unsent {
            begun: !error.is_connect(),
            // The address is no secret, but an error that carries it is longer and no clearer.
            why: UpstreamError::Unreachable { source: error.without_url().into() },
        })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&serde_json::Value>,
        repeat: Repeat,
    ) -> Result<T, UpstreamError> {
        let response = self.answered(method, path, query, body, repeat).await?;
        if response.status() == StatusCode::ACCEPTED { accepted(response).await } else { read(response).await }
    }

    /// Asks until there is an answer that says it was done, or as often as is worth it.
    async fn answered(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&serde_json::Value>,
        repeat: Repeat,
    ) -> Result<Response, UpstreamError> {
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(RETRY_DELAY_MIN)
            .with_max_delay(RETRY_DELAY_MAX)
            .with_max_times(RETRIES_MAX)
            .with_jitter()
            .build();
        let mut tries = 0;
        loop {
            tries += 1;
            // It may have been published anew since the last try.
            let base = self.base().await?;
            let mut request = self.http.request(method.clone(), at(&base, path, query)?);
            if let Some(body) = body {
                request = request.json(body);
            }
            let (again, asked, error) = match self.send(&base, request).await {
                Ok(response) if response.status().is_success() => return Ok(response),
                // The try before this one did it, and its answer was lost.
                Ok(response) if tries > 1 && method == Method::DELETE && response.status() == StatusCode::NOT_FOUND => {
                    return Ok(response);
                }
                Ok(response) => {
                    let status = response.status();
                    let asked = retry_after(&response);
                    let again = match status {
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
                        status => status.is_server_error() && repeat == Repeat::Safe,
                    };
                    (again, asked, refusal(status, asked, response).await)
                }
                // A keeper that is stopped will still be so in three seconds.
                Err(Unsent { why: why @ UpstreamError::Silent { .. }, .. }) => return Err(why),
                Err(Unsent { begun, why }) => (repeat == Repeat::Safe || !begun, None, why),
            };
            let Some(delay) = delays.next().filter(|_| again) else { return Err(error) };
            let delay = asked.map_or(delay, |asked| asked.max(delay));
            if delay > RETRY_AFTER_MAX {
                return Err(error);
            }
            self.clock.sleep(delay).await;
        }
    }
}

/// A request that got no answer.
struct Unsent {
    /// Whether the API may have begun to do what it asked for.
    begun: bool,
    why: UpstreamError,
}

/// Each of `path` is one segment and is percent-encoded, so that no id can lead elsewhere. A URL cannot carry an empty
/// segment or one of dots as a name, so nothing is called that.
fn at(base: &Url, path: &[&str], query: &[(&str, String)]) -> Result<Url, UpstreamError> {
    if path.iter().any(|segment| ["", ".", ".."].contains(segment)) {
        return Err(UpstreamError::Refused { status: StatusCode::NOT_FOUND.as_u16(), said: String::new() });
    }
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| UpstreamError::Unreadable("mail.base_url is not an http address"))?
        .pop_if_empty()
        .extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Decimal seconds, as every known client of this API reads it; a date is not understood by them, nor here.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

async fn refusal(status: StatusCode, asked: Option<Duration>, response: Response) -> UpstreamError {
    match status {
        StatusCode::UNAUTHORIZED => UpstreamError::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => UpstreamError::RateLimited {
            retry_after_secs: asked
                .map_or(RETRY_AFTER_DEFAULT_SECS, |asked| asked.as_secs().clamp(1, RETRY_AFTER_TOLD_SECS_MAX)),
            said: said(response).await,
        },
        StatusCode::FORBIDDEN => UpstreamError::Forbidden { said: said(response).await },
        status if status.is_client_error() => {
            UpstreamError::Refused { status: status.as_u16(), said: said(response).await }
        }
        status => UpstreamError::Failed { status: status.as_u16() },
    }
}

async fn said(response: Response) -> String {
    let Ok(Some(bytes)) = bounded(response, ANSWER_BYTES_MAX).await else { return String::new() };
    let Ok(ErrorBody { error }) = serde_json::from_slice(&bytes) else { return String::new() };
    let text = error.as_str().or_else(|| error.get("message")?.as_str()).unwrap_or_default();
    text.chars().take(SAID_CHARS_MAX).collect()
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, UpstreamError> {
    let bytes = json_bytes(response).await?;
    // An empty answer to a delete says as much as `{}`.
    parsed(if bytes.is_empty() { b"{}" } else { &bytes })
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, UpstreamError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The place, not the content: bodies reach no log.
        tracing::debug!(line = error.line(), column = error.column(), "an answer of the mail API cannot be read");
        UpstreamError::Unreadable("it is not the JSON that this call should give")
    })
}

/// An answer to what is not done yet, which may be that it waits for an operator.
async fn accepted<T: DeserializeOwned>(response: Response) -> Result<T, UpstreamError> {
    #[derive(Deserialize)]
    struct Waiting {
        status: Option<String>,
        action_id: Option<ActionId>,
        cursor: Option<String>,
        asked_at: Option<UnixMillis>,
    }
    let bytes = json_bytes(response).await?;
    if let Ok(Waiting { status: Some(status), action_id: Some(action), cursor, asked_at }) =
        serde_json::from_slice(&bytes)
        && ["pending_approval", "scheduled"].contains(&status.as_str())
    {
        let after = cursor.and_then(|cursor| cursor.parse().ok());
        return Err(UpstreamError::Pending(Held { action, after, asked_at }));
    }
    parsed(&bytes)
}

async fn json_bytes(response: Response) -> Result<Vec<u8>, UpstreamError> {
    bounded(response, ANSWER_BYTES_MAX).await?.ok_or(UpstreamError::Unreadable("it is longer than 8 MiB"))
}

/// The whole body; none where it is longer than that.
async fn bounded(response: Response, bytes_max: usize) -> Result<Option<Vec<u8>>, UpstreamError> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|source| UpstreamError::Unreachable { source: source.without_url().into() })?;
        if bytes.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}
