//! How consumers stand, over their rows.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    BellStore,
    claims::Consumer,
    lease::first_new,
    left::left,
    settle::{drop_below_mark, parked_by_word, raise_returns},
    sql,
};
use crate::{
    domain::{
        clock::{Moment, UnixMillis},
        consumer::ParkedBy,
        cursor::Seq,
        event::{EventFilter, EventKind},
        id::{ConsumerName, EventId},
    },
    store::{
        StoreError,
        audit::Entry,
        failed,
        standing::{Acted, LAG_MAX, OpenClaim, OperatorAct, ParkedClaim, Standing, Standings},
    },
};

#[async_trait]
impl Standings for BellStore {
    async fn standings(&self, now: Moment) -> Result<Vec<Standing>, StoreError> {
        // All counts are of one moment: a claim that is settled meanwhile is in one of them, and in one only.
        let mut reader = self.database.readers.acquire().await.map_err(failed("list the consumers"))?;
        let mut moment = reader.begin().await.map_err(failed("list the consumers"))?;
        let rows = sqlx::query(sql::claims::CONSUMERS).fetch_all(&mut *moment).await;
        let mut standings = Vec::new();
        for row in &rows.map_err(failed("list the consumers"))? {
            standings.push(standing(&mut moment, Consumer::read(row)?, &now).await?);
        }
        Ok(standings)
    }

    async fn open_claims(
        &self,
        consumer: &ConsumerName,
        limit: u32,
        now: Moment,
    ) -> Result<Vec<OpenClaim>, StoreError> {
        let Some(consumer) = self.consumer(consumer).await? else { return Ok(Vec::new()) };
        let rows = sqlx::query(sql::claims::OPEN_CLAIMS)
            .bind(&now.boot.boot_id)
            .bind(now.boot.millis)
            .bind(consumer.id)
            .bind(limit)
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("list what is leased"))?;
        rows.iter().map(open_claim).collect()
    }

    async fn parked_claims(&self, consumer: &ConsumerName, limit: u32) -> Result<Vec<ParkedClaim>, StoreError> {
        let Some(consumer) = self.consumer(consumer).await? else { return Ok(Vec::new()) };
        let rows = sqlx::query(sql::claims::PARKED_CLAIMS)
            .bind(consumer.id)
            .bind(limit)
            .fetch_all(&self.database.readers)
            .await;
        rows.map_err(failed("list what is parked"))?.iter().map(parked_claim).collect()
    }

    async fn act(
        &self,
        consumer: &ConsumerName,
        seqs: &[Seq],
        act: &OperatorAct,
        now: Moment,
    ) -> Result<Option<Vec<(Seq, Acted)>>, StoreError> {
        let Some(consumer) = self.consumer(consumer).await? else { return Ok(None) };
        let (seqs, act) = (seqs.to_vec(), act.clone());
        let (frontiers, auditor) = (self.frontiers.clone(), self.auditor.clone());
        let acted = self.database.writer.write(move |conn| {
            let (seqs, act, consumer, frontiers) = (seqs.clone(), act.clone(), consumer.clone(), frontiers.clone());
            let (now, auditor) = (now.clone(), auditor.clone());
            Box::pin(async move {
                let mut acted = Vec::with_capacity(seqs.len());
                for seq in seqs {
                    acted.push((seq, act_on(conn, &consumer, seq, &act, &now).await?));
                }
                BellStore::raise_low_water(conn, consumer.id, |id, filter| frontiers.reached(id, filter)).await?;
                for (seq, _) in &acted {
                    drop_below_mark(conn, consumer.id, seq.0).await?;
                }
                raise_returns(conn, consumer.id).await?;
                let command = match act {
                    OperatorAct::Requeue => "consumers requeue",
                    OperatorAct::Park { .. } => "consumers park",
                    OperatorAct::Ack => "consumers ack",
                };
                let about = json!({ "consumer": consumer.name, "events": acted });
                auditor.record(conn, now.wall, &Entry::Operator { command, about }).await?;
                Ok(acted)
            })
        });
        acted.await.map(Some)
    }
}

async fn standing(conn: &mut SqliteConnection, consumer: Consumer, now: &Moment) -> Result<Standing, StoreError> {
    let (open, leased): (i64, i64) = sqlx::query_as(sql::claims::COUNT_OPEN)
        .bind(&now.boot.boot_id)
        .bind(now.boot.millis)
        .bind(consumer.id)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("count what is leased"))?;
    let (parked, escalated): (i64, i64) = sqlx::query_as(sql::claims::COUNT_PARKED)
        .bind(consumer.id)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed("count what is parked"))?;
    Ok(Standing {
        lag: left(conn, &consumer, LAG_MAX, &now.boot).await?.backlog,
        oldest_received_at: oldest(conn, &consumer).await?,
        name: consumer.name,
        kinds: consumer.kinds,
        low_water: consumer.low_water,
        leased: leased.unsigned_abs(),
        waiting: (open - leased).unsigned_abs(),
        parked: parked.unsigned_abs(),
        escalated: escalated.unsigned_abs(),
    })
}

