//! `POST /hooks/{source}`: where sources post their webhooks.
//!
//! The body is taken as it comes, within limits of size and time, and handed to the intake; what became of it is told by
//! the status and a sentence. Nothing here looks into it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::StreamExt as _;
use serde::Serialize;
use serde_json::json;

use crate::{
    bell::{
        intake::{Intake, Receipt, Refusal},
        sources::RawRequest,
    },
    domain::{id::SourceName, secret::Secret},
    measures,
};

/// What is read and thrown away beyond a body's limit, in bytes: a client that is still sending would miss the answer.
const EXCESS_BYTES_MAX: usize = 4 << 20;
/// How long a body may take to arrive. Senders give up after 10 to 30 seconds themselves.
const BODY_READ_MAX: Duration = Duration::from_secs(30);
/// When a source whose events could not be stored should try again, in seconds.
const RETRY_AFTER_SECS: &str = "5";

const NO_SOURCE: &str = "there is no source of this name";

/// The receiver.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/hooks/{source}", post(receive).fallback(only_post))
        .route("/hooks/{source}/{token}", post(receive_with_token).fallback(only_post))
        .fallback(not_here)
        .with_state(intake)
}

async fn receive(
    State(intake): State<Arc<Intake>>,
    source: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // A name that is not UTF-8 is no source's.
    let Ok(Path(source)) = source else { return say(StatusCode::NOT_FOUND, NO_SOURCE) };
    take(&intake, &SourceName::new(source), RawRequest { headers: plain(&headers), ..RawRequest::default() }, body)
        .await
}

/// The same for providers that sign nothing and can be given nothing but a URL.
async fn receive_with_token(
    State(intake): State<Arc<Intake>>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(Path((source, token))) = path else { return say(StatusCode::NOT_FOUND, NO_SOURCE) };
    let head = RawRequest { headers: plain(&headers), token: Some(Secret::new(token)), body: Vec::new() };
    take(&intake, &SourceName::new(source), head, body).await
}

async fn take(intake: &Intake, source: &SourceName, head: RawRequest, body: Body) -> Response {
    let limit = intake.body_bytes_max(source, &head).await;
    let read = tokio::select! {
        // A body that is here already needs no timer.
        biased;
        read = read(body, limit.as_ref().copied().unwrap_or(0)) => read,
        () = intake.clock().sleep(BODY_READ_MAX) => Read::TooSlow,
    };
    let (limit, read) = match (limit, read) {
        (Err(refusal), _) => return refused(source, &refusal),
        (Ok(limit), read) => (limit, read),
    };
    let count = |result| measures::request(source.as_str(), result);
    match read {
        Read::Whole(body) => {
            let request = RawRequest { body, ..head };
            match intake.receive(source, &request).await {
                Ok(receipt) => taken(source, &receipt),
                Err(refusal) => refused(source, &refusal),
            }
        }
        Read::TooLarge => {
            count("too_large");
            say(StatusCode::PAYLOAD_TOO_LARGE, &format!("a body for this source is at most {limit} bytes"))
        }
        Read::TooSlow => {
            count("too_slow");
            let sentence = format!("the body did not arrive within {} seconds; send it again", BODY_READ_MAX.as_secs());
            say(StatusCode::REQUEST_TIMEOUT, &sentence)
        }
        Read::Broken => {
            count("broken");
            say(StatusCode::BAD_REQUEST, "the body ended early; send it again")
        }
    }
}

enum Read {
    Whole(Vec<u8>),
    TooLarge,
    TooSlow,
    Broken,
}

async fn read(body: Body, bytes_max: usize) -> Read {
    let mut pieces = body.into_data_stream();
    let (mut whole, mut excess) = (Vec::new(), 0_usize);
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else { return Read::Broken };
        if excess == 0 && whole.len() + piece.len() <= bytes_max {
            whole.extend_from_slice(&piece);
            continue;
        }
        whole = Vec::new();
        excess += piece.len();
        if excess > EXCESS_BYTES_MAX {
            break;
        }
    }
    if excess > 0 { Read::TooLarge } else { Read::Whole(whole) }
}

fn plain(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&header::HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    headers.iter().filter_map(text).collect()
}

/// The answer to what was taken.
#[derive(Serialize)]
struct Taken {
    received: usize,
    duplicates: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<&'static str>,
}

fn taken(source: &SourceName, receipt: &Receipt) -> Response {
    measures::request(source.as_str(), if receipt.quarantined.is_some() { "quarantined" } else { "taken" });
    measures::events(source.as_str(), "fresh", receipt.received);
    measures::events(source.as_str(), "duplicate", receipt.duplicates);
    let Receipt { received, duplicates, quarantined } = *receipt;
    Json(Taken { received, duplicates, quarantined }).into_response()
}

fn refused(source: &SourceName, refusal: &Refusal) -> Response {
    let (status, result) = match refusal {
        Refusal::UnknownSource(_) => (StatusCode::NOT_FOUND, "unknown_source"),
        Refusal::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Refusal::Unreadable { status, .. } => {
            (StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST), "unreadable")
        }
        Refusal::UnknownDialect(_) | Refusal::Unset(_) => (StatusCode::SERVICE_UNAVAILABLE, "unset"),
        Refusal::NoCertificate(_) | Refusal::TooManyCertificates => (StatusCode::SERVICE_UNAVAILABLE, "no_certificate"),
        Refusal::Unconfirmed(_) => (StatusCode::SERVICE_UNAVAILABLE, "unconfirmed"),
        Refusal::NotStored(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_stored"),
    };
    // Anyone can post to a name that does not exist, and such a name is no label.
    let known = if matches!(refusal, Refusal::UnknownSource(_)) { measures::UNKNOWN } else { source.as_str() };
    measures::request(known, result);
    match refusal {
        // Anyone can post to a name that does not exist; that is no news.
        Refusal::UnknownSource(_) => tracing::debug!("a request to an unknown source"),
        Refusal::NotStored(error) => {
            let error = error as &(dyn std::error::Error + 'static);
            tracing::error!(error, %source, "could not store what was posted");
        }
        Refusal::NoCertificate(error) | Refusal::Unconfirmed(error) => {
            let error = error as &(dyn std::error::Error + 'static);
            tracing::warn!(error, %source, %refusal, "could not take a request");
        }
        Refusal::Unauthenticated(rejection) => tracing::info!(%source, %rejection, "refused a request"),
        Refusal::Unreadable { .. } | Refusal::UnknownDialect(_) | Refusal::Unset(_) | Refusal::TooManyCertificates => {
            tracing::warn!(%source, %refusal, "refused a request");
        }
    }
    let mut answer = match refusal {
        // The name in the path is a stranger's; it is not repeated to them.
        Refusal::UnknownSource(_) => say(status, NO_SOURCE),
        known => say(status, &known.to_string()),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS));
    }
    answer
}

async fn only_post() -> Response {
    let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, "webhooks are taken by POST");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    answer
}

async fn not_here() -> Response {
    say(StatusCode::NOT_FOUND, "webhooks are taken at /hooks/SOURCE, by POST")
}

fn say(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({ "error": sentence }))).into_response()
}
