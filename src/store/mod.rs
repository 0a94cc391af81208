//! What is kept, behind narrow traits in domain verbs; SQL stands only in `bell/` and `mail/`.
//!
//! One trait a subject: [`log`] (events), [`leases`] (consumers), [`standing`] (what an operator sees of those), [`sources`]
//! (who may post, and what they posted that we could not read), [`received`] (messages
//! that came without a mail API), [`office`] (what the mail API keeps beside mail). A store
//! method is one transaction, and its result names every ending. A second backend must pass the same stories.

pub mod audit;
pub mod bell;
pub mod carried;
mod checkpoints;
pub mod closing;
pub mod console;
pub mod deliveries;
pub mod domains;
mod flushes;
pub mod hosted;
pub(crate) mod joint;
pub mod keys;
pub mod leases;
pub mod log;
pub mod mail;
pub mod mailroom;
mod many;
pub mod notices;
pub mod office;
pub mod opens;
pub mod outbox;
pub mod oversight;
mod readers;
pub mod received;
pub mod retention;
pub mod snapshot;
pub mod sources;
pub mod sqlite;
pub mod standing;
mod statement;
pub mod suppressions;
pub mod survey;
pub mod term;
pub(crate) mod together;
pub mod tokens;
mod turn;
pub mod upkeep;
pub mod webhooks;
mod writer;

use std::sync::Arc;

/// Why a store method did not do what it was asked. Nothing of it is then in the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk or the database file refuses writes for now; the same call may work later.
    #[error("the store takes no writes at the moment: {0}; try again later")]
    Refused(Refusal),
    /// Something the store does not expect of its database.
    #[error("could not {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// A stored row is not what this version could have written.
    #[error("row {row} of {table} breaks an invariant: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// Which row.
        row: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Why writes are refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No space left.
    #[error("the disk is full")]
    Full,
    /// The file or its file system is read-only.
    #[error("the database is read-only")]
    ReadOnly,
    /// Another process has held the write lock for too long.
    #[error("the database is locked by another process")]
    Locked,
    /// More writes are waiting than the queue holds.
    #[error("too many writes are waiting")]
    Overloaded,
    /// Another keeper has begun its term on this database, so whatever this process still tries is not its to do.
    #[error("another process keeps the data directory now")]
    Superseded,
    /// The store is closing, or has seen the disk fail and takes nothing more.
    #[error("the store is closed")]
    Closed,
}

/// SQLite's primary result codes (<https://sqlite.org/rescode.html>).
mod sqlite_code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    /// An extended code: the shared-memory file could not grow, which is what a full tmpfs answers.
    pub(super) const IOERR_SHMSIZE: i32 = 4874;
}

fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

impl StoreError {
    /// What `error` means, met while `doing`.
    pub(crate) fn of(doing: &'static str, error: sqlx::Error) -> Self {
        let code = extended_code(&error);
        match code.map(|code| code & 0xff) {
            Some(sqlite_code::FULL) => Self::Refused(Refusal::Full),
            Some(sqlite_code::IOERR) if code == Some(sqlite_code::IOERR_SHMSIZE) => Self::Refused(Refusal::Full),
            Some(sqlite_code::READONLY | sqlite_code::CANTOPEN) => Self::Refused(Refusal::ReadOnly),
            Some(sqlite_code::BUSY | sqlite_code::LOCKED) => Self::Refused(Refusal::Locked),
            _ => Self::Database { doing, source: Arc::new(error) },
        }
    }

    /// Whether the disk itself failed, so that nothing more can be promised about what was written.
    pub(crate) fn is_disk_failure(&self) -> bool {
        match self {
            Self::Database { source, .. } => {
                extended_code(source).is_some_and(|code| code & 0xff == sqlite_code::IOERR)
                    || matches!(**source, sqlx::Error::Io(_))
            }
            Self::Refused(_) | Self::Corrupt { .. } => false,
        }
    }
}

/// For `map_err`: what the database says, met while `doing`.
pub(crate) fn failed(doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| StoreError::of(doing, error)
}
