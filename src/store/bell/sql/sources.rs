//! Sources, what they sent that was not taken, and hosted APIs.

pub(in super::super) const ROSTER_VERSION: &str = "SELECT version FROM roster WHERE only = 1";
pub(in super::super) const RAISE_ROSTER_VERSION: &str = "UPDATE roster SET version = version + 1 WHERE only = 1";
pub(in super::super) const ADD_SOURCE: &str =
    "INSERT INTO sources (name, dialect, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING";
pub(in super::super) const REMOVE_SOURCE: &str = "DELETE FROM sources WHERE name = ?";
pub(in super::super) const SOURCE: &str =
    "SELECT name, dialect, created_at, settings, api_key FROM sources WHERE name = ?";
pub(in super::super) const SOURCES: &str =
    "SELECT name, dialect, created_at, settings, api_key FROM sources ORDER BY name";
pub(in super::super) const SET_API_KEY: &str = "UPDATE sources SET api_key = ? WHERE name = ?";
pub(in super::super) const SET_UP_SOURCE: &str = "UPDATE sources SET settings = ? WHERE name = ?";
pub(in super::super) const END_SECRET: &str = "UPDATE secrets SET expires_at = ?1 WHERE id = ?2";
pub(in super::super) const REMOVE_EXPIRED: &str = "DELETE FROM secrets WHERE source = ? AND expires_at <= ?";
pub(in super::super) const FORGET_TOKENS: &str = "DELETE FROM spent_tokens WHERE at < ?";
pub(in super::super) const SPEND_TOKEN: &str =
    "INSERT INTO spent_tokens (source, token, told, at) VALUES (?, ?, ?, ?) ON CONFLICT (source, token) DO NOTHING";
pub(in super::super) const SPENT_ON: &str = "SELECT told FROM spent_tokens WHERE source = ? AND token = ?";
pub(in super::super) const COUNT_REFUSAL: &str = "INSERT INTO refusals (source, reason, times, last_at) VALUES (?, ?, ?, ?) \
     ON CONFLICT (source, reason) DO UPDATE SET times = times + excluded.times, last_at = excluded.last_at";
pub(in super::super) const REFUSALS: &str =
    "SELECT reason, times, last_at FROM refusals WHERE source = ? ORDER BY last_at DESC, reason";
pub(in super::super) const TOLD_BY: &str = concat!(
    "SELECT e.kind, e.provider_kind, count(*), max(e.received_at) FROM events e WHERE e.seq IN \
     (SELECT seq FROM event_ids WHERE origin = (SELECT id FROM origins WHERE name = ?1) AND seq > ",
    removed_through!(),
    " UNION ALL SELECT seq FROM events WHERE seq > ",
    indexed_through!(),
    " AND origin = (SELECT id FROM origins WHERE name = ?1)) \
     GROUP BY e.kind, e.provider_kind ORDER BY e.kind, e.provider_kind"
);
pub(in super::super) const SECRETS: &str = "SELECT secret, expires_at FROM secrets WHERE source = ? ORDER BY id DESC";
// A password may be that of two mailboxes; it signs nothing.
pub(in super::super) const SECRET_ELSEWHERE: &str = "SELECT s.source FROM secrets s \
     JOIN sources o ON o.name = s.source AND o.dialect <> 'imap' WHERE s.secret = ? AND s.source <> ? LIMIT 1";
pub(in super::super) const ADD_SECRET: &str =
    "INSERT INTO secrets (source, secret, webhook_id, created_at) VALUES (?, ?, ?, ?)";
pub(in super::super) const SECRETS_WITH_TIES: &str =
    "SELECT id, secret, webhook_id, expires_at FROM secrets WHERE source = ?";
pub(in super::super) const REMOVE_SECRET: &str =
    "DELETE FROM secrets WHERE source = ? AND secret = ? AND webhook_id IS NULL";
