//! The heads of lines: the oldest pending delivery of each, as it is taken to be sent, with what follows it.
//!
//! An attempt at a head is counted when it is taken, so that one that a crash cut off shows; an attempt at a follower when it is
//! recorded, because it may not come to it.

use std::collections::{HashMap, VecDeque};

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    lines::{delivery_id, replay_of},
    webhooks::signature_format,
};
use crate::{
    domain::{
        id::{EventId, WebhookId},
        secret::Secret,
        webhook::Endpoint,
    },
    store::{
        StoreError,
        deliveries::{FOLLOWERS_BYTES_MAX, FOLLOWERS_MAX, FOLLOWERS_MAX_OWN, Follower, Owed},
        failed,
        many::{self, Many},
    },
};

static HEADS: Many = Many::new(|| many::sizes().map(heads_sql).collect());

/// Begins an attempt at the head of each of so many lines.
pub(super) fn heads_sql(lines: usize) -> String {
    format!(
        "UPDATE delivery SET attempts = attempts + 1
         WHERE seq IN (SELECT (SELECT d.seq FROM delivery d
                               WHERE d.line_id = lines.column1 AND d.state = 'pending' AND d.paused = 0
                               ORDER BY d.seq LIMIT 1)
                       FROM (VALUES {}) lines)
         RETURNING seq, line_id, webhook_id, event_id, attempts, created_at, body, replay_of,
                   coalesce(expires_at <= (SELECT millis FROM running_time WHERE id = 1), FALSE) AS last,
                   (SELECT o.created_at FROM delivery o WHERE o.seq = delivery.replay_of) AS replay_of_created_at,
                   (SELECT endpoint FROM line WHERE id = delivery.line_id) AS endpoint,
                   (SELECT failures FROM line WHERE id = delivery.line_id) AS failures,
                   (SELECT failed_at IS NOT NULL FROM line WHERE id = delivery.line_id) AS failed,
                   (SELECT signature_format FROM webhook WHERE webhook.id = delivery.webhook_id) AS signature_format,
                   (SELECT json_group_array(secret ORDER BY place DESC) FROM webhook_secret s
                    WHERE s.webhook_id = delivery.webhook_id) AS secrets,
                   EXISTS (SELECT 1 FROM delivery f WHERE f.line_id = delivery.line_id AND f.state = 'pending'
                                                      AND f.paused = 0 AND f.seq > delivery.seq) AS followed",
        many::rows("(?)", lines)
    )
}

static FOLLOWERS: Many = Many::new(|| many::sizes().map(|lines| followers_sql(lines, FOLLOWERS_MAX)).collect());
static FOLLOWERS_OWN: Many = Many::new(|| many::sizes().map(|lines| followers_sql(lines, FOLLOWERS_MAX_OWN)).collect());

/// What follows the heads of so many lines, so many of each; in no order, for to sort them there would copy their bodies.
pub(super) fn followers_sql(lines: usize, max: u32) -> String {
    const PENDING: &str = "line_id = head.column1 AND state = 'pending' AND paused = 0 AND seq > head.column2";
    format!(
        "SELECT line_id, seq, created_at, webhook_id, event_id, body, attempts = 0 AND replay_of IS NULL AS untried
         FROM (VALUES {}) head CROSS JOIN delivery
         WHERE {PENDING} AND seq <= (SELECT max(seq) FROM (SELECT seq FROM delivery WHERE {PENDING} ORDER BY seq LIMIT {max}))",
        many::rows("(?, ?)", lines)
    )
}

/// A line that a token holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Held<'a> {
    pub(super) line: i64,
    pub(super) token: &'a str,
}

