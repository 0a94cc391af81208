//! Takes a message in to be sent, if nothing speaks against it: its key, an equal reply, the suppression list, a limit.

use sqlx::{Row as _, SqliteConnection};

use super::{messages, recipients, rows, suppressions, threads};
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        id::{MailboxId, MessageId, ThreadId},
        suppression::Suppression,
    },
    store::{
        StoreError, failed,
        mailroom::NewMessage,
        outbox::{Edit, Edited, HourlyLimits, LIMITED_SPAN, NewOutbound, Submitted, TooMany},
    },
};

pub(super) async fn submit(conn: &mut SqliteConnection, new: &NewOutbound) -> Result<Submitted, StoreError> {
    let summary = &new.message.summary;
    let now = summary.received_at;
    if let Some(before) = before(conn, new, now).await? {
        return Ok(before);
    }
    if let Some(suppression) = suppressed(conn, &new.recipients).await? {
        return Ok(Submitted::Suppressed(Box::new(suppression)));
    }
    let stored = NewMessage {
        message: new.message.clone(),
        raw: new.raw.clone(),
        internet_id: Some(new.internet_id.clone()),
        references: new.references.clone(),
        envelope_from: new.envelope_from.to_string(),
        tells: Vec::new(),
    };
    let thread = threads::find(conn, &stored).await?.unwrap_or_else(|| summary.thread_id.clone());
    let planned = Planned {
        message: &summary.id,
        mailbox: &summary.mailbox_id,
        recipients: &new.recipients,
        at: new.due_at,
        limits: new.limits,
    };
    if let Some(too_many) = over_limit(conn, &planned, &thread).await? {
        return Ok(Submitted::TooMany(too_many));
    }
    messages::insert(conn, &stored, &thread).await?;
    sqlx::query(
        "INSERT INTO outbound (message_id, mailbox_id, token, bcc, idempotency_key, answers, digest, created_at,
                               track_opens)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .bind(summary.id.as_str())
    .bind(summary.mailbox_id.as_str())
    .bind(&new.token)
    .bind(rows::to_list(&new.bcc))
    .bind(new.idempotency_key.as_deref())
    .bind(new.reply.as_ref().map(|reply| reply.to.as_str()))
    .bind(new.reply.as_ref().map(|reply| reply.digest.as_slice()))
    .bind(now.0)
    .bind(new.track_opens)
    .execute(&mut *conn)
    .await
    .map_err(failed("store a message to be sent"))?;
    recipients::add(conn, &summary.id, &summary.mailbox_id, &new.recipients, new.due_at).await?;
    Ok(Submitted::Fresh(thread))
}

/// What the same request led to before, if it was made before.
async fn before(
    conn: &mut SqliteConnection,
    new: &NewOutbound,
    now: UnixMillis,
) -> Result<Option<Submitted>, StoreError> {
    let mailbox = new.message.summary.mailbox_id.as_str();
    if let Some(key) = &new.idempotency_key {
        let found = sqlx::query(
            "SELECT o.message_id, m.thread_id, o.created_at FROM outbound o JOIN message m ON m.id = o.message_id
             WHERE o.mailbox_id = ?1 AND o.idempotency_key = ?2",
        )
        .bind(mailbox)
        .bind(key)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("look for an earlier request of the same key"))?;
        if let Some(row) = found {
            let message = MessageId::new(row.get::<String, _>("message_id"));
            if row.get::<i64, _>("created_at") > now.minus(new.key_span).0 {
                let thread = ThreadId::new(row.get::<String, _>("thread_id"));
                return Ok(Some(Submitted::Before { message, thread }));
            }
            sqlx::query("UPDATE outbound SET idempotency_key = NULL WHERE message_id = ?1")
                .bind(message.as_str())
                .execute(&mut *conn)
                .await
                .map_err(failed("free a key whose day is over"))?;
        }
    }
    let Some(reply) = &new.reply else { return Ok(None) };
    let same: Option<String> = sqlx::query_scalar(
        "SELECT message_id FROM outbound WHERE answers = ?1 AND created_at > ?2 AND digest = ?3 LIMIT 1",
    )
    .bind(reply.to.as_str())
    .bind(now.minus(reply.same_span).0)
    .bind(&reply.digest)
    .fetch_optional(conn)
    .await
    .map_err(failed("look for an equal reply"))?;
    Ok(same.map(|message| Submitted::SameReply(MessageId::new(message))))
}

