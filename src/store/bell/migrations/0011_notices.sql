-- What the operator is told, and the letters in which it is told; and what became of an approved letter.

ALTER TABLE actions ADD COLUMN message_id TEXT; -- Of a letter that was sent.

-- Up to where each record has been looked through for what the operator is to be told.
CREATE TABLE notice_marks (
    what TEXT PRIMARY KEY,
    mark INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notices (
    n       INTEGER PRIMARY KEY AUTOINCREMENT,
    target  TEXT NOT NULL,    -- An address, a URL, or mailbox:ADDRESS for the URL that oversees that mailbox.
    fact    TEXT NOT NULL,    -- What it tells of: a target is told of it once.
    kind    TEXT NOT NULL,
    notice  TEXT NOT NULL,    -- JSON, as it is told.
    made_at INTEGER NOT NULL, -- Unix milliseconds, as all below.
    letter  TEXT,             -- The letter that tells it; null while it waits for one.
    UNIQUE (target, fact)
) STRICT;
CREATE INDEX notices_waiting ON notices (target, n) WHERE letter IS NULL;
CREATE INDEX notices_letter ON notices (letter) WHERE letter IS NOT NULL;

CREATE TABLE notice_letters (
    id       TEXT PRIMARY KEY, -- By it a receiver knows a second copy.
    target   TEXT NOT NULL,
    body     TEXT NOT NULL,    -- Made once: what is signed is what is sent, at every try.
    state    TEXT NOT NULL CHECK (state IN ('waiting', 'told', 'given_up')),
    made_at  INTEGER NOT NULL,
    due_at   INTEGER NOT NULL, -- Of the next try.
    tries    INTEGER NOT NULL DEFAULT 0,
    failure  TEXT,             -- Of the last try.
    ended_at INTEGER           -- When it was told or given up.
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_letters_due ON notice_letters (due_at) WHERE state = 'waiting';
CREATE INDEX notice_letters_target ON notice_letters (target, made_at);

-- In the clear: an HMAC needs it. `operator`, or the mailbox that is overseen.
CREATE TABLE notice_secrets (
    name   TEXT PRIMARY KEY,
    secret TEXT NOT NULL
) STRICT, WITHOUT ROWID;