/// Begins an attempt at the oldest pending delivery of each of `lines`; those with nothing pending are left out. The heads
/// come in the order of their lines.
pub(super) async fn heads(conn: &mut SqliteConnection, lines: &[Held<'_>]) -> Result<Vec<Owed>, StoreError> {
    let mut rows = HashMap::with_capacity(lines.len());
    let mut rest = lines;
    while let Some((text, now, later)) = HEADS.next(rest) {
        rest = later;
        let query = now.iter().fold(sqlx::query(text), |query, held| query.bind(held.line));
        let found = query.fetch_all(&mut *conn).await.map_err(failed("take the heads of lines"))?;
        rows.extend(found.into_iter().map(|row| (row.get::<i64, _>("line_id"), row)));
    }
    let mut heads = Vec::with_capacity(rows.len());
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for held in lines {
        let Some(row) = rows.get(&held.line) else { continue };
        let head = owed(row, held.token)?;
        // What was tried before, or may be tried only once more, goes alone: one that nobody takes holds up no others.
        let untried = head.attempt == 1 && head.failures == 0 && !head.last && head.replay_of.is_none();
        if untried && row.get("followed") {
            if head.endpoint == Endpoint::Own { &mut own } else { &mut others }.push(heads.len());
        }
        heads.push(head);
    }
    for (texts, places) in [(&FOLLOWERS_OWN, own), (&FOLLOWERS, others)] {
        let ends = places.iter().map(|place| &heads[*place]);
        let ends = ends.map(|head| End { line: head.line, last: head.seq, webhook: &head.webhook });
        let followers = follow(conn, texts, &ends.collect::<Vec<_>>()).await?;
        for (place, followers) in places.into_iter().zip(followers) {
            heads[place].followers = followers;
        }
    }
    Ok(heads)
}

/// Where what a worker has of a line ends.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) line: i64,
    /// The place of the last delivery that it has.
    pub(super) last: i64,
    /// The webhook which that is for.
    pub(super) webhook: &'a WebhookId,
}

/// What comes after each of `ends`, to others than our own receiver.
pub(super) async fn more(conn: &mut SqliteConnection, ends: &[End<'_>]) -> Result<Vec<VecDeque<Follower>>, StoreError> {
    follow(conn, &FOLLOWERS, ends).await
}

/// What follows each of `ends`, as far as it is for the same webhook and was never tried.
async fn follow(
    conn: &mut SqliteConnection,
    followers: &'static Many,
    ends: &[End<'_>],
) -> Result<Vec<VecDeque<Follower>>, StoreError> {
    let mut behind: HashMap<i64, Vec<SqliteRow>> = HashMap::new();
    let mut rest = ends;
    while let Some((text, now, later)) = followers.next(rest) {
        rest = later;
        let query = now.iter().fold(sqlx::query(text), |query, end| query.bind(end.line).bind(end.last));
        for row in query.fetch_all(&mut *conn).await.map_err(failed("take what follows the heads of lines"))? {
            behind.entry(row.get("line_id")).or_default().push(row);
        }
    }
    let followers = |end: &End<'_>| {
        let mut rows = behind.remove(&end.line).unwrap_or_default();
        rows.sort_by_key(|row| row.get::<i64, _>("seq"));
        let mut weight = 0;
        let alike = rows.iter().map_while(|row| {
            let body: Vec<u8> = row.get("body");
            weight += body.len();
            let alike = row.get::<bool, _>("untried") && row.get::<&str, _>("webhook_id") == end.webhook.as_str();
            (alike && weight <= FOLLOWERS_BYTES_MAX).then(|| follower(row, body))
        });
        alike.collect()
    };
    Ok(ends.iter().map(followers).collect())
}

fn follower(row: &SqliteRow, body: Vec<u8>) -> Follower {
    let (seq, created_at) = (row.get("seq"), row.get("created_at"));
    Follower { id: delivery_id(created_at, seq), seq, event_id: EventId::new(row.get::<String, _>("event_id")), body }
}

fn owed(row: &SqliteRow, token: &str) -> Result<Owed, StoreError> {
    let (seq, created_at): (i64, i64) = (row.get("seq"), row.get("created_at"));
    let corrupt = |why| StoreError::Corrupt { table: "delivery", row: seq.to_string(), why };
    let secrets: Vec<String> =
        serde_json::from_str(row.get("secrets")).map_err(|_| corrupt("its webhook has no secrets"))?;
    Ok(Owed {
        id: delivery_id(created_at, seq),
        seq,
        line: row.get("line_id"),
        token: token.to_owned(),
        endpoint: row.get::<&str, _>("endpoint").parse().map_err(|_| corrupt("its endpoint is no URL"))?,
        webhook: WebhookId::new(row.get::<String, _>("webhook_id")),
        secrets: secrets.into_iter().map(Secret::new).collect(),
        signature_format: signature_format(row).ok_or_else(|| corrupt("its webhook has no signature format"))?,
        event_id: EventId::new(row.get::<String, _>("event_id")),
        body: row.get("body"),
        attempt: row.get("attempts"),
        last: row.get("last"),
        replay_of: replay_of(row),
        failures: row.get("failures"),
        failed: row.get("failed"),
        followers: VecDeque::new(),
    })
}
