//! Webhooks, and what became of their deliveries.

use schemars::JsonSchema;
use serde::Serialize;

use super::Moment;
use crate::{
    domain::{
        clock::UnixMillis,
        secret::Secret,
        webhook::{self, Scope},
    },
    store::deliveries::{self, Answer, State},
};

/// A webhook.
#[derive(Clone, Serialize, JsonSchema)]
pub(in super::super) struct Webhook {
    id: String,
    webhook_id: String,
    url: String,
    endpoint_url: String,
    /// The kinds it is told of, in the words of whoever registered it.
    events: Vec<String>,
    /// `mailbox`, `domain` or `account`.
    scope: &'static str,
    mailbox_id: Option<String>,
    mailbox: Option<String>,
    domain: Option<String>,
    description: Option<String>,
    /// `hex` or `sha256=`.
    signature_format: &'static str,
    /// `enabled` or `disabled`.
    status: &'static str,
    #[schemars(with = "Option<Moment>")]
    disabled_at: Option<UnixMillis>,
    disabled_reason: Option<String>,
    #[schemars(with = "Moment")]
    created_at: UnixMillis,
    /// Only where one webhook is made or shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

/// A delivery of an event to an endpoint.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Delivery {
    id: String,
    delivery_id: String,
    webhook_id: String,
    event_id: String,
    event_type: String,
    mailbox: String,
    url: String,
    /// `pending`, `delivered` or `failed`.
    status: &'static str,
    attempts: u32,
    response_status: Option<u16>,
    created_at: Moment,
    last_attempt_at: Option<Moment>,
    next_attempt_at: Option<Moment>,
    attempt_log: Vec<Attempt>,
}

/// One try of a delivery.
#[derive(Serialize, JsonSchema)]
struct Attempt {
    attempt: u32,
    at: Moment,
    response_status: Option<u16>,
    /// Why there was no response.
    error: Option<String>,
    duration_ms: i64,
    response_bytes: u64,
}

impl From<&webhook::Webhook> for Webhook {
    fn from(webhook: &webhook::Webhook) -> Self {
        let url = webhook.endpoint.to_string();
        let (scope, mailbox_id, mailbox, domain) = match &webhook.scope {
            Scope::Mailbox { id, address } => ("mailbox", Some(id.to_string()), Some(address.to_string()), None),
            Scope::Domain(domain) => ("domain", None, None, Some(domain.clone())),
            Scope::Account => ("account", None, None, None),
        };
        Self {
            id: webhook.id.to_string(),
            webhook_id: webhook.id.to_string(),
            endpoint_url: url.clone(),
            url,
            events: webhook.kinds.iter().map(|kind| webhook.vocabulary.word(*kind)).collect(),
            scope,
            mailbox_id,
            mailbox,
            domain,
            description: webhook.description.clone(),
            signature_format: webhook.signature_format.as_str(),
            status: if webhook.disabled.is_some() { "disabled" } else { "enabled" },
            disabled_at: webhook.disabled.as_ref().map(|disabled| disabled.at),
            disabled_reason: webhook.disabled.as_ref().map(|disabled| disabled.why.clone()),
            created_at: webhook.created_at,
            signing_secret: None,
        }
    }
}

impl Webhook {
    /// The same with the secret that it signs with.
    pub(in super::super) fn with_secret(self, secret: Option<&Secret>) -> Self {
        Self { signing_secret: secret.map(|secret| secret.expose().to_owned()), ..self }
    }
}

impl From<&deliveries::Delivery> for Delivery {
    fn from(delivery: &deliveries::Delivery) -> Self {
        let last = delivery.tries.last().map(|attempt| &attempt.answer);
        Self {
            id: delivery.id.to_string(),
            delivery_id: delivery.id.to_string(),
            webhook_id: delivery.webhook.to_string(),
            event_id: delivery.event_id.to_string(),
            event_type: delivery.event_type.clone(),
            mailbox: delivery.mailbox.clone(),
            url: delivery.endpoint.to_string(),
            status: match delivery.state {
                State::Pending => "pending",
                State::Delivered => "delivered",
                // Ours is a dead letter; theirs has failed.
                State::Dead => "failed",
            },
            attempts: delivery.attempts,
            response_status: last.and_then(|answer| match answer {
                Answer::Status(status) => Some(*status),
                Answer::Fault(_) => None,
            }),
            created_at: delivery.created_at.into(),
            last_attempt_at: delivery.last_attempt_at.map(Moment::from),
            next_attempt_at: delivery.next_attempt_at.map(Moment::from),
            attempt_log: delivery.tries.iter().map(Attempt::from).collect(),
        }
    }
}

impl From<&deliveries::Attempt> for Attempt {
    fn from(attempt: &deliveries::Attempt) -> Self {
        let (response_status, error) = match &attempt.answer {
            Answer::Status(status) => (Some(*status), None),
            Answer::Fault(fault) => (None, Some(fault.clone())),
        };
        Self {
            attempt: attempt.number,
            at: attempt.at.into(),
            response_status,
            error,
            duration_ms: attempt.duration_millis,
            response_bytes: attempt.response_bytes,
        }
    }
}
