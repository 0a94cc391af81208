//! What time alone does to deliveries, lines and secrets, at each look of the worker.

use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::pauses;
use crate::store::{
    StoreError,
    deliveries::{COUNTED_MILLIS_MAX, ClaimLines, Since, TRIED_MILLIS},
    failed,
};

/// When the time of what is owed now is over, on the running time. At the worker's next look that counts what passed before, too.
pub(super) static EXPIRES_AT: LazyLock<String> =
    LazyLock::new(|| format!("(SELECT millis FROM running_time WHERE id = 1) + {TRIED_MILLIS} + {COUNTED_MILLIS_MAX}"));

/// The parameters of these are written `$1`, because they go together in one trip: what was run, the latest moment that a line
/// may wait for, now.
const RUN: &str = "UPDATE running_time SET millis = millis + $1 WHERE id = 1 AND $1 > 0";
/// Only what has failed waits for a moment; everything else is due already.
const STEP: &str = "UPDATE line SET due_at = CASE WHEN failures > 0 THEN due_at + ?1 ELSE min(due_at, ?2) END
         WHERE due_at IS NOT NULL";
pub(super) const BOUND: &str = "UPDATE line SET due_at = $2 WHERE due_at IS NOT NULL AND due_at > $2";
pub(super) const FORGET: &str = "DELETE FROM webhook_secret WHERE retires_at IS NOT NULL AND retires_at <= $3";

/// All but a step of the clock, which is rare: the running time, what ends on it, bounds, and secrets.
static PASS: LazyLock<String> = LazyLock::new(|| [RUN, pauses::EXPIRE, BOUND, FORGET].join("; "));

/// What follows from time alone: the running time goes on, lines keep their distance where the wall clock was set, and secrets
/// that were replaced are forgotten.
pub(super) async fn pass_time(conn: &mut SqliteConnection, claim: &ClaimLines) -> Result<(), StoreError> {
    let Since { ran_millis, stepped_millis, wait_millis_max } = claim.since;
    if stepped_millis != 0 {
        sqlx::query(STEP)
            .bind(stepped_millis)
            .bind(claim.now.0)
            .execute(&mut *conn)
            .await
            .map_err(failed("move the lines along with the clock"))?;
    }
    sqlx::query(PASS.as_str())
        .bind(ran_millis)
        // Whatever the clock did while nobody looked.
        .bind(claim.now.0.saturating_add(wait_millis_max))
        .bind(claim.now.0)
        .execute(conn)
        .await
        .map_err(failed("let time pass"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Row as _, migrate::Migrator};

    use super::super::MIGRATIONS;
    use super::*;

    #[tokio::test]
    async fn lines_of_an_older_database_keep_their_deliveries_and_their_time() {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.expect("opens");
        let older: Vec<_> = MIGRATIONS.iter().filter(|migration| migration.version < 6).cloned().collect();
        Migrator::with_migrations(older).run(&mut conn).await.expect("as it was");
        for sql in [
            "INSERT INTO line (endpoint, mailbox, due_at, failures, failing_since) VALUES ('self', 'a@b.test', 7, 2, 5)",
            "INSERT INTO delivery (line_id, webhook_id, event_id, event_type, created_at, body)
             VALUES (1, 'wh_1', 'evt_1', 'inbound', 1, x'00')",
            "INSERT INTO attempt VALUES (1, 1, 1, 500, NULL, 1, 1)",
        ] {
            sqlx::query(sql).execute(&mut conn).await.expect(sql);
        }
        MIGRATIONS.run(&mut conn).await.expect("as it is");
        let row = sqlx::query(
            "SELECT l.due_at, l.failures, l.replays, d.expires_at, (SELECT count(*) FROM attempt) AS attempts
             FROM delivery d JOIN line l ON l.id = d.line_id",
        )
        .fetch_one(&mut conn)
        .await
        .expect("still together");
        let number = |name| row.get::<Option<i64>, _>(name);
        let kept = ["due_at", "failures", "replays", "expires_at", "attempts"].map(number);
        assert_eq!(kept, [Some(7), Some(2), Some(0), Some(TRIED_MILLIS + COUNTED_MILLIS_MAX), Some(1)]);
        let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut conn).await.expect("checked");
        assert!(broken.is_empty());
    }
}
