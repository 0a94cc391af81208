-- What we send: who each message is for, how far it got, what was told of it, and whom we no longer write to.

CREATE TABLE outbound (
    message_id      TEXT PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    mailbox_id      TEXT NOT NULL,
    token           TEXT NOT NULL UNIQUE,  -- secret: its envelope sender is b+TOKEN at the mailbox's domain
    bcc             TEXT NOT NULL,         -- JSON list; no header of the message names them
    idempotency_key TEXT,                  -- until somebody uses it again after its day
    answers         TEXT,                  -- the message that it replies to
    digest          BLOB,                  -- of a reply's content, so that the same one is not sent twice
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX outbound_key ON outbound (mailbox_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX outbound_answers ON outbound (answers, created_at) WHERE answers IS NOT NULL;

-- One address that a message is for. It is the unit of the queue: each gets its own answer.
CREATE TABLE recipient (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id   TEXT NOT NULL REFERENCES outbound ON DELETE CASCADE,
    mailbox_id   TEXT NOT NULL,
    address      TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('queued', 'accepted', 'failed', 'cancelled')),
    due_at       INTEGER,                  -- of the next try, wall clock; NULL once none follows
    attempts     INTEGER NOT NULL DEFAULT 0,
    since        INTEGER,                  -- the first try; giving up counts from it
    round        INTEGER NOT NULL DEFAULT 0,  -- 1 once it was given up and somebody asked for one more try
    last_reply   TEXT,                     -- what was last said of it, to the letter
    planned_at   INTEGER NOT NULL,         -- of the first try: what the hourly limits count
    UNIQUE (message_id, address),
    CHECK ((state = 'queued') = (due_at IS NOT NULL))
) STRICT;

CREATE INDEX recipient_due ON recipient (due_at) WHERE due_at IS NOT NULL;
-- For the hourly limit, and for cancelling what is queued for an address.
CREATE INDEX recipient_address ON recipient (address, planned_at);

-- What was told already: one event per message, recipient and kind, and per part of a kind (a bounce's first and final
-- word, an open's day).
CREATE TABLE told (
    message_id   TEXT NOT NULL REFERENCES outbound ON DELETE CASCADE,
    recipient    TEXT NOT NULL,            -- empty where the report named none
    kind         TEXT NOT NULL,
    part         TEXT NOT NULL,
    PRIMARY KEY (message_id, recipient, kind, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE suppression (
    address      TEXT PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    reason       TEXT NOT NULL CHECK (reason IN ('bounce', 'complaint', 'manual')),
    note         TEXT,                     -- in the words of whoever asked for it, or of the remote server
    mailbox_id   TEXT,                     -- whose mail led to it
    message_id   TEXT,                     -- which message did
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tying a report by the Message-ID that it quotes.
CREATE INDEX message_by_internet_id ON message (mailbox_id, internet_id) WHERE direction = 'outbound';
