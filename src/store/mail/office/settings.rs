//! How mailboxes are set, and what the account is called.

use sqlx::{Executor, Row as _, Sqlite, SqliteConnection};

use crate::{
    domain::{
        address::Address,
        id::MailboxId,
        office::{Account, MailboxFeatures, MailboxSettings},
    },
    store::{StoreError, failed},
};

const OF: &str = "SELECT auto_cc, auto_bcc, signature_block FROM mailbox_settings WHERE mailbox_id = ?1";
const NAME: &str = "UPDATE mailbox SET display_name = ?2 WHERE id = ?1";
const PUT: &str = "INSERT INTO mailbox_settings (mailbox_id, auto_cc, auto_bcc, signature_block)
     SELECT id, ?2, ?3, ?4 FROM mailbox WHERE id = ?1
     ON CONFLICT (mailbox_id) DO UPDATE SET auto_cc = ?2, auto_bcc = ?3, signature_block = ?4";

/// Without its features.
pub(super) async fn of<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    mailbox: &MailboxId,
) -> Result<MailboxSettings, StoreError> {
    let row = sqlx::query(OF).bind(mailbox.as_str()).fetch_optional(db).await;
    let Some(row) = row.map_err(failed("read how a mailbox is set"))? else { return Ok(MailboxSettings::default()) };
    let corrupt = |why| StoreError::Corrupt { table: "mailbox_settings", row: mailbox.to_string(), why };
    let address = |name: &str| -> Result<Option<Address>, StoreError> {
        let text: Option<String> = row.get(name);
        text.map(|text| text.parse()).transpose().map_err(|_| corrupt("an address is none"))
    };
    Ok(MailboxSettings {
        auto_cc: address("auto_cc")?,
        auto_bcc: address("auto_bcc")?,
        signature_block: row.get("signature_block"),
        features: MailboxFeatures::default(),
    })
}

pub(super) async fn put(
    conn: &mut SqliteConnection,
    mailbox: &MailboxId,
    display_name: Option<&str>,
    settings: &MailboxSettings,
) -> Result<(), StoreError> {
    let named = sqlx::query(NAME).bind(mailbox.as_str()).bind(display_name).execute(&mut *conn).await;
    named.map_err(failed("name a mailbox"))?;
    sqlx::query(PUT)
        .bind(mailbox.as_str())
        .bind(settings.auto_cc.as_ref().map(Address::as_str))
        .bind(settings.auto_bcc.as_ref().map(Address::as_str))
        .bind(settings.signature_block.as_deref())
        .execute(conn)
        .await
        .map_err(failed("set a mailbox"))?;
    Ok(())
}

pub(super) async fn account<'e>(db: impl Executor<'e, Database = Sqlite>) -> Result<Account, StoreError> {
    let row = sqlx::query("SELECT name, oversight_email, physical_address FROM account").fetch_optional(db).await;
    let row = row.map_err(failed("read the account"))?;
    Ok(row.map_or_else(Account::default, |row| Account {
        name: row.get("name"),
        oversight_email: row.get("oversight_email"),
        physical_address: row.get("physical_address"),
    }))
}

pub(super) async fn put_account(conn: &mut SqliteConnection, account: &Account) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO account (one, name, oversight_email, physical_address) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (one) DO UPDATE SET name = ?1, oversight_email = ?2, physical_address = ?3",
    )
    .bind(account.name.as_deref())
    .bind(account.oversight_email.as_deref())
    .bind(account.physical_address.as_deref())
    .execute(conn)
    .await
    .map_err(failed("store the account"))?;
    Ok(())
}
