//! The statements whose text is fixed, in one place, so that a test can prepare each of them.

macro_rules! event_columns {
    () => {
        "e.seq, (SELECT name FROM origins WHERE id = e.origin), e.event_id, e.mailbox, e.message_id, e.thread_id, \
         e.timestamp, e.received_at, e.auth, e.provider_kind, e.detail"
    };
}
macro_rules! head {
    () => {
        // Retention may have taken the newest event too, so the tail has a say.
        "max(tail - 1, coalesce((SELECT max(seq) FROM events), 0))"
    };
}
/// Spelled as in the partial index, or SQLite would not use it.
macro_rules! open {
    () => {
        "c.state IN ('free', 'leased')"
    };
}

/// That a lease, or a pause, is over: boot, millis of now.
macro_rules! over {
    () => {
        "(c.lease_boot IS NULL OR c.lease_boot <> ? OR c.lease_deadline_millis <= ?)"
    };
}

/// What [`super::events::event`] reads, from `events e`, in its order.
pub(super) const EVENT_COLUMNS: &str = event_columns!();

pub(super) const LOG: &str = "SELECT log_id FROM log WHERE only = 1";
pub(super) const ADD_LOG: &str = "INSERT INTO log (only, log_id, tail) VALUES (1, ?, 1) ON CONFLICT DO NOTHING";
pub(super) const EXTENT: &str = concat!("SELECT tail, ", head!(), " FROM log WHERE only = 1");
pub(super) const EVENT_BY_ID: &str =
    concat!("SELECT ", event_columns!(), " FROM events e WHERE e.origin = ? AND e.event_id = ?");
pub(super) const EVENT_BY_SEQ: &str = concat!("SELECT ", event_columns!(), " FROM events e WHERE e.seq = ?");
pub(super) const ORIGIN: &str = "SELECT id FROM origins WHERE name = ?";
pub(super) const ADD_ORIGIN: &str = "INSERT INTO origins (name) VALUES (?) RETURNING id";

/// The events that tell of one of a JSON list of messages that it came in, and whether an API's list told it.
pub(super) const ARRIVED: &str = "SELECT e.origin, e.message_id, e.seq, e.auth = 'api' FROM json_each(?) j \
     CROSS JOIN events e INDEXED BY events_message ON e.message_id = j.value WHERE e.kind = 'inbound'";

/// Inserts `rows` events, skipping those whose id is known, and answers with those that were not skipped.
pub(super) fn insert_events(rows: usize) -> String {
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    format!(
        "INSERT INTO events (origin, event_id, kind, mailbox, domain, message_id, thread_id, action_id, timestamp, \
         received_at, auth, provider_kind, detail) VALUES {row}{} \
         ON CONFLICT (origin, event_id) DO NOTHING RETURNING seq, origin, event_id",
        format!(", {row}").repeat(rows - 1)
    )
}

pub(super) const CONSUMER: &str = "SELECT id, name, kinds, low_water FROM consumers WHERE name = ?";
pub(super) const CONSUMER_BY_ID: &str = "SELECT id, name, kinds, low_water FROM consumers WHERE id = ?";
pub(super) const ADD_CONSUMER: &str =
    "INSERT INTO consumers (name, kinds, low_water) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING";
pub(super) const RAISE_LOW_WATER: &str = "UPDATE consumers SET low_water = max(low_water, ?) WHERE id = ?";
pub(super) const RAISE_RETURNS: &str = "UPDATE consumers SET returns = returns + 1 WHERE id = ? RETURNING name";
pub(super) const RETURNS: &str = "SELECT name, returns FROM consumers";

/// The condition on `events e` that a consumer (`?`) was never handed it.
pub(super) const NEVER_CLAIMED: &str = "NOT EXISTS (SELECT 1 FROM claims c WHERE c.consumer = ? AND c.seq = e.seq)";
/// The events given back to a consumer, or whose lease has run out: consumer, boot, millis of now. More conditions follow.
pub(super) const FREED: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM claims c INDEXED BY claims_open CROSS JOIN events e ON e.seq = c.seq WHERE c.consumer = ? AND ",
    open!(),
    " AND ",
    over!()
);
/// The beginning of the condition on `events e` that nothing earlier of its thread stands in its way: consumer, boot,
/// millis of now, who claims. What is over is in nobody's way if the same claim can take it: conditions on `x` for that
/// follow.
pub(super) const IN_ORDER: &str = "NOT EXISTS (SELECT 1 FROM claims o INDEXED BY claims_thread WHERE o.consumer = ? \
     AND o.thread_id = e.thread_id AND o.seq < e.seq AND o.state IN ('free', 'leased') \
     AND CASE WHEN o.lease_boot = ? AND o.lease_deadline_millis > ? THEN NOT (o.state = 'leased' AND o.holder IS ?) \
     ELSE NOT EXISTS (SELECT 1 FROM events x WHERE x.seq = o.seq";
