//! Lines of deliveries: which are due, who holds them, what stands at their heads.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use ulid::Ulid;

use super::{
    heads::{Held, heads},
    running,
};
use crate::{
    domain::{clock::UnixMillis, id::DeliveryId},
    store::{
        StoreError,
        deliveries::{ClaimLines, ClaimedLines},
        failed,
        many::{self, Many},
    },
};

/// A line is free if nobody holds it, or its lease is over: by the boot clock (`?2`), or because its boot is (`?1`).
const FREE: &str = "(lease_token IS NULL OR lease_boot <> ?1 OR lease_until <= ?2)";

/// The last moment that a column can hold.
const NEVER: i64 = i64::MAX;

/// All ask in the words of an index's condition, so that it is used. `?1` is now, `?2` and `?3` are the boot and its clock.
const NEXT_DUE: &str = "SELECT min(due_at) FROM line WHERE due_at IS NOT NULL AND due_at > ?1";
const NEXT_EXPIRY: &str =
    "SELECT min(lease_until) FROM line WHERE lease_token IS NOT NULL AND lease_boot = ?2 AND lease_until > ?3";
const NEXT_RETIREMENT: &str = "SELECT min(retires_at) FROM webhook_secret WHERE retires_at IS NOT NULL";
const WAITING: &str = "SELECT EXISTS (SELECT 1 FROM delivery WHERE state = 'pending')";
const SETTLE: &str = "UPDATE line SET due_at = NULL, failures = 0, failing_since = NULL
         WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE line_id = ?1 AND state = 'pending' AND paused = 0)";

fn next_sql() -> String {
    format!(
        "SELECT ({NEXT_DUE}) AS due, ({NEXT_RETIREMENT}) AS retirement, ({NEXT_EXPIRY}) AS expiry, ({WAITING}) AS waiting"
    )
}

/// The endpoints that have a free line due, with how many of their lines are held, and how many are due and free: both of first
/// sendings and of replays, the latter up to so many (`?6`).
fn endpoints_sql() -> String {
    let held = "SELECT count(*) FROM line l WHERE l.endpoint = known.endpoint AND l.lease_token IS NOT NULL
                                              AND l.lease_boot = ?1 AND l.lease_until > ?2";
    let free = |replays: u8| {
        format!(
            "SELECT count(*) FROM (SELECT 1 FROM line WHERE line.endpoint = known.endpoint AND replays = {replays}
                                                        AND due_at <= ?4 AND {FREE} LIMIT +?6)"
        )
    };
    let due_at = |replays: u8| {
        format!(
            "coalesce((SELECT min(l.due_at) FROM line l WHERE l.endpoint = known.endpoint AND l.replays = {replays}
                                                          AND l.due_at IS NOT NULL), {NEVER})"
        )
    };
    format!(
        "WITH RECURSIVE known (endpoint) AS (
             SELECT min(endpoint) FROM line WHERE due_at IS NOT NULL
             UNION ALL
             SELECT (SELECT min(l.endpoint) FROM line l WHERE l.due_at IS NOT NULL AND l.endpoint > known.endpoint)
             FROM known WHERE known.endpoint IS NOT NULL
         )
         SELECT endpoint, busy, replaying, free, free_replays FROM (
             SELECT known.endpoint, ({held}) AS busy, ({held} AND l.replays) AS replaying,
                    ({}) AS free, ({}) AS free_replays, min({}, {}) AS due_at
             FROM known
             WHERE known.endpoint IS NOT NULL AND (?3 OR known.endpoint <> 'self') AND (?5 OR known.endpoint = 'self'))
         WHERE free > 0 OR free_replays > 0 ORDER BY due_at",
        free(0),
        free(1),
        due_at(0),
        due_at(1)
    )
}

static LEASE: Many = Many::new(|| many::sizes().map(lease_sql).collect());

/// Leases so many shares: each so many lines of an endpoint, of first sendings or of replays.
fn lease_sql(shares: usize) -> String {
    // Parameters without numbers: each that has one is looked up by its name, among all that have.
    const SHARE: &str = "SELECT id FROM (SELECT id FROM line
                         WHERE endpoint = ? AND replays = ? AND due_at <= ?
                             AND (lease_token IS NULL OR lease_boot <> ? OR lease_until <= ?)
                         ORDER BY due_at LIMIT +?)";
    format!(
        "UPDATE line SET lease_token = ?, lease_boot = ?, lease_until = ? WHERE id IN ({}) RETURNING id",
        vec![SHARE; shares].join(" UNION ALL ")
    )
}

/// The id of the delivery at `seq`: `dlv_` and a ULID that is made of the time it began to be owed and its place, so it
/// needs no column, sorts by age, and is never given twice.
pub(super) fn delivery_id(created_at: i64, seq: i64) -> DeliveryId {
    let ulid = Ulid::from_parts(u64::try_from(created_at).unwrap_or(0), u128::try_from(seq).unwrap_or(0));
    DeliveryId::new(format!("dlv_{}", ulid.to_string().to_lowercase()))
}

