//! From one event to what is owed: a delivery for every webhook that wants it, inside the caller's transaction.

use sqlx::SqliteConnection;

use super::webhooks::{COLUMNS, webhook};
use crate::{
    domain::{event::NewEvent, message::Mailbox, payload, webhook::Webhook},
    store::{StoreError, failed},
};

/// Owes a delivery, in one round trip. The line that it joins: an idle one falls due at once; a waiting or failing one keeps
/// its time.
const OWE: &str = "INSERT INTO line (endpoint, mailbox, due_at) VALUES ($1, $2, $3)
     ON CONFLICT (endpoint, mailbox, replays) DO UPDATE SET due_at = coalesce(due_at, excluded.due_at);
     INSERT INTO delivery (line_id, webhook_id, event_id, event_type, created_at, body)
     SELECT id, $4, $5, $6, $3, $7 FROM line WHERE endpoint = $1 AND mailbox = $2 AND replays = 0";

/// Owes `event`, which happened to `mailbox`, to every enabled webhook whose scope and kinds it falls under; answers how
/// many those are. Callers ring the worker after their commit, never before.
pub(super) async fn fan_out(
    conn: &mut SqliteConnection,
    mailbox: &Mailbox,
    event: &NewEvent,
) -> Result<u32, StoreError> {
    let mut owed = 0;
    for webhook in wanting(conn, mailbox, event).await? {
        sqlx::query(OWE)
            .bind(webhook.endpoint.to_string())
            .bind(mailbox.address.as_str())
            .bind(event.timestamp.0)
            .bind(webhook.id.as_str())
            .bind(event.event_id.as_str())
            .bind(event.detail.kind().as_str())
            .bind(payload::body(event, &webhook.id, webhook.vocabulary))
            .execute(&mut *conn)
            .await
            .map_err(failed("owe an event to a webhook"))?;
        owed += 1;
    }
    Ok(owed)
}

/// The webhooks that want the event; what happens to the house's own letters is nobody's business. They are few (the registry has a limit), so they are read whole.
async fn wanting(conn: &mut SqliteConnection, mailbox: &Mailbox, event: &NewEvent) -> Result<Vec<Webhook>, StoreError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM webhook
         WHERE disabled_at IS NULL AND (scope = 'account' OR domain = ?1 OR mailbox_id = ?2)
           AND NOT EXISTS (SELECT 1 FROM mailbox WHERE id = ?2 AND of_house) ORDER BY id"
    )))
    .bind(mailbox.address.domain())
    .bind(mailbox.id.as_str())
    .fetch_all(conn)
    .await
    .map_err(failed("find the webhooks that want an event"))?;
    let kind = event.detail.kind();
    let mut wanting = Vec::new();
    for row in &rows {
        let webhook = webhook(row)?;
        if webhook.kinds.contains(&kind) {
            wanting.push(webhook);
        }
    }
    Ok(wanting)
}
