//! The rows of messages: stored once, read by id.

use std::sync::LazyLock;

use sqlx::{
    Executor, FromRow, Row as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{fanout, raw, rows, telling, threads};
use crate::{
    domain::{
        id::{MailboxId, MessageId, ThreadId},
        message::{Mailbox, Message},
    },
    store::{
        StoreError, failed,
        mailroom::{NewMessage, Raw},
        many::{self, Many},
        outbox::Tell,
        readers::Readers,
    },
};

/// All that a message brings, in one round trip: between the thread that writes the database and its caller lies a hand-over,
/// which costs as much as a row. Its raw bytes ($25) where they are in no file, its thread's names ($26, a list), its row, and
/// its verdict ($27) if it has one.
///
/// Parameters of several statements at once are written `$1`: of `?27`, SQLite takes the 26 before it for parameters, too, and
/// sqlx then may bind none of them.
const INSERT: &str = "INSERT INTO raw (name, bytes) SELECT $18, $25 WHERE $25 IS NOT NULL ON CONFLICT DO NOTHING;
     INSERT INTO thread_name (mailbox_id, internet_id, thread_id) SELECT $2, value, $3 FROM json_each($26) WHERE TRUE
     ON CONFLICT DO NOTHING;
     INSERT INTO message (id, mailbox_id, thread_id, direction, status, sender, sender_name, \
     recipients, cc, subject, snippet, received_at, auto, attachment_count, attachments, internet_id, envelope_from, \
     blob, size_bytes, notes, sender_folded, subject_folded, text, report) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24);
     INSERT INTO verdict (seq, verdict) SELECT last_insert_rowid(), $27 WHERE $27 IS NOT NULL";
/// The number of its parameters.
const INSERT_PARAMETERS: usize = 27;
/// The same, and what it owes to so many webhooks.
static INSERT_AND_OWE: Many = Many::new(|| {
    let text = |webhooks| format!("{INSERT};\n{}", fanout::owe_sql(INSERT_PARAMETERS + 1, webhooks));
    many::sizes().map(text).collect()
});
/// A mailbox, the thread there that has the nearest of the names in ?2, a list, and the webhooks that may want to know, where ?3
/// is the mailbox's domain.
static PLACE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT id, address, display_name, created_at,
                (SELECT t.thread_id FROM json_each(?2) n CROSS JOIN thread_name t
                 WHERE t.mailbox_id = ?1 AND t.internet_id = n.value ORDER BY n.key LIMIT 1) AS thread_id,
                ({}) AS candidates
         FROM mailbox WHERE id = ?1",
        fanout::candidates_sql("?1", "?3")
    )
});
const MAILBOX_OF: &str = "SELECT mailbox_id FROM message WHERE id = ?1";
const BLOB_OF: &str = "SELECT blob FROM message WHERE id = ?1 AND mailbox_id = ?2";
const MARK_READ: &str = "UPDATE message SET status = 'read' WHERE id = ?1 AND mailbox_id = ?2 AND status = 'unread'";
const SEQ_OF: &str = "SELECT seq FROM message WHERE id = ?1 AND mailbox_id = ?2";

/// Stores the messages of one handing-over, each in its thread, and owes their events.
pub(super) async fn store(conn: &mut SqliteConnection, new: &[NewMessage]) -> Result<Vec<ThreadId>, StoreError> {
    let mut found = Vec::with_capacity(new.len());
    for one in new {
        let Placed { mailbox, thread, candidates } = place(conn, one).await?;
        let mut tells = one.tells.clone();
        for tell in &mut tells {
            // A report's events are about another message, which they name with its thread, or about none.
            if tell.event.message_id.as_ref() == Some(&one.message.summary.id) {
                tell.event.thread_id = Some(thread.clone());
            }
        }
        let inbound = tells.first().filter(|tell| tells.len() == 1 && tell.is_inbound_of(&mailbox));
        let wanting = match inbound {
            Some(tell) => fanout::wanting(&candidates, tell.event.detail.kind())?,
            None => Vec::new(),
        };
        if let (Some(Tell { event, .. }), Some((text, now, later))) = (inbound, INSERT_AND_OWE.next(&wanting)) {
            let query = bind(sqlx::query(text), one, &thread);
            let query = fanout::bind_owed(query, &mailbox, event, now);
            query.execute(&mut *conn).await.map_err(failed("store a message and what it owes"))?;
            fanout::owe(conn, &mailbox, event, later).await?;
        } else {
            insert(conn, one, &thread).await?;
            telling::tell_all(conn, &mailbox, &tells).await?;
        }
        found.push(thread);
    }
    Ok(found)
}

