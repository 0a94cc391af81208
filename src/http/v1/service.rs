//! Whether the service is well, and whose it is.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{answer::Failure, auth::Caller};
use crate::mail::api::Api;

/// `GET /health`
pub(super) async fn health(State(api): State<Arc<Api>>) -> Response {
    if api.is_healthy().await {
        Json(json!({ "status": "ok" })).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "degraded" }))).into_response()
    }
}

/// `GET /v1/account`: there is one, and it is the machine's.
pub(super) async fn account(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Json<Value>, Failure> {
    let mailboxes = api.mailboxes(&key).await?;
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    Ok(Json(json!({
        "id": "local",
        "name": "mailbell",
        "slug": "mailbell",
        "plan": "embedded",
        "is_active": true,
        "sending_disabled": false,
        "mailboxes": mailboxes.len(),
        "key": { "name": key.name, "scopes": scopes },
    })))
}
