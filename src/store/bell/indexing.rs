//! The indexes of our own over the log: by event id, message, thread and mailbox.
//!
//! Ids of others are random, and mailboxes many. An index that SQLite keeps is written with each event, and then each event costs a
//! page in each of these indexes: two thirds of what a commit under load writes. So the newest events are in none of them. Once in a
//! while all of those are put in, each index in its own order, some rows at a time; many of them then share a page. How far that is,
//! `indexed.through` says, and it is raised when all indexes have them: until then what has been put in is passed by, or found twice
//! where that does no harm. A process that ends in between begins there anew.
//!
//! What retention removes leaves them the same way, many at once and in each one's order. Its keys are noted when it goes
//! (`removed_keys`), and readers begin at the log's tail; ids stay as long as an event that is told again is to be known
//! ([`forgetting`](super::forgetting)).
//!
//! Who reads by an index reads the newest events as they lie, in the same statement ([`select`](super::select)); who appends knows
//! them by heart ([`recent`](super::recent)).

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::query::Query;

use super::{BellStore, rows::Keys, sql};
use crate::{
    domain::cursor::Seq,
    store::{
        StoreError, failed,
        log::Indexing,
        many::{Many, sizes, to_json},
        turn::{Bound, Turn},
    },
};

/// Events that are put in together at most, which is more than come in between: what is held in memory meanwhile is some MiB.
const EVENTS_MAX: usize = 65_536;
/// Removed events whose keys are read together.
const REMOVED_MAX: usize = 32_768;
/// Rows that a transaction puts into each index: whoever appends meanwhile waits about a millisecond longer.
const ROWS_MAX: usize = 128;

/// Rows of removed events that a transaction takes from an index, or up to twice as many: what holds the writer for a millisecond or two.
const TAKEN_MAX: usize = 256;
/// Keys of removed events that a transaction forgets: what holds the writer for a millisecond.
const FORGOTTEN_STEP: usize = 2_048;

/// Before the first look, as a number of commits.
pub(super) const NEVER: u64 = u64::MAX;

static IDS: Many = Many::new(|| sizes().map(|rows| sql::indexes::insert("event_ids", 3, rows)).collect());
static MESSAGES: Many = Many::new(|| sizes().map(|rows| sql::indexes::insert("event_messages", 2, rows)).collect());
static THREADS: Many = Many::new(|| sizes().map(|rows| sql::indexes::insert("event_threads", 2, rows)).collect());
static MAILBOXES: Many = Many::new(|| sizes().map(|rows| sql::indexes::insert("event_mailboxes", 3, rows)).collect());

/// All of them; a test prepares each.
#[cfg(test)]
pub(super) const INSERTS: [&Many; 4] = [&IDS, &MESSAGES, &THREADS, &MAILBOXES];

/// The rows of each index, in its order.
#[derive(Debug, Default)]
struct Sorted {
    ids: Vec<(i64, Arc<str>, i64)>,
    messages: Vec<(Arc<str>, i64)>,
    threads: Vec<(Arc<str>, i64)>,
    mailboxes: Vec<(Arc<str>, Arc<str>, i64)>,
}

impl Sorted {
    fn of(all: Vec<Keys>) -> Self {
        let mut sorted = Self::default();
        for Keys { seq: Seq(seq), origin, event_id, kind, message_id, thread_id, mailbox } in all {
            sorted.ids.push((origin, event_id, seq));
            sorted.messages.extend(message_id.map(|message| (message, seq)));
            sorted.threads.extend(thread_id.map(|thread| (thread, seq)));
            sorted.mailboxes.extend(mailbox.map(|mailbox| (mailbox, kind, seq)));
        }
        sorted.ids.sort_unstable();
        sorted.messages.sort_unstable();
        sorted.threads.sort_unstable();
        sorted.mailboxes.sort_unstable();
        sorted
    }

