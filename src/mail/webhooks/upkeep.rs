//! What people do to webhooks and deliveries by hand: replace a secret, switch a webhook off and on, send a probe, repeat a
//! delivery, give one up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{Notify, Semaphore};

use super::{
    dispatch::{Dispatch, Parcel},
    registry::is_usable,
};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        id::{DeliveryId, EventId, WebhookId},
        payload,
        secret::Secret,
        webhook::{Endpoint, Webhook},
    },
    ids::Ids,
    store::{
        StoreError,
        deliveries::{Attempt, Delivery},
        upkeep::{self, GivenUp, Health, Replayed, Rotated},
        webhooks::Webhooks,
    },
};

/// How long an old secret goes on signing unless the operator says otherwise: a day to tell every receiver.
pub const OVERLAP: Duration = Duration::from_hours(24);
/// How long it may: whoever needs a month has two secrets, not a rotation.
pub const OVERLAP_MAX: Duration = Duration::from_hours(7 * 24);
/// Live secrets of one webhook: each is one more signature in a header that receivers read.
const LIVE_SECRETS_MAX: u32 = 4;
/// Replays owed to one endpoint: more than anybody asks for one by one.
const REPLAYS_PENDING_MAX: u32 = 1_000;
/// Probes under way at once; each can take the whole timeout.
const PROBES_MAX: usize = 4;
/// What an operator's switch leaves as the reason.
const SWITCHED_OFF: &str = "the operator switched it off; `mailbell webhook enable ID` switches it on";

/// A secret that was replaced.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The new one. It signs from now on.
    pub secret: Secret,
    /// How many older ones sign beside it.
    pub beside: u32,
    /// Until when, if any do.
    pub until: Option<UnixMillis>,
}

/// A probe that was sent.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The event that it told of, which never happened.
    pub event_id: EventId,
    /// What came of it.
    pub attempt: Attempt,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// No such webhook.
    #[error("there is no webhook `{0}`; GET /v1/webhooks lists those there are")]
    NoWebhook(WebhookId),
    /// No such delivery.
    #[error("there is no delivery `{0}`; GET /v1/webhook-deliveries lists those there are")]
    NoDelivery(DeliveryId),
    /// A secret that cannot be used.
    #[error("`secret` must have 8 to 256 bytes and no control characters; leave it out to have one made")]
    Secret,
    /// Our receiver must know a secret before it is signed with.
    #[error(
        "mailbell's own receiver must know the new secret first: run `mailbell webhook rotate {0}`, which tells it, or pass as `secret` one that the receiver holds"
    )]
    OwnSecret(WebhookId),
    /// An overlap that is too long.
    #[error("`overlap_secs` may be {} at most, which is a week", OVERLAP_MAX.as_secs())]
    Overlap,
    /// As many live secrets as there may be.
    #[error(
        "{LIVE_SECRETS_MAX} secrets of this webhook are live, as many as may be; wait until one retires, or pass `overlap_secs` 0 to end all old ones now"
    )]
    ManySecrets,
    /// A delivery that is still owed.
    #[error(
        "delivery `{0}` is still owed and will be tried again by itself, once its webhook is on; only one that is over can be replayed"
    )]
    StillOwed(DeliveryId),
    /// A delivery that is over.
    #[error("delivery `{0}` is over; only one that is still pending can be given up")]
    Over(DeliveryId),
    /// The webhook is off.
    #[error(
        "webhook `{0}` is disabled, so nothing would be sent; the operator can run `mailbell webhook enable {0}` first"
    )]
    Disabled(WebhookId),
    /// The webhook is gone.
    #[error("webhook `{0}` of this delivery was deleted, and its secret with it; register a new one")]
    Deleted(WebhookId),
    /// Too many replays.
    #[error("{REPLAYS_PENDING_MAX} replays are owed to this endpoint already; wait until some are through")]
    ManyReplays,
    /// Too many probes.
    #[error("{PROBES_MAX} probes are under way, as many as may be; try again in a few seconds")]
    ManyProbes,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The upkeep of webhooks and deliveries.
pub struct Upkeep {
    webhooks: Arc<dyn Webhooks>,
    store: Arc<dyn upkeep::Upkeep>,
    dispatch: Arc<Dispatch>,
    /// Rung when a line has something to do.
    bell: Arc<Notify>,
    /// Rung when a secret was rotated.
    rotated: Notify,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    probes: Semaphore,
}

impl Upkeep {
    /// Upkeep over `webhooks` and `store`; probes go out by `dispatch`, and `bell` wakes the worker.
    pub fn new(
        webhooks: Arc<dyn Webhooks>,
        store: Arc<dyn upkeep::Upkeep>,
        dispatch: Arc<Dispatch>,
        bell: Arc<Notify>,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
    ) -> Self {
        let (rotated, probes) = (Notify::new(), Semaphore::new(PROBES_MAX));
        Self { webhooks, store, dispatch, bell, rotated, clock, ids, probes }
    }

    /// How each webhook fares.
    pub async fn health(&self) -> Result<BTreeMap<WebhookId, Health>, StoreError> {
        self.store.health().await
    }

