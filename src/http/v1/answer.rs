//! What every answer is made of: a status and a typed body, or one of the ways a request can fail, in one JSON shape.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::mail::api::ApiError;

/// What clients are told to wait when the store takes no writes, in whole seconds: the SDK reads nothing else.
const RETRY_AFTER_SECS: u64 = 2;

/// A status that is always the same, and a body in the shape of `T`.
pub(super) struct Answer<const STATUS: u16, T>(pub(super) T);

/// What was asked for.
pub(super) type Done<T> = Answer<200, T>;
/// A new thing.
pub(super) type Created<T> = Answer<201, T>;
/// What is taken in and not done yet.
pub(super) type Accepted<T> = Answer<202, T>;

impl<const STATUS: u16, T: Serialize> IntoResponse for Answer<STATUS, T> {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(STATUS).expect("every alias above names a status");
        (status, Json(self.0)).into_response()
    }
}

/// One of two answers, of different statuses.
pub(super) enum Either<A, B> {
    One(A),
    Other(B),
}

impl<A: IntoResponse, B: IntoResponse> IntoResponse for Either<A, B> {
    fn into_response(self) -> Response {
        match self {
            Self::One(answer) => answer.into_response(),
            Self::Other(answer) => answer.into_response(),
        }
    }
}

/// The one shape of everything that went wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Wrong {
    /// A sentence: what was wrong, what is allowed, what to do next.
    error: String,
}

/// What is gone now. Clients look for either.
#[derive(Serialize, JsonSchema)]
pub(super) struct Gone {
    status: &'static str,
    deleted: bool,
}

/// The answer to what removed something.
pub(super) fn gone() -> Done<Gone> {
    Answer(Gone { status: "deleted", deleted: true })
}

/// Why a request was not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The use case refused it.
    Api(ApiError),
    /// It cannot be read.
    Malformed(String),
    /// Its body is over the limit, which is so many bytes.
    TooLarge(usize),
    /// Its body did not come within this time.
    TooSlow(Duration),
    /// The code that served it broke off.
    Panicked,
    /// It calls us by a name that is not ours.
    ForeignHost,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

fn status(error: &ApiError) -> StatusCode {
    match error {
        ApiError::Unauthenticated => StatusCode::UNAUTHORIZED,
        ApiError::Forbidden(_) | ApiError::Withheld(_) => StatusCode::FORBIDDEN,
        ApiError::NotFound(_) => StatusCode::NOT_FOUND,
        ApiError::Invalid(_) => StatusCode::BAD_REQUEST,
        ApiError::Conflict(_) => StatusCode::CONFLICT,
        // Not 403, which says that another key could do it.
        ApiError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ApiError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        ApiError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        ApiError::Broken => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn sentence(status: StatusCode, error: &str) -> Response {
    (status, Json(Wrong { error: error.to_owned() })).into_response()
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Api(error) => {
                let mut response = sentence(status(&error), &error.to_string());
                let headers = response.headers_mut();
                match error {
                    ApiError::Unauthenticated => {
                        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                    }
                    ApiError::Unavailable(_) => {
                        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
                    }
                    ApiError::TooMany { retry_after_secs, .. } => {
                        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_secs));
                    }
                    _ => {}
                }
                response
            }
            Self::Malformed(what) => sentence(StatusCode::BAD_REQUEST, &what),
            Self::TooLarge(bytes_max) => {
                sentence(StatusCode::PAYLOAD_TOO_LARGE, &format!("the request body may have {bytes_max} bytes at most"))
            }
            Self::TooSlow(time) => {
                let said = format!("the request body did not come within {} seconds; send it again", time.as_secs());
                let mut response = sentence(StatusCode::REQUEST_TIMEOUT, &said);
                // What follows on this connection would be the rest of that body.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                response
            }
            Self::Panicked => sentence(StatusCode::INTERNAL_SERVER_ERROR, &ApiError::Broken.to_string()),
            Self::ForeignHost => sentence(
                StatusCode::MISDIRECTED_REQUEST,
                "this API answers only to its address or to localhost; use the URL that `mailbell serve` prints",
            ),
        }
    }
}

/// A path that is none of ours.
pub(super) async fn no_such_path(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(128).collect();
    sentence(StatusCode::NOT_FOUND, &format!("there is nothing at {path} in this API"))
}

/// A path of ours, asked in a way that it does not know; `Allow` names those it does.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Response {
    let path: String = uri.path().chars().take(128).collect();
    sentence(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("{path} does not take {method}; the header Allow names what it takes"),
    )
}
