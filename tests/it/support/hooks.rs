//! The mail wing's webhooks with a clock in hand: a store in a directory of its own, a registry, a worker.

use std::{net::SocketAddr, sync::Arc};

use mailbell::{
    domain::{
        clock::{Clock, UnixMillis},
        event::{Detail, NewEvent},
        id::{EventId, MessageId, ThreadId},
        key::ApiKey,
        message::Mailbox,
        secret::Secret,
        webhook::Webhook,
    },
    ids::{Entropy, Ids},
    mail::{
        api::{self, Api},
        blobs::Blobs,
        closing::Closing,
        domains::Domains,
        keys::{HOUSE_SCOPES, Keys},
        submission::{self, Submission},
        tracking::{self, Tracking},
        webhooks::{
            dispatch::Dispatch,
            egress::Egress,
            registry::{NewWebhook, Registry},
            targets::{Asker, Targets},
            upkeep::Upkeep,
            worker::{LEASE, Parts, Worker},
        },
    },
    store::{
        deliveries::{Deliveries as _, Delivery, DeliveryFilter},
        mail::MailStore,
    },
};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{clock::TestClock, entropy::Counting, mailroom::MemoryMailroom};

/// No chance at all: every wait is its shortest, so that a test can name the moment.
struct Still;

impl Entropy for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// The wing.
pub struct Hooks {
    pub clock: TestClock,
    pub store: MailStore,
    pub api: Arc<Api>,
    pub worker: Arc<Worker>,
    pub bell: Arc<Notify>,
    pub own: watch::Sender<Option<SocketAddr>>,
    directory: TempDir,
}

impl Hooks {
    /// One whose mailroom is `mailroom`, and that may send to `allow_hosts` beside loopback.
    pub async fn start(mailroom: MemoryMailroom, allow_hosts: &[&str]) -> Self {
        let allow_hosts: Vec<_> = allow_hosts.iter().map(ToString::to_string).collect();
        Self::with_targets(mailroom, Targets::new(&allow_hosts, true)).await
    }

    /// One whose webhooks go where `targets` lets them.
    pub async fn with_targets(mailroom: MemoryMailroom, targets: Targets) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = TempDir::new().expect("a directory");
        let store = MailStore::open(&directory.path().join("mail.db"), CancellationToken::new()).await.expect("opens");
        let clock = TestClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let ids = Arc::new(Ids::new(shared.clone(), Arc::new(Counting::default())));
        let (own, own_seen) = watch::channel(None);
        let stored = Arc::new(store.clone());
        let mailroom = Arc::new(mailroom);
        let bell = Arc::new(Notify::new());
        let registry = Registry::new(
            stored.clone(),
            mailroom.clone(),
            targets.clone(),
            own_seen.clone(),
            shared.clone(),
            ids.clone(),
        );
        let keys = Keys::new(stored.clone(), shared.clone(), ids.clone());
        keys.install(ApiKey::OF_THE_HOUSE, &Secret::new(HOUSE_TOKEN), &HOUSE_SCOPES).await.expect("a key");
        let homes = ["mailbell.test".into(), "example.test".into()];
        let domains = Domains::open(stored.clone(), &homes).await.expect("opens");
        let submission = Submission::new(submission::Parts {
            outbox: stored.clone(),
            mailroom: mailroom.clone(),
            blobs: Blobs::open(&directory.path().join("blobs"), stored.clone()).expect("opens"),
            ids: ids.clone(),
            clock: shared.clone(),
            domains: domains.clone(),
            relays: false,
            message_bytes_max: 1 << 20,
            tracking: Arc::new(Tracking::new(tracking::Parts {
                opens: stored.clone(),
                clock: shared.clone(),
                ids: ids.clone(),
                base: "https://img.test/".parse().unwrap(),
                stored: Arc::default(),
            })),
            queued: Arc::default(),
        });
        let closing = Closing { store: stored.clone(), domains: domains.clone(), clock: shared.clone() };
        let api = Api::new(api::Parts {
            submission,
            suppressions: stored.clone(),
            office: stored.clone(),
            mailroom,
            blobs: Blobs::open(&directory.path().join("blobs"), stored.clone()).expect("opens"),
            opens: stored.clone(),
            deliveries: stored.clone(),
            registry,
            upkeep: upkeep(&stored, &clock, &ids, bell.clone()),
            keys,
            domains,
            hostname: "mx.mailbell.test".into(),
            closing,
            clock: shared,
            ids,
        });
        let parts = parts(&store, &clock, targets, own_seen, bell.clone());
        let worker = Worker::new(parts, LEASE).expect("a lease that is long enough");
        Self { clock, store, api: Arc::new(api), worker: Arc::new(worker), bell, own, directory }
    }

    /// Another process begins its term on the same data, by whatever means: its store.
    pub async fn superseded(&self) -> MailStore {
        MailStore::open(&self.directory.path().join("mail.db"), CancellationToken::new()).await.expect("opens")
    }

    /// What another worker could be made of.
    pub fn parts(&self) -> Parts {
        parts(&self.store, &self.clock, Targets::new(&[], true), self.own.subscribe(), self.bell.clone())
    }

    /// What people do by hand.
    pub fn upkeep(&self) -> Upkeep {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let ids = Arc::new(Ids::new(clock, Arc::new(Counting::default())));
        upkeep(&Arc::new(self.store.clone()), &self.clock, &ids, self.bell.clone())
    }

    /// A webhook for the events `inbound` and `bounce` of every mailbox.
    pub async fn register(&self, url: &str) -> (Webhook, Secret) {
        let events = vec!["inbound".into(), "bounce".into()];
        self.register_as(NewWebhook { endpoint: url.into(), events, ..NewWebhook::default() }).await
    }

    /// A webhook as asked for.
    pub async fn register_as(&self, asked: NewWebhook) -> (Webhook, Secret) {
        self.api.registry().register(asked, Asker::House).await.expect("a webhook")
    }

    /// Owes an `inbound` event of that id, which happens now.
    pub async fn happen(&self, mailbox: &Mailbox, id: &str) -> u32 {
        let event = inbound(mailbox, id, self.clock.now());
        self.store.owe(mailbox, &event).await.expect("owed")
    }

    /// Delivers what is due; if more is to come, lets time pass until then. False if there is nothing left.
    pub async fn go_on(&self) -> bool {
        let Some(next) = self.worker.run_until_idle().await else { return false };
        let span = u64::try_from(next.0 - self.clock.now().0).expect("not in the past");
        self.clock.advance(std::time::Duration::from_millis(span));
        true
    }

    /// Every delivery, the oldest first.
    pub async fn deliveries(&self) -> Vec<Delivery> {
        let mut deliveries = self.store.deliveries(&DeliveryFilter::default(), None, 100).await.expect("a list");
        deliveries.reverse();
        deliveries
    }
}

