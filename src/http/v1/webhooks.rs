//! `/v1/webhooks`

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Created, Done, Failure, Gone, gone},
    auth::Caller,
    input::{At, JsonBody},
    shapes,
};
use crate::{
    domain::{id::WebhookId, secret::Secret},
    mail::{
        api::{Api, ApiError},
        webhooks::registry::NewWebhook,
    },
};

/// Both spellings: the documentation's `url` and `mailbox_id`, the seed's `endpoint_url` and `mailbox`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewSubscription {
    url: Option<String>,
    endpoint_url: Option<String>,
    #[serde(default)]
    events: Vec<String>,
    mailbox_id: Option<String>,
    mailbox: Option<String>,
    domain: Option<String>,
    description: Option<String>,
    #[schemars(with = "Option<String>")]
    secret: Option<Secret>,
    #[schemars(with = "Option<String>")]
    signing_secret: Option<Secret>,
    signature_format: Option<String>,
}

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewSubscription>,
) -> Result<Created<shapes::Webhook>, Failure> {
    let endpoint = one_of("url", new.url, "endpoint_url", new.endpoint_url)?.ok_or_else(|| {
        Failure::Malformed(
            "`url` (or `endpoint_url`) is missing: give an https:// URL, or `self` for mailbell's own receiver".into(),
        )
    })?;
    let asked = NewWebhook {
        endpoint,
        mailbox: one_of("mailbox", new.mailbox, "mailbox_id", new.mailbox_id)?,
        domain: new.domain,
        events: new.events,
        description: new.description,
        secret: new.secret.or(new.signing_secret),
        signature_format: new.signature_format,
    };
    let (webhook, secret) = api.register(&key, asked).await?;
    Ok(Answer(shapes::Webhook::from(&webhook).with_secrets(&[(secret, None)])))
}

/// Every webhook, and how it fares, under both of the names that clients look for.
#[derive(Serialize, JsonSchema)]
pub(super) struct Webhooks {
    subscriptions: Vec<shapes::FaringWebhook>,
    webhooks: Vec<shapes::FaringWebhook>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<Webhooks>, Failure> {
    let health = api.webhook_health(&key).await?;
    let webhooks = api.webhooks(&key).await?;
    let webhooks: Vec<_> =
        webhooks.iter().map(|webhook| shapes::FaringWebhook::new(webhook, health.get(&webhook.id))).collect();
    Ok(Answer(Webhooks { subscriptions: webhooks.clone(), webhooks }))
}

/// The one read that shows a secret, as the documentation has it; it takes the scope that could register anew anyway.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Done<shapes::Webhook>, Failure> {
    let (webhook, secrets) = api.webhook(&key, &WebhookId::new(id)).await?;
    Ok(Answer(shapes::Webhook::from(&webhook).with_secrets(&secrets)))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.remove_webhook(&key, &WebhookId::new(id)).await?;
    Ok(gone())
}

/// Postmark posts its events to the hosted service. Here mail comes in by SMTP, and a provider's events by the receiver.
pub(super) async fn postmark(Caller(_): Caller) -> Result<Done<Gone>, Failure> {
    Err(Failure::Api(ApiError::Refused(
        "this service takes nothing from Postmark here: mail comes in by SMTP, and a provider's webhooks at \
         /hooks/SOURCE of the receiver, once the operator has added that source"
            .into(),
    )))
}

/// The value of two names for one thing.
fn one_of(first: &str, value: Option<String>, second: &str, other: Option<String>) -> Result<Option<String>, Failure> {
    match (value, other) {
        (Some(value), Some(other)) if value != other => {
            Err(Failure::Malformed(format!("`{first}` and `{second}` mean the same and differ here; give one of them")))
        }
        (value, other) => Ok(value.or(other)),
    }
}
