//! Retention in `bell.db`: the log gives up its old end, and spares what a consumer still owes an answer.
//!
//! Events go in order of `seq` alone, so that the log's tail says exactly what is gone. An event that a consumer has not
//! settled, and that is younger than it may stay for that, holds up those after it. Consumers that lose nothing have their
//! marks raised; the others are told of the gap by their next claim.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{BellStore, audit::Auditor, claims::Consumer, places::Skipped, received, sql};
use crate::{
    domain::clock::UnixMillis,
    store::{
        StoreError,
        audit::Entry,
        failed,
        retention::{BellPolicy, BellRetention, BellSwept, IdWalk},
        sqlite,
    },
};

/// Rows of one sort that a transaction removes at most: it holds the write lock for a few milliseconds.
const ROWS_MAX: i64 = 500;

/// A candidate: place, kind, when it was received.
type Candidate = (i64, String, i64);

#[async_trait]
impl BellRetention for BellStore {
    async fn sweep(&self, policy: &BellPolicy, now: UnixMillis) -> Result<BellSwept, StoreError> {
        let (policy, auditor) = (*policy, self.auditor.clone());
        let swept = self.database.writer.write(move |conn| {
            let auditor = auditor.clone();
            Box::pin(async move {
                let swept = BellSwept {
                    events: events(conn, &policy, now).await?,
                    quarantine: delete(conn, sql::retention::FORGET_QUARANTINE, limit(policy.quarantine_millis, now))
                        .await?,
                    received: delete(conn, received::sql::FORGET, limit(policy.received_millis, now)).await?,
                    audit: audit(conn, &auditor, &policy, now).await?,
                };
                let tail: i64 =
                    sqlx::query_scalar(sql::retention::TAIL).fetch_one(&mut *conn).await.map_err(failed("measure"))?;
                for (store, rows, through) in [
                    ("events", swept.events, Some(tail - 1)),
                    ("quarantine", swept.quarantine, None),
                    ("received", swept.received, None),
                    ("audit", swept.audit, None),
                ] {
                    if rows > 0 {
                        auditor.record(conn, now, &Entry::Removed { store, rows, through }).await?;
                    }
                }
                // Those of ids that a walk has forgotten, too.
                sqlite::give_pages_back(conn).await?;
                Ok(swept)
            })
        });
        swept.await
    }

    async fn to_forget(&self, policy: &BellPolicy, now: UnixMillis) -> Result<Option<IdWalk>, StoreError> {
        self.ids_to_forget(policy, now).await
    }

    async fn forget_some(&self, walk: &IdWalk, now: UnixMillis) -> Result<Option<IdWalk>, StoreError> {
        self.forget_some_ids(walk, now).await
    }
}

/// Before when something is too old; none where it is kept for ever.
pub(super) fn limit(span_millis: i64, now: UnixMillis) -> Option<i64> {
    (span_millis > 0).then(|| now.0.saturating_sub(span_millis))
}

async fn delete(conn: &mut SqliteConnection, statement: &'static str, before: Option<i64>) -> Result<u64, StoreError> {
    let Some(before) = before else { return Ok(0) };
    let gone = sqlx::query(statement).bind(before).bind(ROWS_MAX).execute(conn).await;
    Ok(gone.map_err(failed("forget what is old"))?.rows_affected())
}

async fn audit(
    conn: &mut SqliteConnection,
    auditor: &Auditor,
    policy: &BellPolicy,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(sql::retention::OLDEST_AUDIT)
        .bind(ROWS_MAX)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed("measure"))?;
    let newest: i64 = sqlx::query_scalar::<_, Option<i64>>(sql::retention::NEWEST_AUDIT)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("measure the audit record"))?
        .unwrap_or(0);
    let before = limit(policy.audit_millis, now);
    let too_old = |at: i64| before.is_some_and(|before| at < before);
    let too_many = |id: i64| policy.audit_max > 0 && id <= newest - policy.audit_max;
    let last = rows.into_iter().take_while(|(id, at)| too_old(*at) || too_many(*id)).last();
    match last {
        Some((last, _)) => auditor.cut(conn, last, ROWS_MAX, now).await,
        None => Ok(0),
    }
}

