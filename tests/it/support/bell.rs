//! A bell wing without its house: store, intake, waits, over a directory of their own and a clock in the hand.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use mailbell::{
    app::letters,
    bell::{
        consumers::Settling,
        fetch::{Ask, Fetch, FetchError},
        intake::Intake,
        waiting::{Reader, WaitError, WaitRequest, Waited, Waiting},
    },
    domain::{
        clock::Clock,
        consumer::{Holder, Start},
        event::{Auth, Detail, EventFilter, EventKind, NewEvent},
        id::{ConsumerName, EventId, MessageId, SourceName, ThreadId},
        secret::Secret,
    },
    ids::Ids,
    signing::multimail,
    store::{
        bell::{AUDIT_KEY_FILE, BellStore},
        log::{EventLog, Ingested},
        sources::Sources,
        sqlite::Schema,
    },
    wake::Bell,
};
use tokio_util::sync::CancellationToken;

use super::{clock::TestClock, entropy::Counting};

/// The secret of the source `multimail`.
pub const SECRET: &str = "whsec_test";
/// How long a lease runs unless a story says otherwise.
pub const LEASE: Duration = Duration::from_mins(10);

/// One process's bell wing.
pub struct BellWing {
    pub store: BellStore,
    pub clock: TestClock,
    pub bell: Bell,
    pub waiting: Arc<Waiting>,
    pub settling: Settling,
    pub intake: Arc<Intake>,
    pub web: Arc<Web>,
    path: PathBuf,
    // The last wing to go takes the directory with it.
    directory: Arc<tempfile::TempDir>,
}

impl BellWing {
    pub async fn start() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let wing = Self::open(directory, TestClock::default(), Schema::Migrate, Arc::default()).await;
        let (name, secret) = (SourceName::new("multimail"), Secret::new(SECRET));
        wing.store.add_source(&name, "multimail", Some(&secret), wing.clock.now()).await.unwrap();
        wing
    }

    /// A second process on the same directory.
    pub async fn second(&self) -> Self {
        let entropy = Arc::new(Counting::starting_at(1 << 40));
        Self::open(self.directory.clone(), self.clock.clone(), Schema::Expect, entropy).await
    }

    /// The house as the machine finds it after a power loss that left so many bytes of the write-ahead log.
    pub async fn after_power_loss(&self, wal_bytes: usize) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        for name in ["bell.db", "bell.db-wal", AUDIT_KEY_FILE] {
            let mut bytes = std::fs::read(self.path.with_file_name(name)).unwrap();
            if name == "bell.db-wal" {
                bytes.truncate(wal_bytes);
            }
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        let entropy = Arc::new(Counting::starting_at(1 << 41));
        let wing = Self::open(directory, TestClock::default(), Schema::Expect, entropy).await;
        wing.clock.reboot("boot after a power loss");
        wing
    }

    /// How long the write-ahead log is.
    pub fn wal_bytes(&self) -> usize {
        std::fs::read(self.path.with_file_name("bell.db-wal")).unwrap().len()
    }

    async fn open(directory: Arc<tempfile::TempDir>, clock: TestClock, schema: Schema, entropy: Arc<Counting>) -> Self {
        let path = directory.path().join("bell.db");
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let ids = Arc::new(Ids::new(time.clone(), entropy));
        let store = BellStore::open(&path, schema, &ids, CancellationToken::new()).await.unwrap();
        let shared = Arc::new(store.clone());
        let (bell, web) = (Bell::default(), Arc::new(Web::default()));
        Self {
            waiting: Arc::new(Waiting::new(shared.clone(), shared.clone(), bell.clone(), time.clone(), ids)),
            settling: Settling::new(shared.clone(), bell.clone(), time.clone()),
            intake: Arc::new(Intake::new(shared.into(), bell.clone(), time, web.clone(), letters::read)),
            web,
            store,
            clock,
            bell,
            path,
            directory,
        }
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Appends as the intake does, and rings.
    pub async fn tell(&self, events: Vec<NewEvent>) -> Vec<Ingested> {
        let mailboxes: Vec<_> = events.iter().map(|event| event.mailbox.clone()).collect();
        let source = SourceName::new("multimail");
        let told = self.store.append(&source, Auth::HmacSha256, self.clock.now(), events).await.unwrap();
        for mailbox in mailboxes {
            self.bell.ring_event(mailbox.as_deref());
        }
        told
    }

    /// Waits as a worker of `default`.
    pub async fn work(&self, change: impl FnOnce(&mut WaitRequest)) -> Result<Waited, WaitError> {
        let mut request = worker();
        change(&mut request);
        ends(self.waiting.wait(request, CancellationToken::new())).await
    }

    /// Looks, as a worker of `default`, without waiting.
    pub async fn look(&self) -> Waited {
        self.work(|request| request.timeout = Duration::ZERO).await.unwrap()
    }

    /// Starts a wait, and answers once somebody sleeps: everything before the sleep is then behind it.
    pub async fn asleep(
        &self,
        request: WaitRequest,
        cancelled: CancellationToken,
    ) -> tokio::task::JoinHandle<Result<Waited, WaitError>> {
        let before = self.clock.sleepers();
        let waiting = self.waiting.clone();
        let handle = tokio::spawn(async move { ends(waiting.wait(request, cancelled)).await });
        while self.clock.sleepers() == before {
            tokio::task::yield_now().await;
        }
        handle
    }
}