/// The token of the key `api`.
pub const HOUSE_TOKEN: &str = "mb_api_test";

/// An `inbound` event.
pub fn inbound(mailbox: &Mailbox, id: &str, at: UnixMillis) -> NewEvent {
    NewEvent {
        event_id: EventId::new(id),
        mailbox: Some(mailbox.address.to_string()),
        message_id: Some(MessageId::new(format!("em_{id}"))),
        thread_id: Some(ThreadId::new("thr_1")),
        timestamp: at,
        provider_kind: None,
        detail: Detail::Inbound {
            from: "bob@example.com".into(),
            from_name: None,
            to: vec![mailbox.address.to_string()],
            subject: "Grüße".into(),
            snippet: "Hello".into(),
            auto: false,
        },
    }
}

/// Upkeep whose probes reach this machine, but not our own receiver.
pub fn upkeep(store: &Arc<MailStore>, clock: &TestClock, ids: &Arc<Ids>, bell: Arc<Notify>) -> Upkeep {
    let dispatch = dispatch(clock, Targets::new(&[], true), watch::channel(None).1);
    Upkeep::new(store.clone(), store.clone(), dispatch, bell, Arc::new(clock.clone()), ids.clone())
}

/// A way out.
fn dispatch(clock: &TestClock, targets: Targets, own: watch::Receiver<Option<SocketAddr>>) -> Arc<Dispatch> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let egress = Egress::new(clock.clone());
    Arc::new(Dispatch::new(egress, targets, own, clock))
}

/// What a worker over `store` is made of.
pub fn parts(
    store: &MailStore,
    clock: &TestClock,
    targets: Targets,
    own: watch::Receiver<Option<SocketAddr>>,
    bell: Arc<Notify>,
) -> Parts {
    let dispatch = dispatch(clock, targets, own);
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    Parts {
        deliveries: Arc::new(store.clone()),
        dispatch,
        paused: watch::channel(false).1,
        bell,
        ids: Arc::new(Ids::new(clock.clone(), Arc::new(Counting::default()))),
        clock,
        entropy: Arc::new(Still),
    }
}
