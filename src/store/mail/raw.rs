//! The raw bytes of small messages, which lie beside their rows, under a name that begins with the time they came (before, it was
//! their SHA-256).

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::MailStore;
use crate::store::{
    StoreError, failed,
    mailroom::{Raw, RawMail},
};

const INSERT: &str = "INSERT INTO raw (name, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const SELECT: &str = "SELECT bytes FROM raw WHERE name = ?1";

/// Keeps the bytes that are not in a file. In the transaction of a message that has them: they go with the last of those.
pub(super) async fn keep(conn: &mut SqliteConnection, raw: &Raw) -> Result<(), StoreError> {
    let Some(bytes) = &raw.bytes else { return Ok(()) };
    let insert = sqlx::query(INSERT).bind(&raw.name).bind(bytes.as_slice());
    insert.execute(conn).await.map(drop).map_err(failed("store a message's raw bytes"))
}

#[async_trait]
impl RawMail for MailStore {
    async fn raw(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let select = sqlx::query_scalar(SELECT).bind(name).fetch_optional(&self.database.readers);
        select.await.map_err(failed("read a message's raw bytes"))
    }
}
