//! Consumers, and what they were handed.

pub(in super::super) const CONSUMER: &str = "SELECT id, name, kinds, low_water FROM consumers WHERE name = ?";
pub(in super::super) const CONSUMER_BY_ID: &str = "SELECT id, name, kinds, low_water FROM consumers WHERE id = ?";
/// The beginning of a look: a consumer with the log's tail and head. More columns follow, and [`LOOK_END`].
pub(in super::super) const LOOK: &str = concat!("SELECT id, name, kinds, low_water, tail, ", head!());
/// The consumer's name.
pub(in super::super) const LOOK_END: &str = " FROM consumers CROSS JOIN log WHERE name = ? AND only = 1";
/// How far a consumer is, the log's head, whether anything of it is leased or waits for a retry, and whether anything of that
/// was handed out too often, and the log's tail: attempts, boot, millis of now, consumer.
pub(in super::super) const REACHED: &str = concat!(
    "SELECT n.low_water, ",
    head!(),
    ", EXISTS (SELECT 1 FROM claims c INDEXED BY claims_open WHERE c.consumer = n.id AND ",
    open!(),
    "), EXISTS (SELECT 1 FROM claims c INDEXED BY claims_open WHERE c.consumer = n.id AND ",
    open!(),
    " AND c.attempt >= ? AND ",
    over!(),
    "), tail FROM consumers n CROSS JOIN log WHERE n.id = ? AND only = 1"
);
pub(in super::super) const ADD_CONSUMER: &str =
    "INSERT INTO consumers (name, kinds, low_water) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING";
pub(in super::super) const RAISE_LOW_WATER: &str = "UPDATE consumers SET low_water = max(low_water, ?) WHERE id = ?";
pub(in super::super) const RAISE_RETURNS: &str =
    "UPDATE consumers SET returns = returns + 1 WHERE id = ? RETURNING name";
pub(in super::super) const RETURNS: &str = "SELECT name, returns FROM consumers";
/// The condition on `events e` that a consumer (`?`) was never handed it.
pub(in super::super) const NEVER_CLAIMED: &str =
    "NOT EXISTS (SELECT 1 FROM claims c WHERE c.consumer = ? AND c.seq = e.seq)";
/// The events given back to a consumer, or whose lease has run out, each with its attempts so far: consumer, boot, millis of
/// now. More conditions follow.
pub(in super::super) const FREED: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", c.attempt FROM claims c INDEXED BY claims_open CROSS JOIN events e ON e.seq = c.seq WHERE c.consumer = ? AND ",
    open!(),
    " AND ",
    over!()
);
/// The beginning of the condition on `events e` that nothing earlier of its thread stands in its way: consumer, boot,
/// millis of now, who claims. What is over is in nobody's way if the same claim can take it: conditions on `x` for that
/// follow.
pub(in super::super) const IN_ORDER: &str = "NOT EXISTS (SELECT 1 FROM claims o INDEXED BY claims_thread WHERE o.consumer = ? \
     AND o.thread_id = e.thread_id AND o.seq < e.seq AND o.state IN ('free', 'leased') \
     AND CASE WHEN o.lease_boot = ? AND o.lease_deadline_millis > ? THEN NOT (o.state = 'leased' AND o.holder IS ?) \
     ELSE NOT EXISTS (SELECT 1 FROM events x WHERE x.seq = o.seq";
pub(in super::super) const IN_ORDER_END: &str = ") END)";
/// Leases events: consumer, token, holder, client, wall clock of now, boot, deadline, JSON list of places.
pub(in super::super) const LEASE: &str = "INSERT INTO claims (consumer, seq, state, attempt, token, holder, client, thread_id, \
     since, lease_boot, lease_deadline_millis) SELECT ?, e.seq, 'leased', 1, ?, ?, ?, e.thread_id, ?, ?, ? \
     FROM json_each(?) j CROSS JOIN events e ON e.seq = j.value WHERE true ON CONFLICT (consumer, seq) DO UPDATE SET state = 'leased', attempt = attempt + 1, token = excluded.token, \
     holder = excluded.holder, client = excluded.client, since = excluded.since, lease_boot = excluded.lease_boot, \
     lease_deadline_millis = excluded.lease_deadline_millis";
