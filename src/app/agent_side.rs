//! What agents reach: an MCP server over the bell wing and the mail API. Every process of a data directory has one.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use url::Url;

use super::bell_side::BellSide;
use crate::{
    bell::{
        consumers::Settling,
        upstream::{Upstream, UpstreamError},
        webhooks::{OwnReceiver, Webhooks},
    },
    config::Config,
    domain::{allow_hosts::AllowHosts, secret::Secret},
    http::mcp::Gate,
    mcp::{Rooms, Server, over_http::Principal},
    signing::digest::sha256,
    store::{
        bell::BellStore,
        tokens::{TokenScope, Tokens as _},
    },
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
pub(super) fn upstream(bell: &BellSide, api: MailApi) -> Result<Arc<Upstream>, UpstreamError> {
    Upstream::new(api.base, api.key, bell.store.clone(), bell.clock.clone()).map(Arc::new)
}

/// The MCP server of this process.
pub(super) fn server(bell: &BellSide, upstream: Arc<Upstream>, config: &Config) -> Server {
    let receiver = match &config.mail.base_url {
        None => OwnReceiver::Embedded,
        Some(_) => OwnReceiver::Hosted(config.hooks.public_url.clone()),
    };
    let allowed = AllowHosts::new(&config.webhooks.allow_hosts);
    let BellSide { store, bell: rung, ids, clock } = bell.clone();
    Server::new(Arc::new(Rooms {
        waiting: bell.waiting(),
        log: store.clone(),
        settling: Settling::new(store.clone(), rung, clock.clone()),
        webhooks: Webhooks::new(upstream.clone(), store, receiver, allowed, ids.clone(), clock.clone()),
        upstream,
        ids,
        clock,
    }))
}

/// Lets in whoever holds a token for agents.
pub(super) struct TokenGate(pub(super) Arc<BellStore>);

#[async_trait]
impl Gate for TokenGate {
    async fn admit(&self, token: &Secret) -> Option<Principal> {
        match self.0.principal(sha256(token.expose().as_bytes())).await {
            Ok(Some(principal)) if principal.scope == TokenScope::Mcp => Some(Principal::new(principal.name)),
            Ok(_) => None,
            Err(error) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "could not look a token up; its bearer is turned away");
                None
            }
        }
    }
}
