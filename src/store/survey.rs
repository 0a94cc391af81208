//! Looking a database over from outside: how large, how old, whether it is whole and of which schema. It changes nothing.

use std::path::Path;

use serde::Serialize;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::{StoreError, failed, sqlite};
use crate::domain::clock::UnixMillis;

/// A table to look at, and the column that says when a row was made, in Unix milliseconds.
pub type Table = (&'static str, Option<&'static str>);

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: i64,
    /// When the oldest was made.
    pub oldest: Option<UnixMillis>,
    /// When the newest was made.
    pub newest: Option<UnixMillis>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The schema in the file.
    pub schema: i64,
    /// The newest schema that this version knows.
    pub schema_known: i64,
    /// What SQLite finds wrong with the file; empty where it is whole.
    pub faults: Vec<String>,
    /// The tables, where the schema is known.
    pub tables: Vec<Size>,
}

/// Faults that are named, at most.
const FAULTS_MAX: usize = 5;

/// Looks the database at `path` over.
pub(super) async fn survey(path: &Path, schema_known: i64, tables: &[Table]) -> Result<Survey, StoreError> {
    let options = sqlite::options(path).pragma("query_only", "ON");
    let mut conn = options.connect().await.map_err(failed("open it"))?;
    let schema = sqlite::version(&mut conn).await?;
    let mut faults: Vec<String> =
        sqlx::query_scalar("PRAGMA quick_check").fetch_all(&mut conn).await.map_err(failed("check it"))?;
    faults.retain(|fault| fault != "ok");
    faults.truncate(FAULTS_MAX);
    let mut sizes = Vec::new();
    if schema == schema_known {
        for (table, at) in tables {
            // The names are words of ours.
            let at = at.unwrap_or("NULL");
            let text = format!("SELECT count(*), min({at}), max({at}) FROM {table}");
            let (rows, oldest, newest): (i64, Option<i64>, Option<i64>) =
                sqlx::query_as(AssertSqlSafe(text)).fetch_one(&mut conn).await.map_err(failed("measure a table"))?;
            sizes.push(Size { table, rows, oldest: oldest.map(UnixMillis), newest: newest.map(UnixMillis) });
        }
    }
    let _ = conn.close().await;
    Ok(Survey { schema, schema_known, faults, tables: sizes })
}
