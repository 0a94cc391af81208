//! How mailboxes are set, and what the account is called.

use std::collections::HashMap;

use sqlx::{Executor, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::features;

use crate::{
    domain::{
        address::Address,
        id::MailboxId,
        office::{Account, MailboxSettings},
    },
    store::{StoreError, failed, mail::json_list, readers::Readers},
};

/// Of a JSON list of mailboxes. A webhook that was deleted by its id is no longer the mailbox's.
const OF: &str = "SELECT s.mailbox_id, s.auto_cc, s.auto_bcc, s.signature_block, w.id AS webhook_id, w.endpoint,
                         s.oversight_webhook_url, s.default_gate_timing, s.scheduling_enabled, s.ai_disclosure,
                         s.mcp_configured
                  FROM mailbox_settings s LEFT JOIN webhook w ON w.id = s.webhook_id
                  WHERE s.mailbox_id IN (SELECT value FROM json_each(?1))";
const NAME: &str = "UPDATE mailbox SET display_name = ?2 WHERE id = ?1";
const PUT: &str = "INSERT INTO mailbox_settings (mailbox_id, auto_cc, auto_bcc, signature_block)
     SELECT id, ?2, ?3, ?4 FROM mailbox WHERE id = ?1
     ON CONFLICT (mailbox_id) DO UPDATE SET auto_cc = ?2, auto_bcc = ?3, signature_block = ?4";

/// How these mailboxes are set, in their order.
pub(super) async fn of(
    readers: &Readers,
    mailboxes: Vec<MailboxId>,
) -> Result<Vec<Result<MailboxSettings, StoreError>>, StoreError> {
    let rows = sqlx::query(OF).bind(json_list(&mailboxes)).fetch_all(readers).await;
    let rows = rows.map_err(failed("read how a mailbox is set"))?;
    let found: HashMap<&str, &SqliteRow> = rows.iter().map(|row| (row.get("mailbox_id"), row)).collect();
    let read = |mailbox: &MailboxId| found.get(mailbox.as_str()).map(|row| settings(row, mailbox)).transpose();
    Ok(mailboxes.iter().map(|mailbox| Ok(read(mailbox)?.unwrap_or_default())).collect())
}

fn settings(row: &SqliteRow, mailbox: &MailboxId) -> Result<MailboxSettings, StoreError> {
    let corrupt = |why| StoreError::Corrupt { table: "mailbox_settings", row: mailbox.to_string(), why };
    let address = |name: &str| -> Result<Option<Address>, StoreError> {
        let text: Option<String> = row.get(name);
        text.map(|text| text.parse()).transpose().map_err(|_| corrupt("an address is none"))
    };
    Ok(MailboxSettings {
        auto_cc: address("auto_cc")?,
        auto_bcc: address("auto_bcc")?,
        signature_block: row.get("signature_block"),
        features: features::read(row, mailbox)?,
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
