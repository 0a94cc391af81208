//! The statements on received messages and watched folders.

macro_rules! message_columns {
    () => {
        "message_id, mailbox, thread_id, received_at, is_read, report, fields, tags"
    };
}

pub(super) const SOURCE_IS: &str = "SELECT 1 FROM sources WHERE name = ? AND created_at = ?";
pub(super) const FOLDERS: &str = "SELECT folder, uid_validity, last_uid, news_from, not_before, looked_at, trouble, trouble_since \
     FROM watched_folders WHERE source = ? ORDER BY folder";
pub(super) const KEEP_PLACE: &str = "INSERT INTO watched_folders \
     (source, folder, uid_validity, last_uid, news_from, not_before, looked_at) VALUES (?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (source, folder) DO UPDATE SET uid_validity = excluded.uid_validity, last_uid = excluded.last_uid, \
     news_from = excluded.news_from, not_before = excluded.not_before, looked_at = excluded.looked_at, trouble = NULL, trouble_since = NULL";
pub(super) const KEEP_TROUBLE: &str = "INSERT INTO watched_folders \
     (source, folder, last_uid, news_from, not_before, trouble, trouble_since) VALUES (?1, ?2, 0, 0, 0, ?3, ?4) \
     ON CONFLICT (source, folder) DO UPDATE SET trouble = excluded.trouble, \
     trouble_since = coalesce(trouble_since, excluded.trouble_since)";
pub(super) const KNOWN_IDS: &str = "SELECT r.identity FROM json_each(?) j \
     JOIN received_ids r ON r.source = ? AND r.identity = unhex(j.value)";
pub(super) const ADD_ID: &str = "INSERT INTO received_ids (source, identity) VALUES (?, ?) ON CONFLICT DO NOTHING";
pub(super) const THREAD_OF: &str = "SELECT thread_id FROM received_messages WHERE internet_id = ? AND mailbox = ? \
     ORDER BY id LIMIT 1";
pub(super) const ADD_MESSAGE: &str = "INSERT INTO received_messages \
     (message_id, source, mailbox, thread_id, internet_id, received_at, report, fields, body, reply, with_id, whole) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";
pub(super) const ADD_FILE: &str =
    "INSERT INTO received_files (message, place, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
pub(super) const IS_KEPT: &str = "SELECT 1 FROM received_messages WHERE message_id = ?";
/// What an event was told with: source, id, its place where that is in no index.
pub(super) const TOLD_WITH: &str = "SELECT message_id, thread_id FROM events WHERE seq = coalesce(?3, \
     (SELECT seq FROM event_ids WHERE origin = (SELECT id FROM origins WHERE name = ?1) AND event_id = ?2))";

/// From one mailbox to the next by the index, however many messages each has.
pub(super) const MAILBOXES: &str = "WITH RECURSIVE found (mailbox) AS (SELECT min(mailbox) FROM received_messages \
     UNION ALL SELECT (SELECT min(mailbox) FROM received_messages WHERE mailbox > found.mailbox) FROM found \
     WHERE found.mailbox IS NOT NULL) SELECT mailbox FROM found WHERE mailbox IS NOT NULL ORDER BY mailbox";
pub(super) const MESSAGE: &str = concat!("SELECT ", message_columns!(), " FROM received_messages WHERE message_id = ?");
pub(super) const TEXT: &str =
    concat!("SELECT ", message_columns!(), ", body, reply FROM received_messages WHERE message_id = ?");
pub(super) const FILE: &str = "SELECT f.bytes FROM received_messages m JOIN received_files f ON f.message = m.id \
     WHERE m.message_id = ? AND f.place = ?";
pub(super) const AT_PROVIDER: &str =
    "SELECT source, with_id, whole FROM received_messages WHERE message_id = ? AND with_id IS NOT NULL";
pub(super) const COMPLETE: &str = "UPDATE received_messages SET whole = 1, fields = ?2, body = ?3, reply = ?4 \
     WHERE message_id = ?1 AND whole = 0 RETURNING id";
pub(super) const ROW_OF: &str = "SELECT id FROM received_messages WHERE message_id = ?";
pub(super) const WEIGHT: &str = "SELECT messages, text_bytes, file_bytes FROM received_weight";
pub(super) const LIST: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM received_messages WHERE mailbox = ?1 AND received_at <= coalesce(?2, 9223372036854775807) \
     AND (?3 IS NULL OR thread_id = ?3) AND (?4 = 0 OR is_read = 0) \
     AND (?5 IS NULL OR instr(lower(fields ->> 'from' || ' ' || coalesce(fields ->> 'from_name', '')), lower(?5)) > 0) \
     AND (?6 IS NULL OR instr(lower(fields ->> 'subject'), lower(?6)) > 0) \
     AND (?7 IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) t WHERE t.key = ?7)) \
     AND (?8 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(tags) t WHERE t.key = ?8)) \
     ORDER BY received_at DESC, message_id DESC LIMIT +?9"
);
pub(super) const THREAD: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM (SELECT * FROM received_messages WHERE thread_id = ?1 ORDER BY received_at DESC, message_id DESC LIMIT +?2) \
     ORDER BY received_at, message_id"
);
pub(super) const MARK_READ: &str = "UPDATE received_messages SET is_read = 1 WHERE message_id = ? AND is_read = 0";
pub(super) const TAGS: &str = "SELECT tags FROM received_messages WHERE message_id = ?";
pub(super) const SET_TAGS: &str = "UPDATE received_messages SET tags = ? WHERE message_id = ?";
pub(in super::super) const FORGET: &str = "DELETE FROM received_messages WHERE id IN \
     (SELECT id FROM received_messages WHERE received_at < ? LIMIT +?)";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(in super::super) const ALL: &[&str] = &[
    SOURCE_IS,
    FOLDERS,
    KEEP_PLACE,
    KEEP_TROUBLE,
    KNOWN_IDS,
    ADD_ID,
    THREAD_OF,
    ADD_MESSAGE,
    ADD_FILE,
    IS_KEPT,
    TOLD_WITH,
    MAILBOXES,
    MESSAGE,
    TEXT,
    FILE,
    AT_PROVIDER,
    COMPLETE,
    ROW_OF,
    WEIGHT,
    LIST,
    THREAD,
    MARK_READ,
    TAGS,
    SET_TAGS,
    FORGET,
];
