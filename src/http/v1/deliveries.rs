//! `/v1/webhook-deliveries`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{answer::Failure, auth::Caller, input::Params, shapes};
use crate::{
    domain::id::WebhookId,
    mail::api::{Api, DELIVERIES_MAX},
};

/// Deliveries in a page when the client does not say.
const LIMIT_DEFAULT: u32 = 50;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    params: Params,
) -> Result<Json<Value>, Failure> {
    let limit = params.number("limit", 1, DELIVERIES_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let before = params
        .text("cursor")
        .map(|cursor| cursor.parse::<i64>().ok().filter(|seq| *seq > 0))
        .map(|cursor| {
            cursor.ok_or_else(|| Failure::Malformed("`cursor` must be that of an earlier answer, unchanged".into()))
        })
        .transpose()?;
    let webhook = params.text("webhook_id").map(WebhookId::new);
    let (deliveries, cursor) = api.deliveries(&key, webhook.as_ref(), before, limit).await?;
    let deliveries: Vec<_> = deliveries.iter().map(shapes::delivery).collect();
    Ok(Json(json!({ "deliveries": deliveries, "cursor": cursor.map(|seq| seq.to_string()) })))
}