/// Where a new message belongs.
struct Placed {
    mailbox: Mailbox,
    thread: ThreadId,
    /// The webhooks that may want to know, for [`fanout::wanting`].
    candidates: String,
}

/// The mailbox of a new message, and its thread: the one that is known there, or else the new one that it brings along.
async fn place(conn: &mut SqliteConnection, new: &NewMessage) -> Result<Placed, StoreError> {
    const DOING: &str = "store a message in a mailbox that is no longer there";
    let Message { summary, .. } = &new.message;
    let address = new.tells.first().and_then(|tell| tell.event.mailbox.as_deref());
    let row: SqliteRow = sqlx::query(PLACE.as_str())
        .bind(summary.mailbox_id.as_str())
        .bind(threads::names(new))
        .bind(address.and_then(|address| address.rsplit_once('@')).map(|(_, domain)| domain))
        .fetch_one(conn)
        .await
        .map_err(failed(DOING))?;
    let known: Option<String> = row.try_get("thread_id").map_err(failed(DOING))?;
    let mailbox = rows::MailboxRow::from_row(&row).map_err(failed(DOING))?.read()?;
    let candidates = row.try_get("candidates").map_err(failed(DOING))?;
    Ok(Placed { mailbox, thread: known.map_or_else(|| summary.thread_id.clone(), ThreadId::new), candidates })
}

/// Puts a message's row in, with its raw bytes, the names that it gives to its thread, and its verdict.
pub(super) async fn insert(conn: &mut SqliteConnection, new: &NewMessage, thread: &ThreadId) -> Result<(), StoreError> {
    bind(sqlx::query(INSERT), new, thread).execute(conn).await.map(drop).map_err(failed("store a message"))
}

/// Binds what [`INSERT`] asks for.
fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    new: &NewMessage,
    thread: &ThreadId,
) -> Query<'q, Sqlite, SqliteArguments> {
    let Message { summary, text, notes, verdict } = &new.message;
    let sender = format!("{}\n{}", summary.from, summary.from_name.as_deref().unwrap_or("")).to_lowercase();
    let verdict =
        verdict.as_ref().map(|verdict| serde_json::to_string(verdict).expect("words and domains are always JSON"));
    query
        .bind(summary.id.as_str())
        .bind(summary.mailbox_id.as_str())
        .bind(thread.as_str())
        .bind(rows::direction(summary.direction))
        .bind(summary.status.as_str())
        .bind(&summary.from)
        .bind(summary.from_name.as_deref())
        .bind(rows::to_list(&summary.to))
        .bind(rows::to_list(&summary.cc))
        .bind(&summary.subject)
        .bind(&summary.snippet)
        .bind(summary.received_at.0)
        .bind(summary.auto)
        .bind(i64::try_from(summary.attachments.len()).unwrap_or(i64::MAX))
        .bind(rows::to_attachments(&summary.attachments))
        .bind(new.internet_id.as_deref())
        .bind(&new.envelope_from)
        .bind(&new.raw.name)
        .bind(i64::try_from(new.raw.size_bytes).unwrap_or(i64::MAX))
        .bind(rows::to_list(notes))
        .bind(sender)
        .bind(summary.subject.to_lowercase())
        .bind(text)
        .bind(summary.report)
        .bind(new.raw.bytes.as_deref().map(Vec::as_slice))
        .bind(threads::names(new))
        .bind(verdict)
}

