//! Tokens, and the code that opens the console.

pub(in super::super) const PUT_TOKEN: &str = "INSERT INTO tokens (name, scope, sha256, created_at) VALUES (?, ?, ?, ?) \
     ON CONFLICT (name) DO UPDATE SET scope = excluded.scope, sha256 = excluded.sha256, created_at = excluded.created_at";
pub(in super::super) const HAS_TOKEN: &str = "SELECT 1 FROM tokens WHERE name = ?";
/// Those with the hashes of a JSON list.
pub(in super::super) const PRINCIPALS: &str = "SELECT sha256, name, scope, may, mailboxes, human_present, expires_at, created_at \
     FROM tokens WHERE sha256 IN (SELECT unhex(value) FROM json_each(?))";
pub(in super::super) const TOKENS: &str =
    "SELECT name, scope, may, mailboxes, human_present, expires_at, created_at FROM tokens ORDER BY name";
pub(in super::super) const TOKEN_HASHES: &str = "SELECT sha256, expires_at FROM tokens";
pub(in super::super) const COUNT_TOKENS: &str = "SELECT count(*) FROM tokens";
pub(in super::super) const ADD_TOKEN: &str = "INSERT INTO tokens (name, scope, sha256, created_at, may, mailboxes, human_present, \
     expires_at) VALUES (?, 'mcp', ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING";
pub(in super::super) const REMOVE_TOKEN: &str = "DELETE FROM tokens WHERE name = ?";

pub(in super::super) const KEEP_CONSOLE_CODE: &str =
    "INSERT OR REPLACE INTO console_codes (only, sha256, operator, boot_id, until_millis) VALUES (1, ?, ?, ?, ?)";
pub(in super::super) const USE_CONSOLE_CODE: &str =
    "DELETE FROM console_codes WHERE only = 1 AND sha256 = ? AND boot_id = ? AND until_millis > ? RETURNING operator";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    KEEP_CONSOLE_CODE,
    USE_CONSOLE_CODE,
    PUT_TOKEN,
    HAS_TOKEN,
    PRINCIPALS,
    TOKENS,
    TOKEN_HASHES,
    COUNT_TOKENS,
    ADD_TOKEN,
    REMOVE_TOKEN,
];
