//! Whether the service is well.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, Done, Either};
use crate::mail::api::Api;

/// How the service is.
#[derive(Serialize, JsonSchema)]
pub(super) struct Health {
    /// `ok`, or `degraded` where the store does not answer.
    status: &'static str,
}

/// `GET /health`
pub(super) async fn health(State(api): State<Arc<Api>>) -> Either<Done<Health>, Answer<503, Health>> {
    if api.is_healthy().await {
        Either::One(Answer(Health { status: "ok" }))
    } else {
        Either::Other(Answer(Health { status: "degraded" }))
    }
}
