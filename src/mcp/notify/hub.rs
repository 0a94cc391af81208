//! From the log to those who are told: one task follows the log for all of them, and one looks at the list of mailboxes.
//! Both run while there is anybody to tell.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    super::{Principal, place::Place, principal::Subscriptions, resources, server::Rooms},
    channel,
    listener::{Listener, Outlet},
};
use crate::{
    bell::following::Following,
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{Event, EventFilter},
    },
    store::{
        StoreError,
        log::{Order, PageRequest},
    },
};

/// How often it is looked whether a mailbox came or went: nothing tells of that. It costs a request on this machine.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same at a service elsewhere, which counts requests.
const LOOK_ELSEWHERE_EVERY: Duration = Duration::from_mins(1);
/// When the first look failed, as while the keeper starts; and when the log could not be read.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Events that may come between a stream's acknowledgement and its first look, and are told again.
const LOOKED_BACK_MAX: u32 = 200;

/// Tells listeners.
pub(super) struct Hub {
    rooms: Arc<Rooms>,
    inner: Mutex<Inner>,
    /// Somebody wants to hear of mailboxes, and nobody knows yet which there are.
    look: Notify,
}

type Followers = HashMap<(u64, Arc<str>), Arc<Listener>>;

#[derive(Default)]
struct Inner {
    next: u64,
    listeners: HashMap<u64, Arc<Listener>>,
    /// Who follows what, by listener and by the address that it gave.
    followers: HashMap<Place, Followers>,
    channels: HashMap<u64, Arc<Listener>>,
    /// How many are told of the list, and what was on it at the last look.
    lists: usize,
    mailboxes: Option<Vec<String>>,
    /// Ends the tasks.
    at_work: Option<DropGuard>,
}

/// A place among the listeners; dropping it gives it up with all that it follows.
pub(super) struct Member {
    hub: Arc<Hub>,
    listener: Arc<Listener>,
}

impl Hub {
    pub(super) fn new(rooms: Arc<Rooms>) -> Self {
        Self { rooms, inner: Mutex::default(), look: Notify::new() }
    }

    pub(super) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Takes a client in. What is committed from now on, it is told.
    pub(super) async fn join(
        self: &Arc<Self>,
        principal: &Principal,
        outlet: Outlet,
        lists: bool,
    ) -> Result<Member, StoreError> {
        // Begun before anybody knows whether it is needed: the one at work may end at any moment until the lock is held.
        let following = self.rooms.waiting.follow().await?;
        let mut inner = self.inner();
        if inner.at_work.is_none() {
            let ended = CancellationToken::new();
            tokio::spawn(self.clone().tell(following, ended.clone()));
            tokio::spawn(self.clone().watch_mailboxes(ended.clone()));
            inner.at_work = Some(ended.drop_guard());
        }
        inner.next += 1;
        let id = inner.next;
        let listener = Arc::new(Listener::new(id, principal.clone(), outlet, lists, self.rooms.clock.clone()));
        inner.listeners.insert(id, listener.clone());
        if listener.is_channel() {
            inner.channels.insert(id, listener.clone());
        }
        if lists {
            inner.lists += 1;
            if inner.mailboxes.is_none() {
                self.look.notify_one();
            }
        }
        Ok(Member { hub: self.clone(), listener })
    }

