//! Adding to the record: a batch takes a statement or two, however many entries it has, and calls that end together share one.

use std::sync::Arc;

use sqlx::SqliteConnection;

use super::{super::sql, Auditor, End, end, end_in};
use crate::{
    domain::clock::UnixMillis,
    signing::chain::Link,
    store::{
        StoreError,
        audit::Entry,
        joint::Joint,
        many::{self, Many},
        statement::{Bind, Statement},
        turn::{Bound, Turn},
        writer::Writer,
    },
};

const DOING: &str = "write the audit record";

/// The statement for each number of entries.
pub(in super::super) static ADDS: Many = Many::new(|| many::sizes().map(sql::audit::add_audit).collect());

/// What is told of by itself, rather than in the transaction of what it tells; each is answered with the id of its entry.
pub(in super::super) type Calls = Joint<(Entry, UnixMillis), i64>;

/// An entry as it is added.
pub(in super::super) struct Added {
    id: i64,
    at: UnixMillis,
    what: &'static str,
    entry: String,
    link: Link,
}

impl Added {
    /// Adds it alone. With `last`, the transaction may end along with it.
    pub(in super::super) async fn add(self, turn: &mut Turn<'_>, last: bool) -> Result<(), StoreError> {
        let (statement, ..) = ADDS.next(&[()]).expect("a text for one entry");
        turn.run(statement, last, DOING, |query| bind(query, Some(self))).await.map(drop)
    }
}

/// Binds what is added, or nothing in its place.
pub(in super::super) fn bind(query: Bound<'_>, row: Option<Added>) -> Bound<'_> {
    let (id, at) = row.as_ref().map(|row| (row.id, row.at.0)).unzip();
    let (what, link) = row.as_ref().map(|row| (row.what, row.link.to_vec())).unzip();
    query.bind(id).bind(at).bind(what).bind(row.map(|row| row.entry)).bind(link)
}

impl Auditor {
    /// Adds `entry` inside the transaction of `conn`, and answers with its id.
    pub(in super::super) async fn record(
        &self,
        conn: &mut SqliteConnection,
        at: UnixMillis,
        entry: &Entry,
    ) -> Result<i64, StoreError> {
        let end = end(conn).await?;
        self.record_all(&mut Turn::within(conn), end, &[(entry, at)]).await
    }

    /// What adds `entry` after the end of the record, as it was read inside the same transaction.
    pub(in super::super) fn adds(&self, end: &End, at: UnixMillis, entry: &Entry) -> Statement {
        let Added { id, at, what, entry, link } = self.row(end, at, entry);
        let binds =
            [Bind::Int(id), Bind::Int(at.0), Bind::Text(what.to_owned()), Bind::Text(entry), Bind::Blob(link.to_vec())];
        Statement::new(sql::audit::add_audit(1), binds)
    }

    /// `entry` as it is added after `end`, which is where the record ends in the same transaction.
    pub(in super::super) fn row(&self, (last, before): &End, at: UnixMillis, entry: &Entry) -> Added {
        let (id, what) = (last + 1, entry.what());
        let entry = serde_json::to_string(entry).expect("an entry has string keys and no number that JSON lacks");
        let link = self.link(before, id, at.0, what, &entry);
        Added { id, at, what, entry, link }
    }

    /// Adds `entries` after the end of the record, one after the other, and answers with the last one's id: those before it
    /// have the ids before. The transaction may end along with it.
    async fn record_all(
        &self,
        turn: &mut Turn<'_>,
        mut end: End,
        entries: &[(&Entry, UnixMillis)],
    ) -> Result<i64, StoreError> {
        let mut rest = entries;
        while let Some((statement, now, later)) = ADDS.next(rest) {
            rest = later;
            let add = |query| {
                now.iter().fold(query, |query, (entry, at)| {
                    let row = self.row(&end, *at, entry);
                    end = (row.id, row.link);
                    bind(query, Some(row))
                })
            };
            turn.run(statement, rest.is_empty(), DOING, add).await?;
        }
        Ok(end.0)
    }

    /// Where calls that end together are told of together.
    pub(in super::super) fn calls(&self, writer: Writer) -> Calls {
        let auditor = self.clone();
        Joint::new(writer, move |turn, entries: &[Arc<(Entry, UnixMillis)>]| {
            let auditor = auditor.clone();
            Box::pin(async move {
                let entries: Vec<_> = entries.iter().map(|one| (&one.0, one.1)).collect();
                let last = turn.ask(sql::audit::LAST_AUDIT, "find the audit record's end", |query| query).await?;
                let end = end_in(last.first())?;
                let last = auditor.record_all(turn, end, &entries).await?;
                Ok((end.0 + 1..=last).collect())
            })
        })
    }
}
