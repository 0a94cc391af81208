//! The default webhook at a hosted service: account-wide, for all five kinds, to our own receiver.

use std::sync::Arc;

use url::Url;

use super::Trouble;
use crate::{
    bell::{
        upstream::{Upstream, UpstreamError, Webhook, WebhookScope},
        webhooks::{Registration, SOURCE, Webhooks, receiver_url},
    },
    domain::{clock::Clock, event::EventKind, id::SourceName},
    store::{hosted::HostedApis, sources::Sources},
};

/// What it is for, as whoever looks at the service's list reads it.
const DESCRIPTION: &str = "mailbell's receiver";

pub(super) struct Endpoint {
    api: String,
    public_url: Option<Url>,
    upstream: Arc<Upstream>,
    webhooks: Webhooks,
    sources: Arc<dyn Sources>,
    apis: Arc<dyn HostedApis>,
    clock: Arc<dyn Clock>,
    /// An operator was asked for approval; to ask again with every look would fill their list.
    asked: bool,
}

impl Endpoint {
    pub(super) fn new(
        api: String,
        public_url: Option<&Url>,
        upstream: Arc<Upstream>,
        webhooks: Webhooks,
        sources: Arc<dyn Sources>,
        apis: Arc<dyn HostedApis>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let (public_url, clock) = (public_url.cloned(), clock.clone());
        Self { api, public_url, upstream, webhooks, sources, apis, clock, asked: false }
    }

    /// Has the service tell our receiver of everything: keeps the webhook that does, replaces one that leads elsewhere, and
    /// makes one where there is none.
    pub(super) async fn see_to(&mut self) -> Result<(), Trouble> {
        let url: Url = receiver_url(self.public_url.as_ref())?.parse().map_err(|_| Trouble::NoPublicUrl)?;
        let kept = self.apis.hosted(&self.api).await?.and_then(|known| known.webhook);
        let there = self.webhooks.list().await?;
        let leads_here = |webhook: &&Webhook| {
            webhook.mailbox.is_none() && webhook.domain.is_none() && webhook.endpoint_url.parse() == Ok(url.clone())
        };
        let (ours, others): (Vec<&Webhook>, Vec<&Webhook>) = there.iter().partition(leads_here);
        // A tunnel has a new name every time; what was registered under the old one would be tried for ever.
        if let Some(stale) = others.into_iter().find(|webhook| Some(&webhook.id) == kept.as_ref()) {
            self.webhooks.delete(&stale.id).await?;
        }
        for webhook in ours {
            if self.sources.has_secret_of(&webhook.id).await? || self.learn_secret(webhook).await? {
                if kept.as_ref() != Some(&webhook.id) {
                    self.apis.keep_webhook(&self.api, Some(&webhook.id)).await?;
                }
                return Ok(());
            }
            // All it sends would be refused.
            self.webhooks.delete(&webhook.id).await?;
        }
        if self.asked {
            return Err(Trouble::PendingApproval);
        }
        let registration = Registration {
            scope: WebhookScope::Account,
            events: EventKind::OF_WEBHOOKS.to_vec(),
            description: Some(DESCRIPTION.to_owned()),
            endpoint_url: None,
        };
        let Some(webhook) = self.webhooks.register(registration).await? else {
            self.asked = true;
            return Err(Trouble::PendingApproval);
        };
        tracing::info!(webhook.id = %webhook.id, "registered a webhook to this receiver at the mail API");
        self.apis.keep_webhook(&self.api, Some(&webhook.id)).await?;
        Ok(())
    }

    /// Has our receiver know the secret of a webhook that an earlier log of ours registered, if the service tells it.
    async fn learn_secret(&self, webhook: &Webhook) -> Result<bool, Trouble> {
        let secret = match self.upstream.webhook_secret(&webhook.id).await {
            Ok(Some(secret)) => secret,
            Ok(None) | Err(UpstreamError::NoWebhook(_) | UpstreamError::Refused { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.sources.add_secret(&SourceName::new(SOURCE), &secret, Some(&webhook.id), self.clock.now()).await?;
        Ok(true)
    }
}
