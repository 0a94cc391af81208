//! The bell wing's store in SQLite: `bell.db`, its rows and SQL by subject.
//!
//! Events are read in order of `seq` through an index each ([`select`]), of which some are written behind those who append
//! ([`indexing`]); consumers keep rows only above their low-water
//! mark ([`claims`], [`low_water`]); every write goes through the one writer, and appends are gathered before it
//! ([`append`]). Statements of fixed text stand in [`sql`]; what is asked together goes in one trip (`store::statement`).

mod append;
mod audit;
pub mod carried;
mod claims;
mod console;
mod events;
mod forgetting;
mod frontier;
mod holding;
mod hosted;
mod indexing;
mod lease;
mod left;
mod log;
mod look;
mod low_water;
mod message_map;
mod notices;
mod oversight;
mod places;
mod prior;
mod quarantine;
mod received;
mod recent;
mod records;
mod retention;
mod rows;
mod select;
mod settle;
mod sources;
mod sql;
mod standing;
pub mod tally;
#[cfg(test)]
mod tests;
mod tokens;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use tokio_util::sync::CancellationToken;

use self::{
    append::Appender,
    audit::{Auditor, Calls, audit_key},
    frontier::Frontiers,
};
use super::{
    StoreError, failed,
    log::Extent,
    sqlite::{Database, OpenError, Schema, open},
    survey::{self, Survey},
    term,
    together::Together,
    tokens::{Principal, TokenHash},
};
use crate::{
    domain::{clock::BootTime, id::LogId, oversight::Rules},
    ids::Ids,
};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/bell/migrations");

/// The file beside the database that holds the key of the audit record's chain, or links to the file that does.
pub const AUDIT_KEY_FILE: &str = "audit.key";

/// Places that the first term of a boot skips: more than there can be events whose senders wait for an answer.
const PLACES_SKIPPED: i64 = 1_000_000;

/// Looks `bell.db` over, without changing anything.
pub async fn survey(path: &Path) -> Result<Survey, StoreError> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let tables = [
        ("events", Some("received_at")),
        ("claims", None),
        ("audit", Some("at")),
        ("quarantine", Some("last_at")),
        ("event_ids", None),
        ("removals", Some("removed_at")),
        ("tokens", Some("created_at")),
        ("notices", Some("made_at")),
        ("received_messages", Some("received_at")),
        ("received_files", None),
    ];
    survey::survey(path, known, &tables).await
}

/// `bell.db`: the event log, consumers, sources. Clones share it; processes on one data directory each open it.
#[derive(Clone)]
pub struct BellStore {
    database: Database,
    appender: Appender,
    log_id: LogId,
    frontiers: Arc<Frontiers>,
    auditor: Auditor,
    calls: Calls,
    looks: Looks,
    /// How many commits there were when the newest events were last looked for.
    indexed_at: Arc<AtomicU64>,
    path: PathBuf,
}

/// What many calls look up at once, each kind together.
#[derive(Clone, Default)]
struct Looks {
    extents: Together<(), Extent>,
    bearers: Together<TokenHash, Result<Option<Principal>, StoreError>>,
    rules: Together<(), Rules>,
    received_mailboxes: Together<(), Vec<String>>,
}

impl BellStore {
    /// Opens `bell.db` at `path`, creating it where `schema` lets us, and beside it the key of the audit record; `ids` name a
    /// new log. `disk_failed` is cancelled if the
    /// disk fails at a commit.
    pub async fn open(
        path: &Path,
        schema: Schema,
        ids: &Ids,
        disk_failed: CancellationToken,
    ) -> Result<Self, OpenError> {
        let database = open(path, &MIGRATIONS, schema, disk_failed).await?;
        let log_id = log_id(&database, ids)
            .await
            .map_err(|source| OpenError::Open { path: path.display().to_string(), source })?;
        let key_file = path.with_file_name(AUDIT_KEY_FILE);
        let auditor = audit_key(&key_file, ids).map(Auditor::new).map_err(|source| OpenError::AuditKey { source })?;
        let appender = Appender::new(database.writer.clone(), auditor.clone());
        let calls = auditor.calls(database.writer.clone());
        Ok(Self {
            database,
            appender,
            log_id,
            frontiers: Arc::default(),
            auditor,
            calls,
            looks: Looks::default(),
            indexed_at: Arc::new(AtomicU64::new(indexing::NEVER)),
            path: path.to_owned(),
        })
    }

    /// Begins a keeper's term in this boot of the machine, and answers its epoch. Every process writes to this database, so an epoch
    /// fences nothing here: it tells the terms apart.
    ///
    /// The first term of a boot, and each where boots [have no name](BootTime::UNKNOWN), skips places in the log, and whatever else
    /// is numbered: a power loss may have taken events that somebody has seen, and with their places given again, a cursor would pass
    /// by what comes next.
    pub async fn begin_term(&self, boot_id: &str) -> Result<i32, StoreError> {
        let boot_id = boot_id.to_owned();
        let begun = self.database.writer.write(move |conn| {
            let boot_id = boot_id.clone();
            Box::pin(async move {
                let boot = sqlx::query(sql::log::SET_BOOT).bind(boot_id).bind(BootTime::UNKNOWN);
                let boot = boot.execute(&mut *conn).await;
                if boot.map_err(failed("note the boot"))?.rows_affected() > 0 {
                    for skip in [sql::log::NOTE_SKIP, sql::log::SKIP] {
                        let skip = sqlx::query(skip).bind(PLACES_SKIPPED).execute(&mut *conn).await;
                        skip.map_err(failed("skip some places"))?;
                    }
                }
                let count = sqlx::query(sql::log::COUNT_EVENTS).execute(&mut *conn).await;
                count.map_err(failed("begin to count events"))?;
                term::raise(conn).await
            })
        });
        begun.await
    }

    /// The epoch of the latest keeper's term, 0 before the first.
    pub async fn epoch(&self) -> Result<i32, StoreError> {
        term::epoch(&self.database.readers).await
    }

    /// Transactions that this process has committed: what shows that posters share them.
    pub fn commits(&self) -> u64 {
        self.database.writer.commits()
    }

    /// Those of them that waited for the disk.
    pub fn commits_on_disk(&self) -> u64 {
        self.database.writer.commits_on_disk()
    }
}

/// The log's id; a database that has none yet is given one.
async fn log_id(database: &Database, ids: &Ids) -> Result<LogId, StoreError> {
    let read = || sqlx::query_scalar::<_, String>(sql::log::LOG).fetch_optional(&database.readers);
    if let Some(id) = read().await.map_err(failed("read the log's id"))? {
        return Ok(LogId::new(id));
    }
    let fresh = ids.next("");
    database
        .writer
        .write(move |conn| {
            let fresh = fresh.clone();
            Box::pin(async move {
                sqlx::query(sql::log::ADD_LOG).bind(fresh).execute(conn).await.map_err(failed("name the log"))?;
                Ok(())
            })
        })
        .await?;
    let id = read().await.map_err(failed("read the log's id"))?;
    id.map(LogId::new).ok_or(StoreError::Corrupt { table: "log", row: "1".into(), why: "it is not there" })
}
