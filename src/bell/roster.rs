//! The sources as the receiver knows them: remembered, and yet never out of date. Mailboxes that are watched over IMAP are
//! sources too; nobody posts for them.
//!
//! `mailbell source add` and `remove` are other processes, and act at once. So before each request is judged the roster's
//! version is read; requests that come at once share one reading, which must have begun after each of them came.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;

use super::imap::DIALECT;
use crate::{
    domain::id::SourceName,
    store::{
        StoreError,
        sources::{Source, Sources},
    },
};

pub(super) type ByName = Arc<HashMap<SourceName, Source>>;

pub(super) struct Roster {
    sources: Arc<dyn Sources>,
    /// A number for each that asks, in order.
    asked: AtomicU64,
    known: Mutex<Known>,
    /// The last look once more, for those who do not wait for the next.
    lately: RwLock<ByName>,
}

#[derive(Default)]
struct Known {
    by_name: ByName,
    version: Option<i64>,
    /// All who asked with a smaller number did so before the last reading began.
    covers: u64,
}

impl Roster {
    pub(super) fn new(sources: Arc<dyn Sources>) -> Self {
        Self { sources, asked: AtomicU64::new(0), known: Mutex::default(), lately: RwLock::default() }
    }

    /// The sources as they are now.
    pub(super) async fn now(&self) -> Result<ByName, StoreError> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut known = self.known.lock().await;
        if known.covers > ticket {
            return Ok(known.by_name.clone());
        }
        let covers = self.asked.load(Ordering::SeqCst);
        let version = self.sources.version().await?;
        if known.version != Some(version) {
            // Read after the version: what changes in between is read again next time.
            let sources = self.sources.sources().await?;
            let posting = sources.into_iter().filter(|source| source.dialect != DIALECT);
            known.by_name = Arc::new(posting.map(|source| (source.name.clone(), source)).collect());
            known.version = Some(version);
            *self.lately.write().unwrap_or_else(PoisonError::into_inner) = known.by_name.clone();
        }
        known.covers = covers;
        Ok(known.by_name.clone())
    }

    /// The sources as they were when last looked at, which may be never: for what need not be exact.
    pub(super) fn lately(&self) -> ByName {
        self.lately.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