async fn suppressed(conn: &mut SqliteConnection, addresses: &[Address]) -> Result<Option<Suppression>, StoreError> {
    for address in addresses {
        if let Some(suppression) = suppressions::of(&mut *conn, address).await? {
            return Ok(Some(suppression));
        }
    }
    Ok(None)
}

/// What is asked of the limits.
struct Planned<'a> {
    message: &'a MessageId,
    mailbox: &'a MailboxId,
    recipients: &'a [Address],
    at: UnixMillis,
    limits: HourlyLimits,
}

/// The hour slides, around the moment for which a message is planned: there is never a full hour that lets twice as many
/// through, and what is scheduled early counts when it is sent.
async fn over_limit(
    conn: &mut SqliteConnection,
    planned: &Planned<'_>,
    thread: &ThreadId,
) -> Result<Option<TooMany>, StoreError> {
    const DOING: &str = "count what is sent within the hour";
    let (after, before) = (planned.at.minus(LIMITED_SPAN).0, planned.at.plus(LIMITED_SPAN).0);
    // The one whose leaving makes room is the limit-th newest.
    let room = |at: i64| UnixMillis(at).plus(LIMITED_SPAN);
    for address in planned.recipients {
        let oldest: Option<i64> = sqlx::query_scalar(
            "SELECT planned_at FROM recipient
             WHERE address = ?1 AND planned_at > ?2 AND planned_at < ?3 AND mailbox_id = ?4 AND message_id <> ?5
               AND state <> 'cancelled'
             ORDER BY planned_at DESC LIMIT 1 OFFSET ?6",
        )
        .bind(address.as_str())
        .bind(after)
        .bind(before)
        .bind(planned.mailbox.as_str())
        .bind(planned.message.as_str())
        .bind(planned.limits.per_correspondent.saturating_sub(1))
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed(DOING))?;
        if let Some(oldest) = oldest {
            let limit = planned.limits.per_correspondent;
            return Ok(Some(TooMany { correspondent: Some(address.clone()), limit, room_at: room(oldest) }));
        }
    }
    let oldest: Option<i64> = sqlx::query_scalar(
        "SELECT min(r.planned_at) AS planned FROM message m JOIN recipient r ON r.message_id = m.id
         WHERE m.mailbox_id = ?1 AND m.thread_id = ?2 AND m.direction = 'outbound' AND m.id <> ?3
           AND r.state <> 'cancelled'
         GROUP BY m.id HAVING planned > ?4 AND planned < ?5 ORDER BY planned DESC LIMIT 1 OFFSET ?6",
    )
    .bind(planned.mailbox.as_str())
    .bind(thread.as_str())
    .bind(planned.message.as_str())
    .bind(after)
    .bind(before)
    .bind(planned.limits.per_thread.saturating_sub(1))
    .fetch_optional(conn)
    .await
    .map_err(failed(DOING))?;
    Ok(oldest.map(|oldest| TooMany { correspondent: None, limit: planned.limits.per_thread, room_at: room(oldest) }))
}

/// Puts a message that is still scheduled into a new form.
pub(super) async fn edit(conn: &mut SqliteConnection, edit: &Edit) -> Result<Edited, StoreError> {
    if let Some(suppression) = suppressed(conn, &edit.recipients).await? {
        return Ok(Edited::Suppressed(Box::new(suppression)));
    }
    let summary = &edit.message.summary;
    let planned = Planned {
        message: &summary.id,
        mailbox: &summary.mailbox_id,
        recipients: &edit.recipients,
        at: edit.due_at,
        limits: edit.limits,
    };
    if let Some(too_many) = over_limit(conn, &planned, &summary.thread_id).await? {
        return Ok(Edited::TooMany(too_many));
    }
    messages::rewrite(conn, &edit.message, &edit.raw).await?;
    sqlx::query("UPDATE outbound SET bcc = ?2 WHERE message_id = ?1")
        .bind(summary.id.as_str())
        .bind(rows::to_list(&edit.bcc))
        .execute(&mut *conn)
        .await
        .map_err(failed("change who gets a blind copy"))?;
    recipients::clear(conn, &summary.id).await?;
    recipients::add(conn, &summary.id, &summary.mailbox_id, &edit.recipients, edit.due_at).await?;
    Ok(Edited::Done)
}
