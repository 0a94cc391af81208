//! What time alone does to deliveries, lines and secrets, at each look of the worker.

use sqlx::SqliteConnection;

use crate::store::{
    StoreError,
    deliveries::{ClaimLines, Since},
    failed,
};

const RUN: &str = "UPDATE running_time SET millis = millis + ?1 WHERE id = 1 AND ?1 > 0";
pub(super) const BEGIN: &str = "UPDATE delivery SET expires_at = (SELECT millis FROM running_time WHERE id = 1) + ?1
         WHERE state = 'pending' AND expires_at IS NULL";
/// Only what has failed waits for a moment; everything else is due already.
const STEP: &str = "UPDATE line SET due_at = CASE WHEN failures > 0 THEN due_at + ?1 ELSE min(due_at, ?2) END
         WHERE due_at IS NOT NULL";
pub(super) const BOUND: &str = "UPDATE line SET due_at = ?1 WHERE due_at IS NOT NULL AND due_at > ?1";
pub(super) const FORGET: &str = "DELETE FROM webhook_secret WHERE retires_at IS NOT NULL AND retires_at <= ?1";

/// What follows from time alone: the running time goes on, what was made since the last look gets its end on it, lines keep
/// their distance where the wall clock was set, and secrets that were replaced are forgotten.
pub(super) async fn pass_time(conn: &mut SqliteConnection, claim: &ClaimLines) -> Result<(), StoreError> {
    let Since { ran_millis, stepped_millis, tried_millis, wait_millis_max } = claim.since;
    sqlx::query(RUN).bind(ran_millis).execute(&mut *conn).await.map_err(failed("count the running time"))?;
    sqlx::query(BEGIN).bind(tried_millis).execute(&mut *conn).await.map_err(failed("give deliveries their time"))?;
    if stepped_millis != 0 {
        sqlx::query(STEP)
            .bind(stepped_millis)
            .bind(claim.now.0)
            .execute(&mut *conn)
            .await
            .map_err(failed("move the lines along with the clock"))?;
    }
    // Whatever the clock did while nobody looked.
    sqlx::query(BOUND)
        .bind(claim.now.0.saturating_add(wait_millis_max))
        .execute(&mut *conn)
        .await
        .map_err(failed("bound the waits of lines"))?;
    sqlx::query(FORGET)
        .bind(claim.now.0)
        .execute(conn)
        .await
        .map_err(failed("forget the secrets that were replaced"))?;
    Ok(())
}
