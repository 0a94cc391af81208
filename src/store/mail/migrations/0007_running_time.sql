-- How long the worker has been at work in all, in milliseconds. Sleep, downtime and steps of the wall clock leave it alone;
-- a delivery's day is measured on it.
CREATE TABLE running_time (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    millis INTEGER NOT NULL
) STRICT;
INSERT INTO running_time (id, millis) VALUES (1, 0);

-- On `running_time`: a try that begins then or later is the last. NULL until the worker has looked, which the bell has it do
-- as soon as the delivery is made.
ALTER TABLE delivery ADD COLUMN expires_at INTEGER;
-- The delivery that this one repeats because somebody asked for it.
ALTER TABLE delivery ADD COLUMN replay_of INTEGER;

CREATE INDEX delivery_unlooked ON delivery (seq) WHERE state = 'pending' AND expires_at IS NULL;
CREATE INDEX delivery_pending_of_webhook ON delivery (webhook_id, seq) WHERE state = 'pending';
CREATE INDEX delivery_waiting ON delivery (seq) WHERE state = 'pending';
CREATE INDEX delivery_dead ON delivery (seq) WHERE state = 'dead';
CREATE INDEX delivery_dead_of_webhook ON delivery (webhook_id, seq) WHERE state = 'dead';
CREATE INDEX delivery_pending_replay ON delivery (replay_of) WHERE state = 'pending' AND replay_of IS NOT NULL;

-- On the wall clock: then the secret signs no more and is forgotten. NULL for the newest.
ALTER TABLE webhook_secret ADD COLUMN retires_at INTEGER;
CREATE INDEX webhook_secret_retiring ON webhook_secret (retires_at) WHERE retires_at IS NOT NULL;

-- A mailbox gets a second line to an endpoint, for replays. The table is made anew because its key changes; deliveries refer
-- to it by name and id, so they find the new one.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE line_before AS SELECT * FROM line;
DROP TABLE line;
CREATE TABLE line (
    id            INTEGER PRIMARY KEY,
    endpoint      TEXT NOT NULL,
    mailbox       TEXT NOT NULL,
    replays       INTEGER NOT NULL DEFAULT 0 CHECK (replays IN (0, 1)),  -- 1: of replays, which never hold up first sendings
    due_at        INTEGER,              -- when its head may be sent, wall clock; NULL while nothing is pending
    failures      INTEGER NOT NULL DEFAULT 0,   -- in a row
    failing_since INTEGER,              -- the first of those
    failed_at     INTEGER,              -- the last of those, with what the endpoint answered, or why it did not
    failed_status INTEGER,
    failed_fault  TEXT,
    lease_token   TEXT,                 -- held while a worker is at its head
    lease_boot    TEXT,                 -- the boot and its clock: a lease of an earlier boot is over
    lease_until   INTEGER,
    UNIQUE (endpoint, mailbox, replays),
    CHECK ((lease_token IS NULL) = (lease_boot IS NULL) AND (lease_token IS NULL) = (lease_until IS NULL)),
    CHECK ((failures = 0) = (failing_since IS NULL))
) STRICT;
INSERT INTO line (id, endpoint, mailbox, due_at, failures, failing_since, lease_token, lease_boot, lease_until)
SELECT id, endpoint, mailbox, due_at, failures, failing_since, lease_token, lease_boot, lease_until FROM line_before;
DROP TABLE line_before;

-- As before, with replays told apart where lines are leased.
CREATE INDEX line_due_of_endpoint ON line (endpoint, replays, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX line_due ON line (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX line_leased ON line (endpoint) WHERE lease_token IS NOT NULL;
CREATE INDEX line_failing ON line (endpoint) WHERE failing_since IS NOT NULL;
