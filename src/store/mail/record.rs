//! What an attempt leaves behind: its row, the delivery's state, and the line's next time.
//!
//! Most attempts deliver, and most lines have something behind: what many workers made at once is written in a few
//! statements, and their next heads are read in one. What failed is rare, and written one by one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sqlx::{Row as _, SqliteConnection, query::Query};

use super::{
    heads::{End, Held, heads, more},
    pauses,
};
use crate::{
    domain::{clock::UnixMillis, id::WebhookId, webhook::Endpoint},
    store::{
        StoreError,
        deliveries::{ATTEMPTS_KEPT_MAX, Answer, Attempt, Owed, Recorded, Renewal, Stay, Verdict},
        failed,
        many::{self, Many},
        turn::{Bound, Turn},
    },
};

/// Why a webhook whose endpoint answered 410 is disabled.
const GONE: &str =
    "the endpoint is gone: it answered 410; once it is back, `mailbell webhook enable ID` goes on with what is owed";

static LOST: Many = Many::new(|| many::sizes().map(lost_sql).collect());
static NOTE: Many = Many::new(|| many::sizes().map(note_sql).collect());
static DELIVERED: Many = Many::new(|| many::sizes().map(delivered_sql).collect());
/// Both at once, in one round trip.
static NOTE_DELIVERED: Many =
    Many::new(|| many::sizes().map(|tried| format!("{}; {}", note_sql(tried), delivered_sql(tried))).collect());
static REST: Many = Many::new(|| many::sizes().map(rest_sql).collect());

/// Those of so many lines that a token does not hold: their place, the line, the token.
pub(super) fn lost_sql(lines: usize) -> String {
    format!(
        "SELECT held.column1 FROM (VALUES {}) held
         WHERE NOT EXISTS (SELECT 1 FROM line WHERE id = held.column2 AND lease_token = held.column3)",
        many::rows("(?, ?, ?)", lines)
    )
}

fn note_sql(attempts: usize) -> String {
    format!(
        "INSERT OR REPLACE INTO attempt (delivery_seq, number, at, status, fault, duration_millis, response_bytes)
         VALUES {}",
        many::rows("(?, ?, ?, ?, ?, ?, ?)", attempts)
    )
}

/// Even if they were given up in the meantime: the endpoint has them.
pub(super) fn delivered_sql(deliveries: usize) -> String {
    format!(
        "UPDATE delivery SET state = 'delivered', last_attempt_at = made.column2, attempts = max(attempts, made.column3)
         FROM (VALUES {}) made WHERE delivery.seq = made.column1",
        many::rows("(?, ?, ?)", deliveries)
    )
}

/// Lets go of lines with nothing pending: they are at rest.
pub(super) fn rest_sql(lines: usize) -> String {
    format!(
        "UPDATE line SET due_at = NULL, failures = 0, failing_since = NULL,
                         lease_token = NULL, lease_boot = NULL, lease_until = NULL
         WHERE id IN (VALUES {})",
        many::rows("(?)", lines)
    )
}

/// What a worker asks to have written down.
pub(super) struct Record {
    line: i64,
    token: String,
    endpoint: Endpoint,
    webhook: WebhookId,
    /// Whether the line has a failure on record.
    failed: bool,
    /// The deliveries that were tried, each with the number of its try: the head of the line, and what went along.
    tried: Vec<(i64, u32)>,
    attempt: Attempt,
    verdict: Verdict,
    stay: Option<Stay>,
}

impl Record {
    pub(super) fn new(owed: &Owed, attempt: &Attempt, verdict: &Verdict, stay: Option<&Stay>) -> Self {
        let along = owed.followers.iter().filter(|_| owed.endpoint == Endpoint::Own).map(|follower| (follower.seq, 1));
        Self {
            line: owed.line,
            token: owed.token.clone(),
            endpoint: owed.endpoint.clone(),
            webhook: owed.webhook.clone(),
            failed: owed.failed,
            tried: std::iter::once((owed.seq, attempt.number)).chain(along).collect(),
            attempt: attempt.clone(),
            verdict: verdict.clone(),
            stay: stay.cloned(),
        }
    }

    fn head(&self) -> i64 {
        self.tried[0].0
    }

