//! Messages that events of webhooks bring, kept in the transaction of their events.
//!
//! A provider's id of a message may be one that its sender chose. So it names the message here only while no other does;
//! the next of that id, or the copy of the same for another recipient, has an id of ours, which its event then tells.

use std::collections::HashSet;

use sqlx::{Row as _, SqliteConnection};

use super::{
    super::{append::Post, recent::Recent},
    add, sql, thread_of,
};
use crate::{
    domain::id::{MessageId, SourceName, ThreadId, is_bare},
    store::{StoreError, failed, log::Ingested, received::NewMessage},
};

/// The post with the ids by which its messages are read: of an event that is known, those that it was told with. The newest of
/// those are in `recent`, which is brought up to date.
pub(in super::super) async fn prepared(
    conn: &mut SqliteConnection,
    recent: &mut Recent,
    post: &Post,
) -> Result<Post, StoreError> {
    let mut post = post.clone();
    recent.follow_log(conn).await?;
    let mut given = HashSet::new();
    for row in &mut post.rows {
        let Some(message) = row.message.clone() else { continue };
        let event = &mut row.event;
        if let Some((id, thread)) = told_before(conn, recent, &post.source, event.event_id.as_str()).await? {
            if id.as_ref() == Some(&message.id) {
                event.message_id = id;
            }
            if event.thread_id.is_none() {
                event.thread_id = thread;
            }
            continue;
        }
        let named = event.message_id.clone().filter(|id| is_bare(id.as_str()) && !given.contains(id));
        let id = match named {
            Some(id) if !is_taken(conn, &id).await? => id,
            _ => message.id.clone(),
        };
        given.insert(id.clone());
        event.message_id = Some(id);
        if event.thread_id.is_none() {
            event.thread_id = Some(thread_of(conn, &message).await?);
        }
    }
    Ok(post)
}

/// Keeps the messages of those events that are new.
pub(in super::super) async fn keep(
    conn: &mut SqliteConnection,
    post: &Post,
    endings: &[Ingested],
) -> Result<(), StoreError> {
    for (row, ending) in post.rows.iter().zip(endings) {
        let (Some(message), Ingested::Fresh(_)) = (&row.message, ending) else { continue };
        let NewMessage { id, thread_id, .. } = &**message;
        let (id, thread) =
            (row.event.message_id.as_ref().unwrap_or(id), row.event.thread_id.as_ref().unwrap_or(thread_id));
        // Its event was forgotten before it, and told anew.
        if !is_taken(conn, id).await? {
            add(conn, &post.source, (id, thread), message).await?;
        }
    }
    Ok(())
}

async fn is_taken(conn: &mut SqliteConnection, id: &MessageId) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar::<_, i64>(sql::IS_KEPT).bind(id.as_str()).fetch_optional(conn).await;
    Ok(found.map_err(failed("look whether a message is known"))?.is_some())
}

/// The message and the thread that an event was told with.
async fn told_before(
    conn: &mut SqliteConnection,
    recent: &Recent,
    source: &SourceName,
    event: &str,
) -> Result<Option<(Option<MessageId>, Option<ThreadId>)>, StoreError> {
    let doing = "look up what an event was told with";
    let place = recent.place(source, event).map(|seq| seq.0);
    let told = sqlx::query(sql::TOLD_WITH).bind(source.as_str()).bind(event).bind(place);
    let row = told.fetch_optional(conn).await.map_err(failed(doing))?;
    let Some(row) = row else { return Ok(None) };
    let text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(failed(doing));
    Ok(Some((text("message_id")?.map(MessageId::new), text("thread_id")?.map(ThreadId::new))))
}
