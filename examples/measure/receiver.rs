//! A bare receiver: our own `/hooks` over a store that keeps nothing (the limit), that commits each post alone (the floor), or
//! that lets posts share commits, without the house around it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use clap::{Args, ValueEnum};
use mailbell::{
    app::{
        letters,
        system::{SystemClock, SystemEntropy},
    },
    bell::{
        fetch::{Ask, Fetch, FetchError},
        intake::{Intake, IntakeStore},
    },
    domain::{
        clock::{Clock, UnixMillis},
        cursor::Seq,
        event::{Auth, Event, NewEvent},
        id::{SourceName, WebhookId},
        secret::Secret,
    },
    http::{hooks, listen},
    ids::Ids,
    store::{
        Refusal, StoreError,
        bell::BellStore,
        log::{EventLog, Extent, Ingested, PageRequest},
        received::Told,
        sources::{Source, SourceError, Sources},
        sqlite::Schema,
    },
    wake::Bell,
};
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::sync::CancellationToken;

use crate::{Failure, events::SECRET, house::SOURCE};

/// What becomes of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// It is answered at once.
    Nothing,
    /// It has a commit of its own.
    Alone,
    /// It shares one with those that come beside it.
    Together,
}

/// A bare receiver.
#[derive(Args)]
pub(crate) struct Receiver {
    /// Where its database is
    directory: PathBuf,
    /// What becomes of a post
    #[arg(value_enum)]
    kept: Kept,
}

impl Receiver {
    /// Prints its URL, and serves until it is ended.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = open(&self.directory, &clock).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "http://{}/hooks/{SOURCE}", listener.local_addr()?)?;
        let log = |log| IntakeStore { log, ..IntakeStore::from(store.clone()) };
        let store = match self.kept {
            Kept::Nothing => {
                let sources = Arc::new(Remembered(store.sources().await?));
                IntakeStore { sources, ..log(Arc::new(Nothing::default())) }
            }
            Kept::Alone => log(Arc::new(Alone { store: store.clone(), turn: Mutex::default() })),
            Kept::Together => log(store.clone()),
        };
        let intake = Intake::new(store, Bell::default(), clock, Arc::new(Nowhere), letters::read);
        listen::serve("hooks", listener, hooks::router(Arc::new(intake)), CancellationToken::new()).await;
        Ok(())
    }
}

async fn open(directory: &Path, clock: &Arc<dyn Clock>) -> Result<Arc<BellStore>, Failure> {
    let ids = Ids::new(clock.clone(), Arc::new(SystemEntropy));
    let store = BellStore::open(&directory.join("bell.db"), Schema::Migrate, &ids, CancellationToken::new()).await?;
    store.add_source(&SourceName::new(SOURCE), "multimail", Some(&Secret::new(SECRET)), clock.now()).await?;
    Ok(Arc::new(store))
}

fn refused() -> StoreError {
    StoreError::Refused(Refusal::Closed)
}

/// Nobody is asked for anything.
struct Nowhere;

#[async_trait]
impl Fetch for Nowhere {
    async fn ask(&self, _: Ask<'_>) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Late)
    }
}

/// A log that counts and keeps nothing.
#[derive(Default)]
struct Nothing(AtomicI64);

#[async_trait]
impl EventLog for Nothing {
    async fn append(
        &self,
        _: &SourceName,
        _: Auth,
        _: UnixMillis,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Ingested>, StoreError> {
        Ok(events.iter().map(|_| Ingested::Fresh(Seq(self.0.fetch_add(1, Ordering::Relaxed)))).collect())
    }

    async fn take_in(
        &self,
        source: &SourceName,
        auth: Auth,
        received_at: UnixMillis,
        told: Vec<Told>,
        _: Option<i64>,
    ) -> Result<Option<Vec<Ingested>>, StoreError> {
        self.append(source, auth, received_at, told.into_iter().map(|told| told.event).collect()).await.map(Some)
    }

    async fn page(&self, _: &PageRequest) -> Result<Vec<Event>, StoreError> {
        Err(refused())
    }

    async fn event(&self, _: Seq) -> Result<Option<Event>, StoreError> {
        Err(refused())
    }

    async fn extent(&self) -> Result<Extent, StoreError> {
        Err(refused())
    }
}

/// The log as it is, one post at a time.
struct Alone {
    store: Arc<BellStore>,
    turn: Mutex<()>,
}

#[async_trait]
impl EventLog for Alone {
    async fn append(
        &self,
        source: &SourceName,
        auth: Auth,
        received_at: UnixMillis,
        events: Vec<NewEvent>,
    ) -> Result<Vec<Ingested>, StoreError> {
        let _turn = self.turn.lock().await;
        self.store.append(source, auth, received_at, events).await
    }

    async fn take_in(
        &self,
        source: &SourceName,
        auth: Auth,
        received_at: UnixMillis,
        told: Vec<Told>,
        roster: Option<i64>,
    ) -> Result<Option<Vec<Ingested>>, StoreError> {
        let _turn = self.turn.lock().await;
        self.store.take_in(source, auth, received_at, told, roster).await
    }

    async fn page(&self, request: &PageRequest) -> Result<Vec<Event>, StoreError> {
        self.store.page(request).await
    }

    async fn event(&self, seq: Seq) -> Result<Option<Event>, StoreError> {
        self.store.event(seq).await
    }

    async fn extent(&self) -> Result<Extent, StoreError> {
        self.store.extent().await
    }
}

/// Sources that never change, and so are never looked up.
struct Remembered(Vec<Source>);

#[async_trait]
impl Sources for Remembered {
    async fn sources(&self) -> Result<Vec<Source>, StoreError> {
        Ok(self.0.clone())
    }

    async fn version(&self) -> Result<i64, StoreError> {
        Ok(1)
    }

    async fn source(&self, name: &SourceName) -> Result<Option<Source>, StoreError> {
        Ok(self.0.iter().find(|source| source.name == *name).cloned())
    }

    async fn add_source(&self, _: &SourceName, _: &str, _: Option<&Secret>, _: UnixMillis) -> Result<(), SourceError> {
        Err(refused().into())
    }

    async fn add_secret(
        &self,
        _: &SourceName,
        _: &Secret,
        _: Option<&WebhookId>,
        _: UnixMillis,
    ) -> Result<(), SourceError> {
        Err(refused().into())
    }

    async fn retire_secrets(&self, _: &SourceName, _: UnixMillis, _: UnixMillis) -> Result<(), SourceError> {
        Err(refused().into())
    }

    async fn set_api_key(&self, _: &SourceName, _: Option<&Secret>) -> Result<(), SourceError> {
        Err(refused().into())
    }

    async fn set_up(&self, _: &SourceName, _: &str) -> Result<(), SourceError> {
        Err(refused().into())
    }

    async fn has_secret_of(&self, _: &WebhookId) -> Result<bool, StoreError> {
        Err(refused())
    }

    async fn remove_secret_of(&self, _: &WebhookId) -> Result<bool, StoreError> {
        Err(refused())
    }

    async fn remove_secret(&self, _: &SourceName, _: &Secret) -> Result<bool, StoreError> {
        Err(refused())
    }

    async fn settle_secrets(
        &self,
        _: &SourceName,
        _: &[(Secret, Option<UnixMillis>)],
        _: &'static str,
        _: UnixMillis,
    ) -> Result<(), SourceError> {
        Err(refused().into())
    }

    async fn remove_source(&self, _: &SourceName) -> Result<bool, StoreError> {
        Err(refused())
    }
}
