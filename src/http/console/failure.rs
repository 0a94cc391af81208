//! What a page says when it cannot be shown, or a form when nothing was done.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

use super::layout::alone;
use crate::{bell::upstream::UpstreamError, mail::api::ApiError, store::StoreError};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// What was asked makes no sense, or no longer does.
    #[error("{0}")]
    Refused(String),
    /// The mail service says no.
    #[error(transparent)]
    Mail(#[from] ApiError),
    /// A mail service elsewhere says no.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The store failed.
    #[error("the store could not be read or written ({0}); `mailbell doctor` says more")]
    Store(#[from] StoreError),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotFound(_) | Self::Mail(ApiError::NotFound(_)) => StatusCode::NOT_FOUND,
            Self::Upstream(error) if error.is_not_found() => StatusCode::NOT_FOUND,
            Self::Refused(_) | Self::Mail(_) => StatusCode::CONFLICT,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::Store(error) => {
                tracing::error!(error = error as &(dyn std::error::Error + 'static), "could not show a page");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        refused(status, &self.to_string())
    }
}

/// A page that only says why.
pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Not done");
    (status, alone(title, &html! { p { (why) } p { a href="/login" { "Log in" } } })).into_response()
}

pub(super) async fn no_such_page() -> Response {
    refused(StatusCode::NOT_FOUND, "There is no such page in the console.")
}
