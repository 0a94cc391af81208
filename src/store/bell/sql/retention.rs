//! What is forgotten.

pub(in super::super) const TAIL: &str = "SELECT tail FROM log WHERE only = 1";
pub(in super::super) const RAISE_TAIL: &str = "UPDATE log SET tail = max(tail, ?) WHERE only = 1";
pub(in super::super) const OLDEST_EVENTS: &str =
    "SELECT seq, kind, received_at FROM events WHERE seq >= ? ORDER BY seq LIMIT +?";
pub(in super::super) const CLAIM_STATES: &str =
    "SELECT seq, state FROM claims WHERE consumer = ? AND seq BETWEEN ? AND ?";
/// Keeps the ids of events that go: now, seq.
pub(in super::super) const KEEP_IDS: &str = "INSERT OR FAIL INTO removed_ids (seq, origin, event_id, removed_at) \
     SELECT seq, origin, event_id, ? FROM events WHERE seq <= ?";
pub(in super::super) const REMOVE_EVENTS: &str = "DELETE FROM events WHERE seq <= ?";
/// What is parked stays, for the operator to settle.
pub(in super::super) const REMOVE_CLAIMS: &str = "DELETE FROM claims WHERE seq <= ? AND state <> 'parked'";
/// The last of so many ids, from the one that was removed first, that is too old or one too many: how many, before when, up to which
/// place.
pub(in super::super) const LAST_ID: &str = "SELECT max(seq) FROM \
     (SELECT seq, removed_at FROM removed_ids ORDER BY seq LIMIT +?1) \
     WHERE removed_at < ?2 OR seq <= ?3";
/// The two that forget ids up to a place.
pub(in super::super) const FORGET_IDS: [&str; 2] = [
    "DELETE FROM event_ids WHERE (origin, event_id, seq) IN (SELECT origin, event_id, seq FROM removed_ids WHERE seq <= ?)",
    "DELETE FROM removed_ids WHERE seq <= ?",
];
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
    LAST_ID,
    FORGET_IDS[0],
    FORGET_IDS[1],
    FORGET_QUARANTINE,
    OLDEST_AUDIT,
    NEWEST_AUDIT,
];
