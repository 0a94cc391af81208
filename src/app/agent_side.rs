//! What agents reach: an MCP server over the bell wing and the mail API. Every process of a data directory has one.

use std::sync::Arc;

use tokio::sync::watch;
use url::Url;

use super::{bell_side::BellSide, letters};
use crate::{
    bell::{
        consumers::Settling,
        fetch::Providers,
        hosted::{Hosted, Parts},
        oversight::Oversight,
        upstream::{Authority, Elsewhere, Upstream, UpstreamError},
        webhooks::{OwnReceiver, Webhooks},
    },
    config::Config,
    domain::secret::Secret,
    mcp::{Rooms, Seal, Server, Toolsets},
};

/// Where the mail API is, and with what key: a hosted one, or the embedded service's, wherever that listens.
pub(super) struct MailApi {
    pub(super) base: watch::Receiver<Option<Url>>,
    pub(super) key: Secret,
}

/// The hosted mail API that the settings name, if they do.
pub(super) fn hosted(config: &Config) -> Option<MailApi> {
    let (base, key) = config.mail.base_url.clone().zip(config.mail.api_key.clone())?;
    // A receiver outlives its sender: the one value stays.
    Some(MailApi { base: watch::channel(Some(base)).1, key })
}

/// A client of the mail API for this process.
pub(super) fn upstream(bell: &BellSide, api: MailApi, authority: Authority) -> Result<Upstream, UpstreamError> {
    let upstream = Upstream::new(api.base, api.key, bell.store.clone(), bell.clock.clone(), authority)?;
    let store = bell.store.clone();
    Ok(upstream.with_received(Elsewhere {
        mail: store.clone(),
        sources: store,
        fetch: Arc::new(Providers::new(bell.clock.clone())),
        clock: bell.clock.clone(),
        read_letter: letters::read,
    }))
}

/// The webhooks at the mail API, and the secrets of those to our own receiver.
fn webhooks(bell: &BellSide, upstream: Arc<Upstream>, config: &Config) -> Webhooks {
    let receiver = match &config.mail.base_url {
        None => OwnReceiver::Embedded,
        Some(_) => OwnReceiver::Hosted(config.hooks.public_url.clone()),
    };
    Webhooks::new(upstream, bell.store.clone(), receiver, bell.ids.clone(), bell.clock.clone())
}

/// What looks after the hosted mail service whose API is at `base`.
pub(super) fn hosted_service(bell: &BellSide, upstream: Arc<Upstream>, base: &Url, config: &Config) -> Hosted {
    let webhooks = webhooks(bell, upstream.clone(), config);
    let BellSide { store, bell: rung, clock, .. } = bell.clone();
    let parts =
        Parts { upstream, webhooks, sources: store.clone(), apis: store.clone(), log: store, bell: rung, clock };
    Hosted::new(base, config.hooks.public_url.as_ref(), parts)
}

/// The MCP server of this process.
pub(super) fn server(
    bell: &BellSide,
    upstream: Arc<Upstream>,
    oversight: Arc<Oversight>,
    seal: Seal,
    config: &Config,
) -> Server {
    let webhooks = webhooks(bell, upstream.clone(), config);
    let BellSide { store, bell: rung, ids, clock } = bell.clone();
    Server::new(Arc::new(Rooms {
        waiting: bell.waiting(),
        log: store.clone(),
        audit: store.clone(),
        settling: Settling::new(store, rung, clock.clone()),
        webhooks,
        oversight,
        seal,
        upstream,
        toolsets: Toolsets::new(&config.mcp.toolsets),
        ids,
        clock,
    }))
}
