-- The domains whose mail is taken. The settings name some, and the API adds others; one may be both.
CREATE TABLE domain (
    name     TEXT PRIMARY KEY,          -- lower-cased, in A-labels
    place    INTEGER,                   -- its place in the settings, from 0; NULL where they do not name it
    added_at INTEGER,                   -- when the API added it, Unix milliseconds; NULL where it did not
    CHECK (place IS NOT NULL OR added_at IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- One row while the account is being closed: whoever finds it goes on where it was cut off.
CREATE TABLE closing (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    asked_at INTEGER NOT NULL           -- Unix milliseconds
) STRICT;
