//! The event log, who tells in it, and where messages are.

use super::audit::ADD_IF_ANY;

/// The number of the source `?1`.
macro_rules! origin {
    () => {
        "(SELECT id FROM origins WHERE name = ?1)"
    };
}

/// What [`super::super::events::event`] reads, from `events e`, in its order.
pub(in super::super) const EVENT_COLUMNS: &str = event_columns!();

pub(in super::super) const LOG: &str = "SELECT log_id FROM log WHERE only = 1";
pub(in super::super) const ADD_LOG: &str =
    "INSERT INTO log (only, log_id, tail) VALUES (1, ?, 1) ON CONFLICT DO NOTHING";
/// Notes the boot, where it is another one than it was, or may be: `?2` is what stands for one that has no name.
pub(in super::super) const SET_BOOT: &str = "INSERT INTO boot (only, boot_id) VALUES (1, ?1)
     ON CONFLICT (only) DO UPDATE SET boot_id = excluded.boot_id WHERE boot_id <> excluded.boot_id OR boot_id = ?2";
/// Notes that so many places are skipped, and skips them.
pub(in super::super) const NOTE_SKIP: &str =
    "INSERT INTO skipped (after, places) SELECT seq, ? FROM sqlite_sequence WHERE name = 'events'";
pub(in super::super) const SKIPPED: &str = "SELECT after, places FROM skipped ORDER BY after DESC";
/// But of what is counted by its number, which no one has seen.
pub(in super::super) const SKIP: &str = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name <> 'message_mailboxes'";
/// Begins to count events, so that there is something to skip from before the first of them is on the disk.
pub(in super::super) const COUNT_EVENTS: &str = "INSERT INTO sqlite_sequence (name, seq)
     SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events')";
pub(in super::super) const EXTENT: &str = concat!("SELECT tail, ", head!(), " FROM log WHERE only = 1");
pub(in super::super) const EVENT_BY_SEQ: &str = concat!("SELECT ", event_columns!(), " FROM events e WHERE e.seq = ?");
pub(in super::super) const ADD_ORIGIN: &str = "INSERT INTO origins (name) VALUES (?) RETURNING id";
/// What events of a source (`?1`) meet in the log: its number, the version of the sources, the end of the audit record, and the
/// last place that was given to an event, by SQLite's own rule; those of a list of ids (`?2`) that are known to the indexes, each with
/// the place where it is or was; the source's events there that tell of one of a list of messages (`?3`) that it came in, each with
/// whether an API's list told it; of another list of messages (`?4`), those alone that an API's list told; how far retention has
/// removed, and the indexes reach; and the newest event.
pub(in super::super) const LOOK: &str = concat!(
    "SELECT ",
    origin!(),
    ", s.version, a.id, a.mac, \
     max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), coalesce((SELECT max(seq) FROM events), 0)), \
     (SELECT json_group_array(json_array(j.value, i.seq)) FROM json_each(?2) j \
     CROSS JOIN event_ids i ON i.origin = ",
    origin!(),
    " AND i.event_id = j.value), \
     (SELECT json_group_array(json_array(message_id, seq, json(iif(auth = 'api', 'true', 'false')))) FROM (\
     SELECT e.message_id, e.seq, e.auth FROM json_each(?3) j CROSS JOIN event_messages i ON i.message_id = j.value \
     CROSS JOIN events e ON e.seq = i.seq WHERE e.kind = 'inbound' AND e.origin = ",
    origin!(),
    " UNION ALL SELECT e.message_id, e.seq, e.auth FROM json_each(?4) j CROSS JOIN events e INDEXED BY events_listed \
     ON e.message_id = j.value WHERE e.auth = 'api' AND e.kind = 'inbound' AND e.origin = ",
    origin!(),
    ")), ",
    removed_through!(),
    ", ",
    indexed_through!(),
    ", n.seq, n.event_id FROM roster s LEFT JOIN audit a ON a.id = (SELECT max(id) FROM audit) \
     LEFT JOIN events n ON n.seq = (SELECT max(seq) FROM events) WHERE s.only = 1"
);
/// Inserts an entry of the audit record, where it has an id, and `rows` events, or as many as there are before those that have no
/// source. In one round trip: between the thread that writes the database and its caller lies a hand-over.
pub(in super::super) fn insert_events(rows: usize) -> String {
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    format!(
        "{ADD_IF_ANY}; INSERT OR FAIL INTO events (origin, event_id, kind, mailbox, domain, message_id, thread_id, action_id, timestamp, \
         received_at, auth, provider_kind, detail) SELECT * FROM (VALUES {row}{}) WHERE column1 IS NOT NULL",
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
pub(in super::super) const NEWS: &str = "SELECT seq, mailbox FROM events WHERE seq > ? ORDER BY seq LIMIT +?";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    LOG,
    ADD_LOG,
    SET_BOOT,
    NOTE_SKIP,
    SKIPPED,
    SKIP,
    COUNT_EVENTS,
    EXTENT,
    EVENT_BY_SEQ,
    ADD_ORIGIN,
    LOOK,
    RECEIVED_AT,
    UNPLACED,
    PLACE,
    CAP_PLACES,
    MAILBOX_OF,
    DATA_VERSION,
    NEWS,
];