    /// Puts in the rows of one step.
    async fn put(&self, turn: &mut Turn<'_>, step: usize) -> Result<(), StoreError> {
        fn of_step<R>(rows: &[R], step: usize) -> &[R] {
            rows.chunks(ROWS_MAX).nth(step).unwrap_or_default()
        }
        put(turn, &IDS, of_step(&self.ids, step), |query, (origin, id, seq)| {
            query.bind(*origin).bind(id.clone()).bind(*seq)
        })
        .await?;
        let two = |query: Bound<'static>, (text, seq): &(Arc<str>, i64)| query.bind(text.clone()).bind(*seq);
        put(turn, &MESSAGES, of_step(&self.messages, step), two).await?;
        put(turn, &THREADS, of_step(&self.threads, step), two).await?;
        put(turn, &MAILBOXES, of_step(&self.mailboxes, step), |query, (mailbox, kind, seq)| {
            query.bind(mailbox.clone()).bind(kind.clone()).bind(*seq)
        })
        .await
    }
}

async fn put<R: Sync>(
    turn: &mut Turn<'_>,
    statements: &'static Many,
    mut rows: &[R],
    bind: impl Fn(Bound<'static>, &R) -> Bound<'static> + Send + Sync,
) -> Result<(), StoreError> {
    while let Some((text, now, later)) = statements.next(rows) {
        rows = later;
        turn.run(text, false, "index the newest events", |query| now.iter().fold(query, &bind)).await?;
    }
    Ok(())
}

/// A row of `removed_keys`: place, message, thread, mailbox, kind.
type RemovedKeys = (i64, Option<String>, Option<String>, Option<String>, String);

/// What is to be taken from each index: the places of each text, in the index's order.
#[derive(Debug)]
struct Removed {
    last: i64,
    /// The last place of each step that forgets their keys. Places may skip.
    ends: Vec<i64>,
    messages: BTreeMap<String, Vec<i64>>,
    threads: BTreeMap<String, Vec<i64>>,
    mailboxes: BTreeMap<(String, String), Vec<i64>>,
}

impl Removed {
    fn of(all: Vec<RemovedKeys>) -> Option<Self> {
        let last = all.last()?.0;
        let ends = all.chunks(FORGOTTEN_STEP).filter_map(|step| step.last()).map(|row| row.0).collect();
        let mut removed =
            Self { last, ends, messages: BTreeMap::new(), threads: BTreeMap::new(), mailboxes: BTreeMap::new() };
        for (seq, message, thread, mailbox, kind) in all {
            if let Some(message) = message {
                removed.messages.entry(message).or_default().push(seq);
            }
            if let Some(thread) = thread {
                removed.threads.entry(thread).or_default().push(seq);
            }
            if let Some(mailbox) = mailbox {
                removed.mailboxes.entry((mailbox, kind)).or_default().push(seq);
            }
        }
        Some(removed)
    }

    /// The statements that take them, each with a list of texts and the place up to which it takes theirs.
    fn steps(&self) -> Vec<(&'static str, String, i64)> {
        let of = |text, lists: Vec<(String, i64)>| lists.into_iter().map(move |(list, through)| (text, list, through));
        of(sql::indexes::TAKE_MESSAGES, self.lists(&self.messages))
            .chain(of(sql::indexes::TAKE_THREADS, self.lists(&self.threads)))
            .chain(of(sql::indexes::TAKE_MAILBOXES, self.lists(&self.mailboxes)))
            .collect()
    }

    fn lists<T: Serialize>(&self, places: &BTreeMap<T, Vec<i64>>) -> Vec<(String, i64)> {
        let (mut lists, mut some, mut rows) = (Vec::new(), Vec::new(), 0);
        for (text, places) in places {
            if places.len() > TAKEN_MAX {
                // Alone, and piece by piece: all that is in one mailbox may be a whole log.
                lists.extend(places.chunks(TAKEN_MAX).filter_map(|piece| Some((to_json(&[text]), *piece.last()?))));
                continue;
            }
            some.push(text);
            rows += places.len();
            if rows >= TAKEN_MAX {
                lists.push((to_json(&some), self.last));
                (some, rows) = (Vec::new(), 0);
            }
        }
        if !some.is_empty() {
            lists.push((to_json(&some), self.last));
        }
        lists
    }
}

#[async_trait]
impl Indexing for BellStore {
    async fn index_newest(&self) -> Result<u64, StoreError> {
        let commits = self.database.writer.commits();
        if self.indexed_at.swap(commits, Ordering::Relaxed) == commits {
            return Ok(0);
        }
        let indexed = self.index_all().await;
        if indexed.is_err() {
            self.indexed_at.store(NEVER, Ordering::Relaxed);
        }
        indexed
    }

    async fn take_removed(&self) -> Result<u64, StoreError> {
        let mut taken = 0;
        loop {
            let doing = "read what was removed";
            let many = i64::try_from(REMOVED_MAX).unwrap_or(i64::MAX);
            let rows: Vec<RemovedKeys> = sqlx::query_as(sql::indexes::REMOVED_KEYS)
                .bind(many)
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed(doing))?;
            let count = rows.len();
            let Some(removed) = Removed::of(rows) else { return Ok(taken) };
            for (text, list, through) in removed.steps() {
                self.take(text, Some(list), through).await?;
            }
            // Last: until then whoever begins anew takes all of them.
            for through in &removed.ends {
                self.take(sql::indexes::FORGET_KEYS, None, *through).await?;
            }
            taken += u64::try_from(count).unwrap_or(u64::MAX);
            if count < REMOVED_MAX {
                return Ok(taken);
            }
        }
    }
}

