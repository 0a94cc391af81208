//! The queue of what is to be sent, as rows.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{MailStore, mailboxes, messages, recipients, rows, submit, telling};
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        id::{MailboxId, MessageId, ThreadId},
        message::Status,
    },
    store::{
        StoreError, failed,
        outbox::{
            Cancelled, Due, DuePage, DueRecipient, Edit, Edited, NewOutbound, Outbox, Retried, Sent, Settlement,
            Standing, Submitted,
        },
        turn::Turn,
    },
};

const SENT: &str = "SELECT m.id, m.mailbox_id, b.address AS mailbox, m.thread_id, o.token, m.internet_id, m.blob, \
     (SELECT json_group_array(r.address) FROM recipient r WHERE r.message_id = m.id) AS everybody \
     FROM outbound o JOIN message m ON m.id = o.message_id JOIN mailbox b ON b.id = m.mailbox_id";

fn sent(row: &SqliteRow) -> Result<Sent, StoreError> {
    let id: String = row.get("id");
    let corrupt = |why| StoreError::Corrupt { table: "outbound", row: id.clone(), why };
    let everybody = rows::list(row.get("everybody")).ok_or_else(|| corrupt("its recipients are no list"))?;
    Ok(Sent {
        mailbox_id: MailboxId::new(row.get::<String, _>("mailbox_id")),
        mailbox: row.get::<&str, _>("mailbox").parse().map_err(|_| corrupt("its mailbox is no address"))?,
        thread: ThreadId::new(row.get::<String, _>("thread_id")),
        token: row.get("token"),
        internet_id: row.get::<Option<String>, _>("internet_id").unwrap_or_default(),
        recipients: everybody.iter().filter_map(|address| address.parse().ok()).collect(),
        message: MessageId::new(id.clone()),
    })
}

async fn due(
    conn: &mut SqliteConnection,
    now: UnixMillis,
    busy: &[MessageId],
    limit: u32,
) -> Result<DuePage, StoreError> {
    let busy = serde_json::Value::from(busy.iter().map(MessageId::as_str).collect::<Vec<_>>()).to_string();
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT message_id FROM recipient
         WHERE due_at IS NOT NULL AND due_at <= ?1 AND message_id NOT IN (SELECT value FROM json_each(?2))
         GROUP BY message_id ORDER BY min(due_at), min(seq) LIMIT +?3",
    )
    .bind(now.0)
    .bind(&busy)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await
    .map_err(failed("find what is due to be sent"))?;
    let mut due = Vec::with_capacity(ids.len());
    for id in ids {
        sqlx::query("UPDATE message SET status = 'queued' WHERE id = ?1 AND status = 'scheduled'")
            .bind(&id)
            .execute(&mut *conn)
            .await
            .map_err(failed("queue what was scheduled"))?;
        due.extend(one_due(conn, &id, now).await?);
    }
    let next_at: Option<i64> = sqlx::query_scalar(
        "SELECT min(due_at) FROM recipient
         WHERE due_at IS NOT NULL AND due_at > ?1 AND message_id NOT IN (SELECT value FROM json_each(?2))",
    )
    .bind(now.0)
    .bind(busy)
    .fetch_one(conn)
    .await
    .map_err(failed("find when the next message is due"))?;
    Ok(DuePage { due, next_at: next_at.map(UnixMillis) })
}

