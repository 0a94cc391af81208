//! Webhooks that agents register, and the secrets that our own receiver must know before the first delivery.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::upstream::{
    Created, Delivery, DeliveryPage, NewWebhook, Probe, Rotation, Upstream, UpstreamError, Webhook, WebhookScope,
};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        event::EventKind,
        id::{DeliveryId, SourceName, WebhookId},
        secret::Secret,
        webhook::Endpoint,
    },
    ids::Ids,
    store::{
        StoreError,
        sources::{SourceError, Sources},
    },
};

/// The source that the mail service posts to; it exists from the first start.
pub const SOURCE: &str = "multimail";
/// What a signing secret of ours begins with, as the mail API's do.
pub const SECRET_PREFIX: &str = "whsec_";

/// How our own receiver is reached from the mail service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnReceiver {
    /// The service is the embedded one, which resolves `self` when it sends.
    Embedded,
    /// The service is hosted, and reaches us under this base URL, if there is one.
    Hosted(Option<Url>),
}

/// What an agent asks for.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Which mailboxes.
    pub scope: WebhookScope,
    /// Which kinds.
    pub events: Vec<EventKind>,
    /// What it is for.
    pub description: Option<String>,
    /// Where to; our own receiver without.
    pub endpoint_url: Option<String>,
}

/// Why a webhook was not made or removed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A hosted service cannot reach us.
    #[error(
        "the mail service is hosted and cannot reach this receiver; the operator must set hooks.public_url (--public-url), or pass `endpoint_url`"
    )]
    NoPublicUrl,
    /// The mail API did not do it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Our receiver could not store the secret.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The webhooks of the account.
pub struct Webhooks {
    upstream: Arc<Upstream>,
    sources: Arc<dyn Sources>,
    receiver: OwnReceiver,
    ids: Arc<Ids>,
    clock: Arc<dyn Clock>,
}

impl Webhooks {
    /// Webhooks at `upstream`; the secrets of those to `receiver` are kept in `sources`. Which others an agent may name is the gate's to say.
    pub fn new(
        upstream: Arc<Upstream>,
        sources: Arc<dyn Sources>,
        receiver: OwnReceiver,
        ids: Arc<Ids>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { upstream, sources, receiver, ids, clock }
    }

    /// Registers a webhook; answers with it, or with none where its making waits for an operator. The secret stays here.
    pub async fn register(&self, registration: Registration) -> Result<Option<Webhook>, WebhookError> {
        let Registration { scope, events, description, endpoint_url } = registration;
        if matches!((&scope, &self.receiver), (WebhookScope::Domain(_), OwnReceiver::Hosted(_))) {
            // It would be ignored there, and the webhook told of every mailbox.
            return Err(UpstreamError::NotOffered("a webhook for a whole domain").into());
        }
        let own = endpoint_url.as_deref().is_none_or(|url| url == Endpoint::OWN);
        let (endpoint_url, secret) = match (&self.receiver, endpoint_url) {
            (_, Some(url)) if !own => (url, None),
            (OwnReceiver::Embedded, _) => (Endpoint::OWN.to_owned(), Some(self.own_secret().await?)),
            (OwnReceiver::Hosted(public_url), _) => (receiver_url(public_url.as_ref())?, None),
        };
        let chosen = secret.is_some();
        let new = NewWebhook { endpoint_url, scope, events, description, secret };
        let (webhook, signing) = match self.upstream.create_webhook(&new).await? {
            Created::PendingApproval => return Ok(None),
            Created::Active(webhook, signing) => (*webhook, signing),
        };
        if own
            && !chosen
            && let Err(error) = self.store_secret(&webhook.id, signing).await
        {
            // Without its secret we would refuse all it sends.
            if let Err(error) = self.upstream.delete_webhook(&webhook.id).await {
                tracing::warn!(%error, webhook.id = %webhook.id, "a webhook without a stored secret could not be removed");
            }
            return Err(error);
        }
        Ok(Some(webhook))
    }

    /// Every webhook.
    pub async fn list(&self) -> Result<Vec<Webhook>, WebhookError> {
        Ok(self.upstream.webhooks().await?)
    }

    /// Removes a webhook, and then the secret that was its alone.
    pub async fn delete(&self, id: &WebhookId) -> Result<(), WebhookError> {
        let deleted = self.upstream.delete_webhook(id).await;
        if matches!(deleted, Ok(()) | Err(UpstreamError::NoWebhook(_))) {
            self.sources.remove_secret_of(id).await?;
        }
        Ok(deleted?)
    }

