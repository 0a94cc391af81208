//! The rows of messages: stored once, read by id.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
};

use sqlx::{
    Executor, FromRow, Row as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    fanout::{self, Owed, Wanting},
    raw, rows, telling, threads,
};
use crate::{
    domain::{
        event::EventKind,
        id::{MailboxId, MessageId, ThreadId},
        message::{Mailbox, Message},
    },
    store::{
        StoreError, failed,
        mailroom::{NewMessage, Raw},
        many::{self, CHUNK, Many, to_json},
        outbox::Tell,
        readers::Readers,
        turn::Turn,
    },
};

/// The columns of a message's row, in the order that [`bind`] binds them in: 24.
const COLUMNS: &str = "id, mailbox_id, thread_id, direction, status, sender, sender_name, recipients, cc, subject, snippet, \
     received_at, auto, attachment_count, attachments, internet_id, envelope_from, blob, size_bytes, notes, sender_folded, \
     subject_folded, text, report";
/// Messages that one statement stores; of more there are several.
const TOGETHER_MAX: usize = CHUNK;

static INSERT: Many = Many::new(|| (1..=TOGETHER_MAX).map(insert_sql).collect());

/// All that so many messages bring, in one round trip: between the thread that writes the database and its caller lies a
/// hand-over, which costs as much as a row. Bound are a name and raw bytes for each, where those are in no file; the names of
/// threads, a list; the messages, and the bytes of all of them; and their verdicts, a list.
fn insert_sql(messages: usize) -> String {
    format!(
        "INSERT OR FAIL INTO raw (name, bytes) SELECT column1, column2 FROM (VALUES {}) WHERE column2 IS NOT NULL
         ON CONFLICT DO NOTHING;
         INSERT INTO thread_name (mailbox_id, internet_id, thread_id)
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE TRUE ON CONFLICT DO NOTHING;
         INSERT INTO message ({COLUMNS}) VALUES {};
         UPDATE weight SET message_bytes = message_bytes + ?;
         INSERT INTO verdict (seq, verdict) SELECT seq, value ->> 1 FROM json_each(?) one
         CROSS JOIN message ON message.id = one.value ->> 0",
        many::rows("(?, ?)", messages),
        many::rows("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", messages)
    )
}

/// The mailboxes in a list of id, domain and names; for each, those of the names that have a thread there, and the webhooks that
/// may want to know.
static PLACES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT mailbox.id, address, display_name, created_at,
                (SELECT json_group_array(json_array(t.internet_id, t.thread_id))
                 FROM json_each(asked.value, '$[2]') name CROSS JOIN thread_name t
                 WHERE t.mailbox_id = mailbox.id AND t.internet_id = name.value) AS threads,
                ({}) AS candidates
         FROM json_each(?1) asked CROSS JOIN mailbox ON mailbox.id = asked.value ->> 0",
        fanout::candidates_sql("mailbox.id", "asked.value ->> 1")
    )
});
const MAILBOX_OF: &str = "SELECT mailbox_id FROM message WHERE id = ?1";
const BLOB_OF: &str = "SELECT blob FROM message WHERE id = ?1 AND mailbox_id = ?2";
const MARK_READ: &str = "UPDATE message SET status = 'read' WHERE id = ?1 AND mailbox_id = ?2 AND status = 'unread'";
const SEQ_OF: &str = "SELECT seq FROM message WHERE id = ?1 AND mailbox_id = ?2";

/// Stores what came by several handings-over; answers with the threads of each.
pub(super) async fn store_each(
    turn: &mut Turn<'_>,
    handed_over: &[Arc<Vec<NewMessage>>],
) -> Result<Vec<Vec<ThreadId>>, StoreError> {
    let all: Vec<&NewMessage> = handed_over.iter().flat_map(|messages| messages.iter()).collect();
    let mut threads = store(turn, &all).await?.into_iter();
    Ok(handed_over.iter().map(|messages| threads.by_ref().take(messages.len()).collect()).collect())
}

/// Stores `new`, each in its thread, and owes their events. The transaction may end along with it.
pub(super) async fn store(turn: &mut Turn<'_>, new: &[&NewMessage]) -> Result<Vec<ThreadId>, StoreError> {
    let mut rooms = places(turn, new).await?;
    let mut placed = Vec::with_capacity(new.len());
    for one in new {
        let place = rooms.get_mut(&one.message.summary.mailbox_id);
        let place = place.ok_or(sqlx::Error::RowNotFound).map_err(failed("find the mailbox of a new message"))?;
        let (thread, mut tells) = (place.thread_of(one), one.tells.clone());
        for tell in &mut tells {
            // A report's events are about another message, which they name with its thread, or about none.
            if tell.event.message_id.as_ref() == Some(&one.message.summary.id) {
                tell.event.thread_id = Some(thread.clone());
            }
        }
        placed.push(Placed { new: one, thread, tells });
    }
    let conn = turn.conn().await?;
    insert_all(conn, &placed).await?;
    let mut owed = Vec::new();
    for Placed { new, tells, .. } in &placed {
        let Place { mailbox, wanting, .. } = &rooms[&new.message.summary.mailbox_id];
        match tells.as_slice() {
            [Tell { event, .. }] if tells[0].is_inbound_of(mailbox) => {
                owed.extend(wanting.iter().map(|webhook| Owed { webhook, mailbox, event }));
            }
            tells => telling::tell_all(conn, mailbox, tells).await?,
        }
    }
    fanout::owe(turn, &owed).await?;
    Ok(placed.into_iter().map(|one| one.thread).collect())
}