async fn one_due(conn: &mut SqliteConnection, id: &str, now: UnixMillis) -> Result<Option<Due>, StoreError> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!("{SENT} WHERE o.message_id = ?1")))
        .bind(id)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("read a message that is due"))?;
    let Some(row) = found else { return Ok(None) };
    let sent = sent(&row)?;
    let Some(mailbox) = mailboxes::by_id(&mut *conn, &sent.mailbox_id).await? else { return Ok(None) };
    let rows = sqlx::query(
        "SELECT seq, address, attempts, since, round FROM recipient
         WHERE message_id = ?1 AND due_at IS NOT NULL AND due_at <= ?2 ORDER BY seq",
    )
    .bind(id)
    .bind(now.0)
    .fetch_all(conn)
    .await
    .map_err(failed("read who a message is due for"))?;
    let read = |row: &SqliteRow| {
        let address: &str = row.get("address");
        Ok(DueRecipient {
            seq: row.get("seq"),
            address: address.parse().map_err(|_| StoreError::Corrupt {
                table: "recipient",
                row: row.get::<i64, _>("seq").to_string(),
                why: "its address is none",
            })?,
            attempts: row.get("attempts"),
            since: row.get::<Option<i64>, _>("since").map(UnixMillis),
            round: row.get("round"),
        })
    };
    let recipients = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
    Ok(Some(Due { sent, mailbox, blob: row.get("blob"), recipients }))
}

async fn settle(conn: &mut SqliteConnection, settlement: &Settlement) -> Result<(), StoreError> {
    let Settlement { message, at, outcomes, arrivals } = settlement;
    let mailbox = messages::mailbox_of(&mut *conn, message).await?;
    let mailbox = match mailbox {
        Some(id) => mailboxes::by_id(&mut *conn, &id).await?,
        None => None,
    };
    // The message may have gone with its mailbox while it was tried: then there is nobody to tell, but what it brought
    // into other mailboxes has come.
    if let Some(mailbox) = mailbox {
        for outcome in outcomes {
            recipients::settle(conn, outcome, *at).await?;
            telling::tell_all(conn, &mailbox, &outcome.tells).await?;
        }
        recipients::restate(conn, message).await?;
    }
    messages::store(&mut Turn::within(conn), &arrivals.iter().collect::<Vec<_>>()).await?;
    Ok(())
}

async fn status(
    conn: &mut SqliteConnection,
    mailbox: &MailboxId,
    id: &MessageId,
) -> Result<Option<Status>, StoreError> {
    let found: Option<String> = sqlx::query_scalar("SELECT status FROM message WHERE id = ?1 AND mailbox_id = ?2")
        .bind(id.as_str())
        .bind(mailbox.as_str())
        .fetch_optional(conn)
        .await
        .map_err(failed("read a message's status"))?;
    Ok(found.as_deref().and_then(rows::status_of))
}

async fn cancel(conn: &mut SqliteConnection, mailbox: &MailboxId, id: &MessageId) -> Result<Cancelled, StoreError> {
    Ok(match status(conn, mailbox, id).await? {
        None => Cancelled::NoMessage,
        Some(Status::Cancelled) => Cancelled::Done,
        Some(Status::Scheduled) => {
            recipients::cancel_of(conn, id).await?;
            Cancelled::Done
        }
        Some(status) => Cancelled::TooLate(status),
    })
}

#[async_trait]
impl Outbox for MailStore {
    async fn submit(&self, new: NewOutbound) -> Result<Submitted, StoreError> {
        let new = std::sync::Arc::new(new);
        let write = self.database.writer.write(move |conn| {
            let new = new.clone();
            Box::pin(async move { submit::submit(conn, &new).await })
        });
        write.await
    }

    async fn due(&self, now: UnixMillis, busy: &[MessageId], limit: u32) -> Result<DuePage, StoreError> {
        let busy = busy.to_vec();
        let write = self.database.writer.write(move |conn| {
            let busy = busy.clone();
            Box::pin(async move { due(conn, now, &busy, limit).await })
        });
        write.await
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let settlement = std::sync::Arc::new(settlement);
        let write = self.database.writer.write(move |conn| {
            let settlement = settlement.clone();
            Box::pin(async move { settle(conn, &settlement).await })
        });
        write.await
    }

    async fn check_term(&self) -> Result<(), StoreError> {
        MailStore::check_term(self).await
    }

