//! The rows of recipients: where each stands, and what that makes of its message.

use sqlx::{Row as _, SqliteConnection};

use super::suppressions;
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        event::BounceType,
        id::{MailboxId, MessageId},
    },
    store::{
        StoreError, failed,
        outbox::{Ending, Outcome, Retried},
    },
};

/// Queues a message for `addresses`, first due at `due_at`.
pub(super) async fn add(
    conn: &mut SqliteConnection,
    message: &MessageId,
    mailbox: &MailboxId,
    addresses: &[Address],
    due_at: UnixMillis,
) -> Result<(), StoreError> {
    for address in addresses {
        sqlx::query(
            "INSERT INTO recipient (message_id, mailbox_id, address, state, due_at, planned_at)
             VALUES (?1, ?2, ?3, 'queued', ?4, ?4)",
        )
        .bind(message.as_str())
        .bind(mailbox.as_str())
        .bind(address.as_str())
        .bind(due_at.0)
        .execute(&mut *conn)
        .await
        .map_err(failed("queue a message for a recipient"))?;
    }
    Ok(())
}

/// Removes a message from everybody's queue, before it is queued anew.
pub(super) async fn clear(conn: &mut SqliteConnection, message: &MessageId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM recipient WHERE message_id = ?1")
        .bind(message.as_str())
        .execute(conn)
        .await
        .map_err(failed("take a message out of the queue"))?;
    Ok(())
}

/// Records a try. What was taken stays taken, whatever was decided meanwhile; another try is only for one that nobody
/// cancelled meanwhile.
pub(super) async fn settle(conn: &mut SqliteConnection, outcome: &Outcome, at: UnixMillis) -> Result<(), StoreError> {
    let (state, due_at, guard) = match outcome.ending {
        Ending::Accepted => ("accepted", None, ""),
        Ending::Failed => ("failed", None, " AND state <> 'accepted'"),
        Ending::RetryAt(due) => ("queued", Some(due.0), " AND state = 'queued'"),
    };
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE recipient SET state = ?2, due_at = ?3, attempts = attempts + 1, since = coalesce(since, ?4), \
         last_reply = ?5 WHERE seq = ?1{guard}"
    )))
    .bind(outcome.recipient)
    .bind(state)
    .bind(due_at)
    .bind(at.0)
    .bind(outcome.reply.as_deref())
    .execute(conn)
    .await
    .map_err(failed("record a try"))?;
    Ok(())
}

/// Records what a report proves of a recipient.
pub(super) async fn prove(
    conn: &mut SqliteConnection,
    message: &MessageId,
    recipient: &str,
    ending: Ending,
) -> Result<(), StoreError> {
    let state = match ending {
        Ending::Accepted => "accepted",
        Ending::Failed => "failed",
        // No report asks us to try again.
        Ending::RetryAt(_) => return Ok(()),
    };
    sqlx::query("UPDATE recipient SET state = ?3, due_at = NULL WHERE message_id = ?1 AND address = ?2")
        .bind(message.as_str())
        .bind(recipient)
        .bind(state)
        .execute(&mut *conn)
        .await
        .map_err(failed("record what a report says of a recipient"))?;
    restate(conn, message).await
}

/// Notes that a recipient was delivered to: the first time counts, and a soft bounce before it is forgotten.
pub(super) async fn delivered(
    conn: &mut SqliteConnection,
    message: &MessageId,
    recipient: &str,
    at: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE recipient SET delivered_at = coalesce(delivered_at, ?3),
                bounced_at = CASE WHEN bounce_type = 'hard' THEN bounced_at END,
                bounce_type = CASE WHEN bounce_type = 'hard' THEN bounce_type END
         WHERE message_id = ?1 AND address = ?2",
    )
    .bind(message.as_str())
    .bind(recipient)
    .bind(at.0)
    .execute(conn)
    .await
    .map_err(failed("note a delivery"))?;
    Ok(())
}

