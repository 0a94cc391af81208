//! Webhooks, and what became of their deliveries.

use schemars::JsonSchema;
use serde::Serialize;

use super::Moment;
use crate::{
    domain::{
        clock::UnixMillis,
        webhook::{self, Scope},
    },
    store::{
        deliveries::{self, Answer, State},
        upkeep::Health,
        webhooks::SigningSecret,
    },
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
    /// Every secret that signs now, the newest first; an older one until its overlap ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secrets: Option<Vec<String>>,
    /// Until when each of these signs: null is for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Option<Moment>>>")]
    signing_secrets_until: Option<Vec<Option<UnixMillis>>>,
}

/// A webhook, and how it fares.
#[derive(Clone, Serialize, JsonSchema)]
pub(in super::super) struct FaringWebhook {
    #[serde(flatten)]
    webhook: Webhook,
    /// Since when no try has succeeded; null where the last one did.
    #[schemars(with = "Option<Moment>")]
    failing_since: Option<UnixMillis>,
    #[schemars(with = "Option<Moment>")]
    last_failure_at: Option<UnixMillis>,
    last_failure_status: Option<u16>,
    /// Why the last try that failed had no response.
    last_failure_error: Option<String>,
    pending_count: u32,
    /// Its dead letters.
    dead_count: u32,
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
    /// The delivery that this one repeats.
    replay_of: Option<String>,
    /// `pending`, `delivered` or `failed`.
    status: &'static str,
    attempts: u32,
    response_status: Option<u16>,
    /// Why the last try had no response.
    error: Option<String>,
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
            signing_secrets: None,
            signing_secrets_until: None,
        }
    }
}

impl Webhook {
    /// The same with the secrets that it signs with, the newest first.
    pub(in super::super) fn with_secrets(self, secrets: &[SigningSecret]) -> Self {
        let (secrets, until): (Vec<_>, _) =
            secrets.iter().map(|(secret, until)| (secret.expose().to_owned(), *until)).unzip();
        Self {
            signing_secret: secrets.first().cloned(),
            signing_secrets: Some(secrets),
            signing_secrets_until: Some(until),
            ..self
        }
    }
}

impl FaringWebhook {
    /// Without a `health`, nothing has failed and nothing waits.
    pub(in super::super) fn new(webhook: &webhook::Webhook, health: Option<&Health>) -> Self {
        let fresh = Health::default();
        let health = health.unwrap_or(&fresh);
        let (last_failure_status, last_failure_error) =
            health.last_failure.as_ref().map_or((None, None), |(_, answer)| split(answer));
        Self {
            webhook: webhook.into(),
            failing_since: health.failing_since,
            last_failure_at: health.last_failure.as_ref().map(|(at, _)| *at),
            last_failure_status,
            last_failure_error,
            pending_count: health.pending,
            dead_count: health.dead,
        }
    }
}

/// An answer as two fields, of which one is null.
fn split(answer: &Answer) -> (Option<u16>, Option<String>) {
    match answer {
        Answer::Status(status) => (Some(*status), None),
        Answer::Fault(fault) => (None, Some(fault.clone())),
    }
}

impl From<&deliveries::Delivery> for Delivery {
    fn from(delivery: &deliveries::Delivery) -> Self {
        let (response_status, error) = delivery.tries.last().map_or((None, None), |attempt| split(&attempt.answer));
        Self {
            id: delivery.id.to_string(),
            delivery_id: delivery.id.to_string(),
            webhook_id: delivery.webhook.to_string(),
            event_id: delivery.event_id.to_string(),
            event_type: delivery.event_type.clone(),
            mailbox: delivery.mailbox.clone(),
            url: delivery.endpoint.to_string(),
            replay_of: delivery.replay_of.as_ref().map(ToString::to_string),
            status: match delivery.state {
                State::Pending => "pending",
                State::Delivered => "delivered",
                // Ours is a dead letter; theirs has failed.
                State::Dead => "failed",
            },
            attempts: delivery.attempts,
            response_status,
            error,
            created_at: delivery.created_at.into(),
            last_attempt_at: delivery.last_attempt_at.map(Moment::from),
            next_attempt_at: delivery.next_attempt_at.map(Moment::from),
            attempt_log: delivery.tries.iter().map(Attempt::from).collect(),
        }
    }
}

impl From<&deliveries::Attempt> for Attempt {
    fn from(attempt: &deliveries::Attempt) -> Self {
        let (response_status, error) = split(&attempt.answer);
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
