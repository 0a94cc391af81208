-- Consumers: what each has handled, and who is at what now.

CREATE TABLE consumers (
    id        INTEGER PRIMARY KEY AUTOINCREMENT, -- Never given twice: memory may hold what was true of it.
    name      TEXT NOT NULL UNIQUE,
    kinds     TEXT NOT NULL,              -- The kinds it owns, separated by spaces.
    low_water INTEGER NOT NULL,           -- Every event of its kinds up to this seq is acked or parked.
    returns   INTEGER NOT NULL DEFAULT 0  -- Raised when events are given back; waiters in other processes watch it.
) STRICT;

-- One row for every event that a consumer was handed and that lies above its low-water mark. Below the mark only parked
-- rows stay. Above it no row is ever deleted, so an event without a row has never been handed out.
CREATE TABLE claims (
    consumer              INTEGER NOT NULL, -- In consumers.
    seq                   INTEGER NOT NULL, -- In events.
    state                 TEXT NOT NULL CHECK (state IN ('free', 'leased', 'acked', 'parked')), -- free: was given back.
    attempt               INTEGER NOT NULL, -- How often it was handed out.
    token                 TEXT,             -- The fence; null unless leased. A newer lease overwrites it.
    holder                TEXT,             -- Who holds or held the lease, such as a session.
    lease_boot            TEXT,             -- The boot that the deadline belongs to; after another boot the lease is over.
    lease_deadline_millis INTEGER,          -- On the boot clock.
    note                  TEXT,             -- Of parked: why, in the words of whoever parked it.
    PRIMARY KEY (consumer, seq)
) STRICT, WITHOUT ROWID;

-- Few rows at any time: what may have to be handed out again.
CREATE INDEX claims_open ON claims (consumer, seq) WHERE state IN ('free', 'leased');
CREATE INDEX claims_token ON claims (token) WHERE token IS NOT NULL;
