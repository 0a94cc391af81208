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
    super::{Principal, place::Place, principal::Subscriptions, server::Rooms},
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
/// How long a stream waits for a mail API that does not answer to a look at its mailboxes, before it begins without.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(2);
/// Events that may come between a stream's acknowledgement and its first look.
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
    /// The last event that followers were told of.
    told: Seq,
    /// How many are told of the list, how many more soon will be, and what was on it at the last look.
    lists: usize,
    expected: usize,
    mailboxes: Option<Vec<String>>,
    /// Ends the tasks.
    at_work: Option<DropGuard>,
}

/// Somebody is about to be told of the list, and this is what was on it before they were told so.
pub struct Expected {
    hub: Arc<Hub>,
    before: Option<Vec<String>>,
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

    /// Looks at the list for one who will be told when it changes, counted from now on.
    pub(super) async fn expect(self: &Arc<Self>) -> Expected {
        let known = {
            let mut inner = self.inner();
            inner.expected += 1;
            inner.mailboxes.clone()
        };
        let mut expected = Expected { hub: self.clone(), before: known };
        if expected.before.is_none() {
            let found = tokio::select! {
                found = self.rooms.upstream.mailboxes() => found.ok(),
                () = self.rooms.clock.sleep(FIRST_LOOK_MAX) => None,
            };
            expected.before = found.map(|found| found.into_iter().map(|mailbox| mailbox.address).collect());
            let mut inner = self.inner();
            if inner.mailboxes.is_none() {
                inner.mailboxes.clone_from(&expected.before);
            }
        }
        expected
    }

    /// Takes a client in. What is committed from now on, it is told; and whether the list is another than was `expected`.
    pub(super) async fn join(
        self: &Arc<Self>,
        principal: &Principal,
        outlet: Outlet,
        lists: bool,
        expected: Option<&Expected>,
    ) -> Result<Member, StoreError> {
        // Begun before anybody knows whether it is needed: the one at work may end at any moment until the lock is held.
        let following = self.rooms.waiting.follow().await?;
        let mut inner = self.inner();
        if inner.at_work.is_none() {
            let ended = CancellationToken::new();
            inner.told = following.after();
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
            if inner.mailboxes.is_none() || inner.lists == 1 {
                self.look.notify_one();
            }
            if let (Some(before), Some(now)) = (expected.and_then(|it| it.before.as_ref()), &inner.mailboxes) {
                listener.list_is(before, now);
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
        let mut inner = self.inner();
        inner.told = events.last().map_or(inner.told, |last| inner.told.max(last.seq));
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
                listener.list_is(before, &now);
            }
        }
        if inner.lists + inner.expected > 0 {
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
        self.hub.inner().follow(&self.listener, uri, place, counted);
    }

    /// Follows all of these at once, uncounted, and tells of what happened to them from `since` until then.
    pub(super) async fn follow_since(
        &self,
        followed: Vec<(&String, Place)>,
        since: UnixMillis,
    ) -> Result<(), StoreError> {
        let told = {
            let mut inner = self.hub.inner();
            for (uri, place) in followed {
                inner.follow(&self.listener, uri, place, None);
            }
            inner.told
        };
        let is_due = |event: &&Event| event.received_at >= since && event.seq <= told;
        let page = PageRequest {
            filter: EventFilter { within: self.listener.principal.grant().mailboxes.clone(), ..EventFilter::default() },
            after: Seq::ZERO,
            before: None,
            order: Order::Descending,
            limit: LOOKED_BACK_MAX,
        };
        for event in self.hub.rooms.log.page(&page).await?.iter().filter(is_due) {
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
    fn follow(&mut self, listener: &Arc<Listener>, uri: &str, place: Place, counted: Option<Subscriptions>) {
        let uri: Arc<str> = uri.into();
        listener.follow(uri.clone(), place.clone(), counted);
        self.followers.entry(place).or_default().insert((listener.id, uri), listener.clone());
    }

    fn forget(&mut self, listener: u64, uri: Arc<str>, place: &Place) {
        if let Some(followers) = self.followers.get_mut(place) {
            followers.remove(&(listener, uri));
            if followers.is_empty() {
                self.followers.remove(place);
            }
        }
    }

    /// What nobody is told of, nobody looks at: it would be old.
    fn forget_mailboxes(&mut self) {
        if self.lists + self.expected == 0 {
            self.mailboxes = None;
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut inner = self.hub.inner();
        inner.expected -= 1;
        inner.forget_mailboxes();
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
        inner.lists -= usize::from(lists);
        inner.forget_mailboxes();
        if inner.listeners.is_empty() {
            inner.at_work = None;
        }
    }
}
