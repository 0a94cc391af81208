//! The mail API's webhooks and what became of their deliveries.

use serde_json::json;

use super::{Upstream, error::UpstreamError, wire};
use crate::domain::{
    clock::UnixMillis,
    event::EventKind,
    id::{DeliveryId, WebhookId},
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
    Active(Webhook, Option<Secret>),
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
    /// Where it goes.
    pub url: String,
    /// `pending`, `delivered`, `failed` or `dead`.
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The HTTP status of the last try that got one.
    pub response_status: Option<u16>,
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
        match &new.scope {
            WebhookScope::Mailbox(address) => body["mailbox_id"] = json!(self.mailbox_at(address).await?.id),
            WebhookScope::Domain(domain) => body["domain"] = json!(domain),
            WebhookScope::Account => {}
        }
        if let Some(description) = &new.description {
            body["description"] = json!(description);
        }
        if let Some(secret) = &new.secret {
            body["secret"] = json!(secret.expose());
        }
        let mut answer: wire::WebhookBody = self.client.post(&["v1", "webhooks"], &body).await?;
        let secret = answer.signing_secret.take().map(Secret::new);
        let pending = answer.status.as_deref() == Some("pending_approval");
        match answer.webhook() {
            _ if pending => Ok(Created::PendingApproval),
            Some(webhook) => Ok(Created::Active(webhook, secret)),
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

    /// Removes a webhook.
    pub async fn delete_webhook(&self, id: &WebhookId) -> Result<(), UpstreamError> {
        self.client
            .delete(&["v1", "webhooks", id.as_str()])
            .await
            .map_err(|error| if error.is_not_found() { UpstreamError::NoWebhook(id.clone()) } else { error })
    }

    /// A page of deliveries, of one webhook where the API can tell them apart.
    pub async fn webhook_deliveries(
        &self,
        webhook: Option<&WebhookId>,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<DeliveryPage, UpstreamError> {
        let mut query = vec![("limit", limit.to_string())];
        if let Some(webhook) = webhook {
            query.push(("webhook_id", webhook.to_string()));
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