    fn held(&self) -> Held<'_> {
        Held { line: self.line, token: &self.token }
    }

    /// Where its worker asks for what follows.
    fn end(&self) -> Option<End<'_>> {
        let Some(Stay::Following { last: Some(last) }) = self.stay else { return None };
        Some(End { line: self.line, last, webhook: &self.webhook })
    }
}

/// Writes `records` down; answers for each, in their order.
pub(super) async fn record(turn: &mut Turn<'_>, records: &[Arc<Record>]) -> Result<Vec<Recorded>, StoreError> {
    let records: Vec<&Record> = records.iter().map(|record| &**record).collect();
    let lost = lost(turn, &records).await?;
    let conn = turn.conn().await?;
    let mut endings = vec![Recorded::Stale; records.len()];
    let held: Vec<usize> = (0..records.len()).filter(|place| !lost.contains(&records[*place].held())).collect();
    let kept: Vec<_> = held.iter().map(|place| records[*place]).collect();
    let (made, others): (Vec<usize>, Vec<usize>) =
        held.into_iter().partition(|place| records[*place].verdict == Verdict::Delivered);
    let all_delivered = others.is_empty();
    note(conn, &kept, all_delivered).await?;
    let delivered_now: Vec<_> = made.iter().map(|place| records[*place]).collect();
    for (place, ending) in made.into_iter().zip(delivered(conn, &delivered_now, all_delivered).await?) {
        endings[place] = ending;
    }
    for place in others {
        endings[place] = undelivered(conn, records[place]).await?;
    }
    Ok(endings)
}

/// Each delivery that was tried, with the number of the try and what came of it.
fn tried<'a>(records: &'a [&Record]) -> impl Iterator<Item = (i64, u32, &'a Attempt)> {
    records.iter().flat_map(|record| record.tried.iter().map(|(seq, number)| (*seq, *number, &record.attempt)))
}

/// What tokens do not hold any more. Of a line there may be several records, and one question.
async fn lost<'a>(turn: &mut Turn<'_>, records: &[&'a Record]) -> Result<HashSet<Held<'a>>, StoreError> {
    let (mut lost, mut place) = (HashSet::new(), 0_i64);
    let mut asked = HashSet::new();
    let all: Vec<_> = records.iter().map(|record| record.held()).filter(|held| asked.insert(*held)).collect();
    let mut rest = all.as_slice();
    while let Some((text, now, later)) = LOST.next(rest) {
        rest = later;
        let bind = |query| {
            now.iter().zip(place..).fold(query, |query: Bound<'static>, (held, place)| {
                query.bind(place).bind(held.line).bind(held.token.to_owned())
            })
        };
        let found = turn.ask(text, "check who holds the lines", bind).await?;
        for row in found {
            let place: i64 = row.try_get(0).map_err(failed("check who holds the lines"))?;
            lost.extend(usize::try_from(place).ok().and_then(|place| all.get(place)));
        }
        place += i64::try_from(now.len()).unwrap_or(0);
    }
    Ok(lost)
}

/// Notes the attempts, and that they delivered where all did, and forgets the oldest of many.
async fn note(conn: &mut SqliteConnection, records: &[&Record], all_delivered: bool) -> Result<(), StoreError> {
    let tried: Vec<_> = tried(records).collect();
    let mut rest = tried.as_slice();
    let texts = if all_delivered { &NOTE_DELIVERED } else { &NOTE };
    while let Some((text, now, later)) = texts.next(rest) {
        rest = later;
        let mut query = sqlx::query(text);
        for (seq, number, attempt) in now {
            let (status, fault) = split(&attempt.answer);
            query = query
                .bind(seq)
                .bind(number)
                .bind(attempt.at.0)
                .bind(status)
                .bind(fault)
                .bind(attempt.duration_millis)
                .bind(i64::try_from(attempt.response_bytes).unwrap_or(i64::MAX));
        }
        if all_delivered {
            query = bind_delivered(query, now);
        }
        query.execute(&mut *conn).await.map_err(failed("store attempts"))?;
    }
    for (seq, number, _) in tried.iter().filter(|(_, number, _)| *number > ATTEMPTS_KEPT_MAX) {
        sqlx::query("DELETE FROM attempt WHERE delivery_seq = ?1 AND number <= ?2")
            .bind(seq)
            .bind(number - ATTEMPTS_KEPT_MAX)
            .execute(&mut *conn)
            .await
            .map_err(failed("forget the oldest attempts of a delivery"))?;
    }
    Ok(())
}

