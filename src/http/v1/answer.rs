//! Every way a request can fail, as one JSON shape.

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::mail::api::ApiError;

/// What clients are told to wait when the store takes no writes, in whole seconds: the SDK reads nothing else.
const RETRY_AFTER_SECS: u64 = 2;

/// Why a request was not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The use case refused it.
    Api(ApiError),
    /// It cannot be read.
    Malformed(String),
    /// Its body is over the limit, which is so many bytes.
    TooLarge(usize),
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
        ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
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
    (status, Json(json!({ "error": error }))).into_response()
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