pub(super) const IN_ORDER_END: &str = ") END)";
pub(super) const LEASE: &str = "INSERT INTO claims (consumer, seq, state, attempt, token, holder, client, thread_id, \
     since, lease_boot, lease_deadline_millis) VALUES (?, ?, 'leased', 1, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (consumer, seq) DO UPDATE SET state = 'leased', attempt = attempt + 1, token = excluded.token, \
     holder = excluded.holder, client = excluded.client, since = excluded.since, lease_boot = excluded.lease_boot, \
     lease_deadline_millis = excluded.lease_deadline_millis RETURNING attempt";
/// Parks what was handed out too often: wall clock of now, consumer, attempts, boot, millis of now.
pub(super) const PARK_SPENT: &str = concat!(
    "UPDATE claims AS c INDEXED BY claims_open SET state = 'parked', parked_by = 'attempts', since = ?, token = NULL, \
     lease_boot = NULL, lease_deadline_millis = NULL WHERE c.consumer = ? AND ",
    open!(),
    " AND c.attempt >= ? AND ",
    over!(),
    " RETURNING seq"
);
/// The earliest deadline of a consumer's live leases and pauses: consumer, boot, millis of now.
pub(super) const NEXT_EXPIRY: &str = concat!(
    "SELECT min(c.lease_deadline_millis) FROM claims c INDEXED BY claims_open WHERE c.consumer = ? AND ",
    open!(),
    " AND c.lease_boot = ? AND c.lease_deadline_millis > ?"
);
/// How many of the first events of a kind above the low-water mark are unsettled: consumer, kind, at most, consumer.
pub(super) const BACKLOG: &str = "SELECT count(*) FROM (SELECT e.seq AS seq FROM events e WHERE \
     e.seq > (SELECT low_water FROM consumers WHERE id = ?) AND e.kind = ? ORDER BY e.seq LIMIT ?) w WHERE NOT EXISTS \
     (SELECT 1 FROM claims c WHERE c.consumer = ? AND c.seq = w.seq AND c.state IN ('acked', 'parked'))";

/// How many of a kind are open below the low-water mark, where only what an operator re-queued is: consumer, kind, consumer.
pub(super) const REQUEUED: &str = concat!(
    "SELECT count(*) FROM claims c INDEXED BY claims_open CROSS JOIN events e ON e.seq = c.seq WHERE c.consumer = ? AND ",
    open!(),
    " AND e.kind = ? AND c.seq <= (SELECT low_water FROM consumers WHERE id = ?)"
);

pub(super) const HELD: &str = "SELECT c.consumer, c.seq, e.event_id, c.attempt, c.thread_id, c.holder FROM claims c INDEXED BY claims_token \
     CROSS JOIN events e ON e.seq = c.seq WHERE c.token = ? AND c.state = 'leased'";
/// The consumer's name, and whether the earliest of a token's leases ends too early: boot, millis, token.
pub(super) const HOLDING: &str = "SELECT (SELECT name FROM consumers WHERE id = c.consumer), \
     max(c.lease_boot <> ? OR c.lease_deadline_millis < ?) FROM claims c INDEXED BY claims_token \
     WHERE c.token = ? AND c.state = 'leased' HAVING count(*) > 0";
/// The tokens under which the events about a message are leased in one consumer: message, consumer's name.
pub(super) const TOKENS_OF_MESSAGE: &str = "SELECT c.token FROM events e CROSS JOIN claims c ON c.seq = e.seq \
     WHERE e.message_id = ? AND c.consumer = (SELECT id FROM consumers WHERE name = ?) AND c.state = 'leased'";
pub(super) const HOLDER_OF: &str =
    "SELECT c.holder FROM claims c INDEXED BY claims_token WHERE c.token = ? AND c.state = 'leased' LIMIT 1";
