//! What an attempt leaves behind: its row, the delivery's state, and the line's next time.

use sqlx::SqliteConnection;

use super::{lines::head, pauses};
use crate::{
    domain::clock::UnixMillis,
    store::{
        StoreError,
        deliveries::{ATTEMPTS_KEPT_MAX, Answer, Attempt, Owed, Recorded, Stay, Verdict},
        failed,
    },
};

/// Why a webhook whose endpoint answered 410 is disabled.
const GONE: &str =
    "the endpoint is gone: it answered 410; once it is back, `mailbell webhook enable ID` goes on with what is owed";

/// Notes an attempt, and forgets the oldest of many. Its parameters are written `$1`, as wherever several statements go
/// together.
const NOTE: &str =
    "INSERT OR REPLACE INTO attempt (delivery_seq, number, at, status, fault, duration_millis, response_bytes)
     VALUES ($1, $2, $3, $4, $5, $6, $7);
     DELETE FROM attempt WHERE delivery_seq = $1 AND number <= $8;
     UPDATE delivery SET last_attempt_at = $3 WHERE seq = $1";
/// The same of one that was delivered, even if it was given up in the meantime: the endpoint has it. Its line works, and
/// where its worker stays, it is leased for longer.
const DELIVERED: &str =
    "INSERT OR REPLACE INTO attempt (delivery_seq, number, at, status, fault, duration_millis, response_bytes)
     VALUES ($1, $2, $3, $4, $5, $6, $7);
     DELETE FROM attempt WHERE delivery_seq = $1 AND number <= $8;
     UPDATE delivery SET last_attempt_at = $3, state = 'delivered' WHERE seq = $1;
     UPDATE line SET failures = 0, failing_since = NULL, failed_at = NULL, failed_status = NULL, failed_fault = NULL,
                     lease_boot = coalesce($10, lease_boot), lease_until = coalesce($11, lease_until) WHERE id = $9";

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
    let how = if matches!(verdict, Verdict::Delivered) { DELIVERED } else { NOTE };
    note(conn, owed, attempt, how, stay).await?;
    match verdict {
        Verdict::Delivered => {
            if stay.is_some()
                && let Some(next) = head(conn, owed.line, &owed.token).await?
            {
                return Ok(Recorded::Next(Box::new(next)));
            }
            rest(conn, owed.line, attempt.at).await?;
        }
        Verdict::RetryAt(at) => {
            failed_again(conn, owed.line, attempt).await?;
            // Given up or set aside by hand while it was under way: the next does not wait for it.
            let at = if is_pending(conn, owed).await? { *at } else { attempt.at };
            rest(conn, owed.line, at).await?;
        }
        Verdict::Dead { next_at } => {
            give_up(conn, owed).await?;
            failed_again(conn, owed.line, attempt).await?;
            let expired = next_is_expired(conn, owed.line).await?;
            if expired && let Some(next) = go_on(conn, owed, stay).await? {
                return Ok(next);
            }
            rest(conn, owed.line, if expired { attempt.at } else { *next_at }).await?;
        }
        Verdict::Gone => {
            pauses::switch_off_all_to(conn, &owed.endpoint.to_string(), GONE, attempt.at).await?;
            rest(conn, owed.line, attempt.at).await?;
        }
    }
    Ok(Recorded::Kept)
}

/// The line's next head, under the lease extended, if the worker stays and there is one.
async fn go_on(conn: &mut SqliteConnection, owed: &Owed, stay: Option<&Stay>) -> Result<Option<Recorded>, StoreError> {
    let Some(stay) = stay else { return Ok(None) };
    extend(conn, owed, stay).await?;
    Ok(head(conn, owed.line, &owed.token).await?.map(|next| Recorded::Next(Box::new(next))))
}