    /// Replaces the secret of a webhook; the old one signs beside it for `overlap`, which may be none.
    pub async fn rotate(
        &self,
        id: &WebhookId,
        chosen: Option<Secret>,
        overlap: Duration,
    ) -> Result<Rotation, UpkeepError> {
        if overlap > OVERLAP_MAX {
            return Err(UpkeepError::Overlap);
        }
        let webhook = self.webhook(id).await?;
        let secret = match chosen {
            Some(secret) if is_usable(&secret) => secret,
            Some(_) => return Err(UpkeepError::Secret),
            None if webhook.endpoint == Endpoint::Own => return Err(UpkeepError::OwnSecret(webhook.id)),
            None => Secret::new(self.ids.secret(super::registry::SECRET_PREFIX)),
        };
        let now = self.clock.now();
        let until = (!overlap.is_zero()).then(|| now.plus(overlap));
        match self.store.rotate(id, &secret, now, until, LIVE_SECRETS_MAX).await? {
            Rotated::Done { beside } => {
                // The worker learns when to forget, and so does our own receiver.
                self.bell.notify_one();
                self.rotated.notify_one();
                Ok(Rotation { secret, beside, until: until.filter(|_| beside > 0) })
            }
            Rotated::Full => Err(UpkeepError::ManySecrets),
            Rotated::Unknown => Err(UpkeepError::NoWebhook(shown(id))),
        }
    }

    /// Resolves once a secret was rotated since this last did. One may wait.
    pub async fn rotated(&self) {
        self.rotated.notified().await;
    }

    /// Has nothing more sent to a webhook. What it is still owed waits until it is on again, each for its 24 hours of
    /// running time, and is a dead letter then.
    pub async fn disable(&self, id: &WebhookId) -> Result<Webhook, UpkeepError> {
        self.store.disable(id, SWITCHED_OFF, self.clock.now()).await?;
        self.webhook(id).await
    }

    /// Has a webhook told of what it is still owed, in order, and of what happens from now on.
    pub async fn enable(&self, id: &WebhookId) -> Result<Webhook, UpkeepError> {
        self.store.enable(id, self.clock.now()).await?;
        self.bell.notify_one();
        self.webhook(id).await
    }

    /// A delivery with its last tries.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Delivery, UpkeepError> {
        self.store.delivery(id).await?.ok_or_else(|| UpkeepError::NoDelivery(shown_delivery(id)))
    }

    /// Repeats a delivery that is over, as a new one outside its line. Answers with the replay, and whether it was made now
    /// rather than before.
    pub async fn replay(&self, id: &DeliveryId) -> Result<(Delivery, bool), UpkeepError> {
        match self.store.replay(id, self.clock.now(), REPLAYS_PENDING_MAX).await? {
            Replayed::Fresh(delivery) => {
                self.bell.notify_one();
                Ok((delivery, true))
            }
            Replayed::UnderWay(delivery) if delivery.id == *id => Err(UpkeepError::StillOwed(delivery.id)),
            Replayed::UnderWay(delivery) => Ok((delivery, false)),
            Replayed::Disabled(webhook) => Err(UpkeepError::Disabled(webhook)),
            Replayed::NoWebhook(webhook) => Err(UpkeepError::Deleted(webhook)),
            Replayed::Full => Err(UpkeepError::ManyReplays),
            Replayed::Unknown => Err(UpkeepError::NoDelivery(shown_delivery(id))),
        }
    }

    /// Makes a delivery that is still owed a dead letter, so that its line goes on.
    pub async fn give_up(&self, id: &DeliveryId) -> Result<Delivery, UpkeepError> {
        match self.store.give_up(id, self.clock.now()).await? {
            GivenUp::Dead(delivery) => {
                self.bell.notify_one();
                Ok(delivery)
            }
            GivenUp::Over(delivery) => Err(UpkeepError::Over(delivery.id)),
            GivenUp::Unknown => Err(UpkeepError::NoDelivery(shown_delivery(id))),
        }
    }

    /// Sends a signed probe to the endpoint of a webhook, now and once, and waits for what comes of it. A webhook that is off
    /// is probed too: that is how to see whether it can be switched on.
    pub async fn probe(&self, id: &WebhookId) -> Result<Probe, UpkeepError> {
        let _place = self.probes.try_acquire().map_err(|_| UpkeepError::ManyProbes)?;
        let (webhook, secrets) = self.webhooks.webhook(id).await?.ok_or_else(|| UpkeepError::NoWebhook(shown(id)))?;
        let secrets: Vec<Secret> = secrets.into_iter().map(|(secret, _)| secret).collect();
        let event_id = EventId::new(self.ids.next("evt_"));
        let body = payload::probe(&event_id, &webhook.id, self.clock.now());
        let parcel = Parcel {
            endpoint: &webhook.endpoint,
            secrets: &secrets,
            signature_format: webhook.signature_format,
            event_id: &event_id,
            body: (&body).into(),
            attempt: 1,
            replay_of: None,
        };
        let (attempt, _) = self.dispatch.attempt(parcel).await;
        Ok(Probe { event_id, attempt })
    }

    async fn webhook(&self, id: &WebhookId) -> Result<Webhook, UpkeepError> {
        let found = self.webhooks.webhook(id).await?;
        found.map(|(webhook, _)| webhook).ok_or_else(|| UpkeepError::NoWebhook(shown(id)))
    }
}

/// An id as somebody spelled it is repeated to so many characters.
const ECHO_CHARS_MAX: usize = 64;

fn shown(id: &WebhookId) -> WebhookId {
    WebhookId::new(id.as_str().chars().take(ECHO_CHARS_MAX).collect::<String>())
}

fn shown_delivery(id: &DeliveryId) -> DeliveryId {
    DeliveryId::new(id.as_str().chars().take(ECHO_CHARS_MAX).collect::<String>())
}
