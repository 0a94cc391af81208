-- Indexes of our own over what is random in events, or spread as widely: ids of others, threads, mailboxes. An index that SQLite
-- keeps is written with each event, and each of these then costs an event a page; these are written some thousands of events at a
-- time, in their own order, so that many of them share a page. The newest events are in none of them yet; they are read as they
-- lie. store::bell::indexing says how.

CREATE TABLE events_anew (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT, -- Rises in commit order, may skip, never repeats.
    origin        INTEGER NOT NULL,                  -- The source, in origins.
    event_id      TEXT NOT NULL,                     -- Unique within the source: whoever appends sees to it.
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
    detail        TEXT NOT NULL                      -- The fields of its kind, as JSON.
) STRICT;
INSERT INTO events_anew (seq, origin, event_id, kind, mailbox, domain, message_id, thread_id, action_id, timestamp, received_at, auth,
        provider_kind, detail)
    SELECT seq, origin, event_id, kind, mailbox, domain, message_id, thread_id, action_id, timestamp, received_at, auth,
        provider_kind, detail FROM events ORDER BY seq;
-- The places that were given, whether their events are there or not.
DELETE FROM sqlite_sequence WHERE name = 'events_anew';
INSERT INTO sqlite_sequence (name, seq) SELECT 'events_anew', seq FROM sqlite_sequence WHERE name = 'events';
DROP TABLE events;
ALTER TABLE events_anew RENAME TO events;

-- These have few places at which they grow.
CREATE INDEX events_domain ON events (domain, kind);
CREATE INDEX events_kind ON events (kind);
CREATE INDEX events_action ON events (action_id) WHERE action_id IS NOT NULL;

CREATE TABLE indexed (
    only    INTEGER PRIMARY KEY CHECK (only = 1), -- There is one row.
    through INTEGER NOT NULL                      -- The last seq whose event is in the tables below.
) STRICT;
INSERT INTO indexed (only, through) SELECT 1, coalesce(max(seq), 0) FROM events;

CREATE TABLE event_ids (
    origin   INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (origin, event_id)
) STRICT, WITHOUT ROWID;
INSERT INTO event_ids SELECT origin, event_id, seq FROM events ORDER BY origin, event_id;

CREATE TABLE event_messages (
    message_id TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (message_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO event_messages SELECT message_id, seq FROM events WHERE message_id IS NOT NULL ORDER BY message_id, seq;

CREATE TABLE event_threads (
    thread_id TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (thread_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO event_threads SELECT thread_id, seq FROM events WHERE thread_id IS NOT NULL ORDER BY thread_id, seq;

CREATE TABLE event_mailboxes (
    mailbox TEXT NOT NULL,
    kind    TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (mailbox, kind, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO event_mailboxes SELECT mailbox, kind, seq FROM events WHERE mailbox IS NOT NULL ORDER BY mailbox, kind, seq;
