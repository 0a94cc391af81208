//! The tags of messages.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::messages::seq_of;
use crate::{
    domain::id::{MailboxId, MessageId},
    store::{StoreError, failed},
};

const CLEAR: &str = "DELETE FROM tag WHERE seq = ?1";
const PUT: &str = "INSERT INTO tag (seq, key, value, mailbox_id) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (seq, key) DO UPDATE SET value = excluded.value";
const ALL: &str = "SELECT key, value FROM tag WHERE seq = ?1";
const DELETE: &str = "DELETE FROM tag WHERE seq = ?1 AND key = ?2";

/// Adds `tags` to a message's, or puts them in their place; answers with all that it then has.
pub(super) async fn put(
    conn: &mut SqliteConnection,
    mailbox: &MailboxId,
    id: &MessageId,
    tags: &BTreeMap<String, String>,
    replace: bool,
) -> Result<Option<BTreeMap<String, String>>, StoreError> {
    let Some(seq) = seq_of(&mut *conn, mailbox, id).await? else { return Ok(None) };
    if replace {
        sqlx::query(CLEAR).bind(seq).execute(&mut *conn).await.map_err(failed("replace a message's tags"))?;
    }
    for (key, value) in tags {
        sqlx::query(PUT)
            .bind(seq)
            .bind(key)
            .bind(value)
            .bind(mailbox.as_str())
            .execute(&mut *conn)
            .await
            .map_err(failed("tag a message"))?;
    }
    let all: Vec<(String, String)> =
        sqlx::query_as(ALL).bind(seq).fetch_all(conn).await.map_err(failed("read a message's tags"))?;
    Ok(Some(all.into_iter().collect()))
}

/// Removes a tag; false if the message does not carry it or is not there.
pub(super) async fn delete(
    conn: &mut SqliteConnection,
    mailbox: &MailboxId,
    id: &MessageId,
    key: &str,
) -> Result<bool, StoreError> {
    let Some(seq) = seq_of(&mut *conn, mailbox, id).await? else { return Ok(false) };
    let deleted = sqlx::query(DELETE).bind(seq).bind(key).execute(conn).await.map_err(failed("remove a tag"))?;
    Ok(deleted.rows_affected() == 1)
}
