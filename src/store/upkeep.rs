//! What people do to webhooks and deliveries by hand: replace a secret, switch a webhook off and on, repeat a delivery, give
//! one up. And how the webhooks fare, for whoever must decide on that.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{
    StoreError,
    deliveries::{Answer, Delivery},
};
use crate::domain::{
    clock::UnixMillis,
    id::{DeliveryId, WebhookId},
    secret::Secret,
};

/// Dead letters, and deliveries that are owed, are counted up to this; nobody does anything else at more.
pub const COUNTED_MAX: u32 = 10_000;

/// How a webhook fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Since when a line to its endpoint has failed again and again, if one does: the one that has for longest.
    pub failing_since: Option<UnixMillis>,
    /// The last failure among those lines: when, and what came back.
    pub last_failure: Option<(UnixMillis, Answer)>,
    /// Deliveries it is still owed, counted up to [`COUNTED_MAX`].
    pub pending: u32,
    /// Its dead letters, counted up to [`COUNTED_MAX`].
    pub dead: u32,
}

/// What became of a new secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// It signs now; so many older ones sign beside it until they retire.
    Done {
        /// The older ones.
        beside: u32,
    },
    /// There are as many live ones as there may be; nothing was changed.
    Full,
    /// There is no such webhook.
    Unknown,
}

/// What became of the wish to repeat a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// This one was made.
    Fresh(Delivery),
    /// This one is under way already: a replay of the same, or the delivery itself.
    UnderWay(Delivery),
    /// Its webhook is disabled, so nothing would be sent.
    Disabled(WebhookId),
    /// Its webhook is gone, and with it the secret to sign with.
    NoWebhook(WebhookId),
    /// So many replays are under way to the endpoint that it must wait.
    Full,
    /// There is no such delivery.
    Unknown,
}

/// What became of the wish to give a delivery up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// It is a dead letter now.
    Dead(Delivery),
    /// It was over before.
    Over(Delivery),
    /// There is no such delivery.
    Unknown,
}

/// The upkeep.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// How each webhook fares.
    async fn health(&self) -> Result<BTreeMap<WebhookId, Health>, StoreError>;

    /// Adds a newest secret to a webhook, unless `live_max` would then be live. Those before it sign beside it until
    /// `retire_at`; with none they are forgotten at once.
    async fn rotate(
        &self,
        webhook: &WebhookId,
        secret: &Secret,
        now: UnixMillis,
        retire_at: Option<UnixMillis>,
        live_max: u32,
    ) -> Result<Rotated, StoreError>;

    /// Has nothing more sent to a webhook. What it is still owed is set aside: it stays pending, its time goes on, and where
    /// that is over it becomes a dead letter. False if there is none such.
    async fn disable(&self, webhook: &WebhookId, why: &str, now: UnixMillis) -> Result<bool, StoreError>;

    /// Has a webhook told of what it is still owed, in order, and of what happens from now on. False if there is none such.
    async fn enable(&self, webhook: &WebhookId, now: UnixMillis) -> Result<bool, StoreError>;

    /// A delivery with its last tries.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// Owes the bytes of a delivery that is over once more, outside its line; unless `pending_max` replays are owed to the
    /// endpoint already.
    async fn replay(&self, id: &DeliveryId, now: UnixMillis, pending_max: u32) -> Result<Replayed, StoreError>;

    /// Makes a delivery that is still owed a dead letter; the line goes on with the next at once.
    async fn give_up(&self, id: &DeliveryId, now: UnixMillis) -> Result<GivenUp, StoreError>;
}