/// Frees what is leased in the name of a token: its name twice.
pub(super) const FREE_OF_PRINCIPAL: &str = concat!(
    "UPDATE claims AS c INDEXED BY claims_open SET state = 'free', token = NULL, since = NULL, lease_boot = NULL, \
     lease_deadline_millis = NULL WHERE ",
    open!(),
    " AND c.state = 'leased' AND (c.holder = 'principal:' || ? OR c.holder GLOB 'session:' || ? || ':*') \
     RETURNING consumer, seq"
);
/// Whether an event is on lease: consumer's name, seq, boot, millis.
pub(super) const IS_LEASED: &str = "SELECT EXISTS (SELECT 1 FROM claims c \
     WHERE c.consumer = (SELECT id FROM consumers WHERE name = ?) AND c.seq = ? AND c.state = 'leased' \
     AND c.lease_boot = ? AND c.lease_deadline_millis > ?)";
/// Whether something later of a thread waits: thread, seq, consumer.
pub(super) const LATER_WAITS: &str = "SELECT EXISTS (SELECT 1 FROM events e WHERE e.thread_id = ? AND e.seq > ? \
     AND NOT EXISTS (SELECT 1 FROM claims c WHERE c.consumer = ? AND c.seq = e.seq \
     AND c.state IN ('leased', 'acked', 'parked')))";
pub(super) const LEASES_OF_MESSAGE: &str = "SELECT c.consumer, c.seq, e.event_id, c.attempt, c.thread_id, c.holder, c.token FROM events e \
     CROSS JOIN consumers k CROSS JOIN claims c ON c.consumer = k.id AND c.seq = e.seq \
     WHERE e.message_id = ? AND c.state = 'leased'";
pub(super) const ACK: &str = "UPDATE claims SET state = 'acked', token = NULL, lease_boot = NULL, \
     lease_deadline_millis = NULL WHERE consumer = ? AND seq = ?";
pub(super) const RELEASE: &str = "UPDATE claims SET state = 'free', token = NULL, since = NULL, lease_boot = ?, \
     lease_deadline_millis = ? WHERE consumer = ? AND seq = ?";
/// A lease that runs longer because a change waits under it is not made shorter: boot, millis, consumer, seq.
pub(super) const EXTEND: &str = "UPDATE claims SET lease_boot = ?1, lease_deadline_millis = CASE \
     WHEN lease_boot = ?1 AND lease_deadline_millis > ?2 AND EXISTS (SELECT 1 FROM actions a WHERE a.lease = claims.token \
     AND a.state IN ('pending', 'approved', 'running')) THEN lease_deadline_millis ELSE ?2 END \
     WHERE consumer = ?3 AND seq = ?4";
/// Has an action that is not over keep a lease: its id, the token.
pub(super) const LEASE_OF_ACTION: &str = "UPDATE actions SET lease = ?2 WHERE id = ?1 \
     AND state IN ('pending', 'approved', 'running') RETURNING expires_at";
/// Has the lease of an action end earlier, unless another action needs it: action, boot, millis.
pub(super) const SHORTEN: &str = "UPDATE claims SET lease_deadline_millis = ?3 WHERE state = 'leased' AND lease_boot = ?2 \
     AND lease_deadline_millis > ?3 AND token = (SELECT a.lease FROM actions a WHERE a.id = ?1 AND NOT EXISTS \
     (SELECT 1 FROM actions o WHERE o.lease = a.lease AND o.id <> a.id AND o.state IN ('pending', 'approved', 'running'))) \
     RETURNING token";
/// Lengthens the leases of a token that would end too early: boot, millis, token.
pub(super) const LENGTHEN: &str = "UPDATE claims SET lease_boot = ?1, lease_deadline_millis = ?2 \
     WHERE token = ?3 AND state = 'leased' AND (lease_boot <> ?1 OR lease_deadline_millis < ?2)";
pub(super) const PARK: &str = "UPDATE claims SET state = 'parked', parked_by = ?, note = ?, since = ?, token = NULL, \
     lease_boot = NULL, lease_deadline_millis = NULL WHERE consumer = ? AND seq = ?";
pub(super) const UNCLAIM: &str = "UPDATE claims SET state = 'free', attempt = attempt - 1, token = NULL, holder = NULL, \
     client = NULL, since = NULL, lease_boot = NULL, lease_deadline_millis = NULL WHERE token = ? AND state = 'leased' RETURNING consumer, seq";
/// The first open event above a place: consumer, seq.
pub(super) const FIRST_OPEN: &str = concat!(
    "SELECT c.seq FROM claims c INDEXED BY claims_open WHERE c.consumer = ? AND ",
    open!(),
    " AND c.seq > ? ORDER BY c.seq LIMIT 1"
);
/// The claim that lies so many above the low-water mark: consumer, low-water mark, how many.
pub(super) const NTH_CLAIM: &str =
    "SELECT seq FROM claims WHERE consumer = ? AND seq > ? ORDER BY seq LIMIT 1 OFFSET ?";
