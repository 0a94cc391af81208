//! What a request carries, read so that every failure is a JSON sentence.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, request::Parts},
};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::{BODY_BYTES_MAX, LETTER_BYTES_MAX, answer::Failure, auth::Caller};
use crate::mail::api::ApiError;

/// The longest query string, in bytes: room for every filter at its longest.
const QUERY_BYTES_MAX: usize = 8 * 1024;
/// How much of a body over the limit is read and dropped, in bytes, so that its sender sees the answer and not a reset.
const DRAIN_BYTES_MAX: usize = 4 << 20;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or(Failure::Api(ApiError::Unauthenticated))
    }
}

/// The variable parts of a path.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(at) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Failure::Malformed("the path is not valid UTF-8 once its %XX are decoded".into()))?;
        Ok(Self(at))
    }
}

/// The query string: the last of each name. Names that nobody asks for are let be, since clients send more than we know.
pub(super) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(Failure::Malformed(format!("the query may have {QUERY_BYTES_MAX} bytes at most")));
        }
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Params {
    /// The value of `name`; an empty one counts as none, because clients send those for what they leave out.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of `name` as a number from `least` to `most`.
    pub(super) fn number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| Failure::Malformed(format!("`{name}` must be a number from {least} to {most}")))
    }

    /// The value of `name` as a truth value.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Failure::Malformed(format!("`{name}` must be true or false"))),
        }
    }
}

/// A JSON body, whatever the Content-Type says.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = read(request.into_body(), BODY_BYTES_MAX).await?;
        parse(&bytes).map(Self)
    }
}

/// The JSON body of a letter, which may carry files.
pub(super) struct LetterBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for LetterBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = read(request.into_body(), LETTER_BYTES_MAX).await?;
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::Malformed(format!("the body is not the JSON object that is asked for: {error}")))
}

async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut dropped = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Failure::Malformed("the body ended before its end".into()))?;
        if dropped > 0 || bytes.len() + chunk.len() > bytes_max {
            dropped += chunk.len();
            if dropped > DRAIN_BYTES_MAX {
                break;
            }
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    if dropped > 0 { Err(Failure::TooLarge(bytes_max)) } else { Ok(bytes) }
}

/// The status of what is taken in and not done yet.
pub(super) const ACCEPTED: StatusCode = StatusCode::ACCEPTED;

/// The status that made a new thing.
pub(super) const CREATED: StatusCode = StatusCode::CREATED;
