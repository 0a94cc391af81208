//! What was used: mail is counted along an index that holds all there is to know, requests have a row a day.

use std::collections::BTreeMap;

use sqlx::{Row as _, SqliteConnection};

use crate::{
    domain::{
        clock::UnixMillis,
        office::{DAY_MILLIS, Usage, UsageDay},
    },
    store::{StoreError, failed, readers::Readers},
};

const COUNT: &str = "INSERT INTO api_calls (day, calls) VALUES (?1, ?2) \
                     ON CONFLICT (day) DO UPDATE SET calls = calls + ?2";
const CALLS: &str = "SELECT day, calls FROM api_calls WHERE day >= ?1 AND day <= ?2";
const BYTES: &str = "SELECT message_bytes FROM weight";
const MAIL: &str = "SELECT direction, received_at / 86400000 AS day, count(*) AS count, sum(size_bytes) AS bytes \
     FROM message INDEXED BY message_usage \
     WHERE direction IN ('inbound', 'outbound') AND received_at >= ?1 AND received_at < ?2 GROUP BY direction, day";

pub(super) async fn count(conn: &mut SqliteConnection, day: i64, calls: u64) -> Result<(), StoreError> {
    let calls = i64::try_from(calls).unwrap_or(i64::MAX);
    let counted = sqlx::query(COUNT).bind(day).bind(calls).execute(conn).await;
    counted.map_err(failed("count requests"))?;
    Ok(())
}

pub(super) async fn by_day(readers: &Readers, from: UnixMillis, to: UnixMillis) -> Result<Vec<UsageDay>, StoreError> {
    let mut days: BTreeMap<i64, Usage> = BTreeMap::new();
    let mail = sqlx::query(MAIL).bind(from.0).bind(to.0).fetch_all(readers).await;
    let natural = |number: i64| u64::try_from(number).unwrap_or(0);
    for row in mail.map_err(failed("count mail"))? {
        let usage = days.entry(row.get("day")).or_default();
        let count = natural(row.get("count"));
        if row.get::<&str, _>("direction") == "inbound" {
            usage.received += count;
        } else {
            usage.sent += count;
        }
        usage.bytes += natural(row.get("bytes"));
    }
    let last = to.0.saturating_sub(1).div_euclid(DAY_MILLIS);
    let calls = sqlx::query(CALLS).bind(from.0.div_euclid(DAY_MILLIS)).bind(last).fetch_all(readers).await;
    for row in calls.map_err(failed("read how many requests there were"))? {
        days.entry(row.get("day")).or_default().api_calls += natural(row.get("calls"));
    }
    Ok(days.into_iter().map(|(day, usage)| UsageDay { day, usage }).collect())
}

pub(super) async fn stored_bytes(readers: &Readers) -> Result<u64, StoreError> {
    let bytes: i64 = sqlx::query_scalar(BYTES).fetch_one(readers).await.map_err(failed("weigh the mail"))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
