//! The rows of tracking images and of their fetches.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{MailStore, fanout, json_list, mailboxes};
use crate::{
    domain::{
        clock::UnixMillis,
        event::{Detail, NewEvent},
        id::{MailboxId, MessageId, ThreadId},
    },
    store::{
        StoreError, failed,
        opens::{FETCHES_COUNTED_MAX, Fetch, Fetched, Image, OpenDay, Opens},
        readers::Readers,
    },
};

/// A day, in milliseconds.
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

const ADD: &str = "INSERT INTO tracking_image (token_hash, mailbox_id, message_id, recipient, created_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5)";
const IMAGE: &str = "SELECT i.mailbox_id, i.message_id, i.recipient, m.thread_id, d.fetches \
     FROM tracking_image i LEFT JOIN message m ON m.id = i.message_id \
     LEFT JOIN open_day d ON d.message_id = i.message_id AND d.recipient = i.recipient AND d.day = ?2 \
     WHERE i.token_hash = ?1";
const COUNT: &str = "INSERT INTO open_day (message_id, recipient, day, mailbox_id, fetches, by_machines, first_at, \
     last_at) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?6) ON CONFLICT (message_id, recipient, day) DO UPDATE SET \
     fetches = fetches + 1, by_machines = by_machines + excluded.by_machines, last_at = excluded.last_at \
     RETURNING fetches";
const OPENS_OF: &str = "SELECT recipient, fetches, by_machines, first_at, last_at FROM open_day \
     WHERE message_id = ?1 ORDER BY day, recipient";
/// Those of a JSON list that do.
const TRACKS: &str = "SELECT id FROM mailbox WHERE track_opens AND id IN (SELECT value FROM json_each(?1))";
const TRACK: &str = "UPDATE mailbox SET track_opens = ?2 WHERE id = ?1";

/// Whom an image is about, and how often it was fetched today.
struct Known {
    mailbox: MailboxId,
    message: MessageId,
    recipient: String,
    thread: Option<ThreadId>,
    fetches: u32,
}

impl Known {
    fn read(row: &SqliteRow) -> Self {
        Self {
            mailbox: MailboxId::new(row.get::<String, _>("mailbox_id")),
            message: MessageId::new(row.get::<String, _>("message_id")),
            recipient: row.get("recipient"),
            thread: row.get::<Option<String>, _>("thread_id").map(ThreadId::new),
            fetches: row.get::<Option<u32>, _>("fetches").unwrap_or(0),
        }
    }
}

async fn look(readers: &Readers, fetch: &Fetch, day: i64) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query(IMAGE)
        .bind(fetch.token_hash.as_slice())
        .bind(day)
        .fetch_optional(readers)
        .await
        .map_err(failed("look up a tracking image"))?;
    Ok(row.as_ref().map(Known::read))
}

async fn count(conn: &mut SqliteConnection, fetch: &Fetch, known: &Known, day: i64) -> Result<Fetched, StoreError> {
    // It may have gone since it was looked up.
    let Some(mailbox) = mailboxes::by_id(&mut *conn, &known.mailbox).await? else { return Ok(Fetched::Unknown) };
    let fetches: u32 = sqlx::query_scalar(COUNT)
        .bind(known.message.as_str())
        .bind(&known.recipient)
        .bind(day)
        .bind(known.mailbox.as_str())
        .bind(fetch.machine == Some(true))
        .bind(fetch.at.0)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("count the fetch of a tracking image"))?;
    if fetches > 1 {
        return Ok(Fetched::Repeat);
    }
    let event = NewEvent {
        event_id: fetch.event_id.clone(),
        mailbox: Some(mailbox.address.to_string()),
        message_id: Some(known.message.clone()),
        thread_id: known.thread.clone(),
        timestamp: fetch.at,
        provider_kind: None,
        detail: Detail::Open { recipient: recipient(known.recipient.clone()), machine: fetch.machine },
    };
    fanout::fan_out(conn, &mailbox, &event).await?;
    Ok(Fetched::First)
}

/// The column holds an empty text where there is none, so that it can be part of a key.
fn recipient(stored: String) -> Option<String> {
    Some(stored).filter(|recipient| !recipient.is_empty())
}

#[async_trait]
impl Opens for MailStore {
    async fn add_image(&self, image: &Image) -> Result<(), StoreError> {
        let image = image.clone();
        let write = self.database.writer.write(move |conn| {
            let image = image.clone();
            Box::pin(async move {
                sqlx::query(ADD)
                    .bind(image.token_hash.as_slice())
                    .bind(image.mailbox.as_str())
                    .bind(image.message.as_str())
                    .bind(image.recipient.as_deref().unwrap_or(""))
                    .bind(image.created_at.0)
                    .execute(conn)
                    .await
                    .map_err(failed("add a tracking image"))?;
                Ok(())
            })
        });
        write.await
    }

    async fn fetched(&self, fetch: &Fetch) -> Result<Fetched, StoreError> {
        let day = fetch.at.0.div_euclid(DAY_MILLIS);
        // Anyone can ask for an image; only one that is known and not worn out costs a write.
        let Some(known) = look(&self.database.readers, fetch, day).await? else { return Ok(Fetched::Unknown) };
        if known.fetches >= FETCHES_COUNTED_MAX {
            return Ok(Fetched::Repeat);
        }
        let asked = std::sync::Arc::new((fetch.clone(), known));
        let write = self.database.writer.write(move |conn| {
            let asked = asked.clone();
            Box::pin(async move { count(conn, &asked.0, &asked.1, day).await })
        });
        write.await
    }

    async fn opens_of(&self, message: &MessageId) -> Result<Vec<OpenDay>, StoreError> {
        let rows = sqlx::query(OPENS_OF)
            .bind(message.as_str())
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("list the opens of a message"))?;
        let read = |row: &SqliteRow| OpenDay {
            recipient: recipient(row.get("recipient")),
            fetches: row.get("fetches"),
            by_machines: row.get("by_machines"),
            first_at: UnixMillis(row.get("first_at")),
            last_at: UnixMillis(row.get("last_at")),
        };
        Ok(rows.iter().map(read).collect())
    }

    async fn tracks_opens(&self, mailbox: &MailboxId) -> Result<bool, StoreError> {
        let readers = self.database.readers.clone();
        let asked = self.looks.tracking.ask(mailbox.clone(), move |all| async move {
            let on: Vec<String> = sqlx::query_scalar(TRACKS)
                .bind(json_list(&all))
                .fetch_all(&readers)
                .await
                .map_err(failed("ask whether a mailbox tracks opens"))?;
            Ok(all.iter().map(|one| on.iter().any(|on| on == one.as_str())).collect())
        });
        asked.await
    }

    async fn track_opens(&self, mailbox: &MailboxId, on: bool) -> Result<bool, StoreError> {
        let mailbox = mailbox.clone();
        let write = self.database.writer.write(move |conn| {
            let mailbox = mailbox.clone();
            Box::pin(async move {
                let done = sqlx::query(TRACK)
                    .bind(mailbox.as_str())
                    .bind(on)
                    .execute(conn)
                    .await
                    .map_err(failed("set whether a mailbox tracks opens"))?;
                Ok(done.rows_affected() == 1)
            })
        });
        write.await
    }
}