/// The id in a row that has `replay_of` and `replay_of_created_at`, the place and the time of what is repeated.
pub(super) fn replay_of(row: &SqliteRow) -> Option<DeliveryId> {
    let (seq, created_at): (Option<i64>, Option<i64>) = (row.get("replay_of"), row.get("replay_of_created_at"));
    Some(delivery_id(created_at?, seq?))
}

/// The time of making and the place that [`delivery_id`] put into `id`.
pub(super) fn place(id: &DeliveryId) -> Option<(i64, i64)> {
    let ulid = Ulid::from_string(id.as_str().strip_prefix("dlv_")?).ok()?;
    Some((i64::try_from(ulid.timestamp_ms()).ok()?, i64::try_from(ulid.random()).ok()?))
}

/// An endpoint that is due: how many of its lines are held, and how many are free.
struct Busy {
    endpoint: String,
    lines: u32,
    /// Those among them that are of replays.
    replays: u32,
    free: u32,
    free_replays: u32,
}

/// So many lines of an endpoint, of first sendings or of replays.
struct Share<'a> {
    endpoint: &'a str,
    of_replays: bool,
    lines: u32,
}

/// Leases due lines, each endpoint's share in turn.
pub(super) async fn claim(conn: &mut SqliteConnection, claim: &ClaimLines) -> Result<ClaimedLines, StoreError> {
    running::pass_time(conn, claim).await?;
    let endpoints = endpoints(conn, claim).await?;
    let lines = lease(conn, claim, &shares(claim, &endpoints)).await?;
    let due: usize = endpoints.iter().map(|endpoint| (endpoint.free + endpoint.free_replays) as usize).sum();
    let left_out = due > lines.len();
    let held: Vec<_> = lines.iter().map(|line| Held { line: *line, token: &claim.token }).collect();
    let owed = heads(conn, &held).await?;
    for line in lines.into_iter().filter(|line| owed.iter().all(|owed| owed.line != *line)) {
        // Nothing is pending after all: the line goes to rest instead of being asked for again and again.
        settle(conn, line).await?;
        release(conn, line).await?;
    }
    let next = sqlx::query(sqlx::AssertSqlSafe(next_sql()))
        .bind(claim.now.0)
        .bind(&claim.boot.boot_id)
        .bind(claim.boot.millis)
        .fetch_one(conn)
        .await
        .map_err(failed("find what falls due next"))?;
    let moments = [next.get::<Option<i64>, _>("due"), next.get("retirement")];
    Ok(ClaimedLines {
        owed,
        left_out,
        waiting: next.get("waiting"),
        next_due_at: moments.into_iter().flatten().min().map(UnixMillis),
        next_expiry_millis: next.get::<Option<i64>, _>("expiry").map(|until| until - claim.boot.millis),
    })
}

/// What each endpoint is given of the room there is, the longest due first.
fn shares<'a>(claim: &ClaimLines, endpoints: &'a [Busy]) -> Vec<Share<'a>> {
    let (mut shares, mut room) = (Vec::new(), claim.limit);
    for Busy { endpoint, lines, replays, free, free_replays } in endpoints {
        let mut busy = *lines;
        // First sendings first: of replays there are only so many at once, however long each takes.
        let replays_allowed = claim.replays_per_endpoint_max.saturating_sub(*replays).min(*free_replays);
        for (of_replays, allowed) in [(false, *free), (true, replays_allowed)] {
            let lines = claim.per_endpoint_max.saturating_sub(busy).min(room).min(allowed);
            if lines > 0 {
                shares.push(Share { endpoint, of_replays, lines });
                (room, busy) = (room - lines, busy + lines);
            }
        }
    }
    shares
}

/// The endpoints that have a free line due. It is asked by endpoint, and not by line, so that one endpoint's thousand due
/// lines neither cost the others their turn nor us the reading of them.
async fn endpoints(conn: &mut SqliteConnection, claim: &ClaimLines) -> Result<Vec<Busy>, StoreError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(endpoints_sql()))
        .bind(&claim.boot.boot_id)
        .bind(claim.boot.millis)
        .bind(claim.own_reachable)
        .bind(claim.now.0)
        .bind(claim.others)
        // One more than may be leased, so that it shows where one is left out.
        .bind(claim.per_endpoint_max.saturating_add(1))
        .fetch_all(conn)
        .await
        .map_err(failed("find the endpoints that are due"))?;
    let busy = |row: &SqliteRow| Busy {
        endpoint: row.get("endpoint"),
        lines: row.get("busy"),
        replays: row.get("replaying"),
        free: row.get("free"),
        free_replays: row.get("free_replays"),
    };
    Ok(rows.iter().map(busy).collect())
}

