-- The mailroom: mailboxes, their messages, the threads these form, and tags.

CREATE TABLE mailbox (
    id           TEXT PRIMARY KEY,
    address      TEXT NOT NULL UNIQUE,  -- lower-cased
    display_name TEXT,
    created_at   INTEGER NOT NULL       -- Unix milliseconds
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    -- The order of commits: it rises and never repeats, so that a page or a `since_id` can miss nothing.
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    mailbox_id   TEXT NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    thread_id    TEXT NOT NULL,
    direction    TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    status       TEXT NOT NULL CHECK (status <> ''),
    sender       TEXT NOT NULL,         -- the address in From
    sender_name  TEXT,
    recipients   TEXT NOT NULL,         -- JSON list: the addresses in To
    cc           TEXT NOT NULL,         -- JSON list
    subject      TEXT NOT NULL,
    snippet      TEXT NOT NULL,
    received_at  INTEGER NOT NULL,      -- Unix milliseconds
    auto         INTEGER NOT NULL CHECK (auto IN (0, 1)),
    attachment_count INTEGER NOT NULL,
    attachments  TEXT NOT NULL,         -- JSON list of {name, content_type, size_bytes}
    internet_id  TEXT,                  -- Message-ID without angle brackets
    envelope_from TEXT NOT NULL,        -- empty: the null sender
    blob         TEXT NOT NULL,         -- SHA-256 of the raw bytes, in hexadecimal: the name of their file; may be shared
    size_bytes   INTEGER NOT NULL,      -- of the raw bytes
    notes        TEXT NOT NULL,         -- JSON list
    -- In lower case, because LIKE takes only ASCII letters in any case.
    sender_folded  TEXT NOT NULL,       -- address and name
    subject_folded TEXT NOT NULL,
    -- Last, because SQLite reads a row from its front: a list never touches the pages that a long text spills into.
    text         TEXT NOT NULL
) STRICT;

-- Each of these ends in the rowid, which is `seq`: equality on its columns, then the order of a page.
CREATE INDEX message_by_mailbox ON message (mailbox_id);
CREATE INDEX message_by_thread ON message (mailbox_id, thread_id);
CREATE INDEX message_by_time ON message (mailbox_id, received_at);
CREATE INDEX message_unread ON message (mailbox_id) WHERE status = 'unread';
CREATE INDEX message_outbound ON message (mailbox_id) WHERE direction = 'outbound';
CREATE INDEX message_attached ON message (mailbox_id) WHERE attachment_count > 0;

-- Every Message-ID that a message of a thread bears or refers to. A reply finds its thread here, also when it came before
-- what it answers, or when that was never seen here.
CREATE TABLE thread_name (
    mailbox_id   TEXT NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    internet_id  TEXT NOT NULL,
    thread_id    TEXT NOT NULL,
    PRIMARY KEY (mailbox_id, internet_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag (
    seq          INTEGER NOT NULL REFERENCES message (seq) ON DELETE CASCADE,
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    mailbox_id   TEXT NOT NULL,         -- the message's, so that one index finds a mailbox's tagged messages in order
    PRIMARY KEY (seq, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX tag_by_key ON tag (mailbox_id, key, seq);