/// Parks what was handed out too often: wall clock of now, consumer, attempts, boot, millis of now.
pub(in super::super) const PARK_SPENT: &str = concat!(
    "UPDATE claims AS c INDEXED BY claims_open SET state = 'parked', parked_by = 'attempts', since = ?, token = NULL, \
     lease_boot = NULL, lease_deadline_millis = NULL WHERE c.consumer = ? AND ",
    open!(),
    " AND c.attempt >= ? AND ",
    over!(),
    " RETURNING seq"
);
/// What a consumer has left of each of a JSON list of kinds, as a JSON object, and the earliest deadline of its live leases and
/// pauses. Left are the unsettled ones of the first so many above the low-water mark, and the open ones below, where only what
/// an operator re-queued is. Consumer, how many, consumer three times, kinds, consumer, boot, millis of now.
macro_rules! left {
    () => {
        concat!(
            "(SELECT json_group_object(j.value, (SELECT count(*) FROM (SELECT e.seq AS seq FROM events e WHERE \
             e.seq > (SELECT low_water FROM consumers WHERE id = ?) AND e.kind = j.value ORDER BY e.seq LIMIT +?) w \
             WHERE NOT EXISTS (SELECT 1 FROM claims c WHERE c.consumer = ? AND c.seq = w.seq AND c.state IN ('acked', 'parked'))) \
             + (SELECT count(*) FROM claims c INDEXED BY claims_open CROSS JOIN events e ON e.seq = c.seq WHERE c.consumer = ? AND ",
            open!(),
            " AND e.kind = j.value AND c.seq <= (SELECT low_water FROM consumers WHERE id = ?))) FROM json_each(?) j), \
             (SELECT min(c.lease_deadline_millis) FROM claims c INDEXED BY claims_open WHERE c.consumer = ? AND ",
            open!(),
            " AND c.lease_boot = ? AND c.lease_deadline_millis > ?)"
        )
    };
}
pub(in super::super) const LEFT_COLUMNS: &str = left!();
#[cfg(test)]
const LEFT: &str = concat!("SELECT ", left!());
pub(in super::super) const HELD: &str = "SELECT c.consumer, c.seq, e.event_id, c.attempt, c.thread_id, c.holder FROM claims c INDEXED BY claims_token \
     CROSS JOIN events e ON e.seq = c.seq WHERE c.token = ? AND c.state = 'leased'";
/// The consumer's name, and whether the earliest of a token's leases ends too early: boot, millis, token.
pub(in super::super) const HOLDING: &str = "SELECT (SELECT name FROM consumers WHERE id = c.consumer), \
     max(c.lease_boot <> ? OR c.lease_deadline_millis < ?) FROM claims c INDEXED BY claims_token \
     WHERE c.token = ? AND c.state = 'leased' HAVING count(*) > 0";
/// The places of the events about a message: `?1`.
macro_rules! about_message {
    () => {
        concat!(
            "(SELECT seq FROM event_messages WHERE message_id = ?1 \
             UNION ALL SELECT seq FROM events WHERE seq > ",
            indexed_through!(),
            " AND message_id = ?1)"
        )
    };
}
/// The tokens under which the events about a message are leased in one consumer: message, consumer's name.
pub(in super::super) const TOKENS_OF_MESSAGE: &str = concat!(
    "SELECT c.token FROM claims c WHERE c.seq IN ",
    about_message!(),
    " AND c.consumer = (SELECT id FROM consumers WHERE name = ?2) AND c.state = 'leased'"
);
pub(in super::super) const HOLDER_OF: &str =
    "SELECT c.holder FROM claims c INDEXED BY claims_token WHERE c.token = ? AND c.state = 'leased' LIMIT 1";
/// Frees what is leased in the name of a token: its name twice.
pub(in super::super) const FREE_OF_PRINCIPAL: &str = concat!(
    "UPDATE claims AS c INDEXED BY claims_open SET state = 'free', token = NULL, since = NULL, lease_boot = NULL, \
     lease_deadline_millis = NULL WHERE ",
    open!(),
    " AND c.state = 'leased' AND (c.holder = 'principal:' || ? OR c.holder GLOB 'session:' || ? || ':*') \
     RETURNING consumer, seq"
);
/// Whether an event is on lease: consumer's name, seq, boot, millis.
pub(in super::super) const IS_LEASED: &str = "SELECT EXISTS (SELECT 1 FROM claims c \
     WHERE c.consumer = (SELECT id FROM consumers WHERE name = ?) AND c.seq = ? AND c.state = 'leased' \
     AND c.lease_boot = ? AND c.lease_deadline_millis > ?)";