/// Notes a bounce: a soft one does not take the place of a hard one.
pub(super) async fn bounced(
    conn: &mut SqliteConnection,
    message: &MessageId,
    recipient: &str,
    bounce_type: BounceType,
    at: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE recipient SET bounced_at = ?4, bounce_type = ?3
         WHERE message_id = ?1 AND address = ?2 AND (?3 = 'hard' OR bounce_type IS NOT 'hard')",
    )
    .bind(message.as_str())
    .bind(recipient)
    .bind(bounce_type.as_str())
    .bind(at.0)
    .execute(conn)
    .await
    .map_err(failed("note a bounce"))?;
    Ok(())
}

/// Brings a message's status up to date with its recipients'.
pub(super) async fn restate(conn: &mut SqliteConnection, message: &MessageId) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE message SET status = CASE
             WHEN states.queued > 0 THEN 'queued'
             WHEN states.accepted > 0 THEN 'sent'
             WHEN states.failed > 0 THEN 'send_failed'
             ELSE 'cancelled' END
         FROM (SELECT coalesce(sum(state = 'queued'), 0) AS queued, coalesce(sum(state = 'accepted'), 0) AS accepted,
                      coalesce(sum(state = 'failed'), 0) AS failed
               FROM recipient WHERE message_id = ?1) AS states
         WHERE id = ?1 AND NOT (status = 'scheduled' AND states.queued > 0)",
    )
    .bind(message.as_str())
    .execute(conn)
    .await
    .map_err(failed("bring a message's status up to date"))?;
    Ok(())
}

/// Cancels what is queued for an address, in every message.
pub(super) async fn cancel_for(conn: &mut SqliteConnection, address: &Address) -> Result<(), StoreError> {
    let messages: Vec<String> = sqlx::query_scalar(
        "UPDATE recipient SET state = 'cancelled', due_at = NULL WHERE address = ?1 AND state = 'queued'
         RETURNING message_id",
    )
    .bind(address.as_str())
    .fetch_all(&mut *conn)
    .await
    .map_err(failed("cancel what is queued for an address"))?;
    for message in messages {
        restate(conn, &MessageId::new(message)).await?;
    }
    Ok(())
}

/// Cancels all that is queued of a message.
pub(super) async fn cancel_of(conn: &mut SqliteConnection, message: &MessageId) -> Result<(), StoreError> {
    sqlx::query("UPDATE recipient SET state = 'cancelled', due_at = NULL WHERE message_id = ?1 AND state = 'queued'")
        .bind(message.as_str())
        .execute(&mut *conn)
        .await
        .map_err(failed("cancel a message"))?;
    restate(conn, message).await
}

/// Tries one recipient again, at `at`.
pub(super) async fn retry(
    conn: &mut SqliteConnection,
    mailbox: &MailboxId,
    message: &MessageId,
    address: &Address,
    at: UnixMillis,
) -> Result<Retried, StoreError> {
    let row = sqlx::query(
        "SELECT seq, state, round FROM recipient WHERE message_id = ?1 AND mailbox_id = ?2 AND address = ?3",
    )
    .bind(message.as_str())
    .bind(mailbox.as_str())
    .bind(address.as_str())
    .fetch_optional(&mut *conn)
    .await
    .map_err(failed("find a recipient"))?;
    let Some(row) = row else { return Ok(Retried::NoRecipient) };
    if let Some(suppression) = suppressions::of(&mut *conn, address).await? {
        return Ok(Retried::Suppressed(Box::new(suppression)));
    }
    let (retried, round) = match (row.get::<&str, _>("state"), row.get::<i64, _>("round")) {
        ("accepted", _) => return Ok(Retried::Accepted),
        ("cancelled", _) => return Ok(Retried::Cancelled),
        ("queued", round) => (Retried::Moved, round),
        (_, 0) => (Retried::Again, 1),
        _ => return Ok(Retried::Used),
    };
    sqlx::query("UPDATE recipient SET state = 'queued', due_at = ?2, round = ?3 WHERE seq = ?1")
        .bind(row.get::<i64, _>("seq"))
        .bind(at.0)
        .bind(round)
        .execute(&mut *conn)
        .await
        .map_err(failed("queue a recipient again"))?;
    restate(conn, message).await?;
    Ok(retried)
}
