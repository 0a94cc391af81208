//! Adding to the record: a batch takes a statement or two, however many entries it has, and calls that end together share one.

use std::sync::Arc;

use sqlx::SqliteConnection;

use super::{
    super::{
        sql,
        statement::{Bind, Statement},
    },
    Auditor, End, end,
};
use crate::{
    domain::clock::UnixMillis,
    signing::chain::Link,
    store::{
        StoreError,
        audit::Entry,
        failed,
        joint::Joint,
        many::{self, Many},
        writer::Writer,
    },
};

/// The statement for each number of entries.
pub(in super::super) static ADDS: Many = Many::new(|| many::sizes().map(sql::audit::add_audit).collect());

/// What is told of by itself, rather than in the transaction of what it tells; each is answered with the id of its entry.
pub(in super::super) type Calls = Joint<(Entry, UnixMillis), i64>;

/// An entry as it is added.
struct Row {
    id: i64,
    what: &'static str,
    entry: String,
    link: Link,
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
        self.record_after(conn, end, at, entry).await
    }

    /// The same where the end of the record is known, in the same transaction.
    pub(in super::super) async fn record_after(
        &self,
        conn: &mut SqliteConnection,
        end: End,
        at: UnixMillis,
        entry: &Entry,
    ) -> Result<i64, StoreError> {
        self.record_all(conn, end, &[(entry, at)]).await
    }

    /// What adds `entry` after the end of the record, as it was read inside the same transaction.
    pub(in super::super) fn adds(&self, end: &End, at: UnixMillis, entry: &Entry) -> Statement {
        let Row { id, what, entry, link } = self.row(end, at, entry);
        let binds =
            [Bind::Int(id), Bind::Int(at.0), Bind::Text(what.to_owned()), Bind::Text(entry), Bind::Blob(link.to_vec())];
        Statement::new(sql::audit::add_audit(1), binds)
    }

    fn row(&self, (last, before): &End, at: UnixMillis, entry: &Entry) -> Row {
        let (id, what) = (last + 1, entry.what());
        let entry = serde_json::to_string(entry).expect("an entry has string keys and no number that JSON lacks");
        let link = self.link(before, id, at.0, what, &entry);
        Row { id, what, entry, link }
    }

    /// Adds `entries` after the end of the record, one after the other, and answers with the last one's id: those before it
    /// have the ids before.
    async fn record_all(
        &self,
        conn: &mut SqliteConnection,
        mut end: End,
        entries: &[(&Entry, UnixMillis)],
    ) -> Result<i64, StoreError> {
        let mut rest = entries;
        while let Some((statement, now, later)) = ADDS.next(rest) {
            rest = later;
            let mut add = sqlx::query(statement);
            for (entry, at) in now {
                let Row { id, what, entry, link } = self.row(&end, *at, entry);
                add = add.bind(id).bind(at.0).bind(what).bind(entry).bind(link.to_vec());
                end = (id, link);
            }
            add.execute(&mut *conn).await.map_err(failed("write the audit record"))?;
        }
        Ok(end.0)
    }

    /// Where calls that end together are told of together.
    pub(in super::super) fn calls(&self, writer: Writer) -> Calls {
        let auditor = self.clone();
        Joint::new(writer, move |conn, entries: &[Arc<(Entry, UnixMillis)>]| {
            let auditor = auditor.clone();
            Box::pin(async move {
                let entries: Vec<_> = entries.iter().map(|one| (&one.0, one.1)).collect();
                let end = end(conn).await?;
                let last = auditor.record_all(conn, end, &entries).await?;
                Ok((end.0 + 1..=last).collect())
            })
        })
    }
}
