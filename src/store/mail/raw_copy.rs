//! Raw mail for an export: read beside the keeper, by a connection that changes nothing.

use std::path::Path;

use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::{
    domain::clock::UnixMillis,
    store::{StoreError, failed, sqlite},
};

const DOING: &str = "list the raw messages";
const PAGE: &str = "SELECT m.seq, m.id, b.address, m.direction, m.received_at, m.blob FROM message m \
     JOIN mailbox b ON b.id = m.mailbox_id WHERE m.seq > ?1 AND (?2 IS NULL OR b.address = ?2) ORDER BY m.seq LIMIT +?3";
const KEPT_HERE: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'raw')";
const BYTES: &str = "SELECT bytes FROM raw WHERE name = ?1";

/// A message whose raw bytes can be copied.
#[derive(Debug, Clone)]
pub struct RawMessage {
    /// Its place, which rises in the order of storing.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// The address of its mailbox.
    pub mailbox: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// When it came, or was written.
    pub received_at: UnixMillis,
    /// What its bytes are called.
    pub name: String,
}

/// The raw mail of a `mail.db` that others use.
pub struct RawCopy {
    conn: SqliteConnection,
    /// Whether bytes may lie in the database, beside those in files.
    kept_here: bool,
}

impl RawCopy {
    /// Opens the database at `path`.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = sqlite::options(path).pragma("query_only", "ON");
        let mut conn = options.connect().await.map_err(failed("open mail.db"))?;
        let kept_here = sqlx::query_scalar(KEPT_HERE).fetch_one(&mut conn).await.map_err(failed(DOING))?;
        Ok(Self { conn, kept_here })
    }

    /// The first `limit` messages stored after the place `after`, of `mailbox` where one is named, in order.
    pub async fn page(&mut self, after: i64, mailbox: Option<&str>, limit: u32) -> Result<Vec<RawMessage>, StoreError> {
        let rows: Vec<(i64, String, String, String, i64, String)> = sqlx::query_as(PAGE)
            .bind(after)
            .bind(mailbox)
            .bind(limit)
            .fetch_all(&mut self.conn)
            .await
            .map_err(failed(DOING))?;
        let message = |(seq, id, mailbox, direction, received_at, name)| RawMessage {
            seq,
            id,
            mailbox,
            direction,
            received_at: UnixMillis(received_at),
            name,
        };
        Ok(rows.into_iter().map(message).collect())
    }

    /// The bytes called `name` that lie in the database; none for those in a file.
    pub async fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.kept_here {
            return Ok(None);
        }
        let bytes = sqlx::query_scalar(BYTES).bind(name).fetch_optional(&mut self.conn).await;
        bytes.map_err(failed("read a message's raw bytes"))
    }
}
