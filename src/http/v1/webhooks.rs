//! `/v1/webhooks`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answer::Failure,
    auth::Caller,
    input::{At, CREATED, JsonBody},
    shapes,
};
use crate::{
    domain::{id::WebhookId, secret::Secret},
    mail::{api::Api, webhooks::registry::NewWebhook},
};

/// Both spellings: the documentation's `url` and `mailbox_id`, the seed's `endpoint_url` and `mailbox`.
#[derive(Deserialize)]
pub(super) struct NewSubscription {
    url: Option<String>,
    endpoint_url: Option<String>,
    #[serde(default)]
    events: Vec<String>,
    mailbox_id: Option<String>,
    mailbox: Option<String>,
    domain: Option<String>,
    description: Option<String>,
    secret: Option<Secret>,
    signing_secret: Option<Secret>,
    signature_format: Option<String>,
}

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewSubscription>,
) -> Result<(StatusCode, Json<Value>), Failure> {
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
    let mut shape = shapes::webhook(&webhook);
    show_secret(&mut shape, Some(&secret));
    Ok((CREATED, Json(Value::Object(shape))))
}

pub(super) async fn list(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Json<Value>, Failure> {
    let webhooks: Vec<_> = api.webhooks(&key).await?.iter().map(shapes::webhook).collect();
    Ok(Json(json!({ "subscriptions": webhooks, "webhooks": webhooks })))
}

/// The one read that shows a secret, as the documentation has it; it takes the scope that could register anew anyway.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Json<Value>, Failure> {
    let (webhook, secrets) = api.webhook(&key, &WebhookId::new(id)).await?;
    let mut shape = shapes::webhook(&webhook);
    show_secret(&mut shape, secrets.first());
    Ok(Json(Value::Object(shape)))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(id): At<String>,
) -> Result<Json<Value>, Failure> {
    api.remove_webhook(&key, &WebhookId::new(id)).await?;
    Ok(Json(json!({ "status": "deleted", "deleted": true })))
}

fn show_secret(shape: &mut Map<String, Value>, secret: Option<&Secret>) {
    shape.insert("signing_secret".to_owned(), json!(secret.map(Secret::expose)));
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