/// Puts another form of a message of ours in the place of the one before, which nobody has been sent yet.
pub(super) async fn rewrite(conn: &mut SqliteConnection, message: &Message, raw: &Raw) -> Result<(), StoreError> {
    let Message { summary, text, .. } = message;
    raw::keep(conn, raw).await?;
    sqlx::query(
        "UPDATE message SET recipients = ?2, cc = ?3, subject = ?4, snippet = ?5, blob = ?6, size_bytes = ?7,
                            subject_folded = ?8, text = ?9 WHERE id = ?1",
    )
    .bind(summary.id.as_str())
    .bind(rows::to_list(&summary.to))
    .bind(rows::to_list(&summary.cc))
    .bind(&summary.subject)
    .bind(&summary.snippet)
    .bind(&raw.name)
    .bind(i64::try_from(raw.size_bytes).unwrap_or(i64::MAX))
    .bind(summary.subject.to_lowercase())
    .bind(text)
    .execute(conn)
    .await
    .map_err(failed("change a scheduled message"))?;
    Ok(())
}

/// A message with its text, if it is in that mailbox.
pub(super) async fn by_id(
    readers: &Readers,
    mailbox: &MailboxId,
    id: &MessageId,
) -> Result<Option<Message>, StoreError> {
    const DOING: &str = "read a message";
    let select = format!(
        "SELECT {}, m.notes, m.text, v.verdict FROM message m LEFT JOIN verdict v ON v.seq = m.seq \
         WHERE m.id = ?1 AND m.mailbox_id = ?2",
        rows::SUMMARY
    );
    let row: Option<SqliteRow> = sqlx::query(sqlx::AssertSqlSafe(select))
        .bind(id.as_str())
        .bind(mailbox.as_str())
        .fetch_optional(readers)
        .await
        .map_err(failed(DOING))?;
    let Some(row) = row else { return Ok(None) };
    let summary = rows::SummaryRow::from_row(&row).map_err(failed(DOING))?.read()?;
    let notes: String = row.try_get("notes").map_err(failed(DOING))?;
    let text = row.try_get("text").map_err(failed(DOING))?;
    let verdict: Option<String> = row.try_get("verdict").map_err(failed(DOING))?;
    let corrupt = |why| StoreError::Corrupt { table: "message", row: id.to_string(), why };
    let notes = rows::list(&notes).ok_or_else(|| corrupt("its notes are no list"))?;
    let verdict = verdict.map(|json| serde_json::from_str(&json)).transpose();
    let verdict = verdict.map_err(|_| corrupt("its verdict is none"))?;
    Ok(Some(Message { summary, text, notes, verdict }))
}

/// The mailbox that a message is in.
pub(super) async fn mailbox_of<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    id: &MessageId,
) -> Result<Option<MailboxId>, StoreError> {
    let found: Option<String> = sqlx::query_scalar(MAILBOX_OF)
        .bind(id.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("find a message's mailbox"))?;
    Ok(found.map(MailboxId::new))
}

/// The name of a message's raw bytes.
pub(super) async fn blob_of(
    readers: &Readers,
    mailbox: &MailboxId,
    id: &MessageId,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar(BLOB_OF)
        .bind(id.as_str())
        .bind(mailbox.as_str())
        .fetch_optional(readers)
        .await
        .map_err(failed("find a message's raw bytes"))
}

/// A message's place in the order of commits, if it is in that mailbox.
pub(super) async fn seq_of<'e>(
    db: impl Executor<'e, Database = Sqlite>,
    mailbox: &MailboxId,
    id: &MessageId,
) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar(SEQ_OF)
        .bind(id.as_str())
        .bind(mailbox.as_str())
        .fetch_optional(db)
        .await
        .map_err(failed("find a message"))
}

/// Marks a message read; false if there is none.
pub(super) async fn mark_read(
    conn: &mut SqliteConnection,
    mailbox: &MailboxId,
    id: &MessageId,
) -> Result<bool, StoreError> {
    let marked = sqlx::query(MARK_READ)
        .bind(id.as_str())
        .bind(mailbox.as_str())
        .execute(&mut *conn)
        .await
        .map_err(failed("mark a message read"))?;
    Ok(marked.rows_affected() == 1 || seq_of(conn, mailbox, id).await?.is_some())
}