/// The lines that are leased now.
async fn lease(conn: &mut SqliteConnection, claim: &ClaimLines, shares: &[Share<'_>]) -> Result<Vec<i64>, StoreError> {
    let (mut lines, mut rest) = (Vec::new(), shares);
    while let Some((text, now, later)) = LEASE.next(rest) {
        rest = later;
        let mut query = sqlx::query_scalar::<_, i64>(text)
            .bind(&claim.token)
            .bind(&claim.boot.boot_id)
            .bind(claim.boot.millis + claim.lease_millis);
        for Share { endpoint, of_replays, lines } in now {
            let of_endpoint = query.bind(*endpoint).bind(*of_replays).bind(claim.now.0);
            query = of_endpoint.bind(&claim.boot.boot_id).bind(claim.boot.millis).bind(*lines);
        }
        lines.extend(query.fetch_all(&mut *conn).await.map_err(failed("lease the lines of endpoints"))?);
    }
    Ok(lines)
}

/// Makes dead letters of all that a webhook is still owed.
pub(super) async fn give_up_all_of(conn: &mut SqliteConnection, webhook: &str) -> Result<(), StoreError> {
    let mut lines: Vec<i64> = sqlx::query_scalar(
        "UPDATE delivery SET state = 'dead' WHERE webhook_id = ?1 AND state = 'pending' RETURNING line_id",
    )
    .bind(webhook)
    .fetch_all(&mut *conn)
    .await
    .map_err(failed("give up what a webhook was owed"))?;
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        settle(conn, line).await?;
    }
    Ok(())
}

/// After deliveries were given up or set aside from outside: a line with nothing pending comes to rest, its failures forgotten. Whoever
/// holds it still does, and will find nothing more to do.
pub(super) async fn settle(conn: &mut SqliteConnection, line: i64) -> Result<(), StoreError> {
    sqlx::query(SETTLE).bind(line).execute(conn).await.map_err(failed("bring a line to rest"))?;
    Ok(())
}

/// Lets go of a line.
async fn release(conn: &mut SqliteConnection, line: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE line SET lease_token = NULL, lease_boot = NULL, lease_until = NULL WHERE id = ?1")
        .bind(line)
        .execute(conn)
        .await
        .map_err(failed("let go of a line"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::store::mail::{MailStore, fanout, heads, pauses, record};

    async fn plan(store: &MailStore, sql: String) -> String {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
            .fetch_all(&store.database.readers)
            .await
            .expect("a plan");
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn no_statement_of_the_worker_walks_what_is_at_rest() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = MailStore::open(&directory.path().join("mail.db"), CancellationToken::new()).await.expect("opens");
        for (sql, index) in [
            (endpoints_sql(), "line_due_of_endpoint"),
            (lease_sql(3), "line_due_of_endpoint"),
            (heads::heads_sql(3), "delivery_pending"),
            (heads::followers_sql(3, 15), "delivery_pending"),
            (record::delivered_sql(3), "SEARCH delivery USING INTEGER PRIMARY KEY"),
            (record::rest_sql(3), "SEARCH line USING INTEGER PRIMARY KEY"),
            (fanout::owe_sql(3).split_once(';').expect("two").1.to_owned(), "SEARCH line USING COVERING INDEX"),
            (record::lost_sql(3), "SEARCH line USING INTEGER PRIMARY KEY"),
            (NEXT_DUE.to_owned(), "line_due"),
            (NEXT_EXPIRY.to_owned(), "line_leased"),
            (NEXT_RETIREMENT.to_owned(), "webhook_secret_retiring"),
            (running::BOUND.to_owned(), "line_due"),
            (running::FORGET.to_owned(), "webhook_secret_retiring"),
        ] {
            let plan = plan(&store, sql).await;
            assert!(plan.contains(index), "{plan}");
            for walked in ["SCAN delivery", "SCAN line\n", "SCAN l\n", "SCAN webhook"] {
                assert!(!format!("{plan}\n").contains(walked), "{plan}");
            }
        }
        // These walk an index that holds nothing else than what they are about, or stop at its first entry.
        for (sql, index) in [(WAITING, "USING COVERING INDEX delivery_"), (pauses::EXPIRE, "delivery_paused")] {
            let plan = plan(&store, sql.to_owned()).await;
            assert!(plan.contains(index), "{plan}");
        }
    }

    #[test]
    fn delivery_ids_sort_by_age_and_place() {
        let ids = [(1_000, 7), (2_000, 1), (2_000, 2)].map(|(at, seq)| delivery_id(at, seq));
        assert!(ids.is_sorted());
        assert_eq!(ids[0].as_str().len(), "dlv_".len() + 26);
        assert_eq!(place(&ids[0]), Some((1_000, 7)));
        for wrong in ["", "dlv_", "dlv_zzzzzzzzzzzzzzzzzzzzzzzzzz", "wh_00000000000000000000000000"] {
            assert_eq!(place(&DeliveryId::new(wrong)), None, "{wrong}");
        }
    }
}