pub(super) const DROP_ACKED: &str =
    "DELETE FROM claims WHERE consumer = ? AND seq > ? AND seq <= ? AND state = 'acked'";
/// Drops one row that was settled below the mark, where an operator had put it back: seq, consumer.
pub(super) const DROP_ACKED_BELOW: &str = "DELETE FROM claims WHERE seq = ?1 AND consumer = ?2 AND state = 'acked' \
     AND seq <= (SELECT low_water FROM consumers WHERE id = ?2)";

pub(super) const CONSUMERS: &str = "SELECT id, name, kinds, low_water FROM consumers ORDER BY name";
/// What is open in a consumer, the oldest first; each with whether its lease or pause is over: boot, millis, consumer, at most.
pub(super) const OPEN_CLAIMS: &str = concat!(
    "SELECT c.seq, e.event_id, e.kind, c.state, c.attempt, c.holder, c.client, c.since, \
     CASE WHEN c.lease_boot = ?1 THEN c.lease_deadline_millis - ?2 END AS left_millis \
     FROM claims c INDEXED BY claims_open CROSS JOIN events e ON e.seq = c.seq WHERE c.consumer = ?3 AND ",
    open!(),
    " ORDER BY c.seq LIMIT ?4"
);
/// How many are open in a consumer and leased: boot, millis, consumer.
pub(super) const COUNT_OPEN: &str = concat!(
    "SELECT count(*), coalesce(sum(c.state = 'leased' AND c.lease_boot = ?1 AND c.lease_deadline_millis > ?2), 0) \
     FROM claims c INDEXED BY claims_open WHERE c.consumer = ?3 AND ",
    open!()
);
pub(super) const PARKED_CLAIMS: &str = "SELECT c.seq, e.event_id, e.kind, c.attempt, c.holder, c.client, c.since, \
     c.parked_by, c.note FROM claims c INDEXED BY claims_parked LEFT JOIN events e ON e.seq = c.seq \
     WHERE c.consumer = ? AND c.state = 'parked' ORDER BY c.seq LIMIT ?";
/// How many are parked in a consumer, and how many of them by agents: consumer.
pub(super) const COUNT_PARKED: &str = "SELECT count(*), coalesce(sum(c.parked_by = 'agent'), 0) FROM claims c \
     INDEXED BY claims_parked WHERE c.consumer = ? AND c.state = 'parked'";
pub(super) const RECEIVED_AT: &str = "SELECT received_at FROM events WHERE seq = ?";
/// An event, as a consumer has it: consumer, seq.
pub(super) const CLAIM_OF_EVENT: &str = "SELECT e.kind, e.thread_id, c.state FROM events e \
     LEFT JOIN claims c ON c.consumer = ? AND c.seq = e.seq WHERE e.seq = ?";
pub(super) const REQUEUE: &str = "UPDATE claims SET state = 'free', attempt = 0, holder = NULL, client = NULL, \
     since = NULL, parked_by = NULL, note = NULL WHERE consumer = ? AND seq = ? AND state = 'parked'";
/// Parks what an operator names, handed out before or not: consumer, seq, thread, wall clock of now, note.
pub(super) const PARK_BY_OPERATOR: &str = "INSERT INTO claims (consumer, seq, state, attempt, thread_id, since, parked_by, note) \
     VALUES (?, ?, 'parked', 0, ?, ?, 'operator', ?) ON CONFLICT (consumer, seq) DO UPDATE SET state = 'parked', \
     parked_by = 'operator', since = excluded.since, note = excluded.note, token = NULL, lease_boot = NULL, \
     lease_deadline_millis = NULL";
/// Settles what is parked: consumer, seq.
pub(super) const ACK_PARKED: &str =
    "UPDATE claims SET state = 'acked', note = NULL WHERE consumer = ? AND seq = ? AND state = 'parked'";

pub(super) const ROSTER_VERSION: &str = "SELECT version FROM roster WHERE only = 1";
pub(super) const RAISE_ROSTER_VERSION: &str = "UPDATE roster SET version = version + 1 WHERE only = 1";
pub(super) const ADD_SOURCE: &str =
    "INSERT INTO sources (name, dialect, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING";
