//! One client that is told of changes, at its own pace: what it has not taken yet waits, one note a resource, and holds up
//! nobody else.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::{
    Peer, RoleServer,
    model::ResourceUpdatedNotificationParam,
    service::{SubscriptionSendError, SubscriptionSink},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Principal, place::Place, principal::Subscriptions, resources},
    channel::{self, News},
};
use crate::domain::{clock::Clock, cursor::Seq, event::EventKind};

/// What changes within this is told as one: a burst of events costs a client ten notifications a second for each resource,
/// and an older one without a stream, for which only the last few notifications are kept, loses no resource's.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to a client.
pub(super) enum Outlet {
    /// A session of the older protocol.
    Session(Peer<RoleServer>),
    /// A stream of the newer one.
    Stream(SubscriptionSink),
    /// A session that is told of events themselves, by Claude Code's channel.
    Channel(Peer<RoleServer>),
}

/// Who is told.
pub(super) struct Listener {
    pub(super) id: u64,
    pub(super) principal: Principal,
    /// Whether it is told that the list of resources has changed.
    pub(super) lists: bool,
    outlet: Outlet,
    /// Cancelled when it is told no more.
    ended: CancellationToken,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By their addresses as the client wrote them.
    followed: HashMap<Arc<str>, (Place, Option<Subscriptions>)>,
    due: Due,
    /// Whether a task is telling it.
    telling: bool,
}

/// What it is to be told, whatever came how often.
#[derive(Default)]
struct Due {
    list: bool,
    updated: BTreeSet<Arc<str>>,
    news: News,
}

impl Due {
    fn is_empty(&self) -> bool {
        !self.list && self.updated.is_empty() && self.news.is_empty()
    }
}

impl Listener {
    pub(super) fn new(id: u64, principal: Principal, outlet: Outlet, lists: bool, clock: Arc<dyn Clock>) -> Self {
        Self { id, principal, lists, outlet, ended: CancellationToken::new(), clock, state: Mutex::default() }
    }

    pub(super) fn is_channel(&self) -> bool {
        matches!(self.outlet, Outlet::Channel(_))
    }

    /// Resources that it follows.
    pub(super) fn count(&self) -> usize {
        self.state().followed.len()
    }

    pub(super) fn follows(&self, uri: &str) -> bool {
        self.state().followed.contains_key(uri)
    }

    pub(super) fn follow(&self, uri: Arc<str>, place: Place, counted: Option<Subscriptions>) {
        self.state().followed.insert(uri, (place, counted));
    }

    /// The addresses by which it follows `place`.
    pub(super) fn followed_as(&self, place: &Place) -> Vec<Arc<str>> {
        let state = self.state();
        state.followed.iter().filter(|(_, (followed, _))| followed == place).map(|(uri, _)| uri.clone()).collect()
    }

    /// Forgets a resource; answers with what its address named.
    pub(super) fn unfollow(&self, uri: &str) -> Option<Place> {
        let mut state = self.state();
        state.due.updated.remove(uri);
        state.followed.remove(uri).map(|(place, _)| place)
    }

    /// Tells it nothing more; answers with what it followed.
    pub(super) fn end(&self) -> Vec<(Arc<str>, Place)> {
        self.ended.cancel();
        let mut state = self.state();
        state.due = Due::default();
        state.followed.drain().map(|(uri, (place, _))| (uri, place)).collect()
    }

    /// The mailboxes were those `before` and are these `now`: where what it may see of them differs, it is told.
    pub(super) fn list_is(self: &Arc<Self>, before: &[String], now: &[String]) {
        let seen = &self.principal.grant().mailboxes;
        let before = resources::listed(before.iter().map(String::as_str), seen);
        let now = resources::listed(now.iter().map(String::as_str), seen);
        if !before.eq(now) {
            self.tell(|due| due.list = true);
        }
    }

    pub(super) fn updated(self: &Arc<Self>, uri: &Arc<str>) {
        self.tell(|due| {
            due.updated.insert(uri.clone());
        });
    }

    pub(super) fn happened(self: &Arc<Self>, kind: EventKind, seq: Seq) {
        self.tell(|due| due.news.add(kind, seq));
    }

    fn tell(self: &Arc<Self>, add: impl FnOnce(&mut Due)) {
        if self.ended.is_cancelled() || self.principal.has_ended() {
            return;
        }
        let mut state = self.state();
        add(&mut state.due);
        if !std::mem::replace(&mut state.telling, true) {
            tokio::spawn(self.clone().tell_all());
        }
    }

    async fn tell_all(self: Arc<Self>) {
        loop {
            let due = {
                let mut state = self.state();
                if state.due.is_empty() {
                    state.telling = false;
                    return;
                }
                std::mem::take(&mut state.due)
            };
            let pause = self.clock.sleep(if self.is_channel() { channel::PAUSE } else { PAUSE });
            let told = tokio::select! {
                () = self.ended.cancelled() => return,
                () = self.principal.ended() => return,
                told = self.send(due) => told,
            };
            if let Err(error) = told {
                // Its transport is gone, and with that its place here soon. `telling` stays, so that nobody tries again.
                tracing::debug!(%error, "a client could not be told of a change");
                return;
            }
            tokio::select! {
                () = self.ended.cancelled() => return,
                () = pause => {}
            }
        }
    }

    async fn send(&self, due: Due) -> Result<(), SubscriptionSendError> {
        if due.list {
            match &self.outlet {
                Outlet::Session(peer) => peer.notify_resource_list_changed().await?,
                Outlet::Stream(sink) => sink.notify_resource_list_changed().await?,
                Outlet::Channel(_) => {}
            }
        }
        for uri in due.updated {
            // It may have been given up since.
            if !self.follows(&uri) {
                continue;
            }
            match &self.outlet {
                Outlet::Session(peer) => {
                    peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(&*uri)).await?;
                }
                Outlet::Stream(sink) => sink.notify_resource_updated(&*uri).await?,
                Outlet::Channel(_) => {}
            }
        }
        match &self.outlet {
            Outlet::Channel(peer) if !due.news.is_empty() => peer.send_notification(due.news.notification()).await?,
            _ => {}
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
