//! An event as a row: which columns are read, and how they become words of the house again.

use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{Auth, Detail, Event, NewEvent},
        id::{EventId, MessageId, SourceName, ThreadId},
    },
    store::{StoreError, failed},
};

/// The event in a row that begins with [`super::sql::log::EVENT_COLUMNS`].
pub(super) fn event(row: &SqliteRow) -> Result<Event, StoreError> {
    let raw = raw(row).map_err(failed("read an event"))?;
    let corrupt = |why| StoreError::Corrupt { table: "events", row: raw.seq.to_string(), why };
    let detail: Detail = serde_json::from_str(&raw.detail).map_err(|_| corrupt("detail is not one of a known kind"))?;
    let auth = auth(&raw.auth).ok_or_else(|| corrupt("auth is no known word"))?;
    let source = raw.source.clone().ok_or_else(|| corrupt("its origin is not in origins"))?;
    Ok(Event {
        seq: Seq(raw.seq),
        source: SourceName::new(source),
        auth,
        received_at: UnixMillis(raw.received_at),
        fact: NewEvent {
            event_id: EventId::new(raw.event_id),
            mailbox: raw.mailbox,
            message_id: raw.message_id.map(MessageId::new),
            thread_id: raw.thread_id.map(ThreadId::new),
            timestamp: UnixMillis(raw.timestamp),
            provider_kind: raw.provider_kind,
            detail,
        },
    })
}

struct Raw {
    seq: i64,
    source: Option<String>,
    event_id: String,
    mailbox: Option<String>,
    message_id: Option<String>,
    thread_id: Option<String>,
    timestamp: i64,
    received_at: i64,
    auth: String,
    provider_kind: Option<String>,
    detail: String,
}

fn raw(row: &SqliteRow) -> Result<Raw, sqlx::Error> {
    Ok(Raw {
        seq: row.try_get(0)?,
        source: row.try_get(1)?,
        event_id: row.try_get(2)?,
        mailbox: row.try_get(3)?,
        message_id: row.try_get(4)?,
        thread_id: row.try_get(5)?,
        timestamp: row.try_get(6)?,
        received_at: row.try_get(7)?,
        auth: row.try_get(8)?,
        provider_kind: row.try_get(9)?,
        detail: row.try_get(10)?,
    })
}

fn auth(word: &str) -> Option<Auth> {
    Auth::ALL.into_iter().find(|auth| auth.as_str() == word)
}