pub(in super::super) const HAS_SECRET_OF: &str = "SELECT 1 FROM secrets WHERE webhook_id = ? LIMIT 1";
pub(in super::super) const REMOVE_SECRET_OF: &str = "DELETE FROM secrets WHERE webhook_id = ?";
pub(in super::super) const QUARANTINE: &str = "INSERT INTO quarantine (source, body_sha256, reason, body, last_at, times) \
     VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (source, body_sha256) DO UPDATE SET \
     times = times + 1, reason = excluded.reason, last_at = excluded.last_at";
/// Drops the oldest beyond so many rows, and so many bytes.
pub(in super::super) const CAP_QUARANTINE: &str = "DELETE FROM quarantine WHERE id IN (SELECT id FROM (SELECT id, \
     row_number() OVER newest AS place, sum(length(body)) OVER newest AS bytes FROM quarantine \
     WINDOW newest AS (ORDER BY last_at DESC, id DESC ROWS UNBOUNDED PRECEDING)) WHERE place > ? OR bytes > ?)";
pub(in super::super) const QUARANTINED: &str =
    "SELECT source, reason, body, last_at, times FROM quarantine ORDER BY last_at DESC, id DESC LIMIT +?";
pub(in super::super) const HOSTED: &str =
    "SELECT api, webhook_id, looked_at, tried_at, trouble FROM hosted WHERE api = ?";
pub(in super::super) const HOSTED_IN_USE: &str =
    "SELECT api, webhook_id, looked_at, tried_at, trouble FROM hosted WHERE tried_at IS NOT NULL";
pub(in super::super) const HOSTED_NOT_IN_USE: &str = "UPDATE hosted SET tried_at = NULL, trouble = NULL WHERE api <> ?";
pub(in super::super) const KEEP_HOSTED_WEBHOOK: &str = "INSERT INTO hosted (api, webhook_id) VALUES (?, ?) \
     ON CONFLICT (api) DO UPDATE SET webhook_id = excluded.webhook_id";
pub(in super::super) const KEEP_HOSTED_LOOK: &str = "INSERT INTO hosted (api, tried_at, trouble, looked_at) VALUES (?, ?, ?, ?) \
     ON CONFLICT (api) DO UPDATE SET tried_at = excluded.tried_at, trouble = excluded.trouble, \
     looked_at = coalesce(excluded.looked_at, looked_at)";
pub(in super::super) const HOSTED_MARK: &str =
    "SELECT message_id, received_at FROM hosted_marks WHERE api = ? AND mailbox_id = ?";
pub(in super::super) const KEEP_HOSTED_MARK: &str = "INSERT INTO hosted_marks (api, mailbox_id, message_id, received_at) \
     VALUES (?, ?, ?, ?) ON CONFLICT (api, mailbox_id) DO UPDATE SET message_id = excluded.message_id, \
     received_at = excluded.received_at";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    ROSTER_VERSION,
    RAISE_ROSTER_VERSION,
    ADD_SOURCE,
    REMOVE_SOURCE,
    SOURCE,
    SOURCES,
    SET_API_KEY,
    SET_UP_SOURCE,
    END_SECRET,
    REMOVE_EXPIRED,
    FORGET_TOKENS,
    SPEND_TOKEN,
    SPENT_ON,
    COUNT_REFUSAL,
    REFUSALS,
    TOLD_BY,
    SECRETS,
    SECRET_ELSEWHERE,
    ADD_SECRET,
    SECRETS_WITH_TIES,
    REMOVE_SECRET,
    HAS_SECRET_OF,
    REMOVE_SECRET_OF,
    QUARANTINE,
    CAP_QUARANTINE,
    QUARANTINED,
    HOSTED,
    HOSTED_IN_USE,
    HOSTED_NOT_IN_USE,
    KEEP_HOSTED_WEBHOOK,
    KEEP_HOSTED_LOOK,
    HOSTED_MARK,
    KEEP_HOSTED_MARK,
];
