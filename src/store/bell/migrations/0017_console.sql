-- The one code that opens the console now, as a hash: a new one takes the place of the one before.
CREATE TABLE console_codes (
    only         INTEGER PRIMARY KEY CHECK (only = 1), -- There is one row at most.
    sha256       BLOB NOT NULL,
    operator     BLOB NOT NULL,    -- The SHA-256 of the operator token that was shown for it.
    boot_id      TEXT NOT NULL,    -- On the clock of which boot it ends.
    until_millis INTEGER NOT NULL
) STRICT;

-- What was asked for on the way to a message, for its page.
CREATE INDEX actions_message ON actions (message_id, n) WHERE message_id IS NOT NULL;
