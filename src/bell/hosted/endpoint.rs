//! The default webhook at a hosted service: account-wide, for all five kinds, to our own receiver.

use std::sync::Arc;

use url::Url;

use super::Trouble;
use crate::{
    bell::{
        upstream::{Upstream, UpstreamError, Webhook, WebhookScope},
        webhooks::{Registration, SOURCE, WebhookError, Webhooks, receiver_url},
    },
    domain::{clock::Clock, event::EventKind, id::SourceName, webhook::Vocabulary},
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
                return opens(webhook);
            }
            // All it sends would be refused.
            self.webhooks.delete(&webhook.id).await?;
        }
        if self.asked {
            return Err(Trouble::PendingApproval);
        }
        let everything = EventKind::OF_WEBHOOKS.to_vec();
        let registered = match self.webhooks.register(registration(everything.clone())).await {
            // The service documents `open`, and one that does not know it after all refuses the whole webhook.
            Err(WebhookError::Upstream(UpstreamError::Refused { status: 400 | 422, said })) => {
                let rest = everything.into_iter().filter(|kind| *kind != EventKind::Open).collect();
                let without = self.webhooks.register(registration(rest)).await;
                without.map_err(|error| match error {
                    WebhookError::Upstream(UpstreamError::Refused { status, .. }) => {
                        WebhookError::Upstream(UpstreamError::Refused { status, said })
                    }
                    error => error,
                })
            }
            registered => registered,
        };
        let Some(webhook) = registered? else {
            self.asked = true;
            return Err(Trouble::PendingApproval);
        };
        tracing::info!(webhook.id = %webhook.id, "registered a webhook to this receiver at the mail API");
        self.apis.keep_webhook(&self.api, Some(&webhook.id)).await?;
        opens(&webhook)
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

fn registration(events: Vec<EventKind>) -> Registration {
    Registration { scope: WebhookScope::Account, events, description: Some(DESCRIPTION.to_owned()), endpoint_url: None }
}

/// Says of a webhook without opens that none are told. One whose kinds the service does not tell is taken to have all.
fn opens(webhook: &Webhook) -> Result<(), Trouble> {
    let has = |word: &String| matches!(Vocabulary::read(word), Ok((EventKind::Open, _)));
    if webhook.events.is_empty() || webhook.events.iter().any(has) { Ok(()) } else { Err(Trouble::NoOpens) }
}