    /// What became of deliveries.
    pub async fn deliveries(
        &self,
        webhook: Option<&WebhookId>,
        status: Option<&str>,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<DeliveryPage, WebhookError> {
        Ok(self.upstream.webhook_deliveries(webhook, status, limit, cursor).await?)
    }

    /// Has a delivery that is over repeated.
    pub async fn replay(&self, id: &DeliveryId) -> Result<Delivery, WebhookError> {
        self.only_embedded("a replay of a delivery")?;
        Ok(self.upstream.replay_delivery(id).await?)
    }

    /// Has a signed probe sent to a webhook, and tells what came of it.
    pub async fn probe(&self, id: &WebhookId) -> Result<Probe, WebhookError> {
        self.only_embedded("a probe of a webhook")?;
        Ok(self.upstream.probe_webhook(id).await?)
    }

    fn only_embedded(&self, what: &'static str) -> Result<(), WebhookError> {
        match self.receiver {
            OwnReceiver::Embedded => Ok(()),
            OwnReceiver::Hosted(_) => Err(UpstreamError::NotOffered(what).into()),
        }
    }

    /// The secret that the embedded service signs with when it posts to us: the newest of the source, made if there is none.
    /// It is stored before the service hears of it.
    async fn own_secret(&self) -> Result<Secret, WebhookError> {
        let name = SourceName::new(SOURCE);
        let source = self.sources.source(&name).await?.ok_or_else(|| SourceError::Unknown(name.clone()))?;
        if let Some(secret) = source.secrets.into_iter().next() {
            return Ok(secret);
        }
        let secret = Secret::new(self.ids.secret(SECRET_PREFIX));
        self.sources.add_secret(&name, &secret, None, self.clock.now()).await?;
        Ok(secret)
    }

    async fn store_secret(&self, webhook: &WebhookId, secret: Option<Secret>) -> Result<(), WebhookError> {
        let secret = secret.ok_or(UpstreamError::Unreadable("a new webhook without its signing_secret"))?;
        Ok(self.sources.add_secret(&SourceName::new(SOURCE), &secret, Some(webhook), self.clock.now()).await?)
    }
}

/// Replaces the secret of a webhook for the operator. Our own receiver is told the new one before anything is signed with it.
pub async fn rotate(
    upstream: &Upstream,
    sources: &dyn Sources,
    ids: &Ids,
    now: UnixMillis,
    id: &WebhookId,
    overlap: Option<Duration>,
) -> Result<Rotation, WebhookError> {
    let (webhook, _) = upstream.webhook(id).await?;
    if webhook.endpoint_url != Endpoint::OWN {
        return Ok(upstream.rotate_webhook(id, None, overlap).await?);
    }
    settle(upstream, sources, now).await?;
    let (name, secret) = (SourceName::new(SOURCE), Secret::new(ids.secret(SECRET_PREFIX)));
    // Tied to no webhook: the next one to our receiver is signed with it too.
    sources.add_secret(&name, &secret, None, now).await?;
    let rotated = upstream.rotate_webhook(id, Some(&secret), overlap).await;
    if let Err(UpstreamError::Refused { .. } | UpstreamError::NoWebhook(_)) = &rotated {
        // It will never sign. Where nobody knows, it stays: a later rotation settles it.
        sources.remove_secret(&name, &secret).await?;
    }
    let rotation = rotated?;
    settle(upstream, sources, now).await?;
    Ok(rotation)
}

/// Has our receiver know what the embedded service signs with for it, and nothing that it signed with before.
async fn settle(upstream: &Upstream, sources: &dyn Sources, now: UnixMillis) -> Result<(), WebhookError> {
    let mut live = Vec::new();
    for webhook in upstream.webhooks().await?.into_iter().filter(|webhook| webhook.endpoint_url == Endpoint::OWN) {
        match upstream.webhook_secrets(&webhook.id).await {
            Ok(secrets) => live.extend(secrets),
            // It went meanwhile.
            Err(UpstreamError::NoWebhook(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sources.settle_secrets(&SourceName::new(SOURCE), &live, SECRET_PREFIX, now).await?)
}

/// Where a hosted service reaches our receiver.
pub(super) fn receiver_url(public_url: Option<&Url>) -> Result<String, WebhookError> {
    let mut url = public_url.cloned().ok_or(WebhookError::NoPublicUrl)?;
    url.path_segments_mut().map_err(|()| WebhookError::NoPublicUrl)?.pop_if_empty().extend(["hooks", SOURCE]);
    Ok(url.into())
}