async fn events(conn: &mut SqliteConnection, policy: &BellPolicy, now: UnixMillis) -> Result<u64, StoreError> {
    let doing = "look for old events";
    let (tail, head): (i64, i64) =
        sqlx::query_as(sql::log::EXTENT).fetch_one(&mut *conn).await.map_err(failed(doing))?;
    let old: Vec<Candidate> = sqlx::query_as(sql::retention::OLDEST_EVENTS)
        .bind(tail)
        .bind(ROWS_MAX)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed(doing))?;
    let before = limit(policy.events_millis, now);
    let too_many = if policy.events_max > 0 { Skipped::read(conn).await?.back(head, policy.events_max) } else { 0 };
    let goes = |(seq, _, at): &&Candidate| before.is_some_and(|before| *at < before) || *seq <= too_many;
    let old: Vec<Candidate> = old.iter().take_while(goes).cloned().collect();
    let Some((last, ..)) = old.last() else { return Ok(0) };

    let rows = sqlx::query(sql::claims::CONSUMERS).fetch_all(&mut *conn).await.map_err(failed("list the consumers"))?;
    let mut owing = Vec::new();
    for row in &rows {
        let consumer = Consumer::read(row)?;
        let owed = owed(conn, &consumer, &old, *last).await?;
        owing.push((consumer, owed));
    }
    let all_owed: HashSet<i64> = owing.iter().flat_map(|(_, owed)| owed).copied().collect();
    let spared = limit(policy.unsettled_millis, now);
    let may_stay = |seq: i64, at: i64| spared.is_none_or(|spared| at >= spared) && all_owed.contains(&seq);
    let Some((last, ..)) = old.iter().take_while(|(seq, _, at)| !may_stay(*seq, *at)).last() else { return Ok(0) };

    for (consumer, owed) in &owing {
        if owed.first().is_none_or(|first| first > last) {
            let raise = sqlx::query(sql::claims::RAISE_LOW_WATER).bind(last).bind(consumer.id);
            raise.execute(&mut *conn).await.map_err(failed("raise a mark"))?;
        }
    }
    let doing = "remove old events";
    let noted = sqlx::query(sql::retention::NOTE_REMOVAL).bind(last).bind(now.0).execute(&mut *conn).await;
    if noted.map_err(failed(doing))?.rows_affected() == 0 {
        let first = old.first().map_or(*last, |(first, ..)| *first);
        let add = sqlx::query(sql::retention::ADD_REMOVAL).bind(first).bind(last).bind(now.0);
        add.execute(&mut *conn).await.map_err(failed(doing))?;
    }
    for keep in [sql::indexes::INDEX_IDS, sql::indexes::KEEP_KEYS] {
        sqlx::query(keep).bind(last).execute(&mut *conn).await.map_err(failed(doing))?;
    }
    sqlx::query(sql::indexes::RAISE_INDEXED).bind(last).execute(&mut *conn).await.map_err(failed(doing))?;
    sqlx::query(sql::retention::REMOVE_CLAIMS).bind(last).execute(&mut *conn).await.map_err(failed(doing))?;
    let gone =
        sqlx::query(sql::retention::REMOVE_EVENTS).bind(last).execute(&mut *conn).await.map_err(failed(doing))?;
    sqlx::query(sql::retention::RAISE_TAIL).bind(last + 1).execute(conn).await.map_err(failed(doing))?;
    Ok(gone.rows_affected())
}

/// The places of those of the candidates that `consumer` has not settled, in their order.
async fn owed(
    conn: &mut SqliteConnection,
    consumer: &Consumer,
    old: &[Candidate],
    last: i64,
) -> Result<Vec<i64>, StoreError> {
    let first = old.first().map_or(last, |(seq, ..)| *seq);
    let states: Vec<(i64, String)> = sqlx::query_as(sql::retention::CLAIM_STATES)
        .bind(consumer.id)
        .bind(first)
        .bind(last)
        .fetch_all(conn)
        .await
        .map_err(failed("look for what is unsettled"))?;
    let states: HashMap<i64, String> = states.into_iter().collect();
    let is_owed = |(seq, kind, _): &&Candidate| match states.get(seq) {
        Some(state) => state == "free" || state == "leased",
        None => *seq > consumer.low_water.0 && consumer.kinds.iter().any(|owned| owned.as_str() == kind),
    };
    Ok(old.iter().filter(is_owed).map(|(seq, ..)| *seq).collect())
}
