//! Webhooks and deliveries as a model sees them; no secret is among their fields.

use super::{Clip, Fence, Fenced, Part, fit, json, shown};
use crate::{
    bell::upstream::{Delivery, DeliveryPage, Webhook},
    domain::clock::UnixMillis,
};

shown! {
    pub(in crate::mcp) struct WebhookView {
        webhook_id: Fenced,
        endpoint_url: Fenced,
        events: Vec<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mailbox: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        domain: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        created_at: Option<UnixMillis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        disabled: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        failing_since: Option<UnixMillis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_failure: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pending: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dead: Option<u32>,
    }
}

impl WebhookView {
    pub(in crate::mcp) fn json(fence: &Fence, webhook: &Webhook, clip: Clip) -> Part {
        json(&Self {
            webhook_id: fence.code(webhook.id.as_str()),
            endpoint_url: fence.code(&webhook.endpoint_url),
            events: webhook.events.iter().take(clip.list_items).map(|event| fence.code(event)).collect(),
            mailbox: webhook.mailbox.as_deref().map(|mailbox| fence.code(mailbox)),
            domain: webhook.domain.as_deref().map(|domain| fence.code(domain)),
            description: webhook.description.as_deref().map(|text| fence.text_up_to(text, clip.text_chars)),
            created_at: webhook.created_at,
            disabled: webhook.disabled.as_deref().map(|why| fence.text_up_to(why, clip.text_chars)),
            failing_since: webhook.fare.failing_since,
            last_failure: webhook.fare.last_failure.as_deref().map(|what| fence.code(what)),
            pending: webhook.fare.pending,
            dead: webhook.fare.dead,
        })
    }
}

shown! {
    struct DeliveryView {
        delivery_id: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        webhook_id: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event_id: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event_type: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        replay_of: Option<Fenced>,
        endpoint_url: Fenced,
        status: Fenced,
        attempts: u32,
        response_status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        created_at: Option<UnixMillis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_attempt_at: Option<UnixMillis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_attempt_at: Option<UnixMillis>,
    }
}

impl DeliveryView {
    fn json(fence: &Fence, delivery: &Delivery, clip: Clip) -> Part {
        let code = |text: &Option<String>| text.as_deref().map(|text| fence.code(text));
        json(&Self {
            delivery_id: fence.code(delivery.id.as_str()),
            webhook_id: delivery.webhook_id.as_ref().map(|id| fence.code(id.as_str())),
            event_id: code(&delivery.event_id),
            event_type: code(&delivery.event_type),
            replay_of: delivery.replay_of.as_ref().map(|id| fence.code(id.as_str())),
            endpoint_url: if delivery.url.chars().count() > clip.text_chars {
                fence.text_up_to(&delivery.url, clip.text_chars)
            } else {
                fence.code(&delivery.url)
            },
            status: fence.code(&delivery.status),
            attempts: delivery.attempts,
            response_status: delivery.response_status,
            error: code(&delivery.error),
            created_at: delivery.created_at,
            last_attempt_at: delivery.last_attempt_at,
            next_attempt_at: delivery.next_attempt_at,
        })
    }
}

shown! {
    /// A page of deliveries.
    pub(in crate::mcp) struct DeliveriesView {
        deliveries: Vec<Part>,
        cursor: Option<Fenced>,
    }
}

impl DeliveriesView {
    /// The whole page, or how many of its deliveries fit into a result.
    pub(in crate::mcp) fn new(fence: &Fence, page: &DeliveryPage) -> Result<Self, u32> {
        let fitted = fit(fence, &page.deliveries, |delivery, clip| DeliveryView::json(fence, delivery, clip));
        if fitted.left_out > 0 && fitted.items.len() > 1 {
            return Err(u32::try_from(fitted.items.len()).unwrap_or(u32::MAX));
        }
        let cursor = page.cursor.as_deref().map(|cursor| fence.code(cursor));
        Ok(Self { deliveries: fitted.items, cursor })
    }
}