/// Whether something later of a thread waits: thread, seq, consumer.
pub(in super::super) const LATER_WAITS: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM (SELECT seq FROM event_threads WHERE thread_id = ?1 AND seq > max(?2, ",
    removed_through!(),
    ") UNION ALL SELECT seq FROM events WHERE seq > max(?2, ",
    indexed_through!(),
    ") AND thread_id = ?1) e WHERE NOT EXISTS (SELECT 1 FROM claims c WHERE c.consumer = ?3 AND c.seq = e.seq \
     AND c.state IN ('leased', 'acked', 'parked')))"
);
pub(in super::super) const LEASES_OF_MESSAGE: &str = concat!(
    "SELECT c.consumer, c.seq, e.event_id, c.attempt, c.thread_id, c.holder, c.token FROM events e \
     CROSS JOIN consumers k CROSS JOIN claims c ON c.consumer = k.id AND c.seq = e.seq WHERE e.seq IN ",
    about_message!(),
    " AND c.state = 'leased'"
);
pub(in super::super) const ACK: &str = "UPDATE claims SET state = 'acked', token = NULL, lease_boot = NULL, \
     lease_deadline_millis = NULL WHERE consumer = ? AND seq = ?";
pub(in super::super) const RELEASE: &str = "UPDATE claims SET state = 'free', token = NULL, since = NULL, lease_boot = ?, \
     lease_deadline_millis = ? WHERE consumer = ? AND seq = ?";
/// A lease that runs longer because a change waits under it is not made shorter: boot, millis, consumer, seq.
pub(in super::super) const EXTEND: &str = "UPDATE claims SET lease_boot = ?1, lease_deadline_millis = CASE \
     WHEN lease_boot = ?1 AND lease_deadline_millis > ?2 AND EXISTS (SELECT 1 FROM actions a WHERE a.lease = claims.token \
     AND a.state IN ('pending', 'approved', 'running')) THEN lease_deadline_millis ELSE ?2 END \
     WHERE consumer = ?3 AND seq = ?4";
/// Has an action that is not over keep a lease: its id, the token.
pub(in super::super) const LEASE_OF_ACTION: &str = "UPDATE actions SET lease = ?2 WHERE id = ?1 \
     AND state IN ('pending', 'approved', 'running') RETURNING expires_at";
/// Has the lease of an action end earlier, unless another action needs it: action, boot, millis.
pub(in super::super) const SHORTEN: &str = "UPDATE claims SET lease_deadline_millis = ?3 WHERE state = 'leased' AND lease_boot = ?2 \
     AND lease_deadline_millis > ?3 AND token = (SELECT a.lease FROM actions a WHERE a.id = ?1 AND NOT EXISTS \
     (SELECT 1 FROM actions o WHERE o.lease = a.lease AND o.id <> a.id AND o.state IN ('pending', 'approved', 'running'))) \
     RETURNING token";
/// Lengthens the leases of a token that would end too early: boot, millis, token.
pub(in super::super) const LENGTHEN: &str = "UPDATE claims SET lease_boot = ?1, lease_deadline_millis = ?2 \
     WHERE token = ?3 AND state = 'leased' AND (lease_boot <> ?1 OR lease_deadline_millis < ?2)";
pub(in super::super) const PARK: &str = "UPDATE claims SET state = 'parked', parked_by = ?, note = ?, since = ?, token = NULL, \
     lease_boot = NULL, lease_deadline_millis = NULL WHERE consumer = ? AND seq = ?";
pub(in super::super) const UNCLAIM: &str = "UPDATE claims SET state = 'free', attempt = attempt - 1, token = NULL, holder = NULL, \
     client = NULL, since = NULL, lease_boot = NULL, lease_deadline_millis = NULL WHERE token = ? AND state = 'leased' RETURNING consumer, seq";
/// The first open event above a place: consumer, seq.
pub(in super::super) const FIRST_OPEN: &str = concat!(
    "SELECT c.seq FROM claims c INDEXED BY claims_open WHERE c.consumer = ? AND ",
    open!(),
    " AND c.seq > ? ORDER BY c.seq LIMIT 1"
);
/// The claim that lies so many above the low-water mark: consumer, low-water mark, how many.
pub(in super::super) const NTH_CLAIM: &str =
    "SELECT seq FROM claims WHERE consumer = ? AND seq > ? ORDER BY seq LIMIT 1 OFFSET ?";
pub(in super::super) const DROP_ACKED: &str =
    "DELETE FROM claims WHERE consumer = ? AND seq > ? AND seq <= ? AND state = 'acked'";
/// Drops one row that was settled below the mark, where an operator had put it back: seq, consumer.
pub(in super::super) const DROP_ACKED_BELOW: &str = "DELETE FROM claims WHERE seq = ?1 AND consumer = ?2 AND state = 'acked' \
     AND seq <= (SELECT low_water FROM consumers WHERE id = ?2)";
pub(in super::super) const CONSUMERS: &str = "SELECT id, name, kinds, low_water FROM consumers ORDER BY name";
/// What is open in a consumer, the oldest first; each with whether its lease or pause is over: boot, millis, consumer, at most.
pub(in super::super) const OPEN_CLAIMS: &str = concat!(
    "SELECT c.seq, e.event_id, e.kind, c.state, c.attempt, c.holder, c.client, c.since, \
     CASE WHEN c.lease_boot = ?1 THEN c.lease_deadline_millis - ?2 END AS left_millis \
     FROM claims c INDEXED BY claims_open CROSS JOIN events e ON e.seq = c.seq WHERE c.consumer = ?3 AND ",
    open!(),
    " ORDER BY c.seq LIMIT +?4"
);
/// How many are open in a consumer and leased: boot, millis, consumer.
pub(in super::super) const COUNT_OPEN: &str = concat!(
    "SELECT count(*), coalesce(sum(c.state = 'leased' AND c.lease_boot = ?1 AND c.lease_deadline_millis > ?2), 0) \
     FROM claims c INDEXED BY claims_open WHERE c.consumer = ?3 AND ",
    open!()
);
pub(in super::super) const PARKED_CLAIMS: &str = "SELECT c.seq, e.event_id, e.kind, c.attempt, c.holder, c.client, c.since, \
     c.parked_by, c.note FROM claims c INDEXED BY claims_parked LEFT JOIN events e ON e.seq = c.seq \
     WHERE c.consumer = ? AND c.state = 'parked' ORDER BY c.seq LIMIT +?";
/// How many are parked in a consumer, and how many of them by agents: consumer.
pub(in super::super) const COUNT_PARKED: &str = "SELECT count(*), coalesce(sum(c.parked_by = 'agent'), 0) FROM claims c \
     INDEXED BY claims_parked WHERE c.consumer = ? AND c.state = 'parked'";
/// An event, as a consumer has it: consumer, seq.
pub(in super::super) const CLAIM_OF_EVENT: &str = "SELECT e.kind, e.thread_id, c.state FROM events e \
     LEFT JOIN claims c ON c.consumer = ? AND c.seq = e.seq WHERE e.seq = ?";
pub(in super::super) const REQUEUE: &str = "UPDATE claims SET state = 'free', attempt = 0, holder = NULL, client = NULL, \
     since = NULL, parked_by = NULL, note = NULL WHERE consumer = ? AND seq = ? AND state = 'parked'";
/// Parks what an operator names, handed out before or not: consumer, seq, thread, wall clock of now, note.
pub(in super::super) const PARK_BY_OPERATOR: &str = "INSERT INTO claims (consumer, seq, state, attempt, thread_id, since, parked_by, note) \
     VALUES (?, ?, 'parked', 0, ?, ?, 'operator', ?) ON CONFLICT (consumer, seq) DO UPDATE SET state = 'parked', \
     parked_by = 'operator', since = excluded.since, note = excluded.note, token = NULL, lease_boot = NULL, \
     lease_deadline_millis = NULL";
/// Settles what is parked: consumer, seq.
pub(in super::super) const ACK_PARKED: &str =
    "UPDATE claims SET state = 'acked', note = NULL WHERE consumer = ? AND seq = ? AND state = 'parked'";

/// Every statement above; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    CONSUMER,
    CONSUMER_BY_ID,
    REACHED,
    ADD_CONSUMER,
    RAISE_LOW_WATER,
    RAISE_RETURNS,
    RETURNS,
    FREED,
    LEASE,
    PARK_SPENT,
    LEFT,
    HELD,
    HOLDING,
    TOKENS_OF_MESSAGE,
    HOLDER_OF,
    FREE_OF_PRINCIPAL,
    IS_LEASED,
    LATER_WAITS,
    LEASES_OF_MESSAGE,
    ACK,
    RELEASE,
    EXTEND,
    LEASE_OF_ACTION,
    SHORTEN,
    LENGTHEN,
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
    CLAIM_OF_EVENT,
    REQUEUE,
    PARK_BY_OPERATOR,
    ACK_PARKED,
];
