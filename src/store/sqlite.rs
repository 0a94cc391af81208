//! Opens a SQLite database as this house uses one: WAL, one writer, a few readers, commits that are on disk.
//!
//! Why statements say `LIMIT +?`: SQLite takes a limit that is a bare parameter into account when it plans, so it compiles the
//! statement anew whenever the parameter is bound, which is each time it runs. A claim's look takes 250 µs to compile and 4
//! µs to run. With a `+` before it, the parameter is an expression like any other, and the plan is the one that tests see.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio_util::sync::CancellationToken;

use super::{
    StoreError,
    checkpoints::Checkpoints,
    failed,
    flushes::Flushes,
    readers::Readers,
    term::Term,
    writer::{Disk, Writer},
};

/// How long a write waits for another process's before it is refused.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages in the write-ahead log with which a commit makes a checkpoint itself: 187 MiB. [`Checkpoints`] keeps it from coming to that.
const CHECKPOINT_PAGES: &str = "48000";
/// What the log file is cut to after a checkpoint, in bytes: 128 MiB, which it seldom needs.
const JOURNAL_BYTES_MAX: &str = "134217728";
/// Page cache of a connection, in KiB (negative, as SQLite wants it): 4 MiB. The kernel has the rest. And in a database below 1 GiB
/// SQLite looks its whole cache over at each commit that has divided a page.
const CACHE_KIB: &str = "-4096";
/// What SQLite holds in this process, in bytes: 32 MiB, beyond which it lets pages go. There are a dozen connections, and one takes
/// the share of another.
const HEAP_BYTES_MAX: &str = "33554432";
/// Compiled statements that a writer keeps: those of many rows have some thirty texts each, or twice as many where a transaction may
/// begin or end along with them, four hundred together; and one that falls out is compiled again.
const STATEMENTS_KEPT: usize = 512;
/// Rows that a statement may be ahead of whoever reads them: as many as a batch of lines takes at once, nearly. Where there
/// are more, the database's thread waits for its reader.
const ROWS_AHEAD_MAX: usize = 1024;

/// How many pages are free beyond what stays for what comes next: an eighth of the file, and 8 MiB. To give back a page that is
/// needed again at once is to write several twice.
const PAGES_TO_SPARE: &str =
    "SELECT freelist_count - max(page_count / 8, 2048) FROM pragma_freelist_count, pragma_page_count";
/// Pages that are given back at once.
const PAGES_BACK: i64 = 256;
const GIVE_PAGES_BACK: &str = "PRAGMA incremental_vacuum(256)";

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened, or is no database.
    #[error("could not open the database {path}")]
    Open {
        /// The file.
        path: String,
        /// What went wrong.
        #[source]
        source: StoreError,
    },
    /// A newer mailbell has been here.
    #[error(
        "the database {path} was written by a newer mailbell (schema {found}, this one knows {known}); run that version, or one later than it"
    )]
    Newer {
        /// The file.
        path: String,
        /// The schema in the file.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// An older mailbell has been here, and this process may not change the schema.
    #[error(
        "the database {path} has schema {found} and this version needs {known}; end the mailbell that runs on this data directory and start this version's `mailbell serve`, which brings it up to date"
    )]
    Older {
        /// The file.
        path: String,
        /// The schema in the file.
        found: i64,
        /// The schema that this version needs.
        known: i64,
    },
    /// The key of the audit record cannot be used.
    #[error("could not read or make the key of the audit record")]
    AuditKey {
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The schema could not be brought up to date.
    #[error("could not bring the database {path} up to date")]
    Migrate {
        /// The file.
        path: String,
        /// What went wrong.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// Whether the process that opens a database may change its schema: only the keeper of the data directory may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Bring it up to date.
    Migrate,
    /// Take it as it is, or refuse.
    Expect,
}

/// An open database.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) writer: Writer,
    pub(crate) readers: Readers,
}

/// How a database is opened where it may have to be made first.
pub(super) fn options_to_make(path: &Path) -> SqliteConnectOptions {
    // Before the first table, or it has no effect; retention gives pages back by incremental_vacuum. It is a commit each time.
    options(path).create_if_missing(true).auto_vacuum(SqliteAutoVacuum::Incremental)
}

/// How a database that is there is opened; nothing is written by it.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: a commit that was answered is on disk. The writer goes without, and has its log flushed before it answers.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("cache_size", CACHE_KIB)
        .pragma("soft_heap_limit", HEAP_BYTES_MAX)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", JOURNAL_BYTES_MAX)
        .pragma("temp_store", "MEMORY")
        .log_statements(tracing::log::LevelFilter::Trace)
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1))
}

/// Opens the database at `path`, which others share, creating it where `schema` lets us.
pub(crate) async fn open(
    path: &Path,
    migrations: &Migrator,
    schema: Schema,
    disk_failed: CancellationToken,
) -> Result<Database, OpenError> {
    let conn = connect(path, migrations, schema).await?;
    database(path, conn, None, disk_failed).await
}

