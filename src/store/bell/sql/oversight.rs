//! What an operator has set, and what waits for one.

/// The house's row has no mailbox.
pub(in super::super) const RULES: &str = "SELECT NULL AS mailbox, mode, paused, \
     EXISTS (SELECT 1 FROM tokens WHERE scope = 'operator') AS operator FROM oversight \
     UNION ALL SELECT mailbox, mode, 0, 0 FROM oversight_modes";
pub(in super::super) const SET_MODE: &str = "UPDATE oversight SET mode = ?";
pub(in super::super) const SET_MAILBOX_MODE: &str = "INSERT INTO oversight_modes (mailbox, mode) VALUES (?1, ?2) \
     ON CONFLICT (mailbox) DO UPDATE SET mode = ?2";
pub(in super::super) const UNSET_MAILBOX_MODE: &str = "DELETE FROM oversight_modes WHERE mailbox = ?";
pub(in super::super) const SET_PAUSED: &str = "UPDATE oversight SET paused = ?";
pub(in super::super) const ALIKE: &str = "SELECT id FROM actions WHERE alike = ?1 \
     AND (state IN ('scheduled', 'pending', 'approved', 'running') OR (?2 AND named AND created_at > ?3)) ORDER BY n DESC LIMIT 1";
pub(in super::super) const WAITING: &str = "SELECT count(*), coalesce(sum(length(effect)), 0) FROM actions WHERE state IN ('scheduled', 'pending', 'approved', 'running')";
pub(in super::super) const KEEP_ACTION: &str = "INSERT INTO actions (id, state, effect, digest, alike, named, summary, asker, \
     mailbox, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
pub(in super::super) const ASK_ABOUT: &str =
    "UPDATE actions SET state = 'pending' WHERE state = 'scheduled' AND expires_at <= ?";
/// Whether anything is approved, or is to be asked about (`?1`) or has expired (`?2`) by now.
pub(in super::super) const HAS_ERRANDS: &str = "SELECT EXISTS (SELECT 1 FROM actions WHERE state = 'approved') \
     OR EXISTS (SELECT 1 FROM actions WHERE state = 'scheduled' AND expires_at <= ?1) \
     OR EXISTS (SELECT 1 FROM actions WHERE state = 'pending' AND expires_at <= ?2)";
pub(in super::super) const ACTION: &str = "SELECT id, state, effect, digest, summary, asker, mailbox, created_at, expires_at, \
     decided_at, note FROM actions WHERE id = ?";
pub(in super::super) const ACTIONS_IN: &str = "SELECT id, state, CASE WHEN ?1 THEN effect END AS effect, digest, summary, asker, \
     mailbox, created_at, expires_at, decided_at, note FROM actions WHERE state = ?2 ORDER BY n DESC LIMIT +?3";
pub(in super::super) const ACTIONS: &str = "SELECT id, state, CASE WHEN ?1 THEN effect END AS effect, digest, summary, asker, \
     mailbox, created_at, expires_at, decided_at, note FROM actions ORDER BY n DESC LIMIT +?2";
pub(in super::super) const DECIDABLE: &str = "SELECT state, digest, expires_at FROM actions WHERE id = ?";
pub(in super::super) const MOVE_ACTION: &str = "UPDATE actions SET state = ?3, effect = CASE WHEN ?4 THEN NULL ELSE effect END, \
     note = coalesce(?5, note), decided_at = coalesce(decided_at, ?6) WHERE id = ?1 AND state = ?2";
pub(in super::super) const KEEP_CODE: &str =
    "INSERT INTO upgrade_codes (sha256, mailbox, mode, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
pub(in super::super) const USE_CODE: &str =
    "DELETE FROM upgrade_codes WHERE sha256 = ? AND mailbox = ? AND expires_at > ? RETURNING mode";
pub(in super::super) const NOTE_MESSAGE: &str = "UPDATE actions SET message_id = ?2 WHERE id = ?1";
pub(in super::super) const MESSAGE_OF: &str = "SELECT message_id FROM actions WHERE id = ?";

pub(in super::super) const ACTIONS_ABOUT: &str = "SELECT id, state, NULL AS effect, digest, summary, asker, mailbox, created_at, \
     expires_at, decided_at, note FROM actions WHERE message_id = ? ORDER BY n DESC LIMIT +?";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    ACTIONS_ABOUT,
    RULES,
    SET_MODE,
    SET_MAILBOX_MODE,
    UNSET_MAILBOX_MODE,
    SET_PAUSED,
    ALIKE,
    WAITING,
    KEEP_ACTION,
    ASK_ABOUT,
    HAS_ERRANDS,
    ACTION,
    ACTIONS_IN,
    ACTIONS,
    DECIDABLE,
    MOVE_ACTION,
    KEEP_CODE,
    USE_CODE,
    NOTE_MESSAGE,
    MESSAGE_OF,
];
