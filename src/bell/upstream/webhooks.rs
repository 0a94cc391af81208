//! The mail API's webhooks and what became of their deliveries.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Upstream, error::UpstreamError, wire};
use crate::domain::{
    clock::UnixMillis,
    event::EventKind,
    id::{DeliveryId, WebhookId},
    oversight::Change,
    secret::Secret,
};

/// A webhook as the mail API tells it, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it is sent; `self` for the embedded service's own receiver.
    pub endpoint_url: String,
    /// The kinds it carries, in the API's words.
    pub events: Vec<String>,
    /// The one mailbox it is told of: address or id.
    pub mailbox: Option<String>,
    /// The one domain it is told of.
    pub domain: Option<String>,
    /// What its owner says it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Option<UnixMillis>,
    /// Why nothing is sent to it any more, where that is so.
    pub disabled: Option<String>,
    /// How it fares, where the API tells.
    pub fare: Fare,
}

/// How a webhook fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fare {
    /// Since when its endpoint has failed, if it does.
    pub failing_since: Option<UnixMillis>,
    /// The status or the fault of the last failure.
    pub last_failure: Option<String>,
    /// Deliveries it is still owed.
    pub pending: Option<u32>,
    /// Its dead letters.
    pub dead: Option<u32>,
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Whether the endpoint took it.
    pub delivered: bool,
    /// The HTTP status that it answered with.
    pub response_status: Option<u16>,
    /// Why it did not answer.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_millis: u64,
    /// How much of the answer's body was read and dropped, in bytes.
    pub response_bytes: u64,
}

/// A secret that was replaced.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The new one.
    pub secret: Secret,
    /// Until when the old ones sign beside it, if any do.
    pub old_until: Option<UnixMillis>,
}

/// A webhook to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Where to: a URL, or `self`.
    pub endpoint_url: String,
    /// Which mailboxes.
    pub scope: WebhookScope,
    /// Which kinds.
    pub events: Vec<EventKind>,
    /// What it is for.
    pub description: Option<String>,
    /// Signs it, where the caller chooses.
    pub secret: Option<Secret>,
}

/// Which mailboxes a webhook is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookScope {
    /// The one of this address.
    Mailbox(String),
    /// Those of this domain.
    Domain(String),
    /// All.
    Account,
}

/// What became of a request for a webhook.
#[derive(Debug, Clone)]
pub enum Created {
    /// It is there, and signs with this secret.
    Active(Box<Webhook>, Option<Secret>),
    /// Its making waits for an operator.
    PendingApproval,
}

/// One event owed to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The webhook, where the API tells it.
    pub webhook_id: Option<WebhookId>,
    /// The event, where the API tells it.
    pub event_id: Option<String>,
    /// The event's kind, in the API's words.
    pub event_type: Option<String>,
    /// The delivery that it repeats on demand.
    pub replay_of: Option<DeliveryId>,
    /// Where it goes.
    pub url: String,
    /// `pending`, `delivered`, `failed` or `dead`.
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The HTTP status of the last try that got one.
    pub response_status: Option<u16>,
    /// Why the last try got none.
    pub error: Option<String>,
    /// When it came to be owed.
    pub created_at: Option<UnixMillis>,
    /// When it was last tried.
    pub last_attempt_at: Option<UnixMillis>,
    /// When it is tried next.
    pub next_attempt_at: Option<UnixMillis>,
}

/// A page of deliveries, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// The API's cursor, where there are more.
    pub cursor: Option<String>,
}

impl Upstream {
    /// Makes a webhook.
    pub async fn create_webhook(&self, new: &NewWebhook) -> Result<Created, UpstreamError> {
        let mut body = json!({ "url": new.endpoint_url, "events": new.events });
        let mut mailbox = None;
        match &new.scope {
            WebhookScope::Mailbox(address) => {
                let found = self.mailbox_at(address).await?;
                body["mailbox_id"] = json!(found.id);
                mailbox = Some(found.address.to_lowercase());
            }
            WebhookScope::Domain(domain) => body["domain"] = json!(domain),
            WebhookScope::Account => {}
        }
        if let Some(description) = &new.description {
            body["description"] = json!(description);
        }
        if let Some(secret) = &new.secret {
            body["secret"] = json!(secret.expose());
        }
        let change = Change { mailbox, ..Change::new("POST", &["v1", "webhooks"], body) };
        let mut answer: wire::WebhookBody = self.change(change).await?;
        let secret = answer.signing_secret.take().map(Secret::new);
        let pending = answer.status.as_deref() == Some("pending_approval");
        match answer.webhook() {
            _ if pending => Ok(Created::PendingApproval),
            Some(webhook) => Ok(Created::Active(Box::new(webhook), secret)),
            None => Err(UpstreamError::Unreadable("a webhook without an id")),
        }
    }

