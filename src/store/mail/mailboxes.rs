//! The rows of mailboxes.

use sqlx::{Executor, Sqlite, SqliteConnection};

use super::rows::MailboxRow;
use crate::{
    domain::{address::Address, id::MailboxId, message::Mailbox},
    store::{StoreError, failed, mailroom::Added},
};

const INSERT: &str = "INSERT INTO mailbox (id, address, display_name, created_at) VALUES (?1, ?2, ?3, ?4) \
                      ON CONFLICT (address) DO NOTHING";
const REMOVE: &str = "DELETE FROM mailbox WHERE id = ?1";
const ALL: &str = "SELECT id, address, display_name, created_at FROM mailbox WHERE NOT of_house ORDER BY address";
const BY_ID: &str = "SELECT id, address, display_name, created_at FROM mailbox WHERE id = ?1";
const SHOWN_BY_ID: &str = "SELECT id, address, display_name, created_at FROM mailbox WHERE id = ?1 AND NOT of_house";
const AT_ADDRESS: &str = "SELECT id, address, display_name, created_at FROM mailbox WHERE address = ?1";
const BY_ADDRESS: &str =
    "SELECT id, address, display_name, created_at FROM mailbox WHERE address = ?1 AND NOT of_house";
const BY_ADDRESSES: &str = "SELECT mailbox.id, address, display_name, created_at FROM json_each(?1) asked \
                            CROSS JOIN mailbox ON mailbox.address = asked.value WHERE NOT of_house";
const INSERT_OF_HOUSE: &str = "INSERT INTO mailbox (id, address, display_name, created_at, of_house) \
                               VALUES (?1, ?2, ?3, ?4, 1) ON CONFLICT (address) DO NOTHING";
const OF_HOUSE: &str = "SELECT id, address, display_name, created_at FROM mailbox WHERE address = ?1 AND of_house";

pub(super) async fn add(conn: &mut SqliteConnection, mailbox: &Mailbox) -> Result<Added, StoreError> {
    let inserted = sqlx::query(INSERT)
        .bind(mailbox.id.as_str())
        .bind(mailbox.address.as_str())
        .bind(mailbox.display_name.as_deref())
        .bind(mailbox.created_at.0)
        .execute(&mut *conn)
        .await
        .map_err(failed("add a mailbox"))?;
    if inserted.rows_affected() == 1 {
        return Ok(Added::Fresh(mailbox.clone()));
    }
    let there: MailboxRow = sqlx::query_as(AT_ADDRESS)
        .bind(mailbox.address.as_str())
        .fetch_one(conn)
        .await
        .map_err(failed("read the mailbox that was there already"))?;
    Ok(Added::Exists(there.read()?))
}

/// Adds the mailbox of the house itself, or finds it; none where another has its address.
pub(super) async fn of_house(conn: &mut SqliteConnection, mailbox: &Mailbox) -> Result<Option<Mailbox>, StoreError> {
    let doing = "make the mailbox of the house";
    sqlx::query(INSERT_OF_HOUSE)
        .bind(mailbox.id.as_str())
        .bind(mailbox.address.as_str())
        .bind(mailbox.display_name.as_deref())
        .bind(mailbox.created_at.0)
        .execute(&mut *conn)
        .await
        .map_err(failed(doing))?;
    let there: Option<MailboxRow> =
        sqlx::query_as(OF_HOUSE).bind(mailbox.address.as_str()).fetch_optional(conn).await.map_err(failed(doing))?;
    there.map(MailboxRow::read).transpose()
}

pub(super) async fn remove(conn: &mut SqliteConnection, id: &MailboxId) -> Result<bool, StoreError> {
    let removed = sqlx::query(REMOVE).bind(id.as_str()).execute(conn).await.map_err(failed("remove a mailbox"))?;
    Ok(removed.rows_affected() == 1)
}

pub(super) async fn all<'e>(db: impl Executor<'e, Database = Sqlite>) -> Result<Vec<Mailbox>, StoreError> {
    let rows: Vec<MailboxRow> = sqlx::query_as(ALL).fetch_all(db).await.map_err(failed("list the mailboxes"))?;
    rows.into_iter().map(MailboxRow::read).collect()
}

/// One that is somebody's.
pub(super) async fn shown_by_id<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    id: &MailboxId,
) -> Result<Option<Mailbox>, StoreError> {
    let row: Option<MailboxRow> = sqlx::query_as(SHOWN_BY_ID)
        .bind(id.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("find a mailbox by its id"))?;
    row.map(MailboxRow::read).transpose()
}

/// Any, also that of the house.
pub(super) async fn by_id<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    id: &MailboxId,
) -> Result<Option<Mailbox>, StoreError> {
    let row: Option<MailboxRow> =
        sqlx::query_as(BY_ID).bind(id.as_str()).fetch_optional(db).await.map_err(failed("find a mailbox by its id"))?;
    row.map(MailboxRow::read).transpose()
}

pub(super) async fn by_address<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    address: &Address,
) -> Result<Option<Mailbox>, StoreError> {
    let row: Option<MailboxRow> = sqlx::query_as(BY_ADDRESS)
        .bind(address.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("find a mailbox by its address"))?;
    row.map(MailboxRow::read).transpose()
}

/// The mailbox at each of `addresses`, in their order.
pub(super) async fn by_addresses<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    addresses: &[Address],
) -> Result<Vec<Option<Mailbox>>, StoreError> {
    let asked = addresses.iter().map(Address::as_str).collect::<serde_json::Value>().to_string();
    let rows: Vec<MailboxRow> = sqlx::query_as(BY_ADDRESSES)
        .bind(asked)
        .fetch_all(db)
        .await
        .map_err(failed("find mailboxes by their addresses"))?;
    let found = rows.into_iter().map(MailboxRow::read).collect::<Result<Vec<_>, _>>()?;
    let at = |address: &Address| found.iter().find(|mailbox| mailbox.address == *address).cloned();
    Ok(addresses.iter().map(at).collect())
}
