//! The bearers of tokens who speak MCP over HTTP: who is let in, and that what they have in progress ends when their token is
//! revoked or expires.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        secret::Secret,
    },
    http::mcp::Gate,
    mcp::{Limits, Principal},
    signing::digest::sha256,
    store::{
        bell::BellStore,
        tokens::{TokenHash, TokenScope, Tokens as _},
    },
};

/// How often it is looked whether a token was revoked: a wait is to end within a second of that.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Lets in whoever holds a token for agents.
pub(super) struct Roll {
    store: Arc<BellStore>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// Those who have come since the start; there are no more than tokens.
    known: Mutex<HashMap<TokenHash, Principal>>,
}

impl Roll {
    pub(super) fn new(store: Arc<BellStore>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { store, clock, limits, known: Mutex::default() }
    }

    /// Ends those whose token is no longer there, until `shutdown`.
    pub(super) async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(LOOK_EVERY) => {}
            }
            if self.known().is_empty() {
                continue;
            }
            match self.store.token_hashes().await {
                Ok(live) => self.end_all_but(&live).await,
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "could not look whether tokens were revoked; looking again");
                }
            }
        }
    }

    async fn end_all_but(&self, live: &HashMap<TokenHash, Option<UnixMillis>>) {
        let now = self.clock.now();
        let mut ended = Vec::new();
        self.known().retain(|hash, principal| {
            let lives = live.get(hash).is_some_and(|ends| ends.is_none_or(|ends| ends > now));
            if !lives {
                principal.end();
                ended.extend(principal.name().map(str::to_owned));
            }
            lives
        });
        for name in ended {
            // A wait of its bearer's may have been handed something since the token went.
            if let Err(error) = self.store.free_leases_of(&name, now).await {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "could not give back what a revoked token holds; its leases run out");
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TokenHash, Principal>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Gate for Roll {
    async fn admit(&self, token: &Secret) -> Option<Principal> {
        let hash = sha256(token.expose().as_bytes());
        let found = match self.store.principal(hash).await {
            Ok(found) => found?,
            Err(error) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "could not look a token up; its bearer is turned away");
                return None;
            }
        };
        let over = found.grant.expires_at.is_some_and(|ends| ends <= self.clock.now());
        if found.scope != TokenScope::Mcp || over {
            return None;
        }
        let mut known = self.known();
        let principal = known.entry(hash).or_insert_with(|| Principal::granted(found.name, found.grant, self.limits));
        Some(principal.clone())
    }
}
