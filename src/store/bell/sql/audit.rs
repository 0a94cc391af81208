//! The audit record.

pub(in super::super) const LAST_AUDIT: &str = "SELECT id, mac FROM audit ORDER BY id DESC LIMIT 1";
pub(in super::super) const FIRST_AUDIT: &str = "SELECT min(id) FROM audit";
pub(in super::super) const AUDIT_MAC: &str = "SELECT mac FROM audit WHERE id = ?";
/// Adds an entry, or none where it has no id.
pub(in super::super) const ADD_IF_ANY: &str = "INSERT OR FAIL INTO audit (id, at, what, entry, mac) \
     SELECT * FROM (VALUES (?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL";
/// Adds `rows` entries.
pub(in super::super) fn add_audit(rows: usize) -> String {
    let row = "(?, ?, ?, ?, ?)";
    format!("INSERT OR FAIL INTO audit (id, at, what, entry, mac) VALUES {row}{}", format!(", {row}").repeat(rows - 1))
}

pub(in super::super) const AUDIT_AFTER: &str =
    "SELECT id, at, what, entry, mac FROM audit WHERE id > ? ORDER BY id LIMIT +?";
pub(in super::super) const CUT_AUDIT: &str = "DELETE FROM audit WHERE id <= ?";
pub(in super::super) const LAST_SEAL: &str = "SELECT seal FROM audit_segments ORDER BY last DESC LIMIT 1";
pub(in super::super) const ADD_SEGMENT: &str =
    "INSERT INTO audit_segments (last, first, mac, sealed_at, seal) VALUES (?, ?, ?, ?, ?)";
pub(in super::super) const SEGMENTS: &str = "SELECT first, last, mac, seal FROM audit_segments ORDER BY last";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] =
    &[LAST_AUDIT, FIRST_AUDIT, AUDIT_MAC, ADD_IF_ANY, AUDIT_AFTER, CUT_AUDIT, LAST_SEAL, ADD_SEGMENT, SEGMENTS];
