//! What is forgotten.

pub(in super::super) const TAIL: &str = "SELECT tail FROM log WHERE only = 1";
pub(in super::super) const RAISE_TAIL: &str = "UPDATE log SET tail = max(tail, ?) WHERE only = 1";
pub(in super::super) const OLDEST_EVENTS: &str =
    "SELECT seq, kind, received_at FROM events WHERE seq >= ? ORDER BY seq LIMIT +?";
pub(in super::super) const CLAIM_STATES: &str =
    "SELECT seq, state FROM claims WHERE consumer = ? AND seq BETWEEN ? AND ?";
/// Notes that events up to a place went, along with others that went in the same hour: the place, now.
pub(in super::super) const NOTE_REMOVAL: &str = "UPDATE removals SET through = ?1, removed_at = ?2 \
     WHERE first = (SELECT max(first) FROM removals) AND removed_at / 3600000 = ?2 / 3600000";
/// The same where none did: the first place, the last, now.
pub(in super::super) const ADD_REMOVAL: &str = "INSERT INTO removals (first, through, removed_at) VALUES (?, ?, ?)";
pub(in super::super) const REMOVE_EVENTS: &str = "DELETE FROM events WHERE seq <= ?";
/// What is parked stays, for the operator to settle.
pub(in super::super) const REMOVE_CLAIMS: &str = "DELETE FROM claims WHERE seq <= ? AND state <> 'parked'";
/// The place whose id is known for the longest, and when it was removed.
pub(in super::super) const FIRST_REMOVAL: &str = "SELECT first, removed_at FROM removals ORDER BY first LIMIT 1";
/// The last place before which, and at which, all were removed before a time.
pub(in super::super) const LAST_BEFORE: &str = "SELECT max(through) FROM removals WHERE first < \
     coalesce((SELECT min(first) FROM removals WHERE removed_at >= ?), (SELECT max(first) + 1 FROM removals))";
/// The last of the next ids of an origin, and how many of them go: up to which place they go, the origin, after which id, how many.
pub(in super::super) const NEXT_IDS: &str = "SELECT max(event_id), count(*) FILTER (WHERE seq <= ?) FROM \
     (SELECT event_id, seq FROM event_ids WHERE origin = ? AND event_id > ? ORDER BY event_id LIMIT +?)";
pub(in super::super) const NEXT_ORIGIN: &str = "SELECT min(origin) FROM event_ids WHERE origin > ?";
/// Of an origin, after an id, up to another, and up to a place.
pub(in super::super) const FORGET_IDS: &str =
    "DELETE FROM event_ids WHERE origin = ? AND event_id > ? AND event_id <= ? AND seq <= ?";
/// What is to be noted when the ids up to a place are forgotten.
pub(in super::super) const NOTE_FORGOTTEN: [&str; 3] = [
    "DELETE FROM removals WHERE first <= ?1 AND through <= ?1",
    "UPDATE removals SET first = ?1 + 1 WHERE first <= ?1",
    "DELETE FROM skipped WHERE after <= ?1 AND after + places <= ?1",
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
    NOTE_REMOVAL,
    ADD_REMOVAL,
    REMOVE_EVENTS,
    REMOVE_CLAIMS,
    FIRST_REMOVAL,
    LAST_BEFORE,
    NEXT_IDS,
    NEXT_ORIGIN,
    FORGET_IDS,
    NOTE_FORGOTTEN[0],
    NOTE_FORGOTTEN[1],
    NOTE_FORGOTTEN[2],
    FORGET_QUARANTINE,
    OLDEST_AUDIT,
    NEWEST_AUDIT,
];
