//! A keeper's term at a database: its epoch, which tells whether it still holds.
//!
//! Each term raises the epoch that is kept in the database file itself, and the writer of a term looks at it inside each of
//! its transactions. So a keeper that was stopped, and goes on after another has taken over, changes nothing any more,
//! however it came to lose the kernel's lock. Why `user_version`: it lies in the file's header, is read without touching a
//! table, and is under the same write lock as the rows that it fences.

use sqlx::SqliteConnection;
use tokio_util::sync::CancellationToken;

use super::{Refusal, StoreError, failed};

/// A term that has begun; clones are the same one.
#[derive(Debug, Clone)]
pub struct Term {
    epoch: i32,
    over: CancellationToken,
}

impl Term {
    /// Begins a term on the database of `conn`: every earlier one is over from here on.
    pub(crate) async fn begin(conn: &mut SqliteConnection) -> Result<Self, StoreError> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await.map_err(failed("begin a term"))?;
        let raised = raise(conn).await;
        let end = if raised.is_ok() { "COMMIT" } else { "ROLLBACK" };
        sqlx::query(end).execute(conn).await.map_err(failed("begin a term"))?;
        Ok(Self { epoch: raised?, over: CancellationToken::new() })
    }

    /// Its number; a later term has a greater one.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Resolves once somebody has noticed that another term has begun.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Begins a transaction on the database of `conn`, in which no other term can begin. Fails, with the transaction begun, where
    /// one has begun already.
    pub(super) async fn begin_transaction(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        self.must_be(epoch_by("BEGIN IMMEDIATE; PRAGMA user_version", "begin a transaction", conn).await?)
    }

    /// Fails where another term has begun on the database of `conn`.
    pub(crate) async fn check(&self, conn: impl sqlx::SqliteExecutor<'_>) -> Result<(), StoreError> {
        self.must_be(epoch(conn).await?)
    }

    pub(super) fn must_be(&self, epoch: i32) -> Result<(), StoreError> {
        if epoch == self.epoch {
            return Ok(());
        }
        self.over.cancel();
        Err(StoreError::Refused(Refusal::Superseded))
    }
}

/// The epoch of the latest term, 0 before the first.
pub(crate) async fn epoch(conn: impl sqlx::SqliteExecutor<'_>) -> Result<i32, StoreError> {
    epoch_by("PRAGMA user_version", "read the keeper's epoch", conn).await
}

async fn epoch_by(
    statement: &'static str,
    doing: &'static str,
    conn: impl sqlx::SqliteExecutor<'_>,
) -> Result<i32, StoreError> {
    sqlx::query_scalar(statement).fetch_one(conn).await.map_err(failed(doing))
}

/// Raises the epoch inside the transaction of `conn`, and answers the new one.
pub(crate) async fn raise(conn: &mut SqliteConnection) -> Result<i32, StoreError> {
    // A database of two thousand million terms starts over: what was fenced by the first is long gone.
    let next = epoch(&mut *conn).await?.checked_add(1).unwrap_or(1);
    // A pragma takes no parameters; a number needs no quoting.
    let raise = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {next}"));
    sqlx::query(raise).execute(conn).await.map_err(failed("raise the keeper's epoch"))?;
    Ok(next)
}
