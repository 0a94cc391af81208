-- Tokens of agents and of the operator. Only hashes: the database gives no token away.
CREATE TABLE tokens (
    name       TEXT PRIMARY KEY,
    scope      TEXT NOT NULL CHECK (scope IN ('mcp', 'operator')),
    sha256     BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL -- Unix milliseconds.
) STRICT;