pub(super) const REMOVE_SOURCE: &str = "DELETE FROM sources WHERE name = ?";
pub(super) const SOURCE: &str = "SELECT name, dialect, created_at, settings FROM sources WHERE name = ?";
pub(super) const SOURCES: &str = "SELECT name, dialect, created_at, settings FROM sources ORDER BY name";
pub(super) const SET_UP_SOURCE: &str = "UPDATE sources SET settings = ? WHERE name = ?";
/// Until when, of which source, now.
pub(super) const END_SECRET: &str = "UPDATE secrets SET expires_at = ?1 WHERE id = ?2";
pub(super) const REMOVE_EXPIRED: &str = "DELETE FROM secrets WHERE source = ? AND expires_at <= ?";
pub(super) const FORGET_TOKENS: &str = "DELETE FROM spent_tokens WHERE at < ?";
pub(super) const SPEND_TOKEN: &str =
    "INSERT INTO spent_tokens (source, token, told, at) VALUES (?, ?, ?, ?) ON CONFLICT (source, token) DO NOTHING";
pub(super) const SPENT_ON: &str = "SELECT told FROM spent_tokens WHERE source = ? AND token = ?";
pub(super) const COUNT_REFUSAL: &str = "INSERT INTO refusals (source, reason, times, last_at) VALUES (?, ?, ?, ?) \
     ON CONFLICT (source, reason) DO UPDATE SET times = times + excluded.times, last_at = excluded.last_at";
pub(super) const REFUSALS: &str =
    "SELECT reason, times, last_at FROM refusals WHERE source = ? ORDER BY last_at DESC, reason";
pub(super) const TOLD_BY: &str = "SELECT kind, provider_kind, count(*), max(received_at) FROM events \
     WHERE origin = (SELECT id FROM origins WHERE name = ?) GROUP BY kind, provider_kind ORDER BY kind, provider_kind";
pub(super) const SECRETS: &str = "SELECT secret, expires_at FROM secrets WHERE source = ? ORDER BY id DESC";
// A password may be that of two mailboxes; it signs nothing.
pub(super) const SECRET_ELSEWHERE: &str = "SELECT s.source FROM secrets s \
     JOIN sources o ON o.name = s.source AND o.dialect <> 'imap' WHERE s.secret = ? AND s.source <> ? LIMIT 1";
pub(super) const ADD_SECRET: &str = "INSERT INTO secrets (source, secret, webhook_id, created_at) VALUES (?, ?, ?, ?)";
pub(super) const SECRETS_WITH_TIES: &str = "SELECT id, secret, webhook_id, expires_at FROM secrets WHERE source = ?";
pub(super) const REMOVE_SECRET: &str = "DELETE FROM secrets WHERE source = ? AND secret = ? AND webhook_id IS NULL";
pub(super) const HAS_SECRET_OF: &str = "SELECT 1 FROM secrets WHERE webhook_id = ? LIMIT 1";
pub(super) const REMOVE_SECRET_OF: &str = "DELETE FROM secrets WHERE webhook_id = ?";

pub(super) const PUT_TOKEN: &str = "INSERT INTO tokens (name, scope, sha256, created_at) VALUES (?, ?, ?, ?) \
     ON CONFLICT (name) DO UPDATE SET scope = excluded.scope, sha256 = excluded.sha256, created_at = excluded.created_at";
pub(super) const HAS_TOKEN: &str = "SELECT 1 FROM tokens WHERE name = ?";
pub(super) const PRINCIPAL: &str =
    "SELECT name, scope, may, mailboxes, human_present, expires_at, created_at FROM tokens WHERE sha256 = ?";
pub(super) const TOKENS: &str =
    "SELECT name, scope, may, mailboxes, human_present, expires_at, created_at FROM tokens ORDER BY name";
pub(super) const TOKEN_HASHES: &str = "SELECT sha256, expires_at FROM tokens";
pub(super) const COUNT_TOKENS: &str = "SELECT count(*) FROM tokens";
pub(super) const ADD_TOKEN: &str = "INSERT INTO tokens (name, scope, sha256, created_at, may, mailboxes, human_present, \
     expires_at) VALUES (?, 'mcp', ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING";
pub(super) const REMOVE_TOKEN: &str = "DELETE FROM tokens WHERE name = ?";

pub(super) const TAIL: &str = "SELECT tail FROM log WHERE only = 1";
pub(super) const RAISE_TAIL: &str = "UPDATE log SET tail = max(tail, ?) WHERE only = 1";
pub(super) const OLDEST_EVENTS: &str = "SELECT seq, kind, received_at FROM events WHERE seq >= ? ORDER BY seq LIMIT ?";
pub(super) const CLAIM_STATES: &str = "SELECT seq, state FROM claims WHERE consumer = ? AND seq BETWEEN ? AND ?";
/// Keeps the ids of events that go: now, seq.
pub(super) const KEEP_IDS: &str = "INSERT INTO removed_ids (origin, event_id, seq, removed_at) \
     SELECT origin, event_id, seq, ? FROM events WHERE seq <= ? ON CONFLICT DO NOTHING";
