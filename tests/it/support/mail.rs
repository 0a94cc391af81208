//! The mail wing's way in, with nothing behind it but its own store.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mailbell::{
    domain::{
        address::Address,
        clock::Clock,
        key::ApiKey,
        message::{Mailbox, Message, MessageFilter, MessagePage, MessageSummary},
        secret::Secret,
    },
    ids::Ids,
    mail::{
        api::{self, Api},
        blobs::Blobs,
        closing::Closing,
        domains::Domains,
        keys::{HOUSE_SCOPES, Keys},
        mailroom::Mailrooms,
        reception::{Furnishing, Reception},
        smtp::{self, SmtpLimits},
        space::FreeSpace,
        submission::{self, Submission},
        tracking::{self, Tracking},
        verdict::{Judge, Trust},
        webhooks::{registry::Registry, targets::Targets},
    },
    store::{
        mail::MailStore,
        mailroom::{Added, Mailroom},
    },
};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    api::ApiServer,
    clock::TestClock,
    entropy::Counting,
    hooks::{self, HOUSE_TOKEN},
};

/// Free space in the test's hand.
pub struct Space(pub AtomicU64);

impl FreeSpace for Space {
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.0.load(Ordering::Relaxed))
    }
}

/// A mailroom with an SMTP and an LMTP listener on free ports.
pub struct Mail {
    pub addr: SocketAddr,
    pub lmtp: SocketAddr,
    pub clock: TestClock,
    pub ids: Arc<Ids>,
    pub store: Arc<MailStore>,
    pub rooms: Mailrooms,
    pub domains: Arc<Domains>,
    pub blobs: Blobs,
    pub space: Arc<Space>,
    pub stored: Arc<Notify>,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<()>,
    dir: tempfile::TempDir,
}

/// The limits that most stories need not reach.
pub fn limits() -> SmtpLimits {
    SmtpLimits {
        hostname: "mx.mailbell.test".into(),
        message_bytes_max: 25 << 20,
        connections_max: 20,
        idle: Duration::from_mins(5),
    }
}

impl Mail {
    /// One with the mailboxes `agent@mailbell.test` and `other@mailbell.test`.
    pub async fn start() -> Self {
        Self::with(limits()).await
    }

    /// The same, with other limits.
    pub async fn with(limits: SmtpLimits) -> Self {
        Self::trusting(limits, Trust::default()).await
    }

