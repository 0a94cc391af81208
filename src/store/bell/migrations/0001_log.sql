-- The event log: rows are added at the new end and, by retention, removed at the old one; none is ever changed.

CREATE TABLE log (
    only   INTEGER PRIMARY KEY CHECK (only = 1), -- There is one row.
    log_id TEXT NOT NULL,                        -- Part of every cursor; a restored log is given a new one.
    tail   INTEGER NOT NULL                      -- The oldest seq that retention has not removed.
) STRICT;

-- The names of sources, as small numbers for the events to carry. A source that is removed keeps its number, so that its
-- events keep their source and a source added anew under the name still knows its duplicates.
CREATE TABLE origins (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE events (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT, -- Rises in commit order, may skip, never repeats.
    origin        INTEGER NOT NULL,                  -- The source, in origins.
    event_id      TEXT NOT NULL,                     -- Unique within the source.
    kind          TEXT NOT NULL,                     -- inbound, delivery, bounce, …
    mailbox       TEXT,                              -- Lower-cased address.
    domain        TEXT,                              -- What follows the mailbox's @, for the index.
    message_id    TEXT,
    thread_id     TEXT,
    action_id     TEXT,                              -- Of approvals only.
    timestamp     INTEGER NOT NULL,                  -- When it happened, by the source's clock, in Unix milliseconds.
    received_at   INTEGER NOT NULL,                  -- By our clock, in Unix milliseconds.
    auth          TEXT NOT NULL,                     -- How the source proved itself.
    provider_kind TEXT,                              -- The source's own name for the kind, where it differs.
    detail        TEXT NOT NULL,                     -- The fields of its kind, as JSON.
    UNIQUE (origin, event_id)
) STRICT;

-- seq is the rowid, which SQLite appends to every index: each of these is read in order of seq. The kind stands in the
-- index beside mailbox and domain, because those are often narrowed by it.
CREATE INDEX events_mailbox ON events (mailbox, seq, kind);
CREATE INDEX events_domain ON events (domain, seq, kind);
CREATE INDEX events_kind ON events (kind);
CREATE INDEX events_thread ON events (thread_id);
CREATE INDEX events_message ON events (message_id);
CREATE INDEX events_action ON events (action_id) WHERE action_id IS NOT NULL;
