//! Webhooks and their deliveries: register, list, show, remove.

use super::{Api, ApiError, ECHO_CHARS_MAX, must};
use crate::{
    domain::{
        id::WebhookId,
        key::{ApiKey, KeyScope},
        secret::Secret,
        webhook::Webhook,
    },
    mail::webhooks::{registry::NewWebhook, targets::Asker},
    store::{
        deliveries::{Delivery, DeliveryFilter},
        webhooks::SigningWebhook,
    },
};

/// Deliveries in a page, at most.
pub const DELIVERIES_MAX: u32 = 100;

/// Who asks for a target, where it is `key` that asks.
pub(super) fn asker(key: &ApiKey) -> Asker {
    match key {
        key if key.is_of_the_house() => Asker::House,
        key if key.decides() => Asker::Operator,
        _ => Asker::Other,
    }
}

impl Api {
    /// Takes a webhook on; the answer holds its secret.
    pub async fn register(&self, key: &ApiKey, asked: NewWebhook) -> Result<(Webhook, Secret), ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.registry.register(asked, asker(key)).await?)
    }

    /// Every webhook, the oldest first.
    pub async fn webhooks(&self, key: &ApiKey) -> Result<Vec<Webhook>, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.registry.list().await?)
    }

    /// One webhook with its secrets, the newest first.
    pub async fn webhook(&self, key: &ApiKey, id: &WebhookId) -> Result<SigningWebhook, ApiError> {
        must(key, KeyScope::Admin)?;
        self.registry.webhook(id).await?.ok_or_else(|| no_webhook(id))
    }

    /// Ends a webhook; what it was still owed is given up.
    pub async fn remove_webhook(&self, key: &ApiKey, id: &WebhookId) -> Result<(), ApiError> {
        must(key, KeyScope::Admin)?;
        if self.registry.remove(id).await? { Ok(()) } else { Err(no_webhook(id)) }
    }

    /// Deliveries of `filter`, the newest first, and the cursor of the next page, if there is one.
    pub async fn deliveries(
        &self,
        key: &ApiKey,
        filter: &DeliveryFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<Delivery>, Option<i64>), ApiError> {
        must(key, KeyScope::Admin)?;
        let limit = limit.clamp(1, DELIVERIES_MAX);
        let mut deliveries = self.deliveries.deliveries(filter, before, limit + 1).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = deliveries.len() > shown;
        deliveries.truncate(shown);
        let cursor = deliveries.last().filter(|_| more).map(|last| last.seq);
        Ok((deliveries, cursor))
    }
}

fn no_webhook(id: &WebhookId) -> ApiError {
    let id: String = id.as_str().chars().take(ECHO_CHARS_MAX).collect();
    ApiError::NotFound(format!("there is no webhook `{id}`; GET /v1/webhooks lists those there are"))
}
