//! The bell wing of a process: the log, waiting on it, and the sources. Every process of a data directory has one.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    data_dir::{DataDir, DataDirError},
    keeper::KeeperLock,
};
use crate::{
    bell::{
        oversight::{self, Oversight},
        waiting::Waiting,
    },
    domain::{allow_hosts::AllowHosts, clock::Clock},
    ids::Ids,
    store::{
        bell::BellStore,
        sqlite::{OpenError, Schema},
    },
    wake::Bell,
};

/// How long a process that starts beside another waits for that one to have made the database.
const FIRST_START: Duration = Duration::from_secs(10);
/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The bell wing's concrete parts.
#[derive(Clone)]
pub struct BellSide {
    /// The log, consumers, sources, tokens.
    pub store: Arc<BellStore>,
    /// Rung for what is committed.
    pub bell: Bell,
    /// Makes ids, tokens and chance.
    pub ids: Arc<Ids>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Why the bell wing did not open.
#[derive(Debug, thiserror::Error)]
pub enum BellSideError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl BellSide {
    /// Opens the log of `dir`, whoever keeps that. `disk_failed` is cancelled if the disk fails at a commit.
    pub async fn open(
        dir: &DataDir,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
        disk_failed: CancellationToken,
    ) -> Result<Self, BellSideError> {
        let store = match dir.try_keep()? {
            Some(lock) => Self::open_as_keeper(dir, &lock, &ids, disk_failed).await?,
            None => open_beside_keeper(dir, &ids, disk_failed).await?,
        };
        Ok(Self::over(store, clock, ids))
    }

    /// Opens the log as the keeper, which brings its schema up to date.
    pub(super) async fn open_as_keeper(
        dir: &DataDir,
        _lock: &KeeperLock,
        ids: &Ids,
        disk_failed: CancellationToken,
    ) -> Result<BellStore, OpenError> {
        BellStore::open(&dir.bell_db(), Schema::Migrate, ids, disk_failed).await
    }

    /// The bell wing over an open store.
    pub(super) fn over(store: BellStore, clock: Arc<dyn Clock>, ids: Arc<Ids>) -> Self {
        Self { store: Arc::new(store), bell: Bell::default(), ids, clock }
    }

    /// Waits and listings over this log.
    pub fn waiting(&self) -> Waiting {
        let Self { store, bell, ids, clock } = self.clone();
        Waiting::new(store.clone(), store, bell, clock, ids)
    }

    /// The gate that every change passes. Webhooks may go to the hosts `allowed` without anybody's approval.
    pub fn oversight(&self, allowed: AllowHosts) -> Oversight {
        let Self { store, bell, ids, clock } = self.clone();
        Oversight::new(oversight::Parts {
            store: store.clone(),
            tokens: store.clone(),
            log: store.clone(),
            audit: store,
            bell,
            clock,
            ids,
            allowed,
        })
    }

    /// Rings the bell for what other processes commit, until `shutdown`.
    pub fn watch(&self, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let Self { store, bell, clock, .. } = self.clone();
        async move { store.watch(bell, clock, shutdown).await }
    }
}

/// The log of `dir`, for a command that changes a row and ends.
pub async fn open_bell_store(dir: &DataDir, ids: &Ids) -> Result<BellStore, BellSideError> {
    let disk_failed = CancellationToken::new();
    match dir.try_keep()? {
        Some(lock) => Ok(BellSide::open_as_keeper(dir, &lock, ids, disk_failed).await?),
        None => open_beside_keeper(dir, ids, disk_failed).await,
    }
}

/// Opens the log while another process keeps the directory; it may be making the database at this moment.
async fn open_beside_keeper(
    dir: &DataDir,
    ids: &Ids,
    disk_failed: CancellationToken,
) -> Result<BellStore, BellSideError> {
    let deadline = tokio::time::Instant::now() + FIRST_START;
    loop {
        match BellStore::open(&dir.bell_db(), Schema::Expect, ids, disk_failed.clone()).await {
            Err(OpenError::Open { .. } | OpenError::Older { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            opened => return Ok(opened?),
        }
    }
}