/// What providers have at their addresses: pages, or the status of a refusal; anything else is out of reach.
#[derive(Default)]
pub struct Web {
    pages: Mutex<HashMap<String, Result<Vec<u8>, u16>>>,
    asked: Mutex<Vec<String>>,
}

impl Web {
    pub fn put(&self, url: &str, page: Result<&str, u16>) {
        self.pages.lock().unwrap().insert(url.to_owned(), page.map(|page| page.as_bytes().to_vec()));
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Fetch for Web {
    async fn ask(&self, Ask { url, .. }: Ask<'_>) -> Result<Vec<u8>, FetchError> {
        self.asked.lock().unwrap().push(url.to_string());
        tokio::task::yield_now().await;
        match self.pages.lock().unwrap().get(url.as_str()) {
            Some(Ok(page)) => Ok(page.clone()),
            Some(Err(status)) => Err(FetchError::Status(*status)),
            None => Err(FetchError::Late),
        }
    }
}

/// Seconds after which a wait that nothing ends fails its story instead of stopping all of them.
const HUNG_SECS: u64 = 20;

async fn ends<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(HUNG_SECS), wait).await.expect("the wait should have ended")
}

/// A wait as a worker of `default`.
pub fn worker() -> WaitRequest {
    WaitRequest {
        filter: EventFilter::default(),
        reader: Reader::Worker {
            consumer: ConsumerName::new("default"),
            start: Start::Earliest,
            kinds: Vec::new(),
            lease: LEASE,
        },
        limit: 5,
        timeout: Duration::from_secs(25),
        holder: Holder::worker("session"),
        client: None,
        on_disk: false,
    }
}

/// The inbound event number `n`, of `agent@mailbell.test`.
pub fn inbound(n: usize) -> NewEvent {
    NewEvent {
        event_id: EventId::new(format!("evt_{n}")),
        mailbox: Some("agent@mailbell.test".into()),
        message_id: Some(MessageId::new(format!("em_{n}"))),
        thread_id: Some(ThreadId::new(format!("thr_{}", n / 2))),
        timestamp: TestClock::default().now(),
        provider_kind: None,
        detail: Detail::Inbound {
            from: "bob@example.com".into(),
            from_name: None,
            to: vec!["agent@mailbell.test".into()],
            subject: format!("Number {n}"),
            snippet: "Hello".into(),
            auto: false,
        },
    }
}

/// An event of a kind that the default consumer does not own.
pub fn open(n: usize) -> NewEvent {
    NewEvent { detail: Detail::Open { recipient: None, machine: None }, ..inbound(n) }
}

/// An event of another kind that it does own.
pub fn other(n: usize) -> NewEvent {
    NewEvent { detail: Detail::Other {}, ..inbound(n) }
}

/// The ids of the events in an answer.
pub fn ids(waited: &Waited) -> Vec<&str> {
    waited.events.iter().map(|leased| leased.event.fact.event_id.as_str()).collect()
}

/// The body of the webhook of `event`, as the embedded service spells it.
pub fn body(event: &NewEvent) -> Vec<u8> {
    serde_json::to_vec(event).unwrap()
}

/// The bare signature of `body`.
pub fn signature(body: &[u8]) -> String {
    multimail::sign(&Secret::new(SECRET), body)
}

/// Those of `kinds`.
pub fn of_kinds(kinds: &[EventKind]) -> EventFilter {
    EventFilter { kinds: kinds.to_vec(), ..EventFilter::default() }
}
