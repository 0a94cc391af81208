//! What waits for an operator, and what was done: nothing is held back and nothing is kept of it yet, so both are empty.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answer::{Answer, Done, Failure},
    auth::Caller,
    shapes::EmailSummary,
};
use crate::mail::api::Api;

/// What waits for an operator, under both of its names.
#[derive(Serialize, JsonSchema)]
pub(super) struct Pending {
    emails: Vec<EmailSummary>,
    pending: Vec<EmailSummary>,
    cursor: Option<String>,
}

/// What was done through the API.
#[derive(Serialize, JsonSchema)]
pub(super) struct AuditLog {
    entries: Vec<Entry>,
    cursor: Option<String>,
}

/// One thing that was done.
#[derive(Serialize, JsonSchema)]
struct Entry {
    id: String,
    action: String,
}

pub(super) async fn pending(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<Pending>, Failure> {
    api.pending(&key)?;
    Ok(Answer(Pending { emails: Vec::new(), pending: Vec::new(), cursor: None }))
}

pub(super) async fn audit_log(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<AuditLog>, Failure> {
    api.audit(&key)?;
    Ok(Answer(AuditLog { entries: Vec::new(), cursor: None }))
}