fn bind_delivered<'q>(query: Bound<'q>, tried: &[(i64, u32, &Attempt)]) -> Bound<'q> {
    tried.iter().fold(query, |query, (seq, number, attempt)| query.bind(*seq).bind(attempt.at.0).bind(*number))
}

/// These were made: their lines work, and go on where their workers stay. Where that is `noted` already, it is not noted again.
async fn delivered(conn: &mut SqliteConnection, records: &[&Record], noted: bool) -> Result<Vec<Recorded>, StoreError> {
    let tried: Vec<_> = if noted { Vec::new() } else { tried(records).collect() };
    let mut rest = tried.as_slice();
    while let Some((text, now, later)) = DELIVERED.next(rest) {
        rest = later;
        let query = bind_delivered(sqlx::query(text), now);
        query.execute(&mut *conn).await.map_err(failed("note what was delivered"))?;
    }
    for record in records {
        if record.failed {
            mend(conn, record.line).await?;
        }
        if let Some(Stay::Asking { renewal: Some(renewal) }) = &record.stay {
            renew(conn, record.line, renewal).await?;
        }
    }
    let asking = records.iter().filter(|record| matches!(record.stay, Some(Stay::Asking { .. })));
    let lines: Vec<_> = asking.map(|record| record.held()).collect();
    let mut next: HashMap<i64, Owed> = heads(conn, &lines).await?.into_iter().map(|owed| (owed.line, owed)).collect();
    let idle: Vec<i64> = lines.iter().map(|held| held.line).filter(|line| !next.contains_key(line)).collect();
    let mut rest = idle.as_slice();
    while let Some((text, now, later)) = REST.next(rest) {
        rest = later;
        let query = now.iter().fold(sqlx::query(text), Query::bind);
        query.execute(&mut *conn).await.map_err(failed("let go of lines"))?;
    }
    for record in records.iter().filter(|record| record.stay.is_none()) {
        let_go(conn, record.line, record.attempt.at).await?;
    }
    let ends: Vec<_> = records.iter().filter_map(|record| record.end()).collect();
    let mut followers = more(conn, &ends).await?.into_iter();
    let ending = |record: &&Record| match record.stay {
        Some(Stay::Asking { .. }) => {
            next.remove(&record.line).map_or(Recorded::Kept, |owed| Recorded::Next(Box::new(owed)))
        }
        Some(Stay::Following { last: Some(_) }) => Recorded::More(followers.next().unwrap_or_default()),
        Some(Stay::Following { last: None }) | None => Recorded::Kept,
    };
    Ok(records.iter().map(ending).collect())
}

/// An attempt that delivered nothing.
async fn undelivered(conn: &mut SqliteConnection, record: &Record) -> Result<Recorded, StoreError> {
    let Record { line, tried, attempt, verdict, stay, .. } = record;
    let line = *line;
    for (seq, number) in tried {
        sqlx::query("UPDATE delivery SET last_attempt_at = ?2, attempts = max(attempts, ?3) WHERE seq = ?1")
            .bind(seq)
            .bind(attempt.at.0)
            .bind(number)
            .execute(&mut *conn)
            .await
            .map_err(failed("note when a delivery was tried"))?;
    }
    match verdict {
        Verdict::Delivered => {}
        Verdict::RetryAt(at) => {
            failed_again(conn, line, attempt).await?;
            // Given up or set aside by hand while it was under way: the next does not wait for it.
            let at = if is_pending(conn, record.head()).await? { *at } else { attempt.at };
            let_go(conn, line, at).await?;
        }
        Verdict::Dead { next_at } => {
            give_up(conn, record.head()).await?;
            failed_again(conn, line, attempt).await?;
            let expired = next_is_expired(conn, line).await?;
            if expired && let Some(Stay::Asking { renewal }) = stay {
                if let Some(renewal) = renewal {
                    renew(conn, line, renewal).await?;
                }
                if let Some(next) = heads(conn, &[record.held()]).await?.pop() {
                    return Ok(Recorded::Next(Box::new(next)));
                }
            }
            let_go(conn, line, if expired { attempt.at } else { *next_at }).await?;
        }
        Verdict::Gone => {
            pauses::switch_off_all_to(conn, &record.endpoint.to_string(), GONE, attempt.at).await?;
            let_go(conn, line, attempt.at).await?;
        }
    }
    Ok(Recorded::Kept)
}

