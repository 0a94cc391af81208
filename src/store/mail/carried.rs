//! `mail.db` in a backup, and out of one.

use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::MIGRATIONS;
use crate::{
    domain::clock::UnixMillis,
    ids::Ids,
    store::{
        StoreError,
        carried::{look_into, take_in},
        failed,
        sqlite::{self, OpenError},
    },
};

/// Tables whose rows prove who somebody is.
pub const SECRETS: &[&str] = &["webhook_secret", "api_key"];
/// What a webhook's secret begins with that we make.
const SECRET_PREFIX: &str = "whsec_";
const DOING: &str = "list the raw messages";

/// The newest schema that this version knows.
pub fn schema_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// How many messages the copy at `path` has.
pub async fn messages(path: &Path) -> Result<i64, StoreError> {
    let mut conn = look_into(path).await?;
    sqlx::query_scalar("SELECT count(*) FROM message").fetch_one(&mut conn).await.map_err(failed(DOING))
}

/// The schema that brought the table of raw messages.
const RAW_SINCE: i64 = 16;

/// The names of the raw messages in files that messages of the copy at `path` have, each once, in order.
pub async fn raw_mail(path: &Path) -> Result<Vec<String>, StoreError> {
    let mut conn = look_into(path).await?;
    // A copy of an earlier schema has them all in files.
    let names = if sqlite::version(&mut conn).await? < RAW_SINCE {
        "SELECT DISTINCT blob FROM message ORDER BY blob"
    } else {
        "SELECT DISTINCT blob FROM message m WHERE NOT EXISTS (SELECT 1 FROM raw WHERE raw.name = m.blob) ORDER BY blob"
    };
    sqlx::query_scalar(names).fetch_all(&mut conn).await.map_err(failed(DOING))
}

/// Whether a message of the database at `path`, which others use, has the raw message `name`.
pub async fn has_raw(path: &Path, name: &str) -> Result<bool, StoreError> {
    let options = sqlite::options(path).pragma("query_only", "ON");
    let mut conn = options.connect().await.map_err(failed("open mail.db"))?;
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM message WHERE blob = ? LIMIT 1")
        .bind(name)
        .fetch_optional(&mut conn)
        .await
        .map_err(failed(DOING))?;
    Ok(found.is_some())
}

/// Removes the messages with these raw messages from the copy at `path`: retention has removed them since it was made.
pub async fn without(path: &Path, names: &[String]) -> Result<(), StoreError> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).foreign_keys(true);
    let mut conn = options.connect().await.map_err(failed("open the copy"))?;
    for name in names {
        let remove = sqlx::query("DELETE FROM message WHERE blob = ?").bind(name).execute(&mut conn);
        remove.await.map_err(failed("remove a message from the copy"))?;
    }
    conn.close().await.map_err(failed("close the copy"))
}

/// Makes the copy at `path` a mail service's database again: its schema is brought up to date, and each webhook whose secret
/// was withheld gets a new one. Answers with how many those were.
pub async fn begin_anew(path: &Path, ids: &Ids, now: UnixMillis) -> Result<usize, OpenError> {
    const DOING: &str = "give the webhooks new secrets";
    let mut conn = take_in(path, &MIGRATIONS).await?;
    let opening = |source| OpenError::Open { path: path.display().to_string(), source };
    let given = async {
        let bare =
            "SELECT id FROM webhook WHERE NOT EXISTS (SELECT 1 FROM webhook_secret s WHERE s.webhook_id = webhook.id)";
        let bare: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(bare)).fetch_all(&mut conn).await.map_err(failed(DOING))?;
        for webhook in &bare {
            sqlx::query("INSERT INTO webhook_secret (webhook_id, place, secret, created_at) VALUES (?, 1, ?, ?)")
                .bind(webhook)
                .bind(ids.secret(SECRET_PREFIX))
                .bind(now.0)
                .execute(&mut conn)
                .await
                .map_err(failed(DOING))?;
        }
        Ok(bare.len())
    };
    let given = given.await.map_err(opening)?;
    conn.close().await.map_err(|error| opening(failed("close the restored mail.db")(error)))?;
    Ok(given)
}
