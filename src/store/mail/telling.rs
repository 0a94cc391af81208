//! Tells an event once, and does what it proves, inside the caller's transaction.

use sqlx::SqliteConnection;

use super::{fanout, mailboxes, recipients, suppressions};
use crate::{
    domain::{
        event::{Detail, NewEvent, Tied},
        message::Mailbox,
    },
    store::{StoreError, failed, outbox::Tell},
};

/// Tells `tell`, which happened to `mailbox`.
pub(super) async fn tell(conn: &mut SqliteConnection, mailbox: &Mailbox, tell: &Tell) -> Result<(), StoreError> {
    let recipient = recipient(&tell.event.detail);
    let fresh = match (&tell.part, &tell.event.message_id) {
        (Some(part), Some(message)) => {
            let told = sqlx::query(
                // Where the message is gone meanwhile there is nothing to remember, and no second report to expect.
                // A round is part of it: whoever asked for one more try is told what came of that.
                "INSERT INTO told (message_id, recipient, kind, part)
                 SELECT o.message_id, ?2, ?3,
                        ?4 || coalesce((SELECT '#' || r.round FROM recipient r
                                        WHERE r.message_id = o.message_id AND r.address = ?2), '')
                 FROM outbound o WHERE o.message_id = ?1 ON CONFLICT DO NOTHING",
            )
            .bind(message.as_str())
            .bind(recipient)
            .bind(tell.event.detail.kind().as_str())
            .bind(part)
            .execute(&mut *conn)
            .await
            .map_err(failed("remember what was told"))?;
            told.rows_affected() == 1
        }
        _ => true,
    };
    if fresh {
        fanout::fan_out(conn, mailbox, &tell.event).await?;
        remember(conn, &tell.event).await?;
    }
    if let (Some(ending), Some(message)) = (tell.proves, &tell.event.message_id) {
        recipients::prove(conn, message, recipient, ending).await?;
    }
    if let Some(suppression) = &tell.suppress {
        suppressions::add(conn, suppression).await?;
    }
    Ok(())
}

/// Notes on the message what was told of it, as far as it is proved.
async fn remember(conn: &mut SqliteConnection, event: &NewEvent) -> Result<(), StoreError> {
    let Some(message) = &event.message_id else { return Ok(()) };
    match &event.detail {
        // One that is not proved names no message.
        Detail::Delivery { recipient, .. } => recipients::delivered(conn, message, recipient, event.timestamp).await,
        Detail::Bounce {
            recipient: Some(recipient),
            bounce_type,
            tied: Tied::Session | Tied::Envelope | Tied::Token,
            ..
        } => recipients::bounced(conn, message, recipient, *bounce_type, event.timestamp).await,
        _ => Ok(()),
    }
}

/// Tells all of `tells`, each of the mailbox that it names, or of `mailbox`.
pub(super) async fn tell_all(conn: &mut SqliteConnection, mailbox: &Mailbox, tells: &[Tell]) -> Result<(), StoreError> {
    for one in tells {
        let named = one.event.mailbox.as_deref().filter(|named| *named != mailbox.address.as_str());
        let other = match named.and_then(|named| named.parse().ok()) {
            Some(address) => mailboxes::by_address(&mut *conn, &address).await?,
            None => None,
        };
        tell(conn, other.as_ref().unwrap_or(mailbox), one).await?;
    }
    Ok(())
}

/// Whom an event is about; empty where nobody is named.
fn recipient(detail: &Detail) -> &str {
    match detail {
        Detail::Delivery { recipient, .. } => recipient,
        Detail::Bounce { recipient, .. } | Detail::Complaint { recipient, .. } | Detail::Open { recipient, .. } => {
            recipient.as_deref().unwrap_or("")
        }
        Detail::Inbound { .. } | Detail::Approval { .. } | Detail::Other {} => "",
    }
}
