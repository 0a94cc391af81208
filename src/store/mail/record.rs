//! What an attempt leaves behind: its row, the delivery's state, and the line's next time.

use sqlx::SqliteConnection;

use super::lines::head;
use crate::{
    domain::clock::UnixMillis,
    store::{
        StoreError,
        deliveries::{Answer, Attempt, Owed, Recorded, Stay, Verdict},
        failed,
    },
};

/// Why a webhook whose endpoint answered 410 is disabled.
const GONE: &str = "the endpoint answered 410 Gone; register a new webhook once it is back";

pub(super) async fn record(
    conn: &mut SqliteConnection,
    owed: &Owed,
    attempt: &Attempt,
    verdict: &Verdict,
    stay: Option<&Stay>,
) -> Result<Recorded, StoreError> {
    let held: Option<i64> = sqlx::query_scalar("SELECT 1 FROM line WHERE id = ?1 AND lease_token = ?2")
        .bind(owed.line)
        .bind(&owed.token)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("check who holds a line"))?;
    if held.is_none() {
        return Ok(Recorded::Stale);
    }
    note(conn, owed, attempt).await?;
    match verdict {
        Verdict::Delivered => {
            finish(conn, owed).await?;
            let next = match stay {
                Some(stay) => {
                    extend(conn, owed, stay).await?;
                    head(conn, owed.line, &owed.token).await?
                }
                None => None,
            };
            if let Some(next) = next {
                return Ok(Recorded::Next(Box::new(next)));
            }
            rest(conn, owed.line, attempt.at, Failing::No).await?;
        }
        Verdict::RetryAt(at) => rest(conn, owed.line, *at, Failing::Since(attempt.at)).await?,
        Verdict::Dead { owed_before, next_at } => {
            give_up(conn, owed, *owed_before).await?;
            rest(conn, owed.line, *next_at, Failing::Since(attempt.at)).await?;
        }
        Verdict::Gone => {
            disable(conn, owed, attempt.at).await?;
            rest(conn, owed.line, attempt.at, Failing::No).await?;
        }
    }
    Ok(Recorded::Kept)
}

async fn note(conn: &mut SqliteConnection, owed: &Owed, attempt: &Attempt) -> Result<(), StoreError> {
    let (status, fault) = match &attempt.answer {
        Answer::Status(status) => (Some(*status), None),
        Answer::Fault(fault) => (None, Some(fault.as_str())),
    };
    sqlx::query(
        "INSERT OR REPLACE INTO attempt (delivery_seq, number, at, status, fault, duration_millis, response_bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(owed.seq)
    .bind(attempt.number)
    .bind(attempt.at.0)
    .bind(status)
    .bind(fault)
    .bind(attempt.duration_millis)
    .bind(i64::try_from(attempt.response_bytes).unwrap_or(i64::MAX))
    .execute(&mut *conn)
    .await
    .map_err(failed("store an attempt"))?;
    sqlx::query("UPDATE delivery SET last_attempt_at = ?2 WHERE seq = ?1")
        .bind(owed.seq)
        .bind(attempt.at.0)
        .execute(conn)
        .await
        .map_err(failed("store when a delivery was tried"))?;
    Ok(())
}

/// Delivered, even if it was given up in the meantime: the endpoint has it.
async fn finish(conn: &mut SqliteConnection, owed: &Owed) -> Result<(), StoreError> {
    sqlx::query("UPDATE delivery SET state = 'delivered' WHERE seq = ?1")
        .bind(owed.seq)
        .execute(conn)
        .await
        .map_err(failed("mark a delivery delivered"))?;
    Ok(())
}

async fn extend(conn: &mut SqliteConnection, owed: &Owed, stay: &Stay) -> Result<(), StoreError> {
    sqlx::query("UPDATE line SET lease_boot = ?2, lease_until = ?3, failures = 0, failing_since = NULL WHERE id = ?1")
        .bind(owed.line)
        .bind(&stay.boot.boot_id)
        .bind(stay.boot.millis + stay.lease_millis)
        .execute(conn)
        .await
        .map_err(failed("extend the lease of a line"))?;
    Ok(())
}

/// The head of the line, and with it all that has been owed as long: the line has failed for all of that time, so each of
/// them would only fail alone.
async fn give_up(conn: &mut SqliteConnection, owed: &Owed, owed_before: UnixMillis) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE delivery SET state = 'dead'
         WHERE line_id = ?1 AND state = 'pending' AND (seq = ?2 OR created_at <= ?3)",
    )
    .bind(owed.line)
    .bind(owed.seq)
    .bind(owed_before.0)
    .execute(conn)
    .await
    .map_err(failed("give deliveries up"))?;
    Ok(())
}

async fn disable(conn: &mut SqliteConnection, owed: &Owed, at: UnixMillis) -> Result<(), StoreError> {
    let endpoint = owed.endpoint.to_string();
    sqlx::query("UPDATE webhook SET disabled_at = ?2, disabled_why = ?3 WHERE endpoint = ?1 AND disabled_at IS NULL")
        .bind(&endpoint)
        .bind(at.0)
        .bind(GONE)
        .execute(&mut *conn)
        .await
        .map_err(failed("disable the webhooks of an endpoint"))?;
    sqlx::query(
        "UPDATE delivery SET state = 'dead'
         WHERE state = 'pending' AND line_id IN (SELECT id FROM line WHERE endpoint = ?1)",
    )
    .bind(&endpoint)
    .execute(&mut *conn)
    .await
    .map_err(failed("give up what an endpoint was owed"))?;
    sqlx::query("UPDATE line SET due_at = NULL, failures = 0, failing_since = NULL WHERE endpoint = ?1")
        .bind(endpoint)
        .execute(conn)
        .await
        .map_err(failed("bring the lines of an endpoint to rest"))?;
    Ok(())
}

enum Failing {
    No,
    Since(UnixMillis),
}

/// Lets go of the line: due at `at` if something is pending in it, at rest otherwise.
async fn rest(conn: &mut SqliteConnection, line: i64, at: UnixMillis, failing: Failing) -> Result<(), StoreError> {
    let since = match failing {
        Failing::No => None,
        Failing::Since(since) => Some(since.0),
    };
    sqlx::query(
        "UPDATE line SET
             due_at = CASE WHEN waits THEN ?2 END,
             failures = CASE WHEN waits AND ?3 IS NOT NULL THEN failures + 1 ELSE 0 END,
             failing_since = CASE WHEN waits AND ?3 IS NOT NULL THEN coalesce(failing_since, ?3) END,
             lease_token = NULL, lease_boot = NULL, lease_until = NULL
         FROM (SELECT EXISTS (SELECT 1 FROM delivery WHERE line_id = ?1 AND state = 'pending') AS waits)
         WHERE id = ?1",
    )
    .bind(line)
    .bind(at.0)
    .bind(since)
    .execute(conn)
    .await
    .map_err(failed("let go of a line"))?;
    Ok(())
}