pub(super) const REMOVE_EVENTS: &str = "DELETE FROM events WHERE seq <= ?";
/// What is parked stays, for the operator to settle.
pub(super) const REMOVE_CLAIMS: &str = "DELETE FROM claims WHERE seq <= ? AND state <> 'parked'";
pub(super) const REMOVED: &str = "SELECT r.origin, r.event_id, r.seq FROM json_each(?) j CROSS JOIN removed_ids r \
     ON r.origin = json_extract(j.value, '$[0]') AND r.event_id = json_extract(j.value, '$[1]')";
pub(super) const FORGET_IDS: &str = "DELETE FROM removed_ids WHERE (origin, event_id) IN \
     (SELECT origin, event_id FROM removed_ids WHERE removed_at < ? LIMIT ?)";
pub(super) const FORGET_QUARANTINE: &str =
    "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE last_at < ? LIMIT ?)";
pub(super) const OLDEST_AUDIT: &str = "SELECT id, at FROM audit ORDER BY id LIMIT ?";
pub(super) const NEWEST_AUDIT: &str = "SELECT max(id) FROM audit";

pub(super) const LAST_AUDIT: &str = "SELECT id, mac FROM audit ORDER BY id DESC LIMIT 1";
pub(super) const FIRST_AUDIT: &str = "SELECT min(id) FROM audit";
pub(super) const AUDIT_MAC: &str = "SELECT mac FROM audit WHERE id = ?";
pub(super) const ADD_AUDIT: &str = "INSERT INTO audit (id, at, what, entry, mac) VALUES (?, ?, ?, ?, ?)";
pub(super) const AUDIT_AFTER: &str = "SELECT id, at, what, entry, mac FROM audit WHERE id > ? ORDER BY id LIMIT ?";
pub(super) const CUT_AUDIT: &str = "DELETE FROM audit WHERE id <= ?";
pub(super) const LAST_SEAL: &str = "SELECT seal FROM audit_segments ORDER BY last DESC LIMIT 1";
pub(super) const ADD_SEGMENT: &str =
    "INSERT INTO audit_segments (last, first, mac, sealed_at, seal) VALUES (?, ?, ?, ?, ?)";
pub(super) const SEGMENTS: &str = "SELECT first, last, mac, seal FROM audit_segments ORDER BY last";

pub(super) const QUARANTINE: &str = "INSERT INTO quarantine (source, body_sha256, reason, body, last_at, times) \
     VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (source, body_sha256) DO UPDATE SET \
     times = times + 1, reason = excluded.reason, last_at = excluded.last_at";
/// Drops the oldest beyond so many rows, and so many bytes.
pub(super) const CAP_QUARANTINE: &str = "DELETE FROM quarantine WHERE id IN (SELECT id FROM (SELECT id, \
     row_number() OVER newest AS place, sum(length(body)) OVER newest AS bytes FROM quarantine \
     WINDOW newest AS (ORDER BY last_at DESC, id DESC ROWS UNBOUNDED PRECEDING)) WHERE place > ? OR bytes > ?)";
pub(super) const QUARANTINED: &str =
    "SELECT source, reason, body, last_at, times FROM quarantine ORDER BY last_at DESC, id DESC LIMIT ?";

/// Those of a JSON list of messages that are not known to be in a mailbox.
pub(super) const UNPLACED: &str = "SELECT value FROM json_each(?) WHERE NOT EXISTS \
     (SELECT 1 FROM message_mailboxes WHERE message_id = value AND mailbox_id = ?)";
pub(super) const PLACE: &str = "INSERT INTO message_mailboxes (message_id, mailbox_id) SELECT value, ? FROM json_each(?) \
     WHERE true ON CONFLICT (message_id) DO UPDATE SET mailbox_id = excluded.mailbox_id";
pub(super) const CAP_PLACES: &str =
    "DELETE FROM message_mailboxes WHERE id <= (SELECT max(id) FROM message_mailboxes) - ?";
pub(super) const MAILBOX_OF: &str = "SELECT mailbox_id FROM message_mailboxes WHERE message_id = ?";

pub(super) const HOSTED: &str = "SELECT api, webhook_id, looked_at, tried_at, trouble FROM hosted WHERE api = ?";
pub(super) const HOSTED_IN_USE: &str =
    "SELECT api, webhook_id, looked_at, tried_at, trouble FROM hosted WHERE tried_at IS NOT NULL";
