-- Webhooks, what is owed to their endpoints, and the keys of the API.

CREATE TABLE webhook (
    id               TEXT PRIMARY KEY,
    endpoint         TEXT NOT NULL,     -- a URL, or 'self' for our own receiver
    scope            TEXT NOT NULL CHECK (scope IN ('mailbox', 'domain', 'account')),
    mailbox_id       TEXT,              -- of scope mailbox, with its address, which never changes
    mailbox          TEXT,
    domain           TEXT,              -- of scope domain
    kinds            TEXT NOT NULL,     -- words, a blank between them
    vocabulary       TEXT NOT NULL,     -- in whose words it is told of them
    description      TEXT,
    signature_format TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    disabled_at      INTEGER,           -- since then nothing more is sent to it
    disabled_why     TEXT,
    CHECK ((scope = 'mailbox') = (mailbox_id IS NOT NULL) AND (scope = 'mailbox') = (mailbox IS NOT NULL)),
    CHECK ((scope = 'domain') = (domain IS NOT NULL)),
    CHECK ((disabled_at IS NULL) = (disabled_why IS NULL))
) STRICT, WITHOUT ROWID;

-- Several may be live at once, so that one can be replaced without a gap.
CREATE TABLE webhook_secret (
    webhook_id TEXT NOT NULL REFERENCES webhook ON DELETE CASCADE,
    place      INTEGER NOT NULL,        -- rises; the highest is the newest
    secret     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, place)
) STRICT, WITHOUT ROWID;

-- Order is kept within a line: one mailbox towards one endpoint. The retry schedule and the lease are the line's, not a
-- delivery's, because only a line's oldest pending delivery can be sent at all.
CREATE TABLE line (
    id            INTEGER PRIMARY KEY,
    endpoint      TEXT NOT NULL,
    mailbox       TEXT NOT NULL,
    due_at        INTEGER,              -- when its head may be sent, wall clock; NULL while nothing is pending
    failures      INTEGER NOT NULL DEFAULT 0,   -- in a row
    failing_since INTEGER,              -- the first of those
    lease_token   TEXT,                 -- held while a worker is at its head
    lease_boot    TEXT,                 -- the boot and its clock: a lease of an earlier boot is over
    lease_until   INTEGER,
    UNIQUE (endpoint, mailbox),
    CHECK ((lease_token IS NULL) = (lease_boot IS NULL) AND (lease_token IS NULL) = (lease_until IS NULL)),
    CHECK ((failures = 0) = (failing_since IS NULL))
) STRICT;

-- The claim walks each endpoint's due lines; the wait asks for the next due line of all. Idle lines are in neither.
CREATE INDEX line_due_of_endpoint ON line (endpoint, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX line_due ON line (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX line_leased ON line (endpoint) WHERE lease_token IS NOT NULL;

CREATE TABLE delivery (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of sending; never reused
    line_id         INTEGER NOT NULL REFERENCES line,
    webhook_id      TEXT NOT NULL,      -- stays when the webhook goes
    event_id        TEXT NOT NULL,
    event_type      TEXT NOT NULL,
    state           TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts        INTEGER NOT NULL DEFAULT 0,         -- begun; one that a crash cut off has no row in attempt
    created_at      INTEGER NOT NULL,
    last_attempt_at INTEGER,
    body            BLOB NOT NULL       -- made once: what is signed is what is sent, at every attempt
) STRICT;

-- A line's head, and nothing that is finished.
CREATE INDEX delivery_pending ON delivery (line_id, seq) WHERE state = 'pending';
CREATE INDEX delivery_of_webhook ON delivery (webhook_id, seq);

CREATE TABLE attempt (
    delivery_seq    INTEGER NOT NULL REFERENCES delivery ON DELETE CASCADE,
    number          INTEGER NOT NULL,   -- from 1
    at              INTEGER NOT NULL,
    status          INTEGER,            -- what the endpoint answered, or
    fault           TEXT,               -- why it did not
    duration_millis INTEGER NOT NULL,
    response_bytes  INTEGER NOT NULL,   -- read and dropped
    PRIMARY KEY (delivery_seq, number),
    CHECK ((status IS NULL) <> (fault IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    name       TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,    -- SHA-256 of the token, which is 256 random bits, so it needs no salt
    scopes     TEXT NOT NULL,           -- words, a blank between them
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
