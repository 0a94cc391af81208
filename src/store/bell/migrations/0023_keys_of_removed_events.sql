-- What retention removes leaves the indexes of our own later, many events at once and in each index's own order; until then it stands
-- here by what it is found. The ids stay in event_ids, as long as an event that is told again is to be known: an event whose seq is
-- below the log's tail has been removed.

CREATE TABLE removed_ids_anew (
    seq        INTEGER PRIMARY KEY, -- Where it was.
    origin     INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    removed_at INTEGER NOT NULL     -- Unix milliseconds.
) STRICT;
INSERT OR IGNORE INTO removed_ids_anew (seq, origin, event_id, removed_at)
    SELECT seq, origin, event_id, removed_at FROM removed_ids ORDER BY seq;
INSERT OR IGNORE INTO event_ids (origin, event_id, seq) SELECT origin, event_id, seq FROM removed_ids ORDER BY origin, event_id;
DROP TABLE removed_ids;
ALTER TABLE removed_ids_anew RENAME TO removed_ids;

CREATE TABLE removed_keys (
    seq        INTEGER PRIMARY KEY,
    message_id TEXT,
    thread_id  TEXT,
    mailbox    TEXT,
    kind       TEXT NOT NULL
) STRICT;
