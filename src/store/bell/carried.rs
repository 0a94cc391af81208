//! `bell.db` in a backup, and out of one: a restored log is another log than the one it was, because agents elsewhere may hold
//! cursors into events that this one never had.

use std::path::Path;

use serde_json::json;
use sqlx::Connection as _;

use super::{
    MIGRATIONS,
    audit::{self, Auditor, Stored, audit_key, link},
    sql,
};
use crate::{
    domain::{clock::UnixMillis, cursor::Seq, id::LogId},
    ids::Ids,
    store::{
        StoreError,
        audit::{Entry, Head},
        carried::{look_into, settle, take_in},
        failed,
        sqlite::OpenError,
    },
};

/// Tables and columns whose rows prove who somebody is.
pub const SECRETS: &[&str] =
    &["secrets", "tokens", "upgrade_codes", "notice_secrets", "console_codes", "sources.api_key"];

/// What holds everything back until the operator lets go, and ends what was under way.
const HOLD: &str = "UPDATE oversight SET paused = 1;
    UPDATE claims SET state = 'free', token = NULL, lease_boot = NULL, lease_deadline_millis = NULL WHERE state = 'leased';
    UPDATE consumers SET returns = returns + 1;
    UPDATE roster SET version = version + 1";
const FORGET_RECORD: &str = "DELETE FROM audit; DELETE FROM audit_segments";

/// What a copy of `bell.db` tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its schema.
    pub schema: i64,
    /// The id of the log.
    pub log: LogId,
    /// The newest event.
    pub head: Seq,
    /// How many events there are.
    pub events: i64,
    /// The end of the audit record; none in a schema from before there was one.
    pub audit: Option<Head>,
}

/// The newest schema that this version knows.
pub fn schema_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// What the copy at `path` tells of itself.
pub async fn facts(path: &Path) -> Result<Facts, StoreError> {
    const DOING: &str = "read the copy of bell.db";
    let mut conn = look_into(path).await?;
    let schema = crate::store::sqlite::version(&mut conn).await?;
    let log: Option<String> =
        sqlx::query_scalar(sql::log::LOG).fetch_optional(&mut conn).await.map_err(failed(DOING))?;
    let log = log.ok_or(StoreError::Corrupt { table: "log", row: "1".into(), why: "it is not there" })?;
    let (events, head): (i64, i64) = sqlx::query_as("SELECT count(*), coalesce(max(seq), 0) FROM events")
        .fetch_one(&mut conn)
        .await
        .map_err(failed(DOING))?;
    let kept: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'audit'")
        .fetch_optional(&mut conn)
        .await
        .map_err(failed(DOING))?;
    let mut audit = None;
    if kept.is_some() {
        let last: Option<(i64, Vec<u8>)> =
            sqlx::query_as(sql::audit::LAST_AUDIT).fetch_optional(&mut conn).await.map_err(failed(DOING))?;
        audit = Some(last.map_or(Head { id: 0, mac: link(None) }, |(id, mac)| Head { id, mac: link(Some(&mac)) }));
    }
    let _ = conn.close().await;
    Ok(Facts { schema, log: LogId::new(log), head: Seq(head), events, audit })
}

/// Hands each entry of the copy's audit record to `take`, as it is exported, in order; ends where that fails.
pub async fn record(path: &Path, mut take: impl FnMut(String) -> std::io::Result<()>) -> Result<(), RecordError> {
    let mut conn = look_into(path).await?;
    let mut after = 0;
    loop {
        let page =
            sqlx::query_as::<_, Stored>(sql::audit::AUDIT_AFTER).bind(after).bind(audit::PAGE).fetch_all(&mut conn);
        let page = page.await.map_err(failed("read the audit record"))?;
        if page.is_empty() {
            return Ok(());
        }
        for stored in page {
            let row = stored.row();
            after = row.id;
            take(row.exported()).map_err(RecordError::Taken)?;
        }
    }
}

/// Why the audit record was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be taken.
    #[error("could not write the audit record out")]
    Taken(#[source] std::io::Error),
}

/// How a log begins anew.
#[derive(Debug, Clone, Copy)]
pub struct Anew<'a> {
    /// The file with the key of its audit record; made where it is missing.
    pub key_file: &'a Path,
    /// Whether the record goes on; without its key it cannot, and begins anew.
    pub record_goes_on: bool,
    /// What the backup told of it.
    pub facts: &'a Facts,
    /// When.
    pub now: UnixMillis,
}

/// Makes the copy at `path` a log of its own: its schema is brought up to date, it gets a new id, everything is paused and no
/// lease runs, and its audit record tells of this. Answers with the id.
pub async fn begin_anew(path: &Path, anew: Anew<'_>, ids: &Ids) -> Result<LogId, OpenError> {
    let mut conn = take_in(path, &MIGRATIONS).await?;
    let auditor = audit_key(anew.key_file, ids).map(Auditor::new).map_err(|source| OpenError::AuditKey { source })?;
    let opening = |source| OpenError::Open { path: path.display().to_string(), source };
    let log = LogId::new(ids.next(""));
    let begun = async {
        const DOING: &str = "begin the restored log";
        settle(&mut conn, DOING, "BEGIN IMMEDIATE").await?;
        settle(&mut conn, DOING, HOLD).await?;
        if !anew.record_goes_on {
            settle(&mut conn, DOING, FORGET_RECORD).await?;
        }
        sqlx::query("UPDATE log SET log_id = ?").bind(log.as_str()).execute(&mut conn).await.map_err(failed(DOING))?;
        let Facts { log: before, head, audit, .. } = anew.facts;
        let about = json!({ "log": log.as_str(), "was": before.as_str(), "head": head,
            "audit_head": audit.as_ref().map(ToString::to_string), "record_goes_on": anew.record_goes_on });
        auditor.record(&mut conn, anew.now, &Entry::Operator { command: "restore", about }).await?;
        settle(&mut conn, DOING, "COMMIT").await
    };
    begun.await.map_err(opening)?;
    conn.close().await.map_err(|error| opening(failed("close the restored log")(error)))?;
    Ok(log)
}