/// Opens the database at `path` for the keeper alone, and begins its term there.
pub(crate) async fn open_for_a_term(
    path: &Path,
    migrations: &Migrator,
    disk_failed: CancellationToken,
) -> Result<(Database, Term), OpenError> {
    let mut conn = connect(path, migrations, Schema::Migrate).await?;
    let term =
        Term::begin(&mut conn).await.map_err(|source| OpenError::Open { path: path.display().to_string(), source })?;
    Ok((database(path, conn, Some(term.clone()), disk_failed).await?, term))
}

pub(super) async fn connect(path: &Path, migrations: &Migrator, schema: Schema) -> Result<SqliteConnection, OpenError> {
    let name = || path.display().to_string();
    let opening = |source| OpenError::Open { path: name(), source: StoreError::of("open it", source) };
    let options = if schema == Schema::Migrate { options_to_make(path) } else { options(path) };
    let options = options.statement_cache_capacity(STATEMENTS_KEPT).row_buffer_size(ROWS_AHEAD_MAX);
    let mut conn = options.connect().await.map_err(opening)?;

    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found = version(&mut conn).await.map_err(|source| OpenError::Open { path: name(), source })?;
    if found > known {
        return Err(OpenError::Newer { path: name(), found, known });
    }
    match schema {
        Schema::Migrate => migrations
            .run_direct(None, &mut conn, false)
            .await
            .map_err(|source| OpenError::Migrate { path: name(), source })?,
        Schema::Expect if found < known => return Err(OpenError::Older { path: name(), found, known }),
        Schema::Expect => {}
    }
    Ok(conn)
}

/// The database of `conn`, which commits without waiting for the disk from here on: [`Flushes`] wait for it.
async fn database(
    path: &Path,
    mut conn: SqliteConnection,
    term: Option<Term>,
    disk_failed: CancellationToken,
) -> Result<Database, OpenError> {
    let opening = |source| OpenError::Open { path: path.display().to_string(), source: failed("open it")(source) };
    sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut conn).await.map_err(opening)?;
    // A keeper alone begins a term, and only in mail.db.
    let name = if term.is_some() { "mail" } else { "bell" };
    let flushes = Flushes::start(name, path, disk_failed.clone());
    let flushes = flushes.map_err(|error| opening(sqlx::Error::Io(error)))?;
    let options = options(path);
    let disk = Disk { flushes, checkpoints: Checkpoints::start(options.clone()) };
    let writer = Writer::start(name, conn, term, Some(disk), disk_failed);
    Ok(Database { writer, readers: Readers::new(options) })
}

/// Gives some of the pages that are free back to the file system, where there are more than is good. For the transaction that
/// removed what was there.
pub(super) async fn give_pages_back(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    const DOING: &str = "give pages back";
    let spare: i64 = sqlx::query_scalar(PAGES_TO_SPARE).fetch_one(&mut *conn).await.map_err(failed(DOING))?;
    if spare >= PAGES_BACK {
        sqlx::query(GIVE_PAGES_BACK).fetch_all(conn).await.map_err(failed(DOING))?;
    }
    Ok(())
}

pub(crate) async fn version(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    let there: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(&mut *conn)
            .await
            .map_err(failed("read the schema"))?;
    if there.is_none() {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
        .fetch_one(conn)
        .await
        .map_err(failed("read the schema's version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_opens_what_is_there_writes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("heap.db");
        let mut conn = options_to_make(&path).connect().await.expect("made");
        sqlx::query("CREATE TABLE heap (filler BLOB)").execute(&mut conn).await.expect("made");
        let version = async |conn: &mut SqliteConnection| {
            sqlx::query_scalar::<_, i64>("PRAGMA data_version").fetch_one(conn).await.expect("looked")
        };
        let before = version(&mut conn).await;
        let _other = options(&path).connect().await.expect("opened");
        assert_eq!(version(&mut conn).await, before);
    }

    async fn pages(conn: &mut SqliteConnection) -> (i64, i64) {
        let pages = sqlx::query_as("SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count");
        pages.fetch_one(conn).await.expect("counted")
    }

    #[tokio::test]
    async fn a_file_shrinks_to_what_it_needs_and_some_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut conn = options_to_make(&dir.path().join("heap.db")).connect().await.expect("opened");
        let fill = "CREATE TABLE heap (filler BLOB);
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 6000)
            INSERT INTO heap SELECT zeroblob(4000) FROM n";
        sqlx::raw_sql(fill).execute(&mut conn).await.expect("filled");
        let (before, free) = pages(&mut conn).await;
        assert!(before > 6_000 && free == 0, "{before}, {free}");
        sqlx::query("DELETE FROM heap WHERE rowid <= 1000").execute(&mut conn).await.expect("removed");
        give_pages_back(&mut conn).await.expect("looked");
        assert_eq!(pages(&mut conn).await.0, before, "what comes next needs them");
        sqlx::query("DELETE FROM heap").execute(&mut conn).await.expect("removed");
        for _ in 0..40 {
            give_pages_back(&mut conn).await.expect("given");
        }
        let (count, free) = pages(&mut conn).await;
        assert!(count < 2_400 && free > 2_000, "{count}, {free}");
    }
}