    /// The same, where a server in front of it may be believed.
    pub async fn trusting(limits: SmtpLimits, trust: Trust) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let ids = Arc::new(Ids::new(shared.clone(), Arc::new(Counting::default())));
        let store = Arc::new(MailStore::open(&dir.path().join("mail.db"), CancellationToken::new()).await.unwrap());
        let blobs = Blobs::open(&dir.path().join("blobs"), store.clone()).unwrap();
        let space = Arc::new(Space(AtomicU64::new(u64::MAX)));
        let stored = Arc::new(Notify::new());
        let domains = vec!["mailbell.test".to_owned(), "second.test".to_owned()];
        let domains = Domains::open(store.clone(), &domains).await.unwrap();
        let rooms = Mailrooms::new(store.clone(), ids.clone(), shared.clone(), domains.clone());
        let room = Reception::new(Furnishing {
            store: store.clone(),
            outbox: store.clone(),
            blobs: blobs.clone(),
            ids: ids.clone(),
            clock: shared.clone(),
            domains: domains.clone(),
            space: space.clone(),
            free_bytes_min: 1 << 20,
            stored: stored.clone(),
        });
        let room = Arc::new(room.with_judge(Judge::new(trust, None, shared.clone())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let lmtp_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lmtp = lmtp_listener.local_addr().unwrap();
        let (also, time) = (room.clone(), shared.clone());
        tokio::spawn(smtp::serve_lmtp(lmtp_listener, also, limits.clone(), time, shutdown.clone()));
        let serving = tokio::spawn(smtp::serve(listener, room, limits, shared, shutdown.clone()));
        let mail = Self { addr, lmtp, clock, ids, store, rooms, domains, blobs, space, stored, shutdown, serving, dir };
        for address in ["agent@mailbell.test", "other@mailbell.test"] {
            mail.add(address).await;
        }
        mail
    }

    /// The API over this mailroom, served.
    pub async fn api(&self) -> ApiServer {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let (store, ids) = (self.store.clone(), self.ids.clone());
        let keys = Keys::new(store.clone(), clock.clone(), ids.clone());
        keys.install(ApiKey::OF_THE_HOUSE, &Secret::new(HOUSE_TOKEN), &HOUSE_SCOPES).await.unwrap();
        let targets = Targets::new(&[], true);
        let own = watch::channel(None).1;
        let registry = Registry::new(store.clone(), store.clone(), targets, own, clock.clone(), ids.clone());
        let domains = self.domains.clone();
        let submission = Submission::new(submission::Parts {
            outbox: store.clone(),
            mailroom: store.clone(),
            blobs: self.blobs.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            domains: domains.clone(),
            relays: false,
            message_bytes_max: 1 << 20,
            tracking: self.tracking(),
            queued: Arc::default(),
        });
        let upkeep = hooks::upkeep(&store, &self.clock, &ids, self.stored.clone());
        let closing = Closing { store: store.clone(), domains: domains.clone(), clock: clock.clone() };
        let parts = api::Parts {
            submission,
            suppressions: store.clone(),
            office: store.clone(),
            mailroom: store.clone(),
            blobs: self.blobs.clone(),
            opens: store.clone(),
            deliveries: store,
            registry,
            upkeep,
            keys,
            domains,
            hostname: "mx.mailbell.test".into(),
            closing,
            clock,
            ids,
        };
        ApiServer::start(Arc::new(Api::new(parts))).await
    }

    /// Tracking images under `https://img.test/base/`.
    pub fn tracking(&self) -> Arc<Tracking> {
        Arc::new(Tracking::new(tracking::Parts {
            opens: self.store.clone(),
            clock: Arc::new(self.clock.clone()),
            ids: self.ids.clone(),
            base: "https://img.test/base/".parse().unwrap(),
            stored: self.stored.clone(),
        }))
    }

    /// The files with raw messages.
    pub fn files(&self) -> usize {
        let shelves = std::fs::read_dir(self.dir.path().join("blobs")).unwrap().flatten();
        shelves.map(|shelf| std::fs::read_dir(shelf.path()).unwrap().count()).sum()
    }

    /// Adds a mailbox.
    pub async fn add(&self, address: &str) -> Mailbox {
        match self.rooms.add(address.parse().unwrap(), None).await.unwrap() {
            Added::Fresh(mailbox) => mailbox,
            Added::Exists(mailbox) => panic!("{} was there", mailbox.address),
        }
    }

    /// The mailbox of that address.
    pub async fn mailbox(&self, address: &str) -> Mailbox {
        let address: Address = address.parse().unwrap();
        self.store.mailbox_at(&address).await.unwrap().unwrap()
    }

    /// All messages of a mailbox, the newest first.
    pub async fn inbox(&self, address: &str) -> Vec<MessageSummary> {
        self.list(address, MessageFilter::default()).await
    }

    /// The messages of a mailbox that pass `filter`, the newest first.
    pub async fn list(&self, address: &str, filter: MessageFilter) -> Vec<MessageSummary> {
        let page = MessagePage { filter, before: None, limit: 1000 };
        self.store.messages(&self.mailbox(address).await.id, &page).await.unwrap()
    }

    /// The newest message of a mailbox, with its text and its raw bytes.
    pub async fn newest(&self, address: &str) -> (Message, Vec<u8>) {
        let mailbox = self.mailbox(address).await.id;
        let id = self.inbox(address).await.remove(0).id;
        let message = self.store.message(&mailbox, &id).await.unwrap().unwrap();
        let blob = self.store.blob_of(&mailbox, &id).await.unwrap().unwrap();
        (message, self.blobs.get(&blob).await.unwrap())
    }
}
