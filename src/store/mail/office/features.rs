//! What a mailbox has beside its copies and its signature, as columns of its settings.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use crate::{
    domain::{
        id::{MailboxId, WebhookId},
        office::{GateTiming, MailboxFeatures},
    },
    store::{StoreError, failed},
};

const PUT: &str = "UPDATE mailbox_settings SET webhook_id = ?2, oversight_webhook_url = ?3, default_gate_timing = ?4,
                          scheduling_enabled = ?5, ai_disclosure = ?6, mcp_configured = ?7 WHERE mailbox_id = ?1";

/// Those in a row of settings.
pub(super) fn read(row: &SqliteRow, mailbox: &MailboxId) -> Result<MailboxFeatures, StoreError> {
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
