//! Telling clients what changes, where they ask for it: `resources/subscribe` and what every session of the older protocol
//! is told, `subscriptions/listen` of 2026-07-28, and Claude Code's channel.
//!
//! A notification is a hint, and says which resource to read: a client that misses it finds the event in the log all the
//! same. It holds addresses that the client wrote itself, kinds, places and counts, and nothing that somebody else wrote.
//! Tools, templates and prompts are the same as long as a process runs, so nothing is told of those.

pub(super) mod channel;
mod door;
mod hub;
mod listener;

use std::sync::Arc;

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::SubscriptionFilter,
    service::{SubscriptionContext, SubscriptionSink},
};
use tokio::sync::OnceCell;

pub(super) use self::door::Door;
pub use self::hub::Expected;
use self::{
    hub::{Hub, Member},
    listener::Outlet,
};
use super::{
    Principal,
    failure::Failure,
    place::Place,
    present::{self, Fence, sentence},
    resources,
    server::Rooms,
};
use crate::{domain::clock::UnixMillis, store::StoreError};

/// Resources that one session or one stream follows, at most. Who wants more wants `mailbell://events`.
const PER_SESSION_MAX: usize = 500;
/// From when an event was received to when a stream that was acknowledged before its commit listens, at most; on a busy
/// machine.
const SINCE_ACKNOWLEDGED_MILLIS: i64 = 2_000;

/// One client's place among those who are told. It is taken when the client first needs it, and given up with all that it
/// follows when this is dropped: rmcp drops a session's handler when the session ends, however it does.
///
/// A clone is another client's.
pub(super) struct Seat {
    hub: Arc<Hub>,
    member: OnceCell<Member>,
    channel: OnceCell<Member>,
}

impl Clone for Seat {
    fn clone(&self) -> Self {
        Self::of(self.hub.clone())
    }
}

impl Seat {
    pub(super) fn new(rooms: Arc<Rooms>) -> Self {
        Self::of(Arc::new(Hub::new(rooms)))
    }

    fn of(hub: Arc<Hub>) -> Self {
        Self { hub, member: OnceCell::new(), channel: OnceCell::new() }
    }

    /// A stream that tells of the list is about to begin.
    pub(super) async fn expect(&self) -> Expected {
        self.hub.expect().await
    }

    /// A session of the older protocol has begun; `channel` says whether it is told of events by that.
    pub(super) async fn initialized(&self, peer: &Peer<RoleServer>, principal: &Principal, channel: bool) {
        let joined = async {
            self.member(peer, principal).await?;
            if channel {
                let join = || self.hub.join(principal, Outlet::Channel(peer.clone()), false, None);
                self.channel.get_or_try_init(join).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = joined.await {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::warn!(error, "a session is not told of changes");
        }
    }

    async fn member(&self, peer: &Peer<RoleServer>, principal: &Principal) -> Result<&Member, StoreError> {
        self.member.get_or_try_init(|| self.hub.join(principal, Outlet::Session(peer.clone()), true, None)).await
    }

    /// Has a session of the older protocol told when what is at `uri` changes.
    pub(super) async fn subscribe(
        &self,
        uri: &str,
        peer: &Peer<RoleServer>,
        principal: &Principal,
    ) -> Result<(), ErrorData> {
        let rooms = self.hub.rooms();
        let fence = Fence::new(rooms.ids());
        let Some(place) = Place::of(uri) else { return Err(resources::unknown(&fence, uri)) };
        let refused = |failure: Failure| resources::refused(&fence, &failure, uri);
        resources::may_see(rooms, &place, &principal.grant().mailboxes).await.map_err(refused)?;
        let Some(place) = place.followed() else {
            return Err(present::invalid(
                &fence,
                &"nothing is subscribed: nothing is told of changes to this resource. Events, a mailbox's events, threads and \
                  messages can be subscribed to"
                    .into(),
            ));
        };
        let member = self.member(peer, principal).await.map_err(|error| refused(error.into()))?;
        if member.follows(uri) {
            return Ok(());
        }
        if member.count() >= PER_SESSION_MAX {
            let sentence = sentence!(
                "nothing is subscribed: a session may have {} subscriptions, and this one has; end some first, or subscribe to \
                 mailbell://events",
                PER_SESSION_MAX
            );
            return Err(present::invalid(&fence, &sentence));
        }
        let counted = principal.begin_subscriptions(1).map_err(|sentence| present::invalid(&fence, &sentence))?;
        member.follow(uri, place, Some(counted));
        Ok(())
    }

    /// The opposite. What is not subscribed to stays so.
    pub(super) fn unsubscribe(&self, uri: &str) {
        if let Some(member) = self.member.get() {
            member.unfollow(uri);
        }
    }

    /// Tells a stream of the newer protocol until its client ends it or its principal ends.
    pub(super) async fn listen(&self, context: &SubscriptionContext, principal: &Principal) -> Result<(), ErrorData> {
        let rooms = self.hub.rooms();
        let fence = Fence::new(rooms.ids());
        let accepted = context.accepted();
        let uris = accepted.resource_subscriptions.as_deref().unwrap_or_default();
        let count = u32::try_from(uris.len()).unwrap_or(u32::MAX).saturating_add(1);
        let _counted = principal.begin_subscriptions(count).map_err(|sentence| present::invalid(&fence, &sentence))?;
        let sink: SubscriptionSink = context.sink().clone();
        let lists = accepted.resources_list_changed == Some(true);
        let began = rooms.clock.now();
        let mut followed = Vec::new();
        for uri in uris {
            let Some(place) = Place::of(uri) else { continue };
            // The acknowledgement went out before anybody could ask whose stream it is, and said nothing of what there is. So
            // what it may not see is to it as what is not there: nothing ever happens to it.
            if resources::may_see(rooms, &place, &principal.grant().mailboxes).await.is_ok() {
                followed.extend(place.followed().map(|place| (uri, place)));
            }
        }
        let extensions = &context.request_context().extensions;
        let of_http = extensions.get::<http::request::Parts>().and_then(|parts| parts.extensions.get());
        let expected: Option<&Arc<Expected>> = extensions.get().or(of_http);
        let joined = self.hub.join(principal, Outlet::Stream(sink), lists, expected.map(|it| &**it)).await;
        let member = joined.map_err(|error| present::broken(&fence, &Failure::from(error).sentence(&fence)))?;
        // The client may have looked since it read the acknowledgement, which went out a little earlier than we listen.
        if let Err(error) = member.follow_since(followed, UnixMillis(began.0 - SINCE_ACKNOWLEDGED_MILLIS)).await {
            return Err(present::broken(&fence, &Failure::from(error).sentence(&fence)));
        }
        tokio::select! {
            () = context.cancelled() => {}
            () = principal.ended() => {}
        }
        Ok(())
    }
}

/// What of `requested` can be told. The rest is left out of the acknowledgement, as the protocol has it.
pub(super) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let told = |uri: &&String| Place::of(uri).and_then(Place::followed).is_some();
    let uris = requested.resource_subscriptions.iter().flatten().filter(told).take(PER_SESSION_MAX);
    let accepted = SubscriptionFilter::builder().resource_subscriptions(uris);
    if requested.resources_list_changed == Some(true) { accepted.resources_list_changed() } else { accepted }.build()
}
