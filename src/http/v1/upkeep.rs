//! `/v1/webhooks/{webhook}/…` and `/v1/webhook-deliveries/{delivery}/…`: what people do to them by hand.

use std::{sync::Arc, time::Duration};

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Created, Done, Either, Failure},
    auth::Caller,
    document::says,
    input::{At, JsonBody},
    shapes::{Delivery, Moment, Webhook},
};
use crate::{
    domain::{
        id::{DeliveryId, WebhookId},
        secret::Secret,
    },
    mail::{api::Api, webhooks::upkeep::OVERLAP},
    store::deliveries,
};

/// The routes of this page.
pub(super) fn routes() -> ApiRouter<Arc<Api>> {
    ApiRouter::new()
        .api_route(
            "/v1/webhooks/{webhook}/test",
            post_with(test, says("test_webhook", "Sends a signed probe now, and tells what came of it.")),
        )
        .api_route(
            "/v1/webhooks/{webhook}/rotate",
            post_with(rotate, says("rotate_webhook", "Replaces a webhook's secret; shows the new one.")),
        )
        .api_route(
            "/v1/webhooks/{webhook}/disable",
            post_with(
                disable,
                says("disable_webhook", "Stops sending to a webhook; what it is owed waits for 24 hours at most."),
            ),
        )
        .api_route(
            "/v1/webhooks/{webhook}/enable",
            post_with(enable, says("enable_webhook", "Sends to a webhook again, first what it is owed.")),
        )
        .api_route(
            "/v1/webhook-deliveries/{delivery}",
            get_with(show, says("get_webhook_delivery", "Shows a delivery and its tries.")),
        )
        .api_route(
            "/v1/webhook-deliveries/{delivery}/replay",
            post_with(replay, says("replay_delivery", "Delivers an event once more, beside all others.")),
        )
        .api_route(
            "/v1/webhook-deliveries/{delivery}/dead-letter",
            post_with(dead_letter, says("dead_letter_delivery", "Gives a delivery up, so that the next may go.")),
        )
}

/// What came of a probe.
#[derive(Serialize, JsonSchema)]
pub(super) struct Tested {
    webhook_id: String,
    /// The event of the probe, which never happened.
    event_id: String,
    /// Whether the endpoint answered with a 2xx.
    delivered: bool,
    /// The status it answered with.
    response_status: Option<u16>,
    /// Why there was no answer: `timeout`, `no_connection`, `connection_broken`, `address_not_allowed`, `target_not_allowed`
    /// or `not_sendable`.
    error: Option<String>,
    /// How long it took, in milliseconds.
    duration_ms: i64,
    /// How much of the answer's body was read and dropped, in bytes.
    response_bytes: u64,
}

async fn test(State(api): State<Arc<Api>>, Caller(key): Caller, At(id): At<String>) -> Result<Done<Tested>, Failure> {
    let webhook_id = WebhookId::new(id);
    let probe = api.probe_webhook(&key, &webhook_id).await?;
    let (response_status, error) = match probe.attempt.answer {
        deliveries::Answer::Status(status) => (Some(status), None),
        deliveries::Answer::Fault(fault) => (None, Some(fault)),
    };
    Ok(Answer(Tested {
        webhook_id: webhook_id.to_string(),
        event_id: probe.event_id.to_string(),
        delivered: response_status.is_some_and(|status| (200..300).contains(&status)),
        response_status,
        error,
        duration_ms: probe.attempt.duration_millis,
        response_bytes: probe.attempt.response_bytes,
    }))
}

/// How a secret is to be replaced; everything may be left out.
#[derive(Deserialize, Default, JsonSchema)]
#[serde(default)]
pub(super) struct Rotate {
    /// The new secret, 8 to 256 bytes; one is made without.
    #[schemars(with = "Option<String>")]
    secret: Option<Secret>,
    /// How long the old one goes on signing, in seconds, at most a week; a day without.
    overlap_secs: Option<u64>,
}

/// A secret that was replaced.
#[derive(Serialize, JsonSchema)]
pub(super) struct RotatedSecret {
    id: String,
    webhook_id: String,
    /// The new secret. `X-MultiMail-Signature` is made with it from now on.
    signing_secret: String,
    /// How many older ones sign beside it, in `webhook-signature`.
    old_secrets: u32,
    /// Until when.
    old_secrets_until: Option<Moment>,
}

async fn rotate(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
    JsonBody(Rotate { secret, overlap_secs }): JsonBody<Rotate>,
) -> Result<Done<RotatedSecret>, Failure> {
    let id = WebhookId::new(id);
    let overlap = overlap_secs.map_or(OVERLAP, Duration::from_secs);
    let rotation = api.rotate_webhook(&key, &id, secret, overlap).await?;
    Ok(Answer(RotatedSecret {
        id: id.to_string(),
        webhook_id: id.to_string(),
        signing_secret: rotation.secret.expose().to_owned(),
        old_secrets: rotation.beside,
        old_secrets_until: rotation.until.map(Moment::from),
    }))
}

async fn disable(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Done<Webhook>, Failure> {
    let webhook = api.disable_webhook(&key, &WebhookId::new(id)).await?;
    Ok(Answer(Webhook::from(&webhook)))
}

async fn enable(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Done<Webhook>, Failure> {
    let webhook = api.enable_webhook(&key, &WebhookId::new(id)).await?;
    Ok(Answer(Webhook::from(&webhook)))
}

async fn show(State(api): State<Arc<Api>>, Caller(key): Caller, At(id): At<String>) -> Result<Done<Delivery>, Failure> {
    Ok(Answer(Delivery::from(&api.delivery(&key, &DeliveryId::new(id)).await?)))
}

/// One that is under way already is shown instead of made.
async fn replay(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Either<Created<Delivery>, Done<Delivery>>, Failure> {
    let (delivery, fresh) = api.replay(&key, &DeliveryId::new(id)).await?;
    let shape = Delivery::from(&delivery);
    Ok(if fresh { Either::One(Answer(shape)) } else { Either::Other(Answer(shape)) })
}

async fn dead_letter(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Done<Delivery>, Failure> {
    Ok(Answer(Delivery::from(&api.give_up_delivery(&key, &DeliveryId::new(id)).await?)))
}