pub(super) const HOSTED_NOT_IN_USE: &str = "UPDATE hosted SET tried_at = NULL, trouble = NULL WHERE api <> ?";
pub(super) const KEEP_HOSTED_WEBHOOK: &str = "INSERT INTO hosted (api, webhook_id) VALUES (?, ?) \
     ON CONFLICT (api) DO UPDATE SET webhook_id = excluded.webhook_id";
pub(super) const KEEP_HOSTED_LOOK: &str = "INSERT INTO hosted (api, tried_at, trouble, looked_at) VALUES (?, ?, ?, ?) \
     ON CONFLICT (api) DO UPDATE SET tried_at = excluded.tried_at, trouble = excluded.trouble, \
     looked_at = coalesce(excluded.looked_at, looked_at)";
pub(super) const HOSTED_MARK: &str =
    "SELECT message_id, received_at FROM hosted_marks WHERE api = ? AND mailbox_id = ?";
pub(super) const KEEP_HOSTED_MARK: &str = "INSERT INTO hosted_marks (api, mailbox_id, message_id, received_at) \
     VALUES (?, ?, ?, ?) ON CONFLICT (api, mailbox_id) DO UPDATE SET message_id = excluded.message_id, \
     received_at = excluded.received_at";

pub(super) const DATA_VERSION: &str = "PRAGMA data_version";
pub(super) const NEWS: &str = "SELECT seq, mailbox FROM events WHERE seq > ? ORDER BY seq LIMIT ?";

/// The house's row has no mailbox.
pub(super) const RULES: &str = "SELECT NULL AS mailbox, mode, paused, \
     EXISTS (SELECT 1 FROM tokens WHERE scope = 'operator') AS operator FROM oversight \
     UNION ALL SELECT mailbox, mode, 0, 0 FROM oversight_modes";
pub(super) const SET_MODE: &str = "UPDATE oversight SET mode = ?";
pub(super) const SET_MAILBOX_MODE: &str = "INSERT INTO oversight_modes (mailbox, mode) VALUES (?1, ?2) \
     ON CONFLICT (mailbox) DO UPDATE SET mode = ?2";
pub(super) const UNSET_MAILBOX_MODE: &str = "DELETE FROM oversight_modes WHERE mailbox = ?";
pub(super) const SET_PAUSED: &str = "UPDATE oversight SET paused = ?";
pub(super) const ALIKE: &str = "SELECT id FROM actions WHERE alike = ?1 \
     AND (state IN ('scheduled', 'pending', 'approved', 'running') OR (?2 AND named AND created_at > ?3)) ORDER BY n DESC LIMIT 1";
pub(super) const WAITING: &str = "SELECT count(*), coalesce(sum(length(effect)), 0) FROM actions WHERE state IN ('scheduled', 'pending', 'approved', 'running')";
pub(super) const KEEP_ACTION: &str = "INSERT INTO actions (id, state, effect, digest, alike, named, summary, asker, \
     mailbox, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
pub(super) const ASK_ABOUT: &str = "UPDATE actions SET state = 'pending' WHERE state = 'scheduled' AND expires_at <= ?";
pub(super) const ACTION: &str = "SELECT id, state, effect, digest, summary, asker, mailbox, created_at, expires_at, \
     decided_at, note FROM actions WHERE id = ?";
pub(super) const ACTIONS_IN: &str = "SELECT id, state, CASE WHEN ?1 THEN effect END AS effect, digest, summary, asker, \
     mailbox, created_at, expires_at, decided_at, note FROM actions WHERE state = ?2 ORDER BY n DESC LIMIT ?3";
pub(super) const ACTIONS: &str = "SELECT id, state, CASE WHEN ?1 THEN effect END AS effect, digest, summary, asker, \
     mailbox, created_at, expires_at, decided_at, note FROM actions ORDER BY n DESC LIMIT ?2";
pub(super) const DECIDABLE: &str = "SELECT state, digest, expires_at FROM actions WHERE id = ?";
pub(super) const MOVE_ACTION: &str = "UPDATE actions SET state = ?3, effect = CASE WHEN ?4 THEN NULL ELSE effect END, \
     note = coalesce(?5, note), decided_at = coalesce(decided_at, ?6) WHERE id = ?1 AND state = ?2";
pub(super) const KEEP_CODE: &str =
    "INSERT INTO upgrade_codes (sha256, mailbox, mode, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
pub(super) const USE_CODE: &str =
    "DELETE FROM upgrade_codes WHERE sha256 = ? AND mailbox = ? AND expires_at > ? RETURNING mode";

