//! The rows of the suppression list.

use async_trait::async_trait;
use sqlx::{Executor, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{MailStore, recipients};
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        id::{MailboxId, MessageId},
        suppression::Suppression,
    },
    store::{StoreError, failed, suppressions::Suppressions},
};

/// Sorts after every id. With `OR`, SQLite would walk all pages before the one that is asked for.
const AFTER_ALL: &str = "~";
const COLUMNS: &str = "id, address, reason, note, mailbox_id, message_id, created_at";

fn read(row: &SqliteRow) -> Result<Suppression, StoreError> {
    let id: String = row.get("id");
    let corrupt = |why| StoreError::Corrupt { table: "suppression", row: id.clone(), why };
    Ok(Suppression {
        address: row.get::<&str, _>("address").parse().map_err(|_| corrupt("its address is none"))?,
        reason: row.get::<&str, _>("reason").parse().map_err(|_| corrupt("its reason is none"))?,
        note: row.get("note"),
        mailbox: row.get::<Option<String>, _>("mailbox_id").map(MailboxId::new),
        message: row.get::<Option<String>, _>("message_id").map(MessageId::new),
        created_at: UnixMillis(row.get("created_at")),
        id: id.clone(),
    })
}

/// The entry of an address.
pub(super) async fn of<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    address: &Address,
) -> Result<Option<Suppression>, StoreError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM suppression WHERE address = ?1")))
        .bind(address.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("look an address up in the suppression list"))?;
    row.as_ref().map(read).transpose()
}

/// Puts an address on the list, unless it is there, and cancels what is queued for it.
pub(super) async fn add(conn: &mut SqliteConnection, new: &Suppression) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO suppression (id, address, reason, note, mailbox_id, message_id, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (address) DO NOTHING",
    )
    .bind(&new.id)
    .bind(new.address.as_str())
    .bind(new.reason.as_str())
    .bind(new.note.as_deref())
    .bind(new.mailbox.as_ref().map(MailboxId::as_str))
    .bind(new.message.as_ref().map(MessageId::as_str))
    .bind(new.created_at.0)
    .execute(&mut *conn)
    .await
    .map_err(failed("suppress an address"))?;
    recipients::cancel_for(conn, &new.address).await
}

#[async_trait]
impl Suppressions for MailStore {
    async fn suppress(&self, suppression: &Suppression) -> Result<Suppression, StoreError> {
        let suppression = suppression.clone();
        let write = self.database.writer.write(move |conn| {
            let suppression = suppression.clone();
            Box::pin(async move {
                add(conn, &suppression).await?;
                Ok(of(conn, &suppression.address).await?.unwrap_or(suppression))
            })
        });
        write.await
    }

    async fn suppression_of(&self, address: &Address) -> Result<Option<Suppression>, StoreError> {
        of(&self.database.readers, address).await
    }

    async fn suppressions(&self, before: Option<&str>, limit: u32) -> Result<Vec<Suppression>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM suppression WHERE id < ?1 ORDER BY id DESC LIMIT +?2"
        )))
        .bind(before.unwrap_or(AFTER_ALL))
        .bind(limit)
        .fetch_all(&self.database.readers)
        .await
        .map_err(failed("list the suppressed addresses"))?;
        rows.iter().map(read).collect()
    }

    async fn lift(&self, address: &Address) -> Result<bool, StoreError> {
        let address = address.clone();
        let write = self.database.writer.write(move |conn| {
            let address = address.clone();
            Box::pin(async move {
                let gone = sqlx::query("DELETE FROM suppression WHERE address = ?1")
                    .bind(address.as_str())
                    .execute(conn)
                    .await
                    .map_err(failed("lift a suppression"))?;
                Ok(gone.rows_affected() == 1)
            })
        });
        write.await
    }
}
