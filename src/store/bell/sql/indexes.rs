//! The indexes of our own over the log.

/// How far they reach, within a statement.
pub(in super::super) const THROUGH: &str = indexed_through!();
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

/// Takes what goes from the log, up to a place, out of each.
pub(in super::super) const REMOVE: [&str; 4] = [
    "DELETE FROM event_ids WHERE (origin, event_id) IN (SELECT origin, event_id FROM events WHERE seq <= ?)",
    "DELETE FROM event_messages WHERE (message_id, seq) IN (SELECT message_id, seq FROM events WHERE seq <= ?)",
    "DELETE FROM event_threads WHERE (thread_id, seq) IN (SELECT thread_id, seq FROM events WHERE seq <= ?)",
    "DELETE FROM event_mailboxes WHERE (mailbox, kind, seq) IN (SELECT mailbox, kind, seq FROM events WHERE seq <= ?)",
];

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[LOG_STATE, RECENT, RAISE_INDEXED, REMOVE[0], REMOVE[1], REMOVE[2], REMOVE[3]];
