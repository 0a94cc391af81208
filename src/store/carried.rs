//! A database that lies in a backup or comes out of one: what it tells of itself, and its schema brought up to date.

use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, migrate::Migrator, sqlite::SqliteConnectOptions};

use super::{
    StoreError, failed,
    sqlite::{self, OpenError, Schema},
};

/// Faults that are named, at most.
const FAULTS_MAX: i64 = 5;

/// Opens a copy to look at it: the file is not changed, not even its header.
pub(super) async fn look_into(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    options.connect().await.map_err(failed("open the copy"))
}

/// The schema of the database at `path`, 0 for one without.
pub async fn schema(path: &Path) -> Result<i64, StoreError> {
    let mut conn = look_into(path).await?;
    sqlite::version(&mut conn).await
}

/// Opens a copy that has become a database, and brings its schema up to date; fails where SQLite finds it damaged.
pub(super) async fn take_in(path: &Path, migrations: &Migrator) -> Result<SqliteConnection, OpenError> {
    let mut conn = sqlite::connect(path, migrations, Schema::Migrate).await?;
    let opening = |source| OpenError::Open { path: path.display().to_string(), source };
    let check = AssertSqlSafe(format!("PRAGMA quick_check({FAULTS_MAX})"));
    let faults: Vec<String> =
        sqlx::query_scalar(check).fetch_all(&mut conn).await.map_err(|error| opening(failed("check it")(error)))?;
    if faults == ["ok"] {
        return Ok(conn);
    }
    Err(opening(StoreError::Corrupt { table: "sqlite_schema", row: faults.join("; "), why: "the database is damaged" }))
}

/// Runs `text`, words of ours without parameters, in one transaction.
pub(super) async fn settle(conn: &mut SqliteConnection, doing: &'static str, text: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(conn).await.map_err(failed(doing)).map(drop)
}
