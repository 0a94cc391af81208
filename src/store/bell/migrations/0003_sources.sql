-- Who may post to the receiver, what they posted that was not taken, and which mailbox a message is in.

CREATE TABLE roster (
    only    INTEGER PRIMARY KEY CHECK (only = 1), -- There is one row.
    version INTEGER NOT NULL                      -- Raised by every change to sources and secrets; caches compare it.
) STRICT;
INSERT INTO roster (only, version) VALUES (1, 1);

CREATE TABLE sources (
    name       TEXT PRIMARY KEY,
    dialect    TEXT NOT NULL,
    created_at INTEGER NOT NULL -- Unix milliseconds.
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    id         INTEGER PRIMARY KEY,
    source     TEXT NOT NULL REFERENCES sources (name) ON DELETE CASCADE,
    secret     TEXT NOT NULL,   -- In the clear: an HMAC needs it. The file is the operator's alone (mode 0600).
    webhook_id TEXT,            -- The webhook that signs with it, so that both can go together.
    created_at INTEGER NOT NULL -- Unix milliseconds.
) STRICT;
CREATE INDEX secrets_source ON secrets (source);
CREATE INDEX secrets_secret ON secrets (secret);
CREATE INDEX secrets_webhook ON secrets (webhook_id) WHERE webhook_id IS NOT NULL;

CREATE TABLE quarantine (
    id          INTEGER PRIMARY KEY,
    source      TEXT NOT NULL,
    body_sha256 BLOB NOT NULL,    -- The key: the same body again is counted, not kept twice.
    reason      TEXT NOT NULL,    -- Why it was not taken, the last time.
    body        BLOB NOT NULL,
    last_at     INTEGER NOT NULL, -- Unix milliseconds.
    times       INTEGER NOT NULL, -- How often it came.
    UNIQUE (source, body_sha256)
) STRICT;

CREATE TABLE message_mailboxes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- Rises, so that the oldest can go first.
    message_id TEXT NOT NULL UNIQUE,
    mailbox_id TEXT NOT NULL
) STRICT;
