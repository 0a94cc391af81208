-- Sources of many providers: how each is set up, secrets that end, tokens that count once, and what was refused.

ALTER TABLE sources ADD COLUMN settings TEXT NOT NULL DEFAULT '{}'; -- JSON, read by bell::sources::settings.
ALTER TABLE secrets ADD COLUMN expires_at INTEGER; -- Unix milliseconds; null: until it is removed.

CREATE TABLE spent_tokens (
    source TEXT NOT NULL,
    token  TEXT NOT NULL,
    told   BLOB NOT NULL,    -- SHA-256 of the events it came with: the same again is a repetition, others are forged.
    at     INTEGER NOT NULL, -- Unix milliseconds.
    PRIMARY KEY (source, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_tokens_at ON spent_tokens (at);

CREATE TABLE refusals (
    source  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    times   INTEGER NOT NULL,
    last_at INTEGER NOT NULL, -- Unix milliseconds.
    PRIMARY KEY (source, reason)
) STRICT, WITHOUT ROWID;
