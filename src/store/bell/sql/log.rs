//! The event log, who tells in it, and where messages are.

/// What [`super::super::events::event`] reads, from `events e`, in its order.
pub(in super::super) const EVENT_COLUMNS: &str = event_columns!();

pub(in super::super) const LOG: &str = "SELECT log_id FROM log WHERE only = 1";
pub(in super::super) const ADD_LOG: &str =
    "INSERT INTO log (only, log_id, tail) VALUES (1, ?, 1) ON CONFLICT DO NOTHING";
pub(in super::super) const EXTENT: &str = concat!("SELECT tail, ", head!(), " FROM log WHERE only = 1");
pub(in super::super) const EVENT_BY_ID: &str =
    concat!("SELECT ", event_columns!(), " FROM events e WHERE e.origin = ? AND e.event_id = ?");
pub(in super::super) const EVENT_BY_SEQ: &str = concat!("SELECT ", event_columns!(), " FROM events e WHERE e.seq = ?");
pub(in super::super) const ORIGIN: &str = "SELECT id FROM origins WHERE name = ?";
pub(in super::super) const ADD_ORIGIN: &str = "INSERT INTO origins (name) VALUES (?) RETURNING id";
/// The events that tell of one of a JSON list of messages that it came in, and whether an API's list told it.
pub(in super::super) const ARRIVED: &str = "SELECT e.origin, e.message_id, e.seq, e.auth = 'api' FROM json_each(?) j \
     CROSS JOIN events e INDEXED BY events_message ON e.message_id = j.value WHERE e.kind = 'inbound'";
/// Those of a JSON list of ids (`?2`) of a source (`?1`) that are known: each with the place it was removed from, or none
/// where it is in the log.
pub(in super::super) const KNOWN: &str = "SELECT j.value, r.seq FROM json_each(?2) j \
     LEFT JOIN removed_ids r ON r.origin = ?1 AND r.event_id = j.value \
     LEFT JOIN events e ON e.origin = ?1 AND e.event_id = j.value WHERE r.seq IS NOT NULL OR e.seq IS NOT NULL";
/// Inserts `rows` events.
pub(in super::super) fn insert_events(rows: usize) -> String {
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    format!(
        "INSERT INTO events (origin, event_id, kind, mailbox, domain, message_id, thread_id, action_id, timestamp, \
         received_at, auth, provider_kind, detail) VALUES {row}{}",
        format!(", {row}").repeat(rows - 1)
    )
}

pub(in super::super) const RECEIVED_AT: &str = "SELECT received_at FROM events WHERE seq = ?";
/// Those of a JSON list of messages that are not known to be in a mailbox.
pub(in super::super) const UNPLACED: &str = "SELECT value FROM json_each(?) WHERE NOT EXISTS \
     (SELECT 1 FROM message_mailboxes WHERE message_id = value AND mailbox_id = ?)";
pub(in super::super) const PLACE: &str = "INSERT INTO message_mailboxes (message_id, mailbox_id) SELECT value, ? FROM json_each(?) \
     WHERE true ON CONFLICT (message_id) DO UPDATE SET mailbox_id = excluded.mailbox_id";
pub(in super::super) const CAP_PLACES: &str =
    "DELETE FROM message_mailboxes WHERE id <= (SELECT max(id) FROM message_mailboxes) - ?";
pub(in super::super) const MAILBOX_OF: &str = "SELECT mailbox_id FROM message_mailboxes WHERE message_id = ?";
pub(in super::super) const DATA_VERSION: &str = "PRAGMA data_version";
pub(in super::super) const NEWS: &str = "SELECT seq, mailbox FROM events WHERE seq > ? ORDER BY seq LIMIT ?";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    LOG,
    ADD_LOG,
    EXTENT,
    EVENT_BY_ID,
    EVENT_BY_SEQ,
    ORIGIN,
    ADD_ORIGIN,
    ARRIVED,
    KNOWN,
    RECEIVED_AT,
    UNPLACED,
    PLACE,
    CAP_PLACES,
    MAILBOX_OF,
    DATA_VERSION,
    NEWS,
];
