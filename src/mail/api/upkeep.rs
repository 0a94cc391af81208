//! The upkeep of webhooks and deliveries: for keys that could register and delete them too.

use std::{collections::BTreeMap, time::Duration};

use super::{Api, ApiError, must};
use crate::{
    domain::{
        id::{DeliveryId, WebhookId},
        key::{ApiKey, KeyScope},
        secret::Secret,
        webhook::Webhook,
    },
    mail::webhooks::upkeep::{Probe, Rotation, UpkeepError},
    store::{deliveries::Delivery, upkeep::Health},
};

/// How long a client waits that found too much under way, in seconds: as long as one probe may take.
const BUSY_SECS: u64 = 10;

impl From<UpkeepError> for ApiError {
    fn from(error: UpkeepError) -> Self {
        match error {
            UpkeepError::Store(error) => error.into(),
            UpkeepError::NoWebhook(_) | UpkeepError::NoDelivery(_) => Self::NotFound(error.to_string()),
            UpkeepError::Secret | UpkeepError::Overlap => Self::Invalid(error.to_string()),
            UpkeepError::OwnSecret(_)
            | UpkeepError::ManySecrets
            | UpkeepError::StillOwed(_)
            | UpkeepError::Over(_)
            | UpkeepError::Disabled(_)
            | UpkeepError::Deleted(_) => Self::Conflict(error.to_string()),
            UpkeepError::ManyReplays | UpkeepError::ManyProbes => {
                Self::TooMany { said: error.to_string(), retry_after_secs: BUSY_SECS }
            }
        }
    }
}

impl Api {
    /// How each webhook fares.
    pub async fn webhook_health(&self, key: &ApiKey) -> Result<BTreeMap<WebhookId, Health>, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.health().await?)
    }

    /// Replaces the secret of a webhook; the old one signs beside it for `overlap`.
    pub async fn rotate_webhook(
        &self,
        key: &ApiKey,
        id: &WebhookId,
        secret: Option<Secret>,
        overlap: Duration,
    ) -> Result<Rotation, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.rotate(id, secret, overlap).await?)
    }

    /// Resolves once a secret of a webhook was rotated since this last did. The keeper alone waits for it.
    pub async fn rotated(&self) {
        self.upkeep.rotated().await;
    }

    /// Has nothing more sent to a webhook; what it is owed waits.
    pub async fn disable_webhook(&self, key: &ApiKey, id: &WebhookId) -> Result<Webhook, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.disable(id).await?)
    }

    /// Has a webhook told of what it is owed, and of what happens from now on.
    pub async fn enable_webhook(&self, key: &ApiKey, id: &WebhookId) -> Result<Webhook, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.enable(id).await?)
    }

    /// Sends a signed probe to a webhook and waits for what comes of it.
    pub async fn probe_webhook(&self, key: &ApiKey, id: &WebhookId) -> Result<Probe, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.probe(id).await?)
    }

    /// A delivery with its last tries.
    pub async fn delivery(&self, key: &ApiKey, id: &DeliveryId) -> Result<Delivery, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.delivery(id).await?)
    }

    /// Repeats a delivery that is over; also whether that was not asked for before.
    pub async fn replay(&self, key: &ApiKey, id: &DeliveryId) -> Result<(Delivery, bool), ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.replay(id).await?)
    }

    /// Makes a delivery that is still owed a dead letter.
    pub async fn give_up_delivery(&self, key: &ApiKey, id: &DeliveryId) -> Result<Delivery, ApiError> {
        must(key, KeyScope::Admin)?;
        Ok(self.upkeep.give_up(id).await?)
    }
}
