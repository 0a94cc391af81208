//! What a house owes a hosted mail service: one webhook there that tells us of everything, and a look, at every start, at
//! what came in while nobody listened.
//!
//! Webhooks are given up after 24 hours, so after a longer absence only the API's lists still know of mail that came in;
//! of what became of mail that was sent, nobody does. The look is repeated while the house stands, because a machine that
//! slept, or a tunnel that was down, is an absence too. It is done in the background: whatever the service does, the house
//! serves.

mod arrivals;
mod endpoint;

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::{arrivals::Missed, endpoint::Endpoint};
use super::{
    upstream::{Upstream, UpstreamError},
    webhooks::{WebhookError, Webhooks},
};
use crate::{
    domain::clock::Clock,
    store::{
        StoreError,
        hosted::HostedApis,
        log::EventLog,
        sources::{SourceError, Sources},
    },
    wake::Bell,
};

/// From a look that found all well to the next. What it finds then was missed by the webhook, which is rare.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// From a look that met trouble to the next, at first.
const RETRY_DELAY_MIN: Duration = Duration::from_secs(5);
/// The same, in the end: short enough that an hour's outage is over soon after it is over.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(10);

/// What a look met.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The service has no address to post to.
    #[error(
        "the mail service is hosted and has no address to post to: set hooks.public_url (--public-url) to the URL under which the world reaches the hooks listener; until then mail that comes in is found by looking every hour, and nothing tells of deliveries, bounces, complaints and opens"
    )]
    NoPublicUrl,
    /// The service makes webhooks only with an operator's approval.
    #[error("the webhook to this receiver waits for an operator's approval at the mail API; approve it there")]
    PendingApproval,
    /// The service has no opens to tell of.
    #[error(
        "the mail API refuses a webhook for `open`, so this one does without: opens are not told, everything else is"
    )]
    NoOpens,
    /// The mail API did not do it.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The webhook's secret could not be stored.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WebhookError> for Trouble {
    fn from(error: WebhookError) -> Self {
        match error {
            // We name no endpoint but our own.
            WebhookError::NoPublicUrl => Self::NoPublicUrl,
            WebhookError::Upstream(error) => Self::Upstream(error),
            WebhookError::Source(error) => Self::Source(error),
            WebhookError::Store(error) => Self::Store(error),
        }
    }
}

impl Trouble {
    /// Whether it may pass without anybody doing something here.
    fn may_pass(&self) -> bool {
        !matches!(self, Self::NoPublicUrl | Self::PendingApproval | Self::NoOpens)
    }
}

/// What a [`Hosted`] is made from.
#[expect(missing_docs, reason = "each is the part of its name")]
pub struct Parts {
    pub upstream: Arc<Upstream>,
    pub webhooks: Webhooks,
    pub sources: Arc<dyn Sources>,
    pub apis: Arc<dyn HostedApis>,
    pub log: Arc<dyn EventLog>,
    pub bell: Bell,
    pub clock: Arc<dyn Clock>,
}

/// A hosted mail service, as the house that keeps the data directory looks after it.
pub struct Hosted {
    /// The API's base URL, which names it in the store.
    api: String,
    endpoint: Endpoint,
    missed: Missed,
    apis: Arc<dyn HostedApis>,
    clock: Arc<dyn Clock>,
}

impl Hosted {
    /// The service whose API is at `base`, and which reaches our receiver under `public_url`.
    pub fn new(base: &Url, public_url: Option<&Url>, parts: Parts) -> Self {
        let Parts { upstream, webhooks, sources, apis, log, bell, clock } = parts;
        let api = base.as_str().trim_end_matches('/').to_owned();
        Self {
            endpoint: Endpoint::new(api.clone(), public_url, upstream.clone(), webhooks, sources, apis.clone(), &clock),
            missed: Missed::new(api.clone(), upstream, log, apis.clone(), bell, clock.clone()),
            api,
            apis,
            clock,
        }
    }

    /// Looks after the service until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let delays = || {
            ExponentialBuilder::default()
                .with_min_delay(RETRY_DELAY_MIN)
                .with_max_delay(RETRY_DELAY_MAX)
                .without_max_times()
                .with_jitter()
                .build()
        };
        let mut retries = delays();
        loop {
            let looked = tokio::select! {
                () = shutdown.cancelled() => return,
                looked = self.look() => looked,
            };
            let wait = if looked.iter().any(Trouble::may_pass) {
                retries.next().unwrap_or(RETRY_DELAY_MAX)
            } else {
                retries = delays();
                LOOK_EVERY
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    /// Sees to our webhook, then to what was missed: in this order, so that nothing falls between. The one is done whatever
    /// became of the other. Answers with the troubles that it met, which are told in the log and in the store.
    pub async fn look(&mut self) -> Vec<Trouble> {
        let began = self.clock.now();
        let endpoint = self.endpoint.see_to().await;
        let missed = self.missed.bring().await;
        let saw_everything = missed.is_ok().then_some(began);
        let mut troubles: Vec<Trouble> = [endpoint.err(), missed.err()].into_iter().flatten().collect();
        troubles.dedup_by_key(|trouble| trouble.to_string());
        for trouble in &troubles {
            let error = trouble as &(dyn std::error::Error + 'static);
            tracing::warn!(error, "the hosted mail service is not wholly in use");
        }
        let sentences: Vec<String> = troubles.iter().map(ToString::to_string).collect();
        let told = (!sentences.is_empty()).then(|| sentences.join("; "));
        if let Err(error) = self.apis.keep_look(&self.api, self.clock.now(), told.as_deref(), saw_everything).await {
            troubles.push(error.into());
        }
        troubles
    }
}
