//! `/v1/suppression`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::Failure,
    auth::Caller,
    input::{At, CREATED, JsonBody, Params},
};
use crate::{
    domain::suppression::Suppression,
    mail::api::{Api, SUPPRESSIONS_MAX},
};

/// Entries in a page when the client does not say.
const LIMIT_DEFAULT: u32 = 50;

fn shape(suppression: &Suppression) -> Value {
    json!({
        "id": suppression.id,
        "email_address": suppression.address,
        "address": suppression.address,
        "reason": suppression.reason.as_str(),
        "note": suppression.note,
        "mailbox_id": suppression.mailbox,
        "message_id": suppression.message,
        "created_at": suppression.created_at,
    })
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    params: Params,
) -> Result<Json<Value>, Failure> {
    let limit = params.number("limit", 1, SUPPRESSIONS_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let (page, cursor) = api.suppressions(&key, params.text("cursor"), limit).await?;
    let page: Vec<_> = page.iter().map(shape).collect();
    Ok(Json(json!({ "suppressions": page, "cursor": cursor })))
}

#[derive(Deserialize)]
pub(super) struct NewSuppression {
    address: Option<String>,
    email_address: Option<String>,
    reason: Option<String>,
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewSuppression>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let address = new
        .address
        .or(new.email_address)
        .ok_or_else(|| Failure::Malformed("`address` is missing: the address that is not to be written to".into()))?;
    Ok((CREATED, Json(shape(&api.suppress(&key, &address, new.reason).await?))))
}

pub(super) async fn lift(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(address): At<String>,
) -> Result<Json<Value>, Failure> {
    api.lift(&key, &address).await?;
    Ok(Json(json!({ "status": "deleted", "deleted": true })))
}
