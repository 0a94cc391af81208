//! The indexes of our own over the log.

/// How far they reach, within a statement.
pub(in super::super) const THROUGH: &str = indexed_through!();
/// Where they begin, within a statement: what they hold up to there has been removed.
pub(in super::super) const BEYOND: &str = removed_through!();
/// How far the indexes reach, and the newest event.
pub(in super::super) const LOG_STATE: &str = concat!(
    "SELECT ",
    indexed_through!(),
    ", n.seq, n.event_id FROM log LEFT JOIN events n ON n.seq = (SELECT max(seq) FROM events) WHERE only = 1"
);
/// What [`super::super::recent`] keeps of those that are in none of them.
pub(in super::super) const RECENT: &str = concat!(
    "SELECT (SELECT name FROM origins WHERE id = e.origin), e.auth, e.seq, e.origin, e.event_id, e.kind, e.message_id, e.thread_id, \
     e.mailbox FROM events e WHERE e.seq > ",
    indexed_through!(),
    " ORDER BY e.seq"
);
pub(in super::super) const RAISE_INDEXED: &str = "UPDATE indexed SET through = max(through, ?) WHERE only = 1";

/// Inserts `rows` of so many `columns` into `table`, but what retention has removed meanwhile: the last column is the event's place.
pub(in super::super) fn insert(table: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    format!(
        "INSERT OR IGNORE INTO {table} SELECT * FROM (VALUES {}) WHERE column{columns} >= (SELECT tail FROM log WHERE only = 1)",
        crate::store::many::rows(&row, rows)
    )
}

/// Has the ids of events that go before they were indexed indexed: seq.
pub(in super::super) const INDEX_IDS: &str = concat!(
    "INSERT OR IGNORE INTO event_ids SELECT origin, event_id, seq FROM events WHERE seq > ",
    indexed_through!(),
    " AND seq <= ?"
);
/// Keeps by what events that go are found in the other indexes: seq.
pub(in super::super) const KEEP_KEYS: &str = "INSERT OR FAIL INTO removed_keys (seq, message_id, thread_id, mailbox, kind) \
     SELECT seq, message_id, thread_id, mailbox, kind FROM events WHERE seq <= ?";
/// Those of the events that were removed first.
pub(in super::super) const REMOVED_KEYS: &str =
    "SELECT seq, message_id, thread_id, mailbox, kind FROM removed_keys ORDER BY seq LIMIT +?";
pub(in super::super) const FORGET_KEYS: &str = "DELETE FROM removed_keys WHERE seq <= ?";
/// Each takes from its index what a JSON list names, up to a place.
pub(in super::super) const TAKE_MESSAGES: &str =
    "DELETE FROM event_messages WHERE message_id IN (SELECT value FROM json_each(?)) AND seq <= ?";
pub(in super::super) const TAKE_THREADS: &str =
    "DELETE FROM event_threads WHERE thread_id IN (SELECT value FROM json_each(?)) AND seq <= ?";
/// It names pairs: mailbox, kind.
pub(in super::super) const TAKE_MAILBOXES: &str = "DELETE FROM event_mailboxes WHERE (mailbox, kind) IN \
     (SELECT value ->> 0, value ->> 1 FROM json_each(?)) AND seq <= ?";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    LOG_STATE,
    RECENT,
    RAISE_INDEXED,
    INDEX_IDS,
    KEEP_KEYS,
    REMOVED_KEYS,
    FORGET_KEYS,
    TAKE_MESSAGES,
    TAKE_THREADS,
    TAKE_MAILBOXES,
];