/// When the oldest event was received that the consumer has not settled.
async fn oldest(conn: &mut SqliteConnection, consumer: &Consumer) -> Result<Option<UnixMillis>, StoreError> {
    let owned = EventFilter { kinds: consumer.kinds.clone(), ..EventFilter::default() };
    let new = first_new(conn, consumer.id, &owned, consumer.low_water).await?;
    let open: Option<i64> = sqlx::query_scalar(sql::claims::FIRST_OPEN)
        .bind(consumer.id)
        .bind(Seq::ZERO.0)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("look for open claims"))?;
    let Some(oldest) = new.into_iter().chain(open).min() else { return Ok(None) };
    let at = sqlx::query_scalar::<_, i64>(sql::log::RECEIVED_AT).bind(oldest).fetch_optional(&mut *conn).await;
    Ok(at.map_err(failed("look for the oldest event"))?.map(UnixMillis))
}

async fn act_on(
    conn: &mut SqliteConnection,
    consumer: &Consumer,
    seq: Seq,
    act: &OperatorAct,
    now: &Moment,
) -> Result<Acted, StoreError> {
    let row: Option<(String, Option<String>, Option<String>)> = sqlx::query_as(sql::claims::CLAIM_OF_EVENT)
        .bind(consumer.id)
        .bind(seq.0)
        .fetch_optional(&mut *conn)
        .await
        .map_err(failed("look an event up"))?;
    // Where retention took the event itself, its parked row can still be settled, and nothing else.
    let (kind, thread, state) = row.unwrap_or_default();
    let owned = consumer.kinds.iter().any(|owned| owned.as_str() == kind);
    let update = match act {
        OperatorAct::Ack => sqlx::query(sql::claims::ACK_PARKED).bind(consumer.id).bind(seq.0),
        _ if !owned => return Ok(Acted::Unknown),
        OperatorAct::Requeue => sqlx::query(sql::claims::REQUEUE).bind(consumer.id).bind(seq.0),
        OperatorAct::Park { note } => match state.as_deref() {
            Some("parked") => return Ok(Acted::Parked),
            Some("acked") => return Ok(Acted::Settled),
            // What has no row below the mark was settled.
            None if seq <= consumer.low_water => return Ok(Acted::Settled),
            _ => sqlx::query(sql::claims::PARK_BY_OPERATOR)
                .bind(consumer.id)
                .bind(seq.0)
                .bind(thread)
                .bind(now.wall.0)
                .bind(note.as_deref()),
        },
    };
    let done = update.execute(conn).await.map_err(failed("do what the operator asked"))?.rows_affected() > 0;
    Ok(if done { Acted::Done } else { Acted::NotParked })
}

fn open_claim(row: &SqliteRow) -> Result<OpenClaim, StoreError> {
    let read = || {
        let left: Option<i64> = row.try_get("left_millis")?;
        let left_millis = left.and_then(|left| u64::try_from(left).ok()).filter(|left| *left > 0);
        let kind: String = row.try_get("kind")?;
        Ok((
            OpenClaim {
                seq: Seq(row.try_get("seq")?),
                event_id: EventId::new(row.try_get::<String, _>("event_id")?),
                kind: EventKind::Other,
                attempt: row.try_get("attempt")?,
                leased: row.try_get::<String, _>("state")? == "leased" && left_millis.is_some(),
                holder: row.try_get("holder")?,
                client: row.try_get("client")?,
                since: row.try_get::<Option<i64>, _>("since")?.map(UnixMillis),
                left_millis,
            },
            kind,
        ))
    };
    let (claim, kind): (OpenClaim, String) = read().map_err(failed("read what is leased"))?;
    Ok(OpenClaim { kind: word(&kind, claim.seq)?, ..claim })
}

fn parked_claim(row: &SqliteRow) -> Result<ParkedClaim, StoreError> {
    let read = || {
        let (kind, parked_by): (Option<String>, String) = (row.try_get("kind")?, row.try_get("parked_by")?);
        Ok((
            ParkedClaim {
                seq: Seq(row.try_get("seq")?),
                event_id: row.try_get::<Option<String>, _>("event_id")?.map(EventId::new),
                kind: None,
                attempt: row.try_get("attempt")?,
                holder: row.try_get("holder")?,
                client: row.try_get("client")?,
                since: row.try_get::<Option<i64>, _>("since")?.map(UnixMillis),
                parked_by: [ParkedBy::Attempts, ParkedBy::Operator]
                    .into_iter()
                    .find(|by| parked_by_word(*by) == parked_by)
                    .unwrap_or(ParkedBy::Agent),
                note: row.try_get("note")?,
            },
            kind,
        ))
    };
    let (claim, kind): (ParkedClaim, Option<String>) = read().map_err(failed("read what is parked"))?;
    let kind = kind.map(|kind| word(&kind, claim.seq)).transpose()?;
    Ok(ParkedClaim { kind, ..claim })
}

fn word(kind: &str, seq: Seq) -> Result<EventKind, StoreError> {
    kind.parse().map_err(|_| StoreError::Corrupt {
        table: "events",
        row: seq.to_string(),
        why: "kind is no known word",
    })
}