    async fn tell(self: Arc<Self>, mut following: Following, ended: CancellationToken) {
        loop {
            let events = tokio::select! {
                () = ended.cancelled() => return,
                events = following.next() => events,
            };
            match events {
                Ok(events) => {
                    self.happened(&events);
                    continue;
                }
                Err(error) => tracing::warn!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not read what to tell subscribers; trying again"
                ),
            }
            tokio::select! {
                () = ended.cancelled() => return,
                () = self.rooms.clock.sleep(AGAIN_AFTER) => {}
            }
        }
    }

    fn happened(&self, events: &[Event]) {
        let inner = self.inner();
        for event in events {
            let mailbox = event.fact.mailbox.as_deref();
            let kind = event.fact.detail.kind();
            for place in Place::changed_by(event) {
                for ((_, uri), listener) in inner.followers.get(&place).into_iter().flatten() {
                    if listener.principal.grant().mailboxes.hold_event_of(mailbox) {
                        listener.updated(uri);
                    }
                }
            }
            for listener in inner.channels.values().filter(|_| channel::tells_of(kind)) {
                listener.happened(kind, event.seq);
            }
        }
    }

    async fn watch_mailboxes(self: Arc<Self>, ended: CancellationToken) {
        let every = if self.rooms.upstream.is_of_keeper() { LOOK_EVERY } else { LOOK_ELSEWHERE_EVERY };
        loop {
            let wanted = self.inner().lists > 0;
            let mut pause = every;
            if wanted {
                match self.rooms.upstream.mailboxes().await {
                    Ok(found) => self.found(found.into_iter().map(|mailbox| mailbox.address).collect()),
                    Err(error) => {
                        tracing::debug!(%error, "could not look whether a mailbox came or went");
                        if self.inner().mailboxes.is_none() {
                            pause = AGAIN_AFTER;
                        }
                    }
                }
            }
            tokio::select! {
                () = ended.cancelled() => return,
                () = self.look.notified() => {}
                () = self.rooms.clock.sleep(pause), if wanted => {}
            }
        }
    }

    fn found(&self, now: Vec<String>) {
        let mut inner = self.inner();
        if let Some(before) = inner.mailboxes.as_ref().filter(|before| **before != now) {
            for listener in inner.listeners.values().filter(|listener| listener.lists) {
                let seen = &listener.principal.grant().mailboxes;
                let before = resources::listed(before.iter().map(String::as_str), seen);
                let now = resources::listed(now.iter().map(String::as_str), seen);
                if !before.eq(now) {
                    listener.list_changed();
                }
            }
        }
        if inner.lists > 0 {
            inner.mailboxes = Some(now);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Resources that it follows.
    pub(super) fn count(&self) -> usize {
        self.listener.count()
    }

    pub(super) fn follows(&self, uri: &str) -> bool {
        self.listener.follows(uri)
    }

    /// Follows `place` under the name `uri`, counted as long as it does.
    pub(super) fn follow(&self, uri: &str, place: Place, counted: Option<Subscriptions>) {
        let uri: Arc<str> = uri.into();
        let mut inner = self.hub.inner();
        self.listener.follow(uri.clone(), place.clone(), counted);
        inner.followers.entry(place).or_default().insert((self.listener.id, uri), self.listener.clone());
    }

    /// Tells again of what was received at `since` or later.
    pub(super) async fn look_back(&self, since: UnixMillis) -> Result<(), StoreError> {
        let page = PageRequest {
            filter: EventFilter { within: self.listener.principal.grant().mailboxes.clone(), ..EventFilter::default() },
            after: Seq::ZERO,
            before: None,
            order: Order::Descending,
            limit: LOOKED_BACK_MAX,
        };
        for event in self.hub.rooms.log.page(&page).await?.iter().filter(|event| event.received_at >= since) {
            for uri in Place::changed_by(event).flat_map(|place| self.listener.followed_as(&place)) {
                self.listener.updated(&uri);
            }
        }
        Ok(())
    }

    pub(super) fn unfollow(&self, uri: &str) {
        let mut inner = self.hub.inner();
        if let Some(place) = self.listener.unfollow(uri) {
            inner.forget(self.listener.id, uri.into(), &place);
        }
    }
}

impl Inner {
    fn forget(&mut self, listener: u64, uri: Arc<str>, place: &Place) {
        if let Some(followers) = self.followers.get_mut(place) {
            followers.remove(&(listener, uri));
            if followers.is_empty() {
                self.followers.remove(place);
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Listener { id, lists, .. } = *self.listener;
        let mut inner = self.hub.inner();
        for (uri, place) in self.listener.end() {
            inner.forget(id, uri, &place);
        }
        inner.listeners.remove(&id);
        inner.channels.remove(&id);
        if lists {
            inner.lists -= 1;
            if inner.lists == 0 {
                // What nobody is told of, nobody looks at: it would be old.
                inner.mailboxes = None;
            }
        }
        if inner.listeners.is_empty() {
            inner.at_work = None;
        }
    }
}
