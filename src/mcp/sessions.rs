//! Whose session is whose: a session of the older protocol belongs to the principal that opened it, and ends with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::transport::streamable_http_server::{SessionManager as _, session::local::LocalSessionManager};

use tokio_util::sync::CancellationToken;

use super::Principal;

/// Names of sessions that may be kept beyond those that live, before the dead ones are looked for.
const DEAD_MAX: usize = 64;

/// The sessions with their owners; clones share them.
#[derive(Clone)]
pub struct SessionBook {
    manager: Arc<LocalSessionManager>,
    owners: Arc<Mutex<HashMap<Arc<str>, Principal>>>,
    shutdown: CancellationToken,
}

impl SessionBook {
    pub(super) fn new(manager: Arc<LocalSessionManager>, shutdown: CancellationToken) -> Self {
        Self { manager, owners: Arc::default(), shutdown }
    }

    /// Whether `session` is another's. One that nobody knows is nobody's.
    pub fn is_foreign(&self, session: &str, principal: &Principal) -> bool {
        self.owners().get(session).is_some_and(|owner| owner.name() != principal.name())
    }

    /// Whether `principal` has as many sessions as it may.
    pub async fn is_full(&self, principal: &Principal) -> bool {
        let max = principal.sessions_max();
        let of = |owners: &HashMap<Arc<str>, Principal>| {
            owners.values().filter(|owner| owner.name() == principal.name()).count()
        };
        if of(&self.owners()) < max {
            return false;
        }
        self.forget_dead().await;
        of(&self.owners()) >= max
    }

    /// `principal` has opened `session`. It is closed when the principal ends.
    pub async fn opened(&self, session: &str, principal: &Principal) {
        let known = {
            let mut owners = self.owners();
            owners.insert(session.into(), principal.clone());
            owners.len()
        };
        if principal.is_new() {
            let (book, principal) = (self.clone(), principal.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = book.shutdown.cancelled() => {}
                    () = principal.ended() => book.close_ended().await,
                }
            });
        }
        if known > self.manager.sessions.read().await.len() + DEAD_MAX {
            self.forget_dead().await;
        }
    }

    /// Closes the sessions of principals whose tokens are revoked.
    async fn close_ended(&self) {
        let ended: Vec<Arc<str>> = {
            let mut owners = self.owners();
            let ended = owners.iter().filter(|(_, owner)| owner.has_ended()).map(|(id, _)| id.clone()).collect();
            owners.retain(|_, owner| !owner.has_ended());
            ended
        };
        for session in ended {
            if let Err(error) = self.manager.close_session(&session).await {
                tracing::debug!(%error, "a session of a revoked token had ended already");
            }
        }
    }

    async fn forget_dead(&self) {
        let live = self.manager.sessions.read().await;
        self.owners().retain(|session, _| live.contains_key(session));
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<Arc<str>, Principal>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
