-- What the API keeps beside mail: how each mailbox is set, names for keys, contacts, whose account it is, and what was used.

CREATE TABLE mailbox_settings (
    mailbox_id     TEXT PRIMARY KEY REFERENCES mailbox (id) ON DELETE CASCADE,
    oversight_mode TEXT NOT NULL CHECK (oversight_mode <> ''),
    auto_cc        TEXT,                -- an address that gets a copy of all it sends
    auto_bcc       TEXT,
    signature_block TEXT
) STRICT, WITHOUT ROWID;

ALTER TABLE api_key ADD COLUMN id TEXT NOT NULL DEFAULT '';
-- The first characters of the token, by which its owner knows it.
ALTER TABLE api_key ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
UPDATE api_key SET id = 'key_' || name;
CREATE UNIQUE INDEX api_key_id ON api_key (id);

CREATE TABLE contact (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    email        TEXT NOT NULL UNIQUE,  -- lower-cased
    tags         TEXT NOT NULL,         -- JSON list
    folded       TEXT NOT NULL,         -- name, address and tags in lower case, to be searched
    created_at   INTEGER NOT NULL       -- Unix milliseconds
) STRICT, WITHOUT ROWID;

-- One row: there is one account.
CREATE TABLE account (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    name             TEXT,
    oversight_email  TEXT,
    physical_address TEXT
) STRICT;

CREATE TABLE api_calls (
    day          INTEGER PRIMARY KEY,   -- days since 1970-01-01, UTC
    calls        INTEGER NOT NULL
) STRICT;

-- Counts what came and went by time, and how large it was, without reading a message.
CREATE INDEX message_usage ON message (direction, received_at, size_bytes);
CREATE INDEX message_spam ON message (status) WHERE status = 'spam_quarantined';
