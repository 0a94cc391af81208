//! Webhooks and their deliveries, as the mail API's JSON has them.

use serde::Deserialize;

use super::{
    super::webhooks::{Delivery, Fare, Probe, Webhook},
    moment, text_or_number,
};
use crate::domain::{
    clock::UnixMillis,
    id::{DeliveryId, WebhookId},
};

#[derive(Deserialize)]
pub(in super::super) struct Webhooks {
    #[serde(default)]
    subscriptions: Option<Vec<WebhookBody>>,
    #[serde(default)]
    webhooks: Option<Vec<WebhookBody>>,
}

impl Webhooks {
    pub(in super::super) fn take(self) -> Vec<Webhook> {
        let bodies = self.subscriptions.or(self.webhooks).unwrap_or_default();
        bodies.into_iter().filter_map(WebhookBody::webhook).collect()
    }
}

/// Until when a secret signs.
#[derive(Deserialize)]
pub(in super::super) struct Until(#[serde(deserialize_with = "moment")] pub(in super::super) Option<UnixMillis>);

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in super::super) struct WebhookBody {
    id: Option<String>,
    webhook_id: Option<String>,
    url: Option<String>,
    endpoint_url: Option<String>,
    events: Option<Vec<String>>,
    mailbox: Option<String>,
    mailbox_id: Option<String>,
    domain: Option<String>,
    description: Option<String>,
    pub(in super::super) signing_secret: Option<String>,
    pub(in super::super) signing_secrets: Option<Vec<String>>,
    pub(in super::super) signing_secrets_until: Vec<Until>,
    pub(in super::super) status: Option<String>,
    #[serde(deserialize_with = "moment")]
    created_at: Option<UnixMillis>,
    disabled_reason: Option<String>,
    #[serde(deserialize_with = "moment")]
    failing_since: Option<UnixMillis>,
    last_failure_status: Option<u16>,
    last_failure_error: Option<String>,
    pending_count: Option<u32>,
    dead_count: Option<u32>,
}

impl WebhookBody {
    pub(in super::super) fn webhook(self) -> Option<Webhook> {
        Some(Webhook {
            id: WebhookId::new(self.id.or(self.webhook_id)?),
            endpoint_url: self.endpoint_url.or(self.url).unwrap_or_default(),
            events: self.events.unwrap_or_default(),
            mailbox: self.mailbox.or(self.mailbox_id).filter(|text| !text.is_empty()),
            domain: self.domain.filter(|text| !text.is_empty()),
            description: self.description.filter(|text| !text.is_empty()),
            created_at: self.created_at,
            disabled: self.disabled_reason,
            fare: Fare {
                failing_since: self.failing_since,
                last_failure: self.last_failure_status.map(|status| status.to_string()).or(self.last_failure_error),
                pending: self.pending_count,
                dead: self.dead_count,
            },
        })
    }
}

#[derive(Deserialize)]
pub(in super::super) struct RotationBody {
    pub(in super::super) signing_secret: String,
    #[serde(default, deserialize_with = "moment")]
    pub(in super::super) old_secrets_until: Option<UnixMillis>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in super::super) struct ProbeBody {
    delivered: bool,
    response_status: Option<u16>,
    error: Option<String>,
    duration_ms: u64,
    response_bytes: u64,
}

impl From<ProbeBody> for Probe {
    fn from(body: ProbeBody) -> Self {
        let ProbeBody { delivered, response_status, error, duration_ms: duration_millis, response_bytes } = body;
        Self { delivered, response_status, error, duration_millis, response_bytes }
    }
}

#[derive(Deserialize)]
pub(in super::super) struct Deliveries {
    #[serde(default)]
    pub(in super::super) deliveries: Vec<DeliveryBody>,
    #[serde(default, deserialize_with = "text_or_number")]
    pub(in super::super) cursor: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in super::super) struct DeliveryBody {
    id: Option<String>,
    delivery_id: Option<String>,
    webhook_id: Option<String>,
    event_id: Option<String>,
    event_type: Option<String>,
    url: Option<String>,
    status: Option<String>,
    replay_of: Option<String>,
    attempts: Option<u32>,
    response_status: Option<u16>,
    error: Option<String>,
    #[serde(deserialize_with = "moment")]
    created_at: Option<UnixMillis>,
    #[serde(deserialize_with = "moment")]
    last_attempt_at: Option<UnixMillis>,
    #[serde(deserialize_with = "moment")]
    next_attempt_at: Option<UnixMillis>,
}

impl DeliveryBody {
    pub(in super::super) fn delivery(self) -> Option<Delivery> {
        Some(Delivery {
            id: DeliveryId::new(self.id.or(self.delivery_id)?),
            webhook_id: self.webhook_id.map(WebhookId::new),
            event_id: self.event_id,
            event_type: self.event_type,
            replay_of: self.replay_of.map(DeliveryId::new),
            url: self.url.unwrap_or_default(),
            status: self.status.unwrap_or_default(),
            attempts: self.attempts.unwrap_or(0),
            response_status: self.response_status,
            error: self.error,
            created_at: self.created_at,
            last_attempt_at: self.last_attempt_at,
            next_attempt_at: self.next_attempt_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_may_be_told_under_either_name_or_both() {
        let one = json!({"id": "wh_1", "url": "self", "events": ["inbound"], "mailbox_id": null});
        for body in [
            json!({"subscriptions": [one]}),
            json!({"webhooks": [one]}),
            json!({"subscriptions": [one], "webhooks": [one]}),
        ] {
            let webhooks = serde_json::from_value::<Webhooks>(body).expect("readable").take();
            assert_eq!((webhooks.len(), webhooks[0].endpoint_url.as_str()), (1, "self"));
        }
    }
}