    /// Every webhook of the account.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, UpstreamError> {
        Ok(self.client.get::<wire::Webhooks>(&["v1", "webhooks"], &[]).await?.take())
    }

    /// The secret that a webhook signs with, where the API tells it.
    pub async fn webhook_secret(&self, id: &WebhookId) -> Result<Option<Secret>, UpstreamError> {
        let answer = self.client.get::<wire::WebhookBody>(&["v1", "webhooks", id.as_str()], &[]).await;
        let mut body =
            answer.map_err(|error| if error.is_not_found() { UpstreamError::NoWebhook(id.clone()) } else { error })?;
        Ok(body.signing_secret.take().filter(|secret| !secret.is_empty()).map(Secret::new))
    }

    /// Every secret that a webhook signs with now, the newest first.
    pub async fn webhook_secrets(&self, id: &WebhookId) -> Result<Vec<(Secret, Option<UnixMillis>)>, UpstreamError> {
        let answer = self.client.get::<wire::WebhookBody>(&["v1", "webhooks", id.as_str()], &[]).await;
        let body = answer.map_err(|error| no_webhook(id, error))?;
        let secrets = body.signing_secrets.ok_or(UpstreamError::NotOffered("a list of a webhook's secrets"))?;
        let until = body.signing_secrets_until.into_iter().map(|until| until.0).chain(std::iter::repeat(None));
        Ok(secrets.into_iter().map(Secret::new).zip(until).collect())
    }

    /// Removes a webhook.
    pub async fn delete_webhook(&self, id: &WebhookId) -> Result<(), UpstreamError> {
        let change = Change::new("DELETE", &["v1", "webhooks", id.as_str()], serde_json::Value::Null);
        self.change::<serde::de::IgnoredAny>(change).await.map(drop).map_err(|error| no_webhook(id, error))
    }

    /// A webhook with the secret that signs for it now.
    pub async fn webhook(&self, id: &WebhookId) -> Result<(Webhook, Secret), UpstreamError> {
        let mut answer: wire::WebhookBody =
            self.client.get(&["v1", "webhooks", id.as_str()], &[]).await.map_err(|error| no_webhook(id, error))?;
        let secret = answer.signing_secret.take().map(Secret::new);
        let unreadable = UpstreamError::Unreadable("a webhook without its id or its signing_secret");
        answer.webhook().zip(secret).ok_or(unreadable)
    }

    /// Replaces the secret of a webhook. The API makes one where none is chosen; the old one signs beside it for so long.
    pub async fn rotate_webhook(
        &self,
        id: &WebhookId,
        chosen: Option<&Secret>,
        overlap: Option<Duration>,
    ) -> Result<Rotation, UpstreamError> {
        let mut body = json!({});
        if let Some(secret) = chosen {
            body["secret"] = json!(secret.expose());
        }
        if let Some(overlap) = overlap {
            body["overlap_secs"] = json!(overlap.as_secs());
        }
        let answer: wire::RotationBody = self.of_webhook(id, "rotate", &body).await?;
        let secret = Secret::new(answer.signing_secret);
        Ok(Rotation { secret, old_until: answer.old_secrets_until })
    }

    /// Switches a webhook off, so that nothing more is sent to it, or on.
    pub async fn switch_webhook(&self, id: &WebhookId, on: bool) -> Result<Webhook, UpstreamError> {
        let answer: wire::WebhookBody = self.of_webhook(id, if on { "enable" } else { "disable" }, &json!({})).await?;
        answer.webhook().ok_or(UpstreamError::Unreadable("a webhook without an id"))
    }

    /// Has a signed probe sent to a webhook now; answers with what came of it.
    pub async fn probe_webhook(&self, id: &WebhookId) -> Result<Probe, UpstreamError> {
        Ok(self.of_webhook::<wire::ProbeBody>(id, "test", &json!({})).await?.into())
    }

    /// Has a delivery that is over repeated; answers with the new one.
    pub async fn replay_delivery(&self, id: &DeliveryId) -> Result<Delivery, UpstreamError> {
        self.of_delivery(id, "replay").await
    }

    /// Has a delivery that is still owed given up.
    pub async fn give_up_delivery(&self, id: &DeliveryId) -> Result<Delivery, UpstreamError> {
        self.of_delivery(id, "dead-letter").await
    }

    async fn of_webhook<T: DeserializeOwned>(
        &self,
        id: &WebhookId,
        what: &str,
        body: &serde_json::Value,
    ) -> Result<T, UpstreamError> {
        let done = self.change(Change::new("POST", &["v1", "webhooks", id.as_str(), what], body.clone())).await;
        done.map_err(|error| no_webhook(id, error))
    }

    async fn of_delivery(&self, id: &DeliveryId, what: &str) -> Result<Delivery, UpstreamError> {
        let done = self.change(Change::new("POST", &["v1", "webhook-deliveries", id.as_str(), what], json!({}))).await;
        let body: wire::DeliveryBody =
            done.map_err(|error| if error.is_not_found() { UpstreamError::NoDelivery(id.clone()) } else { error })?;
        body.delivery().ok_or(UpstreamError::Unreadable("a delivery without an id"))
    }

    /// A page of deliveries, of one webhook where the API can tell them apart.
    pub async fn webhook_deliveries(
        &self,
        webhook: Option<&WebhookId>,
        status: Option<&str>,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<DeliveryPage, UpstreamError> {
        let mut query = vec![("limit", limit.to_string())];
        if let Some(webhook) = webhook {
            query.push(("webhook_id", webhook.to_string()));
        }
        if let Some(status) = status {
            query.push(("status", status.to_owned()));
        }
        if let Some(cursor) = cursor {
            query.push(("cursor", cursor.to_owned()));
        }
        let page: wire::Deliveries = self.client.get(&["v1", "webhook-deliveries"], &query).await?;
        let mut deliveries: Vec<_> = page.deliveries.into_iter().filter_map(wire::DeliveryBody::delivery).collect();
        // A hosted API ignores the query's webhook; where it does tell whose a delivery is, we can still choose.
        deliveries.retain(|delivery| {
            webhook.is_none() || delivery.webhook_id.is_none() || delivery.webhook_id.as_ref() == webhook
        });
        Ok(DeliveryPage { deliveries, cursor: page.cursor })
    }
}

fn no_webhook(id: &WebhookId, error: UpstreamError) -> UpstreamError {
    if error.is_not_found() { UpstreamError::NoWebhook(id.clone()) } else { error }
}
