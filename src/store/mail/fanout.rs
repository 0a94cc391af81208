//! From one event to what is owed: a delivery for every webhook that wants it, inside the caller's transaction.

use sqlx::SqliteConnection;

use super::webhooks::{COLUMNS, webhook};
use crate::{
    domain::{event::NewEvent, message::Mailbox, payload, webhook::Webhook},
    store::{
        StoreError, failed,
        many::{self, Many},
    },
};

/// Owes so many deliveries, in one round trip. The lines that they join: an idle one falls due at once; a waiting or failing one
/// keeps its time. `$1` to `$4` are the mailbox, the time, the event and its kind; then each webhook has its endpoint, its id
/// and its body.
pub(super) fn owe_sql(webhooks: usize) -> String {
    let place = |at: usize| 5 + 3 * at;
    let lines: Vec<_> = (0..webhooks).map(|at| format!("(${}, $1, $2)", place(at))).collect();
    let rows: Vec<_> =
        (0..webhooks).map(|at| format!("(${}, ${}, ${})", place(at), place(at) + 1, place(at) + 2)).collect();
    format!(
        "INSERT INTO line (endpoint, mailbox, due_at) VALUES {}
         ON CONFLICT (endpoint, mailbox, replays) DO UPDATE SET due_at = coalesce(due_at, excluded.due_at);
         INSERT INTO delivery (line_id, webhook_id, event_id, event_type, created_at, body)
         SELECT line.id, owed.column2, $3, $4, $2, owed.column3 FROM (VALUES {}) owed
         CROSS JOIN line ON line.endpoint = owed.column1 AND line.mailbox = $1 AND line.replays = 0",
        lines.join(", "),
        rows.join(", ")
    )
}

static OWE: Many = Many::new(|| many::sizes().map(owe_sql).collect());

/// Owes `event`, which happened to `mailbox`, to every enabled webhook whose scope and kinds it falls under; answers how
/// many those are. Callers ring the worker after their commit, never before.
pub(super) async fn fan_out(
    conn: &mut SqliteConnection,
    mailbox: &Mailbox,
    event: &NewEvent,
) -> Result<u32, StoreError> {
    let wanting = wanting(conn, mailbox, event).await?;
    let mut rest = wanting.as_slice();
    while let Some((text, now, later)) = OWE.next(rest) {
        rest = later;
        let mut query = sqlx::query(text)
            .bind(mailbox.address.as_str())
            .bind(event.timestamp.0)
            .bind(event.event_id.as_str())
            .bind(event.detail.kind().as_str());
        for webhook in now {
            query = query.bind(webhook.endpoint.to_string()).bind(webhook.id.as_str()).bind(payload::body(
                event,
                &webhook.id,
                webhook.vocabulary,
            ));
        }
        query.execute(&mut *conn).await.map_err(failed("owe an event to webhooks"))?;
    }
    Ok(u32::try_from(wanting.len()).unwrap_or(u32::MAX))
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
