-- A mail API elsewhere: what is known of it, and how far each of its mailboxes was looked through for mail that came in
-- while nobody listened.

CREATE TABLE hosted (
    api        TEXT PRIMARY KEY, -- Its base URL.
    webhook_id TEXT,             -- The webhook of ours there that tells of everything.
    looked_at  INTEGER,          -- When the last look that saw everything began, in Unix milliseconds.
    tried_at   INTEGER,          -- When the last look ended, in Unix milliseconds; only of the API that is in use.
    trouble    TEXT              -- What the last look met, as a sentence; null if all was well.
) STRICT, WITHOUT ROWID;

CREATE TABLE hosted_marks (
    api         TEXT NOT NULL,
    mailbox_id  TEXT NOT NULL,
    message_id  TEXT,    -- The newest message that was seen there; null if the mailbox was empty.
    received_at INTEGER, -- When that came in, by the API's clock, in Unix milliseconds.
    PRIMARY KEY (api, mailbox_id)
) STRICT, WITHOUT ROWID;
