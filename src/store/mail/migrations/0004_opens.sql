-- Tracking images, and how often each was fetched.

-- Off unless somebody turns it on for the mailbox, or for one message.
ALTER TABLE mailbox ADD COLUMN track_opens INTEGER NOT NULL DEFAULT 0 CHECK (track_opens IN (0, 1));

CREATE TABLE tracking_image (
    token_hash BLOB PRIMARY KEY,        -- SHA-256 of the token in its URL, which is 256 random bits
    mailbox_id TEXT NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL,           -- the image is made before its message is stored
    recipient  TEXT NOT NULL,           -- empty: the image is the same for several
    created_at INTEGER NOT NULL         -- Unix milliseconds
) STRICT, WITHOUT ROWID;

CREATE INDEX tracking_image_of_mailbox ON tracking_image (mailbox_id);

-- One row is one event: at most one a message, recipient and day.
CREATE TABLE open_day (
    message_id  TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    day         INTEGER NOT NULL,       -- days since 1970-01-01, UTC
    mailbox_id  TEXT NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    fetches     INTEGER NOT NULL,       -- counted up to a limit
    by_machines INTEGER NOT NULL,       -- of those, the ones that no person made
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    PRIMARY KEY (message_id, recipient, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX open_day_of_mailbox ON open_day (mailbox_id);
