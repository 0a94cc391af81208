-- Messages that reached the bell wing without a mail API, and how far mailboxes elsewhere were read.

CREATE TABLE received_ids (
    source   TEXT NOT NULL,
    identity BLOB NOT NULL, -- SHA-256 over what tells this message from all others, as the source's reader makes it.
    PRIMARY KEY (source, identity)
) STRICT, WITHOUT ROWID;

CREATE TABLE received_messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id  TEXT NOT NULL UNIQUE,
    source      TEXT NOT NULL,
    mailbox     TEXT NOT NULL,    -- An address, in lower case.
    thread_id   TEXT NOT NULL,
    internet_id TEXT,             -- Its Message-ID, without angle brackets.
    received_at INTEGER NOT NULL, -- Unix milliseconds.
    is_read     INTEGER NOT NULL DEFAULT 0,
    report      INTEGER NOT NULL, -- Whether it reports on another message, and other events than `inbound` tell of it.
    fields      TEXT NOT NULL,    -- JSON: the headers and files, as store::received::Fields.
    body        TEXT NOT NULL,    -- The text.
    tags        TEXT NOT NULL DEFAULT '{}' -- JSON: names, and what each was set to.
) STRICT;
CREATE INDEX received_thread ON received_messages (thread_id);
CREATE INDEX received_mailbox ON received_messages (mailbox, received_at);
CREATE INDEX received_internet_id ON received_messages (internet_id) WHERE internet_id IS NOT NULL;
CREATE INDEX received_at ON received_messages (received_at);

CREATE TABLE watched_folders (
    source        TEXT NOT NULL REFERENCES sources (name) ON DELETE CASCADE,
    folder        TEXT NOT NULL,
    uid_validity  INTEGER,          -- RFC 3501 section 2.3.1.1; null before the first look.
    last_uid      INTEGER NOT NULL, -- Up to here all is in the log.
    news_from     INTEGER NOT NULL, -- Messages below this UID are news only where they came in at or after `not_before`.
    not_before    INTEGER NOT NULL, -- Unix milliseconds by the server's clock.
    looked_at     INTEGER,          -- Unix milliseconds: when the folder was last read without trouble.
    trouble       TEXT,             -- Why it is not read now, as a sentence.
    trouble_since INTEGER,          -- Unix milliseconds.
    PRIMARY KEY (source, folder)
) STRICT, WITHOUT ROWID;
