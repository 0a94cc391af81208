//! The sources as the receiver knows them: remembered, and yet never out of date. Mailboxes that are watched over IMAP are
//! sources too; nobody posts for them.
//!
//! `mailbell source add` and `remove` are other processes, and act at once. So what is remembered is only good for events
//! that the store appends under the condition that the roster still has that version. Before anything else is done about a
//! request, the version is read; requests that come at once share one reading, which must have begun after each of them came.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;

use super::{
    imap,
    sources::{Dialect, dialect, settings::Settings},
};
use crate::{
    domain::id::SourceName,
    store::{
        StoreError,
        sources::{Source, Sources},
    },
};

/// The sources at one version of the roster.
#[derive(Default)]
pub(super) struct AsOf {
    /// None before the first look.
    pub(super) version: Option<i64>,
    by_name: HashMap<SourceName, Posting>,
}

/// A source that posts, with what is the same for each of its requests.
pub(super) struct Posting {
    pub(super) source: Source,
    /// None where this version does not know it.
    pub(super) dialect: Option<&'static dyn Dialect>,
    /// None where this version cannot read them.
    pub(super) settings: Option<Settings>,
}

impl AsOf {
    pub(super) fn get(&self, name: &SourceName) -> Option<&Posting> {
        self.by_name.get(name)
    }
}

impl Posting {
    fn new(source: Source) -> Self {
        Self { dialect: dialect(&source.dialect), settings: Settings::read(&source.settings).ok(), source }
    }
}

pub(super) struct Roster {
    sources: Arc<dyn Sources>,
    /// A number for each that asks, in order.
    asked: AtomicU64,
    known: Mutex<Known>,
    /// The last look once more, for those who do not wait for the next.
    lately: RwLock<Arc<AsOf>>,
}

#[derive(Default)]
struct Known {
    sources: Arc<AsOf>,
    /// All who asked with a smaller number did so before the last reading began.
    covers: u64,
}

impl Roster {
    pub(super) fn new(sources: Arc<dyn Sources>) -> Self {
        Self { sources, asked: AtomicU64::new(0), known: Mutex::default(), lately: RwLock::default() }
    }

    /// The sources as they are now.
    pub(super) async fn now(&self) -> Result<Arc<AsOf>, StoreError> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut known = self.known.lock().await;
        if known.covers > ticket {
            return Ok(known.sources.clone());
        }
        let covers = self.asked.load(Ordering::SeqCst);
        let version = self.sources.version().await?;
        if known.sources.version != Some(version) {
            // Read after the version: what changes in between is read again next time.
            let sources = self.sources.sources().await?;
            let posting = sources.into_iter().filter(|source| source.dialect != imap::DIALECT);
            let by_name = posting.map(|source| (source.name.clone(), Posting::new(source))).collect();
            known.sources = Arc::new(AsOf { version: Some(version), by_name });
            *self.lately.write().unwrap_or_else(PoisonError::into_inner) = known.sources.clone();
        }
        known.covers = covers;
        Ok(known.sources.clone())
    }

    /// The sources as they were when last looked at, which may be never: for what need not be exact, and for what is only
    /// done if they are so still.
    pub(super) fn lately(&self) -> Arc<AsOf> {
        self.lately.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
