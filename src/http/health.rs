//! Whether the house stands: `/livez` (the process answers) and `/readyz` (it can do its work).

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde::Serialize;

use crate::store::log::EventLog;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Health of a house with this log.
pub fn router(log: Arc<dyn EventLog>) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json(Health { status: "ok", reason: None }) }))
        .route("/readyz", get(ready))
        .with_state(log)
}

async fn ready(State(log): State<Arc<dyn EventLog>>) -> (StatusCode, Json<Health>) {
    match log.extent().await {
        Ok(_) => (StatusCode::OK, Json(Health { status: "ok", reason: None })),
        Err(error) => {
            let reason = Some(format!("the event log cannot be read: {error}"));
            (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "degraded", reason }))
        }
    }
}
