//! The audit record in rows: written inside the writer's transactions, read and checked page by page.
//!
//! Whoever writes something worth telling calls [`Auditor::record`] with the connection of that transaction; events bring their
//! entry along with them. Under the write lock the last row is the end of the chain, whichever process wrote it.

mod adding;
mod key;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{FromRow, SqliteConnection, sqlite::SqliteRow};

#[cfg(test)]
pub(super) use self::adding::ADDS;
pub(super) use self::{
    adding::{Added, Calls, bind},
    key::audit_key,
};
use super::{BellStore, sql};
use crate::{
    domain::clock::UnixMillis,
    signing::chain::{ChainKey, Link, START},
    store::{
        StoreError,
        audit::{AuditFilter, AuditLog, Entry, Head, Row, Verdict},
        failed,
    },
};

/// Rows read at a time.
pub(super) const PAGE: u32 = 1_000;
/// Keeps these links apart from others of the key.
const ENTRY: &str = "mailbell audit entry";
const SEGMENT: &str = "mailbell audit segment";

/// What writes entries; clones share the key.
#[derive(Clone)]
pub(super) struct Auditor {
    key: Arc<ChainKey>,
}

/// A row as it lies in the table.
#[derive(sqlx::FromRow)]
pub(super) struct Stored {
    id: i64,
    at: i64,
    what: String,
    entry: String,
    mac: Vec<u8>,
}

impl Auditor {
    pub(super) fn new(key: ChainKey) -> Self {
        Self { key: Arc::new(key) }
    }

    fn link(&self, before: &Link, id: i64, at: i64, what: &str, entry: &str) -> Link {
        self.key.link(ENTRY, before, &[&id.to_be_bytes(), &at.to_be_bytes(), what.as_bytes(), entry.as_bytes()])
    }

    fn seal(&self, before: &Link, first: i64, last: i64, mac: &[u8]) -> Link {
        self.key.link(SEGMENT, before, &[&first.to_be_bytes(), &last.to_be_bytes(), mac])
    }

    /// Removes the entries up to `last`, at most `rows` of them, as a sealed segment; answers with how many. The newest entry
    /// stays, whatever is asked: the chain goes on from it.
    pub(super) async fn cut(
        &self,
        conn: &mut SqliteConnection,
        through: i64,
        rows: i64,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        let doing = "seal a segment of the audit record";
        let (newest, _) = end(conn).await?;
        let first: Option<i64> =
            sqlx::query_scalar(sql::audit::FIRST_AUDIT).fetch_one(&mut *conn).await.map_err(failed(doing))?;
        let Some(first) = first else { return Ok(0) };
        let last = through.min(newest - 1).min(first + rows - 1);
        if last < first {
            return Ok(0);
        }
        let mac: Vec<u8> =
            sqlx::query_scalar(sql::audit::AUDIT_MAC).bind(last).fetch_one(&mut *conn).await.map_err(failed(doing))?;
        let before: Option<Vec<u8>> =
            sqlx::query_scalar(sql::audit::LAST_SEAL).fetch_optional(&mut *conn).await.map_err(failed(doing))?;
        let seal = self.seal(&link(before.as_deref()), first, last, &mac);
        let keep =
            sqlx::query(sql::audit::ADD_SEGMENT).bind(last).bind(first).bind(mac).bind(now.0).bind(seal.to_vec());
        keep.execute(&mut *conn).await.map_err(failed(doing))?;
        let cut = sqlx::query(sql::audit::CUT_AUDIT).bind(last).execute(conn).await.map_err(failed(doing))?;
        Ok(cut.rows_affected())
    }
}

/// A stored link; what is not there or has another length is compared as the start, and shows as wrong.
pub(super) fn link(stored: Option<&[u8]>) -> Link {
    stored.and_then(|stored| stored.try_into().ok()).unwrap_or(START)
}

/// The last entry's id and link.
pub(super) type End = (i64, Link);

async fn end(conn: &mut SqliteConnection) -> Result<End, StoreError> {
    let last = sqlx::query(sql::audit::LAST_AUDIT).fetch_optional(conn).await;
    end_in(last.map_err(failed("find the audit record's end"))?.as_ref())
}

/// The same, from the row that [`sql::audit::LAST_AUDIT`] found.
pub(super) fn end_in(row: Option<&SqliteRow>) -> Result<End, StoreError> {
    let last: Option<(i64, Vec<u8>)> =
        row.map(FromRow::from_row).transpose().map_err(failed("find the audit record's end"))?;
    Ok(stored_end(last))
}

/// The end as it lies in the table, where there is an entry.
pub(super) fn stored_end(last: Option<(i64, Vec<u8>)>) -> End {
    last.map_or((0, START), |(id, mac)| (id, link(Some(&mac))))
}

impl Stored {
    pub(super) fn row(self) -> Row {
        Row {
            id: self.id,
            at: UnixMillis(self.at),
            // One that was tampered with is still shown.
            entry: serde_json::from_str(&self.entry).unwrap_or_else(|_| self.entry.clone().into()),
            text: self.entry,
            mac: hex::encode(self.mac),
        }
    }
}

/// Whether `filter` takes a row of the kind `what`.
fn takes(filter: &AuditFilter, what: &str, row: &Row) -> bool {
    let says = |name: &str, wanted: &Option<String>| {
        wanted.as_deref().is_none_or(|wanted| row.entry[name].as_str() == Some(wanted))
    };
    (filter.what.is_empty() || filter.what.iter().any(|wanted| wanted == what))
        && filter.since.is_none_or(|since| row.at >= since)
        && says("principal", &filter.principal)
        && says("tool", &filter.tool)
}

#[async_trait]
impl AuditLog for BellStore {
    async fn record(&self, entry: Entry, now: UnixMillis) -> Result<i64, StoreError> {
        self.calls.write((entry, now)).await
    }

    async fn entries(&self, filter: &AuditFilter, after: i64, limit: u32) -> Result<(Vec<Row>, i64), StoreError> {
        let (mut rows, mut at) = (Vec::new(), after);
        while rows.len() < limit as usize {
            let page = self.audit_page(at).await?;
            if page.is_empty() {
                break;
            }
            for stored in page {
                at = stored.id;
                let what = stored.what.clone();
                let row = stored.row();
                if takes(filter, &what, &row) {
                    rows.push(row);
                }
                if rows.len() == limit as usize {
                    break;
                }
            }
        }
        Ok((rows, at))
    }

    async fn head_to_keep(&self) -> Result<Head, StoreError> {
        // What other processes committed may be in the kernel's memory alone. What is answered after a flush takes all before it to
        // the disk, whether it writes something or not.
        let (id, mac) = self.database.writer.write(|conn| Box::pin(end(conn))).await?;
        Ok(Head { id, mac })
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let mut conn = self.database.readers.acquire().await.map_err(failed("find the audit record's end"))?;
        let (id, mac) = end(&mut conn).await?;
        Ok(Head { id, mac })
    }

    async fn verify(&self, kept: Option<&Head>) -> Result<Verdict, StoreError> {
        self.check_audit(kept).await
    }
}

impl BellStore {
    async fn audit_page(&self, after: i64) -> Result<Vec<Stored>, StoreError> {
        let page = sqlx::query_as(sql::audit::AUDIT_AFTER).bind(after).bind(PAGE).fetch_all(&self.database.readers);
        page.await.map_err(failed("read the audit record"))
    }
}
