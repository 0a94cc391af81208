//! What a mailbox has beside its copies and its signature, as columns of its settings.

use sqlx::{Executor, Row as _, Sqlite, SqliteConnection};

use crate::{
    domain::{
        id::{MailboxId, WebhookId},
        office::{GateTiming, MailboxFeatures},
    },
    store::{StoreError, failed},
};

/// A webhook that was deleted by its id is no longer the mailbox's.
const OF: &str = "SELECT w.id AS webhook_id, w.endpoint, s.oversight_webhook_url, s.default_gate_timing,
                         s.scheduling_enabled, s.ai_disclosure, s.mcp_configured
                  FROM mailbox_settings s LEFT JOIN webhook w ON w.id = s.webhook_id WHERE s.mailbox_id = ?1";
const PUT: &str = "UPDATE mailbox_settings SET webhook_id = ?2, oversight_webhook_url = ?3, default_gate_timing = ?4,
                          scheduling_enabled = ?5, ai_disclosure = ?6, mcp_configured = ?7 WHERE mailbox_id = ?1";

pub(super) async fn of<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    mailbox: &MailboxId,
) -> Result<MailboxFeatures, StoreError> {
    let row = sqlx::query(OF).bind(mailbox.as_str()).fetch_optional(db).await;
    let Some(row) = row.map_err(failed("read what a mailbox has"))? else { return Ok(MailboxFeatures::default()) };
    let corrupt = |why| StoreError::Corrupt { table: "mailbox_settings", row: mailbox.to_string(), why };
    let webhook = match (row.get::<Option<String>, _>("webhook_id"), row.get::<Option<&str>, _>("endpoint")) {
        (Some(id), Some(endpoint)) => {
            let endpoint = endpoint.parse().map_err(|_| corrupt("the endpoint of its webhook is no URL"))?;
            Some((WebhookId::new(id), endpoint))
        }
        _ => None,
    };
    let url: Option<&str> = row.get("oversight_webhook_url");
    let timing: Option<&str> = row.get("default_gate_timing");
    Ok(MailboxFeatures {
        webhook,
        oversight_webhook: url
            .map(str::parse)
            .transpose()
            .map_err(|_| corrupt("its oversight_webhook_url is no URL"))?,
        gate_timing: timing
            .map(str::parse::<GateTiming>)
            .transpose()
            .map_err(|_| corrupt("its default_gate_timing is none"))?,
        scheduling: row.get("scheduling_enabled"),
        ai_disclosure: row.get("ai_disclosure"),
        mcp_configured: row.get("mcp_configured"),
    })
}

/// Of a mailbox whose row of settings is there.
pub(super) async fn put(
    conn: &mut SqliteConnection,
    mailbox: &MailboxId,
    features: &MailboxFeatures,
) -> Result<(), StoreError> {
    sqlx::query(PUT)
        .bind(mailbox.as_str())
        .bind(features.webhook.as_ref().map(|(id, _)| id.as_str()))
        .bind(features.oversight_webhook.as_ref().map(ToString::to_string))
        .bind(features.gate_timing.map(GateTiming::as_str))
        .bind(features.scheduling)
        .bind(features.ai_disclosure)
        .bind(features.mcp_configured)
        .execute(conn)
        .await
        .map_err(failed("set what a mailbox has"))?;
    Ok(())
}
