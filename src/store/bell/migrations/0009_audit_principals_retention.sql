-- The audit record, what tokens are narrowed to, and what retention leaves behind of events.

-- One row for each thing that happened, written in the transaction of that thing; rows are added at the new end and never
-- changed. Their ids have no gap. Sealed segments go at the old end.
CREATE TABLE audit (
    id    INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL, -- Unix milliseconds.
    what  TEXT NOT NULL,    -- The kind of entry: events, intent, result, leased, …
    entry TEXT NOT NULL,    -- The whole of it, as JSON.
    mac   BLOB NOT NULL     -- HMAC-SHA256 of the mac before it and of this row; the key is in a file outside.
) STRICT;

-- What was removed from the old end: its last row's mac, with which the row after it is still proved.
CREATE TABLE audit_segments (
    last      INTEGER PRIMARY KEY, -- The id of its last row.
    first     INTEGER NOT NULL,
    mac       BLOB NOT NULL,       -- Of its last row.
    sealed_at INTEGER NOT NULL,    -- Unix milliseconds.
    seal      BLOB NOT NULL        -- HMAC-SHA256 of this row and of the seal before it, by the same key.
) STRICT;

ALTER TABLE tokens ADD COLUMN may TEXT NOT NULL DEFAULT 'act' CHECK (may IN ('read', 'act')); -- Of agents' tokens.
ALTER TABLE tokens ADD COLUMN mailboxes TEXT;  -- Addresses, separated by spaces; null for all.
ALTER TABLE tokens ADD COLUMN human_present INTEGER NOT NULL DEFAULT 0 CHECK (human_present IN (0, 1));
ALTER TABLE tokens ADD COLUMN expires_at INTEGER; -- Unix milliseconds; null for never.

-- The ids of events that retention has removed: an event that is told again is still known.
CREATE TABLE removed_ids (
    origin     INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    seq        INTEGER NOT NULL, -- Where it was.
    removed_at INTEGER NOT NULL, -- Unix milliseconds.
    PRIMARY KEY (origin, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_ids_age ON removed_ids (removed_at);