/// Notes an attempt in one round trip, by [`NOTE`] or [`DELIVERED`].
async fn note(
    conn: &mut SqliteConnection,
    owed: &Owed,
    attempt: &Attempt,
    how: &'static str,
    stay: Option<&Stay>,
) -> Result<(), StoreError> {
    let (status, fault) = split(&attempt.answer);
    sqlx::query(how)
        .bind(owed.seq)
        .bind(attempt.number)
        .bind(attempt.at.0)
        .bind(status)
        .bind(fault)
        .bind(attempt.duration_millis)
        .bind(i64::try_from(attempt.response_bytes).unwrap_or(i64::MAX))
        .bind(i64::from(attempt.number) - i64::from(ATTEMPTS_KEPT_MAX))
        .bind(owed.line)
        .bind(stay.map(|stay| stay.boot.boot_id.as_str()))
        .bind(stay.map(|stay| stay.boot.millis + stay.lease_millis))
        .execute(conn)
        .await
        .map(drop)
        .map_err(failed("store an attempt"))
}

async fn extend(conn: &mut SqliteConnection, owed: &Owed, stay: &Stay) -> Result<(), StoreError> {
    sqlx::query("UPDATE line SET lease_boot = ?2, lease_until = ?3 WHERE id = ?1")
        .bind(owed.line)
        .bind(&stay.boot.boot_id)
        .bind(stay.boot.millis + stay.lease_millis)
        .execute(conn)
        .await
        .map_err(failed("extend the lease of a line"))?;
    Ok(())
}

async fn give_up(conn: &mut SqliteConnection, owed: &Owed) -> Result<(), StoreError> {
    sqlx::query("UPDATE delivery SET state = 'dead' WHERE seq = ?1 AND state = 'pending'")
        .bind(owed.seq)
        .execute(conn)
        .await
        .map_err(failed("give a delivery up"))?;
    Ok(())
}

async fn is_pending(conn: &mut SqliteConnection, owed: &Owed) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM delivery WHERE seq = ?1 AND state = 'pending' AND paused = 0)")
        .bind(owed.seq)
        .fetch_one(conn)
        .await
        .map_err(failed("look whether a delivery is still owed"))
}

/// Whether the time of the line's next head is over: each such gets a try of its own, and waits for nothing more.
async fn next_is_expired(conn: &mut SqliteConnection, line: i64) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT coalesce((SELECT expires_at <= (SELECT millis FROM running_time WHERE id = 1)
                          FROM delivery WHERE line_id = ?1 AND state = 'pending' AND paused = 0
                          ORDER BY seq LIMIT 1), FALSE)",
    )
    .bind(line)
    .fetch_one(conn)
    .await
    .map_err(failed("look at the next head of a line"))
}

/// The line has failed once more.
async fn failed_again(conn: &mut SqliteConnection, line: i64, attempt: &Attempt) -> Result<(), StoreError> {
    let (status, fault) = split(&attempt.answer);
    sqlx::query(
        "UPDATE line SET failures = failures + 1, failing_since = coalesce(failing_since, ?2),
                         failed_at = ?2, failed_status = ?3, failed_fault = ?4
         WHERE id = ?1",
    )
    .bind(line)
    .bind(attempt.at.0)
    .bind(status)
    .bind(fault)
    .execute(conn)
    .await
    .map_err(failed("note that a line failed"))?;
    Ok(())
}

/// An answer as two columns, of which one is NULL.
fn split(answer: &Answer) -> (Option<u16>, Option<&str>) {
    match answer {
        Answer::Status(status) => (Some(*status), None),
        Answer::Fault(fault) => (None, Some(fault)),
    }
}

/// Lets go of the line: due at `at` if something is pending in it, at rest otherwise, its failures forgotten.
async fn rest(conn: &mut SqliteConnection, line: i64, at: UnixMillis) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE line SET
             due_at = CASE WHEN waits THEN ?2 END,
             failures = CASE WHEN waits THEN failures ELSE 0 END,
             failing_since = CASE WHEN waits THEN failing_since END,
             lease_token = NULL, lease_boot = NULL, lease_until = NULL
         FROM (SELECT EXISTS (SELECT 1 FROM delivery WHERE line_id = ?1 AND state = 'pending' AND paused = 0) AS waits)
         WHERE id = ?1",
    )
    .bind(line)
    .bind(at.0)
    .execute(conn)
    .await
    .map_err(failed("let go of a line"))?;
    Ok(())
}
