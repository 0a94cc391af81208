//! The bell wing's store in SQLite: `bell.db`, its rows and SQL by subject.
//!
//! Events are read in order of `seq` through an index each ([`select`]); consumers keep rows only above their low-water
//! mark ([`claims`], [`low_water`]); every write goes through the one writer, and appends are gathered before it
//! ([`append`]). Statements of fixed text stand in [`sql`].

mod append;
mod arrivals;
mod claims;
mod events;
mod frontier;
mod hosted;
mod lease;
mod log;
mod low_water;
mod message_map;
mod quarantine;
mod select;
mod settle;
mod sources;
mod sql;
mod standing;
#[cfg(test)]
mod tests;
mod tokens;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use self::{append::Appender, frontier::Frontiers};
use super::{
    StoreError, failed,
    sqlite::{Database, OpenError, Schema, open},
    term,
};
use crate::{domain::id::LogId, ids::Ids};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/bell/migrations");

/// `bell.db`: the event log, consumers, sources. Clones share it; processes on one data directory each open it.
#[derive(Clone)]
pub struct BellStore {
    database: Database,
    appender: Appender,
    log_id: LogId,
    frontiers: Arc<Frontiers>,
    path: PathBuf,
}

impl BellStore {
    /// Opens `bell.db` at `path`, creating it where `schema` lets us; `ids` name a new log. `disk_failed` is cancelled if the
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
        let appender = Appender::start(database.writer.clone());
        Ok(Self { database, appender, log_id, frontiers: Arc::default(), path: path.to_owned() })
    }

    /// Begins a keeper's term, and answers its epoch. Every process writes to this database, so an epoch fences nothing here:
    /// it tells the terms apart.
    pub async fn begin_term(&self) -> Result<i32, StoreError> {
        self.database.writer.write(|conn| Box::pin(async move { term::raise(conn).await })).await
    }

    /// The epoch of the latest keeper's term, 0 before the first.
    pub async fn epoch(&self) -> Result<i32, StoreError> {
        term::epoch(&self.database.readers).await
    }

    /// Transactions that this process has committed: what shows that posters share them.
    pub fn commits(&self) -> u64 {
        self.database.writer.commits()
    }
}

/// The log's id; a database that has none yet is given one.
async fn log_id(database: &Database, ids: &Ids) -> Result<LogId, StoreError> {
    let read = || sqlx::query_scalar::<_, String>(sql::LOG).fetch_optional(&database.readers);
    if let Some(id) = read().await.map_err(failed("read the log's id"))? {
        return Ok(LogId::new(id));
    }
    let fresh = ids.next("");
    database
        .writer
        .write(move |conn| {
            let fresh = fresh.clone();
            Box::pin(async move {
                sqlx::query(sql::ADD_LOG).bind(fresh).execute(conn).await.map_err(failed("name the log"))?;
                Ok(())
            })
        })
        .await?;
    let id = read().await.map_err(failed("read the log's id"))?;
    id.map(LogId::new).ok_or(StoreError::Corrupt { table: "log", row: "1".into(), why: "it is not there" })
}
