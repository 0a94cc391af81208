//! What is forgotten.

pub(in super::super) const TAIL: &str = "SELECT tail FROM log WHERE only = 1";
pub(in super::super) const RAISE_TAIL: &str = "UPDATE log SET tail = max(tail, ?) WHERE only = 1";
pub(in super::super) const OLDEST_EVENTS: &str =
    "SELECT seq, kind, received_at FROM events WHERE seq >= ? ORDER BY seq LIMIT +?";
pub(in super::super) const CLAIM_STATES: &str =
    "SELECT seq, state FROM claims WHERE consumer = ? AND seq BETWEEN ? AND ?";
/// Keeps the ids of events that go: now, seq.
pub(in super::super) const KEEP_IDS: &str = "INSERT OR FAIL INTO removed_ids (origin, event_id, seq, removed_at) \
     SELECT origin, event_id, seq, ? FROM events WHERE seq <= ? ON CONFLICT DO NOTHING";
pub(in super::super) const REMOVE_EVENTS: &str = "DELETE FROM events WHERE seq <= ?";
/// What is parked stays, for the operator to settle.
pub(in super::super) const REMOVE_CLAIMS: &str = "DELETE FROM claims WHERE seq <= ? AND state <> 'parked'";
/// When the id that was kept first was removed, its place, and the log's tail.
pub(in super::super) const OLDEST_ID: &str =
    "SELECT removed_at, seq, tail FROM removed_ids CROSS JOIN log ORDER BY removed_at LIMIT 1";
pub(in super::super) const FORGET_IDS: &str = "DELETE FROM removed_ids WHERE (origin, event_id) IN \
     (SELECT origin, event_id FROM removed_ids WHERE removed_at < ? LIMIT +?)";
pub(in super::super) const FORGET_QUARANTINE: &str =
    "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE last_at < ? LIMIT +?)";
pub(in super::super) const OLDEST_AUDIT: &str = "SELECT id, at FROM audit ORDER BY id LIMIT +?";
pub(in super::super) const NEWEST_AUDIT: &str = "SELECT max(id) FROM audit";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    TAIL,
    RAISE_TAIL,
    OLDEST_EVENTS,
    CLAIM_STATES,
    KEEP_IDS,
    REMOVE_EVENTS,
    REMOVE_CLAIMS,
    OLDEST_ID,
    FORGET_IDS,
    FORGET_QUARANTINE,
    OLDEST_AUDIT,
    NEWEST_AUDIT,
];