    async fn sent_by_token(&self, token: &str) -> Result<Option<Sent>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SENT} WHERE o.token = ?1")))
            .bind(token)
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("find a message by its secret"))?;
        row.as_ref().map(sent).transpose()
    }

    async fn sent_by_internet_id(&self, mailbox: &MailboxId, internet_id: &str) -> Result<Option<Sent>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SENT} WHERE m.mailbox_id = ?1 AND m.internet_id = ?2 AND m.direction = 'outbound' LIMIT 1"
        )))
        .bind(mailbox.as_str())
        .bind(internet_id)
        .fetch_optional(&self.database.readers)
        .await
        .map_err(failed("find a message by its Message-ID"))?;
        row.as_ref().map(sent).transpose()
    }

    async fn was_written_to(&self, address: &Address) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM recipient WHERE address = ?1 AND state <> 'cancelled')")
            .bind(address.as_str())
            .fetch_one(&self.database.readers)
            .await
            .map_err(failed("look whether an address was written to"))
    }

    async fn standing(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<Standing>, StoreError> {
        let row = sqlx::query(
            "SELECT m.status, m.envelope_from, m.internet_id, o.bcc, o.track_opens,
                    (SELECT min(r.due_at) FROM recipient r WHERE r.message_id = m.id) AS due_at
             FROM outbound o JOIN message m ON m.id = o.message_id WHERE m.id = ?1 AND m.mailbox_id = ?2",
        )
        .bind(id.as_str())
        .bind(mailbox.as_str())
        .fetch_optional(&self.database.readers)
        .await
        .map_err(failed("read how far a message has got"))?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = |why| StoreError::Corrupt { table: "outbound", row: id.to_string(), why };
        let status = rows::status_of(row.get("status")).ok_or_else(|| corrupt("its status is none of ours"))?;
        let due_at = row.get::<Option<i64>, _>("due_at").map(UnixMillis);
        Ok(Some(Standing {
            status,
            send_at: due_at.filter(|_| status == Status::Scheduled),
            bcc: rows::list(row.get("bcc")).ok_or_else(|| corrupt("its bcc is no list"))?,
            track_opens: row.get("track_opens"),
            envelope_from: row.get("envelope_from"),
            internet_id: row.get::<Option<String>, _>("internet_id").unwrap_or_default(),
        }))
    }

    async fn envelope_from(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT envelope_from FROM message WHERE id = ?1 AND mailbox_id = ?2")
            .bind(id.as_str())
            .bind(mailbox.as_str())
            .fetch_optional(&self.database.readers)
            .await
            .map_err(failed("read who handed a message over"))
    }

    async fn cancel(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Cancelled, StoreError> {
        let (mailbox, id) = (mailbox.clone(), id.clone());
        let write = self.database.writer.write(move |conn| {
            let (mailbox, id) = (mailbox.clone(), id.clone());
            Box::pin(async move { cancel(conn, &mailbox, &id).await })
        });
        write.await
    }

    async fn edit(&self, edit: Edit) -> Result<Edited, StoreError> {
        let edit = std::sync::Arc::new(edit);
        let write = self.database.writer.write(move |conn| {
            let edit = edit.clone();
            Box::pin(async move {
                let summary = &edit.message.summary;
                match status(conn, &summary.mailbox_id, &summary.id).await? {
                    Some(Status::Scheduled) => submit::edit(conn, &edit).await,
                    // Gone with its mailbox is too late as well.
                    other => Ok(Edited::TooLate(other.unwrap_or(Status::Cancelled))),
                }
            })
        });
        write.await
    }

    async fn retry(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
        recipient: &Address,
        at: UnixMillis,
    ) -> Result<Retried, StoreError> {
        let asked = (mailbox.clone(), id.clone(), recipient.clone());
        let write = self.database.writer.write(move |conn| {
            let (mailbox, id, recipient) = asked.clone();
            Box::pin(async move { recipients::retry(conn, &mailbox, &id, &recipient, at).await })
        });
        write.await
    }
}