impl BellStore {
    /// Removes what `text` says, up to a place, in a transaction.
    async fn take(&self, text: &'static str, list: Option<String>, through: i64) -> Result<(), StoreError> {
        let take = self.database.writer.write_unseen(move |turn| {
            let list = list.clone();
            Box::pin(async move {
                let bind = |query: Bound<'static>| list.into_iter().fold(query, Query::bind).bind(through);
                turn.run(text, true, "take removed events from the indexes", bind).await.map(drop)
            })
        });
        take.await
    }

    async fn index_all(&self) -> Result<u64, StoreError> {
        let mut indexed = 0;
        loop {
            let newest = self.unindexed().await?;
            let Some(last) = newest.last().map(|keys| keys.seq) else { return Ok(indexed) };
            let count = newest.len();
            let sorted = Arc::new(Sorted::of(newest));
            for step in 0..count.div_ceil(ROWS_MAX) {
                let sorted = sorted.clone();
                let put = self.database.writer.write_unseen(move |turn| {
                    let sorted = sorted.clone();
                    Box::pin(async move { sorted.put(turn, step).await })
                });
                put.await?;
            }
            let raise = self.database.writer.write_unseen(move |turn| {
                Box::pin(async move {
                    let raise = sqlx::query(sql::indexes::RAISE_INDEXED).bind(last.0).execute(turn.conn().await?).await;
                    raise.map_err(failed("note what is indexed")).map(drop)
                })
            });
            raise.await?;
            indexed += u64::try_from(count).unwrap_or(u64::MAX);
            if count < EVENTS_MAX {
                // What came meanwhile gathers: where more always comes, this would go on for ever, with few at a time.
                return Ok(indexed);
            }
        }
    }

    /// The oldest of those that are in no index.
    async fn unindexed(&self) -> Result<Vec<Keys>, StoreError> {
        let inserter = self.appender.inserter();
        // In a turn of the writer, so that it is of what is committed: this is answered after that.
        let unindexed = self.database.writer.write_unseen(move |turn| {
            let inserter = inserter.clone();
            Box::pin(async move { inserter.oldest(turn, EVENTS_MAX).await })
        });
        unindexed.await
    }
}

#[cfg(test)]
mod tests;