pub(super) const KEEP_CONSOLE_CODE: &str =
    "INSERT OR REPLACE INTO console_codes (only, sha256, operator, boot_id, until_millis) VALUES (1, ?, ?, ?, ?)";
pub(super) const USE_CONSOLE_CODE: &str =
    "DELETE FROM console_codes WHERE only = 1 AND sha256 = ? AND boot_id = ? AND until_millis > ? RETURNING operator";

pub(super) const NOTE_MESSAGE: &str = "UPDATE actions SET message_id = ?2 WHERE id = ?1";
pub(super) const MESSAGE_OF: &str = "SELECT message_id FROM actions WHERE id = ?";

pub(super) const ACTIONS_ABOUT: &str = "SELECT id, state, NULL AS effect, digest, summary, asker, mailbox, created_at, \
     expires_at, decided_at, note FROM actions WHERE message_id = ? ORDER BY n DESC LIMIT ?";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    LOG,
    ADD_LOG,
    EXTENT,
    EVENT_BY_ID,
    EVENT_BY_SEQ,
    ORIGIN,
    ADD_ORIGIN,
    CONSUMER,
    CONSUMER_BY_ID,
    ADD_CONSUMER,
    RAISE_LOW_WATER,
    RAISE_RETURNS,
    RETURNS,
    FREED,
    LEASE,
    PARK_SPENT,
    NEXT_EXPIRY,
    BACKLOG,
    REQUEUED,
    HELD,
    HOLDING,
    TOKENS_OF_MESSAGE,
    IS_LEASED,
    LATER_WAITS,
    LEASES_OF_MESSAGE,
    ACK,
    RELEASE,
    EXTEND,
    LENGTHEN,
    LEASE_OF_ACTION,
    SHORTEN,
    PARK,
    UNCLAIM,
    FIRST_OPEN,
    NTH_CLAIM,
    DROP_ACKED,
    DROP_ACKED_BELOW,
    CONSUMERS,
    OPEN_CLAIMS,
    COUNT_OPEN,
    PARKED_CLAIMS,
    COUNT_PARKED,
    RECEIVED_AT,
    CLAIM_OF_EVENT,
    REQUEUE,
    PARK_BY_OPERATOR,
    ACK_PARKED,
    ROSTER_VERSION,
    RAISE_ROSTER_VERSION,
    ADD_SOURCE,
    REMOVE_SOURCE,
    SOURCE,
    SOURCES,
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
    REMOVE_SECRET_OF,
    REMOVE_SECRET,
    SECRETS_WITH_TIES,
    PUT_TOKEN,
    HAS_TOKEN,
    PRINCIPAL,
    TOKENS,
    TOKEN_HASHES,
    COUNT_TOKENS,
    ADD_TOKEN,
    REMOVE_TOKEN,
    HOLDER_OF,
    FREE_OF_PRINCIPAL,
    TAIL,
    RAISE_TAIL,
    OLDEST_EVENTS,
    CLAIM_STATES,
    KEEP_IDS,
    REMOVE_EVENTS,
    REMOVE_CLAIMS,
    REMOVED,
    FORGET_IDS,
    FORGET_QUARANTINE,
    OLDEST_AUDIT,
    NEWEST_AUDIT,
    LAST_AUDIT,
    FIRST_AUDIT,
    AUDIT_MAC,
    ADD_AUDIT,
    AUDIT_AFTER,
    CUT_AUDIT,
    LAST_SEAL,
    ADD_SEGMENT,
    SEGMENTS,
    QUARANTINE,
    CAP_QUARANTINE,
    QUARANTINED,
    UNPLACED,
    PLACE,
    CAP_PLACES,
    MAILBOX_OF,
    ARRIVED,
    HOSTED,
    HOSTED_IN_USE,
    HOSTED_NOT_IN_USE,
    KEEP_HOSTED_WEBHOOK,
    KEEP_HOSTED_LOOK,
    HOSTED_MARK,
    KEEP_HOSTED_MARK,
    HAS_SECRET_OF,
    DATA_VERSION,
    NEWS,
    RULES,
    SET_MODE,
    SET_MAILBOX_MODE,
    UNSET_MAILBOX_MODE,
    SET_PAUSED,
    ALIKE,
    WAITING,
    KEEP_ACTION,
    ASK_ABOUT,
    ACTION,
    ACTIONS_IN,
    ACTIONS,
    DECIDABLE,
    MOVE_ACTION,
    KEEP_CODE,
    USE_CODE,
    NOTE_MESSAGE,
    MESSAGE_OF,
    ACTIONS_ABOUT,
    KEEP_CONSOLE_CODE,
    USE_CONSOLE_CODE,
];
