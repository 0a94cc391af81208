-- Oversight: how far agents may go, and what waits for the person in charge.

CREATE TABLE oversight (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    mode   TEXT NOT NULL,              -- Of each mailbox that has none of its own.
    paused INTEGER NOT NULL CHECK (paused IN (0, 1))
) STRICT;
INSERT INTO oversight (only, mode, paused) VALUES (1, 'monitored', 0);

CREATE TABLE oversight_modes (
    mailbox TEXT PRIMARY KEY,          -- An address, lower-cased. It outlives the mailbox, so that making it anew loosens nothing.
    mode    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE actions (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL,
    effect     BLOB,                   -- What is done, to the byte; null once it is over.
    digest     TEXT NOT NULL,          -- The SHA-256 of effect, in hexadecimal: what an operator says yes to.
    alike      TEXT NOT NULL,          -- Equal for two that ask for the same.
    named      INTEGER NOT NULL,       -- Whether its asker gave it a name of its own, by which it is known again for a day.
    summary    TEXT NOT NULL,          -- For people, in a line.
    asker      TEXT NOT NULL,
    mailbox    TEXT,
    created_at INTEGER NOT NULL,       -- Unix milliseconds, as all below.
    expires_at INTEGER NOT NULL,
    decided_at INTEGER,
    note       TEXT                    -- The operator's words, or why it failed.
) STRICT;
CREATE INDEX actions_state ON actions (state, n);
CREATE INDEX actions_alike ON actions (alike, n);

-- Words by which an agent may have a mailbox's mode changed, once. Only hashes: the database gives none away.
CREATE TABLE upgrade_codes (
    sha256     BLOB PRIMARY KEY,
    mailbox    TEXT NOT NULL,
    mode       TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
