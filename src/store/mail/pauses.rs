//! What is owed to a webhook that is off: set aside, off every line, until the webhook is on again or its time is over.

use sqlx::SqliteConnection;

use super::lines;
use crate::{
    domain::clock::UnixMillis,
    store::{StoreError, failed},
};

/// What has waited for as long as it would have been tried: nobody may be asked any more, so it ends without a last try.
pub(super) const EXPIRE: &str = "UPDATE delivery INDEXED BY delivery_paused SET state = 'dead'
         WHERE state = 'pending' AND paused = 1 AND expires_at <= (SELECT millis FROM running_time WHERE id = 1)";

/// Switches a webhook off, unless it is: then it keeps the time and the reason. False if there is none.
pub(super) async fn switch_off(
    conn: &mut SqliteConnection,
    webhook: &str,
    why: &str,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let known = sqlx::query(
        "UPDATE webhook SET disabled_at = coalesce(disabled_at, ?2), disabled_why = coalesce(disabled_why, ?3) WHERE id = ?1",
    )
    .bind(webhook)
    .bind(now.0)
    .bind(why)
    .execute(&mut *conn)
    .await
    .map_err(failed("switch a webhook off"))?;
    let lines: Vec<i64> = sqlx::query_scalar(
        "UPDATE delivery SET paused = 1 WHERE webhook_id = ?1 AND state = 'pending' AND paused = 0 RETURNING line_id",
    )
    .bind(webhook)
    .fetch_all(&mut *conn)
    .await
    .map_err(failed("set aside what a webhook is owed"))?;
    for line in each_once(lines) {
        lines::settle(conn, line).await?;
    }
    Ok(known.rows_affected() == 1)
}

/// Switches every webhook to an endpoint off.
pub(super) async fn switch_off_all_to(
    conn: &mut SqliteConnection,
    endpoint: &str,
    why: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let webhooks: Vec<String> = sqlx::query_scalar("SELECT id FROM webhook WHERE endpoint = ?1")
        .bind(endpoint)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed("find the webhooks of an endpoint"))?;
    for webhook in webhooks {
        switch_off(conn, &webhook, why, now).await?;
    }
    Ok(())
}

/// Switches a webhook on; what it is still owed goes on, in order, at once. False if there is none.
pub(super) async fn switch_on(conn: &mut SqliteConnection, webhook: &str, now: UnixMillis) -> Result<bool, StoreError> {
    let known = sqlx::query("UPDATE webhook SET disabled_at = NULL, disabled_why = NULL WHERE id = ?1")
        .bind(webhook)
        .execute(&mut *conn)
        .await
        .map_err(failed("switch a webhook on"))?;
    let lines: Vec<i64> = sqlx::query_scalar(
        "UPDATE delivery SET paused = 0 WHERE webhook_id = ?1 AND state = 'pending' AND paused = 1 RETURNING line_id",
    )
    .bind(webhook)
    .fetch_all(&mut *conn)
    .await
    .map_err(failed("go on with what a webhook is owed"))?;
    for line in each_once(lines) {
        sqlx::query("UPDATE line SET due_at = coalesce(due_at, ?2) WHERE id = ?1")
            .bind(line)
            .bind(now.0)
            .execute(&mut *conn)
            .await
            .map_err(failed("let a line go on"))?;
    }
    Ok(known.rows_affected() == 1)
}

fn each_once(mut lines: Vec<i64>) -> Vec<i64> {
    lines.sort_unstable();
    lines.dedup();
    lines
}
