//! Whether the house stands: `/livez` (the process answers), `/readyz` (it can do its work), and `/metrics`.
//!
//! The listeners that others reach answer the first two in a word, for a proxy or an orchestrator in front of them; the
//! operator's says why, and has the numbers. The API's has `/health` besides, as MultiMail's has.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Serialize;

use super::names::Names;
use crate::{
    measures::{self, Look},
    store::StoreError,
};

/// What the house knows of itself.
#[async_trait]
pub trait Vitals: Send + Sync + 'static {
    /// Whether it can do its work now; if not, why.
    async fn ready(&self) -> Result<(), String>;

    /// How it stands.
    async fn look(&self) -> Result<Look, StoreError>;
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

const OK: Health = Health { status: "ok", reason: None };

/// For the operator's listener, which answers to `names`: it tells more than a page in a browser may know.
pub fn router(vitals: Arc<dyn Vitals>, names: Names) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json(OK) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(names, by_name))
        .with_state(vitals)
}

async fn by_name(State(names): State<Names>, request: Request, next: Next) -> Response {
    if names.are_used_by(&request) {
        return next.run(request).await;
    }
    let why = "This is asked for by an address, as localhost, or by a name in mcp.allowed_hosts.\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

/// For listeners that others reach: they are told whether, and not why.
pub fn probes(vitals: Arc<dyn Vitals>) -> Router {
    Router::new().route("/livez", get(|| async { Json(OK) })).route("/readyz", get(ready_in_a_word)).with_state(vitals)
}

async fn ready(State(vitals): State<Arc<dyn Vitals>>) -> (StatusCode, Json<Health>) {
    match vitals.ready().await {
        Ok(()) => (StatusCode::OK, Json(OK)),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "degraded", reason: Some(reason) })),
    }
}

async fn ready_in_a_word(vitals: State<Arc<dyn Vitals>>) -> (StatusCode, Json<Health>) {
    let (status, Json(health)) = ready(vitals).await;
    (status, Json(Health { reason: None, ..health }))
}

async fn metrics(State(vitals): State<Arc<dyn Vitals>>) -> Response {
    match vitals.look().await {
        Ok(look) => ([(header::CONTENT_TYPE, measures::CONTENT_TYPE)], measures::told(&look)).into_response(),
        Err(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the house cannot be looked over: {error}\n")).into_response()
        }
    }
}
