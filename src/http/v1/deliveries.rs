//! `/v1/webhook-deliveries`

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Done, Failure},
    auth::Caller,
    input::{Query, Within},
    shapes,
};
use crate::{
    domain::id::WebhookId,
    mail::api::{Api, DELIVERIES_MAX},
    store::deliveries::{DeliveryFilter, State as Progress},
};

/// Deliveries in a page when the client does not say.
const LIMIT_DEFAULT: u32 = 50;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    limit: Option<Within<1, DELIVERIES_MAX>>,
    /// That of the page before.
    cursor: Option<String>,
    webhook_id: Option<String>,
    /// `pending`, `delivered`, or `failed` (or `dead`, which is the same).
    status: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryPage")]
pub(super) struct Page {
    deliveries: Vec<shapes::Delivery>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    Query(which): Query<Which>,
) -> Result<Done<Page>, Failure> {
    let limit = which.limit.map_or(LIMIT_DEFAULT, |Within(limit)| limit);
    let before = which
        .cursor
        .map(|cursor| cursor.parse::<i64>().ok().filter(|seq| *seq > 0))
        .map(|cursor| {
            cursor.ok_or_else(|| Failure::Malformed("`cursor` must be that of an earlier answer, unchanged".into()))
        })
        .transpose()?;
    let filter = DeliveryFilter {
        webhook: which.webhook_id.map(WebhookId::new),
        state: which.status.as_deref().map(state).transpose()?,
        events: None,
    };
    let (deliveries, cursor) = api.deliveries(&key, &filter, before, limit).await?;
    let deliveries: Vec<_> = deliveries.iter().map(shapes::Delivery::from).collect();
    Ok(Answer(Page { deliveries, cursor: cursor.map(|seq| seq.to_string()) }))
}

/// The word for a dead letter is `failed` at the service that clients know, and `dead` in ours.
fn state(word: &str) -> Result<Progress, Failure> {
    match word {
        "pending" => Ok(Progress::Pending),
        "delivered" => Ok(Progress::Delivered),
        "failed" | "dead" => Ok(Progress::Dead),
        _ => {
            Err(Failure::Malformed("`status` must be pending, delivered or failed (or dead, which is the same)".into()))
        }
    }
}
