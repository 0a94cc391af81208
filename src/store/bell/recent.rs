//! What has to be known of the newest events whenever more are appended: those that are in no [index](super::indexing) yet.
//!
//! Kept in memory, as it is asked for at each append. The process that appends is one, and what it appended is what it knows; where the
//! log has another newest event than it thinks, because its transaction was undone or somebody else has appended, it reads them
//! anew.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{rows::Keys, sql};
use crate::{
    domain::{
        cursor::Seq,
        event::{Auth, EventKind},
        id::SourceName,
    },
    store::{StoreError, failed},
};

/// Events that may be in no index; more are refused until some are put in. It is six seconds of the most that comes in, and some tens of
/// MiB: only where indexing fails does it come to that.
pub(super) const UNINDEXED_MAX: usize = 131_072;

/// What the transaction that appends sees of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogState {
    /// The last place whose event is in the indexes.
    pub(super) indexed: Seq,
    /// The newest event, which need not be the last place that was given.
    pub(super) newest: Option<Newest>,
}

/// An event by which it is known that nobody else has appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Newest {
    seq: Seq,
    event_id: Arc<str>,
}

impl LogState {
    /// From the three columns of a row that begin at `at`: how far the indexes reach, place and id of the newest event.
    pub(super) fn read(row: &SqliteRow, at: usize) -> Result<Self, sqlx::Error> {
        let newest: Option<i64> = row.try_get(at + 1)?;
        let newest = newest.map(|seq| {
            Ok::<_, sqlx::Error>(Newest { seq: Seq(seq), event_id: row.try_get::<&str, _>(at + 2)?.into() })
        });
        Ok(Self { indexed: Seq(row.try_get(at)?), newest: newest.transpose()? })
    }
}

/// That a message came in, and whether an API's list told it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) seq: Seq,
    pub(super) listed: bool,
}

/// The newest events.
#[derive(Debug, Default)]
pub(super) struct Recent {
    indexed: Seq,
    newest: Option<Newest>,
    sources: HashMap<String, OfSource>,
    /// All of them, the oldest first.
    keys: VecDeque<Keys>,
}

#[derive(Debug, Default)]
struct OfSource {
    places: HashMap<Arc<str>, Seq>,
    arrivals: HashMap<Arc<str>, Vec<Arrival>>,
}

impl Recent {
    /// Sees to it that it knows those that are in no index.
    pub(super) async fn follow(&mut self, conn: &mut SqliteConnection, state: &LogState) -> Result<(), StoreError> {
        if self.newest != state.newest || self.indexed > state.indexed {
            *self = Self::read(conn, state).await?;
        } else if self.indexed < state.indexed {
            self.forget(state.indexed);
        }
        Ok(())
    }

    /// The same where the log has not been asked how it stands.
    pub(super) async fn follow_log(&mut self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        let doing = "look where the log ends";
        let row = sqlx::query(sql::indexes::LOG_STATE).fetch_one(&mut *conn).await.map_err(failed(doing))?;
        let state = LogState::read(&row, 0).map_err(failed(doing))?;
        self.follow(conn, &state).await
    }

    async fn read(conn: &mut SqliteConnection, state: &LogState) -> Result<Self, StoreError> {
        let doing = "read the newest events";
        let rows = sqlx::query(sql::indexes::RECENT).fetch_all(conn).await.map_err(failed(doing))?;
        let mut recent = Self { indexed: state.indexed, ..Self::default() };
        for row in &rows {
            let (source, auth, keys) = event(row).map_err(failed(doing))?;
            let is_arrival = *keys.kind == *EventKind::Inbound.as_str() && keys.message_id.is_some();
            recent.add(source, keys, is_arrival.then_some(auth == Auth::Api.as_str()));
        }
        recent.newest.clone_from(&state.newest);
        Ok(recent)
    }

    /// Forgets those up to `indexed`, which the indexes know now.
    fn forget(&mut self, indexed: Seq) {
        self.indexed = indexed;
        while self.keys.pop_front_if(|keys| keys.seq <= indexed).is_some() {}
        self.sources.retain(|_, OfSource { places, arrivals }| {
            places.retain(|_, seq| *seq > indexed);
            arrivals.retain(|_, arrivals| {
                arrivals.retain(|arrival| arrival.seq > indexed);
                !arrivals.is_empty()
            });
            !places.is_empty()
        });
    }

    /// Whether so many may be added.
    pub(super) fn has_room_for(&self, count: usize) -> bool {
        self.keys.len() + count <= UNINDEXED_MAX
    }

    /// Adds the newest one; with whether an API's list tells so where it says that a message came in.
    pub(super) fn add(&mut self, source: &str, keys: Keys, arrived: Option<bool>) {
        let Keys { seq, event_id, message_id, .. } = &keys;
        self.newest = Some(Newest { seq: *seq, event_id: event_id.clone() });
        if !self.sources.contains_key(source) {
            self.sources.insert(source.to_owned(), OfSource::default());
        }
        if let Some(of_source) = self.sources.get_mut(source) {
            of_source.places.insert(event_id.clone(), *seq);
            if let (Some(message), Some(listed)) = (message_id, arrived) {
                of_source.arrivals.entry(message.clone()).or_default().push(Arrival { seq: *seq, listed });
            }
        }
        self.keys.push_back(keys);
    }

    /// What the oldest of them are found by, so many at most.
    pub(super) fn oldest(&self, limit: usize) -> Vec<Keys> {
        self.keys.iter().take(limit).cloned().collect()
    }

    /// Where an event of `source` is, if it is one of these.
    pub(super) fn place(&self, source: &SourceName, event_id: &str) -> Option<Seq> {
        self.sources.get(source.as_str())?.places.get(event_id).copied()
    }

    /// What `source` told of the arrival of a message, the oldest first.
    pub(super) fn arrivals(&self, source: &SourceName, message: &str) -> &[Arrival] {
        let of_source = self.sources.get(source.as_str());
        of_source.and_then(|of_source| of_source.arrivals.get(message)).map_or(&[], Vec::as_slice)
    }
}

/// The source's name, how it proved itself, and what the event is found by.
fn event(row: &SqliteRow) -> Result<(&str, &str, Keys), sqlx::Error> {
    let text = |at: usize| row.try_get::<Option<&str>, _>(at).map(|text| text.map(Arc::from));
    let keys = Keys {
        seq: Seq(row.try_get(2)?),
        origin: row.try_get(3)?,
        event_id: row.try_get::<&str, _>(4)?.into(),
        kind: row.try_get::<&str, _>(5)?.into(),
        message_id: text(6)?,
        thread_id: text(7)?,
        mailbox: text(8)?,
    };
    Ok((row.try_get(0)?, row.try_get(1)?, keys))
}