/// A new message where it belongs.
struct Placed<'a> {
    new: &'a NewMessage,
    thread: ThreadId,
    tells: Vec<Tell>,
}

/// A mailbox that something comes into.
struct Place {
    mailbox: Mailbox,
    /// The webhooks that want to know what comes in.
    wanting: Vec<Wanting>,
    /// The threads there of some names.
    threads: HashMap<String, ThreadId>,
}

impl Place {
    /// The thread that `new` belongs to, which then has its names: the one that is known by the nearest of them, or else the
    /// new one that it brings along.
    fn thread_of(&mut self, new: &NewMessage) -> ThreadId {
        let names = threads::names(new);
        let known = names.iter().find_map(|name| self.threads.get(*name)).cloned();
        let thread = known.unwrap_or_else(|| new.message.summary.thread_id.clone());
        for name in names {
            self.threads.entry(name.to_owned()).or_insert_with(|| thread.clone());
        }
        thread
    }
}

/// The mailboxes that `new` come into, as far as they are there.
async fn places(turn: &mut Turn<'_>, new: &[&NewMessage]) -> Result<HashMap<MailboxId, Place>, StoreError> {
    const DOING: &str = "find where new messages belong";
    let mut asked: BTreeMap<&str, (Option<&str>, Vec<&str>)> = BTreeMap::new();
    for one in new {
        let (domain, names) = asked.entry(one.message.summary.mailbox_id.as_str()).or_default();
        names.extend(threads::names(one));
        // What came in is told of the mailbox itself, and it is for that alone that the webhooks are looked up.
        let came_in = one.tells.iter().find(|tell| tell.event.detail.kind() == EventKind::Inbound);
        let address = came_in.and_then(|tell| tell.event.mailbox.as_deref());
        *domain = domain.or(address.and_then(|address| address.rsplit_once('@')).map(|(_, domain)| domain));
    }
    let asked: Vec<_> = asked.into_iter().map(|(id, (domain, names))| (id, domain, names)).collect();
    let rows = turn.ask(&PLACES, DOING, |query| query.bind(to_json(&asked))).await?;
    let mut places = HashMap::with_capacity(rows.len());
    for row in &rows {
        let mailbox = rows::MailboxRow::from_row(row).map_err(failed(DOING))?.read()?;
        let wanting = fanout::wanting(row.try_get("candidates").map_err(failed(DOING))?, EventKind::Inbound)?;
        let corrupt =
            |_| StoreError::Corrupt { table: "thread_name", row: mailbox.id.to_string(), why: "it is no list" };
        let threads: Vec<(String, String)> =
            serde_json::from_str(row.try_get("threads").map_err(failed(DOING))?).map_err(corrupt)?;
        let threads = threads.into_iter().map(|(name, thread)| (name, ThreadId::new(thread))).collect();
        places.insert(mailbox.id.clone(), Place { mailbox, wanting, threads });
    }
    Ok(places)
}

/// Puts the rows of messages in, with their raw bytes, the names that they give to their threads, and their verdicts.
async fn insert_all(conn: &mut SqliteConnection, placed: &[Placed<'_>]) -> Result<(), StoreError> {
    for some in placed.chunks(TOGETHER_MAX) {
        let Some((text, some, _)) = INSERT.next(some) else { continue };
        let names = some.iter().flat_map(|one| {
            threads::names(one.new).into_iter().map(|name| (&one.new.message.summary.mailbox_id, name, &one.thread))
        });
        let verdicts = some.iter().filter_map(|one| {
            let Message { summary, verdict, .. } = &one.new.message;
            verdict.as_ref().map(|verdict| (&summary.id, to_json(verdict)))
        });
        let mut query = sqlx::query(text);
        for Placed { new, .. } in some {
            query = query.bind(&new.raw.name).bind(new.raw.bytes.clone());
        }
        query = query.bind(to_json(&names.collect::<Vec<_>>()));
        for Placed { new, thread, .. } in some {
            query = bind(query, new, thread);
        }
        let bytes: u64 = some.iter().map(|one| one.new.raw.size_bytes).sum();
        query = query.bind(i64::try_from(bytes).unwrap_or(i64::MAX)).bind(to_json(&verdicts.collect::<Vec<_>>()));
        query.execute(&mut *conn).await.map_err(failed("store messages"))?;
    }
    Ok(())
}

/// Puts the row of one message in, with all that it brings.
pub(super) async fn insert(conn: &mut SqliteConnection, new: &NewMessage, thread: &ThreadId) -> Result<(), StoreError> {
    insert_all(conn, &[Placed { new, thread: thread.clone(), tells: Vec::new() }]).await
}

/// Binds the columns of a message.
fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    new: &NewMessage,
    thread: &ThreadId,
) -> Query<'q, Sqlite, SqliteArguments> {
    let Message { summary, text, notes, .. } = &new.message;
    let sender = format!("{}\n{}", summary.from, summary.from_name.as_deref().unwrap_or("")).to_lowercase();
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
