//! What a request carries, read so that every failure is a JSON sentence.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use futures::StreamExt as _;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;
use url::form_urlencoded;

use super::{BODY_BYTES_MAX, BODY_TIME_MAX, LETTER_BYTES_MAX, answer::Failure, auth::Caller};
use crate::mail::api::ApiError;

/// The longest query string, in bytes: room for every filter at its longest.
const QUERY_BYTES_MAX: usize = 8 * 1024;

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

/// The query string, read into `T`: the last of each name. Names that `T` does not have are let be, since clients send more
/// than we know; an empty value counts as none, because clients send those for what they leave out.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(Failure::Malformed(format!("the query may have {QUERY_BYTES_MAX} bytes at most")));
        }
        let last: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let given = last.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.into()));
        serde_path_to_error::deserialize(Value::Object(given.collect()))
            .map(Self)
            .map_err(|error| Failure::Malformed(format!("`{}` {}", error.path(), error.inner())))
    }
}

/// A number in a query, from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within<const LEAST: u32, const MOST: u32>(pub(super) u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Within<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
        number.map(Self).ok_or_else(|| D::Error::custom(format!("must be a number from {LEAST} to {MOST}")))
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Within<LEAST, MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("From{LEAST}To{MOST}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// A truth value in a query: `true` or `1`, `false` or `0`.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(inline)]
pub(super) struct Truth(pub(super) bool);

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Self(true)),
            "false" | "0" => Ok(Self(false)),
            _ => Err(D::Error::custom("must be true or false")),
        }
    }
}

/// A JSON body, whatever the Content-Type says.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = in_time(request, BODY_BYTES_MAX).await?;
        parse(&bytes).map(Self)
    }
}

/// The JSON body of a letter, which may carry files.
pub(super) struct LetterBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for LetterBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = in_time(request, LETTER_BYTES_MAX).await?;
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // Whoever has nothing to say may say nothing.
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::Malformed(format!("the body is not the JSON object that is asked for: {error}")))
}

/// How long a body may take; the gate puts it into each request.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyTime(pub(super) Duration);

pub(super) async fn in_time(request: Request, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let BodyTime(time) = request.extensions().get().copied().unwrap_or(BodyTime(BODY_TIME_MAX));
    let reading = tokio::time::timeout(time, read(request.into_body(), bytes_max));
    reading.await.unwrap_or(Err(Failure::TooSlow(time)))
}

async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Failure::Malformed("the body ended before its end".into()))?;
        if bytes.len() + chunk.len() > bytes_max {
            return Err(Failure::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