/// The line works again.
async fn mend(conn: &mut SqliteConnection, line: i64) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE line SET failures = 0, failing_since = NULL, failed_at = NULL, failed_status = NULL, failed_fault = NULL
         WHERE id = ?1",
    )
    .bind(line)
    .execute(conn)
    .await
    .map_err(failed("note that a line works again"))?;
    Ok(())
}

async fn renew(conn: &mut SqliteConnection, line: i64, renewal: &Renewal) -> Result<(), StoreError> {
    sqlx::query("UPDATE line SET lease_boot = ?2, lease_until = ?3 WHERE id = ?1")
        .bind(line)
        .bind(&renewal.boot.boot_id)
        .bind(renewal.boot.millis + renewal.lease_millis)
        .execute(conn)
        .await
        .map_err(failed("renew the lease of a line"))?;
    Ok(())
}

async fn give_up(conn: &mut SqliteConnection, delivery: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE delivery SET state = 'dead' WHERE seq = ?1 AND state = 'pending'")
        .bind(delivery)
        .execute(conn)
        .await
        .map_err(failed("give a delivery up"))?;
    Ok(())
}

async fn is_pending(conn: &mut SqliteConnection, delivery: i64) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM delivery WHERE seq = ?1 AND state = 'pending' AND paused = 0)")
        .bind(delivery)
        .fetch_one(conn)
        .await
        .map_err(failed("look whether a delivery is still owed"))
}

/// Whether the time of the line's next head is over: each such gets a try of its own, and waits for nothing more.
async fn next_is_expired(conn: &mut SqliteConnection, line: i64) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT coalesce((SELECT expires_at <= (SELECT millis FROM running_time WHERE id = 1)
                          FROM delivery WHERE line_id = ?1 AND state = 'pending' AND paused = 0
                          ORDER BY seq LIMIT 1), FALSE)",
    )
    .bind(line)
    .fetch_one(conn)
    .await
    .map_err(failed("look at the next head of a line"))
}

/// The line has failed once more.
async fn failed_again(conn: &mut SqliteConnection, line: i64, attempt: &Attempt) -> Result<(), StoreError> {
    let (status, fault) = split(&attempt.answer);
    sqlx::query(
        "UPDATE line SET failures = failures + 1, failing_since = coalesce(failing_since, ?2),
                         failed_at = ?2, failed_status = ?3, failed_fault = ?4
         WHERE id = ?1",
    )
    .bind(line)
    .bind(attempt.at.0)
    .bind(status)
    .bind(fault)
    .execute(conn)
    .await
    .map_err(failed("note that a line failed"))?;
    Ok(())
}

/// An answer as two columns, of which one is NULL.
fn split(answer: &Answer) -> (Option<u16>, Option<&str>) {
    match answer {
        Answer::Status(status) => (Some(*status), None),
        Answer::Fault(fault) => (None, Some(fault)),
    }
}

/// Lets go of the line: due at `at` if something is pending in it, at rest otherwise, its failures forgotten.
async fn let_go(conn: &mut SqliteConnection, line: i64, at: UnixMillis) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE line SET
             due_at = CASE WHEN waits THEN ?2 END,
             failures = CASE WHEN waits THEN failures ELSE 0 END,
             failing_since = CASE WHEN waits THEN failing_since END,
             lease_token = NULL, lease_boot = NULL, lease_until = NULL
         FROM (SELECT EXISTS (SELECT 1 FROM delivery WHERE line_id = ?1 AND state = 'pending' AND paused = 0) AS waits)
         WHERE id = ?1",
    )
    .bind(line)
    .bind(at.0)
    .execute(conn)
    .await
    .map_err(failed("let go of a line"))?;
    Ok(())
}
