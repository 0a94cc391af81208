//! Adding to the record: a batch takes a statement or two, however many entries it has, and calls that end together share one.

use std::sync::{Arc, LazyLock};

use futures::future::join_all;
use sqlx::SqliteConnection;

use super::{super::sql, Auditor, end};
use crate::{
    domain::clock::UnixMillis,
    store::{StoreError, audit::Entry, failed, together::Together, writer::Writer},
};

/// Rows of one statement at most. What shares a turn is mostly less; what is more takes another statement.
const ROWS_MAX: usize = 256;
/// A statement has so many rows, or a multiple of it, or what is left below it: so their texts are few enough to stay
/// prepared.
const CHUNK: usize = 16;

/// The text for each number of rows that a statement may add: 1 to 16, then 32, 48 and so on.
pub(in super::super) static ADDS: LazyLock<Vec<String>> =
    LazyLock::new(|| (1..=CHUNK).chain((CHUNK * 2..=ROWS_MAX).step_by(CHUNK)).map(sql::audit::add_audit).collect());

/// How many of `rows` rows the next statement adds, and its text.
fn chunk(rows: usize) -> (usize, &'static str) {
    let whole = rows.min(ROWS_MAX) / CHUNK;
    let (len, place) = if whole == 0 { (rows, rows - 1) } else { (whole * CHUNK, CHUNK + whole - 2) };
    (len, ADDS[place].as_str())
}

/// What is told of by itself, rather than in the transaction of what it tells.
pub(in super::super) type Calls = Together<(Entry, UnixMillis), Result<i64, StoreError>>;

impl Auditor {
    /// Adds `entry` inside the transaction of `conn`, and answers with its id.
    pub(in super::super) async fn record(
        &self,
        conn: &mut SqliteConnection,
        at: UnixMillis,
        entry: &Entry,
    ) -> Result<i64, StoreError> {
        self.record_all(conn, [(entry, at)].into_iter()).await
    }

    /// Adds `entries`, one after the other, and answers with the last one's id: those before it have the ids before.
    async fn record_all<'e>(
        &self,
        conn: &mut SqliteConnection,
        mut entries: impl ExactSizeIterator<Item = (&'e Entry, UnixMillis)>,
    ) -> Result<i64, StoreError> {
        let (mut id, mut link) = end(conn).await?;
        while entries.len() > 0 {
            let (rows, statement) = chunk(entries.len());
            let mut add = sqlx::query(statement);
            for (entry, at) in entries.by_ref().take(rows) {
                let what = entry.what();
                let entry =
                    serde_json::to_string(entry).expect("an entry has string keys and no number that JSON lacks");
                id += 1;
                link = self.link(&link, id, at.0, what, &entry);
                add = add.bind(id).bind(at.0).bind(what).bind(entry).bind(link.to_vec());
            }
            add.execute(&mut *conn).await.map_err(failed("write the audit record"))?;
        }
        Ok(id)
    }

    /// Adds `entries` in a transaction, and answers with their ids; those that cannot be added together are added one by one,
    /// so that one that fails does so alone.
    pub(super) async fn add(self, writer: Writer, entries: Vec<(Entry, UnixMillis)>) -> Vec<Result<i64, StoreError>> {
        let entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
        match self.commit(&writer, entries.clone()).await {
            Ok(last) => (last + 1 - count(&entries)..=last).map(Ok).collect(),
            Err(error) if entries.len() == 1 || error.is_disk_failure() => vec![Err(error); entries.len()],
            Err(_) => join_all(entries.into_iter().map(|entry| self.commit(&writer, vec![entry]))).await,
        }
    }

    async fn commit(&self, writer: &Writer, entries: Vec<Arc<(Entry, UnixMillis)>>) -> Result<i64, StoreError> {
        let auditor = self.clone();
        let added = writer.write(move |conn| {
            let (auditor, entries) = (auditor.clone(), entries.clone());
            Box::pin(async move { auditor.record_all(conn, entries.iter().map(|one| (&one.0, one.1))).await })
        });
        added.await
    }
}

fn count<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).expect("as many as may wait")
}
