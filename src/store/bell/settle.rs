//! Settling: what a worker says of the events it holds, and taking back a claim that nobody saw.

use std::sync::Arc;

use sqlx::{FromRow, SqliteConnection};

use super::{BellStore, audit::Auditor, claims::Consumer, frontier::Frontiers, low_water::Reached, sql};
use crate::{
    domain::{
        clock::{Moment, UnixMillis},
        consumer::{ATTEMPTS_MAX, LeaseToken, ParkedBy, Settled, Settlement},
        cursor::Seq,
        id::{ConsumerName, EventId, MessageId},
    },
    store::{
        StoreError,
        audit::{Entry, Runs},
        failed,
    },
};

/// A leased row, with the event's id.
#[derive(FromRow)]
pub(super) struct Leased {
    consumer: i64,
    seq: i64,
    event_id: String,
    attempt: i64,
    thread_id: Option<String>,
    holder: Option<String>,
}

/// The same with its token.
#[derive(FromRow)]
struct LeasedBy {
    #[sqlx(flatten)]
    row: Leased,
    token: Option<String>,
}

impl Leased {
    pub(super) fn event_id(&self) -> EventId {
        EventId::new(&self.event_id)
    }
}

impl BellStore {
    pub(super) async fn take_back(&self, token: &LeaseToken, now: UnixMillis) -> Result<(), StoreError> {
        let (token, auditor) = (token.as_str().to_owned(), self.auditor.clone());
        let unclaimed = self.database.writer.write(move |conn| {
            let (token, auditor) = (token.clone(), auditor.clone());
            Box::pin(async move {
                let freed = sqlx::query_as::<_, (i64, i64)>(sql::claims::UNCLAIM).bind(token).fetch_all(&mut *conn);
                let freed = freed.await.map_err(failed("take a claim back"))?;
                tell_taken_back(conn, &auditor, freed, "the worker was gone before it was told", now).await
            })
        });
        unclaimed.await
    }

    pub(super) async fn settle_held(
        &self,
        token: &LeaseToken,
        only: Option<&[EventId]>,
        settlement: &Settlement,
        now: Moment,
    ) -> Result<Settled, StoreError> {
        let (token, only, settlement) = (token.clone(), only.map(<[EventId]>::to_vec), settlement.clone());
        // Most stale tokens are told apart without a write.
        let mut reader = self.database.readers.acquire().await.map_err(failed("look a lease up"))?;
        if held(&mut reader, &token).await?.is_empty() {
            return Ok(Settled { stale: only.unwrap_or_default(), ..Settled::default() });
        }
        drop(reader);
        let (frontiers, auditor) = (self.frontiers.clone(), self.auditor.clone());
        let settled = self.database.writer.write(move |conn| {
            let (token, only, settlement, now) = (token.clone(), only.clone(), settlement.clone(), now.clone());
            let (frontiers, auditor) = (frontiers.clone(), auditor.clone());
            Box::pin(async move {
                let held = held(conn, &token).await?;
                let (named, stale) = named(held, only);
                let (settled, reached) = settle_rows(conn, named, &settlement, &now, &frontiers, &auditor).await?;
                Ok((Settled { stale, ..settled }, reached))
            })
        });
        Ok(self.keep_reached(settled.await?))
    }

    pub(super) async fn ack_held_of(
        &self,
        message: &MessageId,
        token: Option<&LeaseToken>,
        holder: &str,
        now: Moment,
    ) -> Result<Settled, StoreError> {
        let (message, token, holder) = (message.clone(), token.cloned(), holder.to_owned());
        let (frontiers, auditor) = (self.frontiers.clone(), self.auditor.clone());
        let settled = self.database.writer.write(move |conn| {
            let (message, token, holder, now) = (message.clone(), token.clone(), holder.clone(), now.clone());
            let (frontiers, auditor) = (frontiers.clone(), auditor.clone());
            Box::pin(async move {
                let leases: Vec<LeasedBy> = sqlx::query_as(sql::claims::LEASES_OF_MESSAGE)
                    .bind(message.as_str())
                    .fetch_all(&mut *conn)
                    .await
                    .map_err(failed("look a message's leases up"))?;
                let (mut mine, mut stale) = (Vec::new(), Vec::new());
                for lease in leases {
                    let ours = match &token {
                        Some(token) => lease.token.as_deref() == Some(token.as_str()),
                        None => lease.row.holder.as_ref() == Some(&holder),
                    };
                    if ours {
                        mine.push(lease.row);
                    } else {
                        // Several consumers may each have leased it to somebody.
                        let id = EventId::new(lease.row.event_id);
                        if !stale.contains(&id) {
                            stale.push(id);
                        }
                    }
                }
                let (settled, reached) = settle_rows(conn, mine, &Settlement::Ack, &now, &frontiers, &auditor).await?;
                Ok((Settled { stale, ..settled }, reached))
            })
        });
        Ok(self.keep_reached(settled.await?))
    }

    fn keep_reached(&self, (settled, reached): (Settled, Vec<Reached>)) -> Settled {
        for (consumer, filter, seq) in reached {
            self.frontiers.reach(consumer, &filter, seq);
        }
        settled
    }
}

pub(super) async fn held(conn: &mut SqliteConnection, token: &LeaseToken) -> Result<Vec<Leased>, StoreError> {
    sqlx::query_as(sql::claims::HELD).bind(token.as_str()).fetch_all(conn).await.map_err(failed("look a lease up"))
}

/// Those of the held rows that are named, and the names that are not held.
fn named(held: Vec<Leased>, only: Option<Vec<EventId>>) -> (Vec<Leased>, Vec<EventId>) {
    let Some(mut stale) = only else { return (held, Vec::new()) };
    let is_named = |row: &Leased| stale.iter().any(|name| name.as_str() == row.event_id);
    let rows: Vec<Leased> = held.into_iter().filter(is_named).collect();
    stale.retain(|name| !rows.iter().any(|row| row.event_id == name.as_str()));
    (rows, stale)
}

async fn settle_rows(
    conn: &mut SqliteConnection,
    rows: Vec<Leased>,
    settlement: &Settlement,
    now: &Moment,
    frontiers: &Arc<Frontiers>,
    auditor: &Auditor,
) -> Result<(Settled, Vec<Reached>), StoreError> {
    let mut settled = Settled::default();
    for row in &rows {
        let spent = row.attempt >= i64::from(ATTEMPTS_MAX);
        let update = match settlement {
            Settlement::Ack => sqlx::query(sql::claims::ACK),
            Settlement::Release { .. } if spent => {
                settled.parked.push(EventId::new(&row.event_id));
                sqlx::query(sql::claims::PARK)
                    .bind(parked_by_word(ParkedBy::Attempts))
                    .bind(None::<&str>)
                    .bind(now.wall.0)
            }
            Settlement::Release { pause_millis } => {
                let pause = (*pause_millis > 0).then(|| (&now.boot.boot_id, now.boot_in(*pause_millis)));
                sqlx::query(sql::claims::RELEASE).bind(pause.map(|(boot, _)| boot)).bind(pause.map(|(_, until)| until))
            }
            Settlement::Extend { lease_millis } => {
                sqlx::query(sql::claims::EXTEND).bind(&now.boot.boot_id).bind(now.boot_in(*lease_millis))
            }
            Settlement::Escalate { note } => sqlx::query(sql::claims::PARK)
                .bind(parked_by_word(ParkedBy::Agent))
                .bind(note.as_deref())
                .bind(now.wall.0),
        };
        update.bind(row.consumer).bind(row.seq).execute(&mut *conn).await.map_err(failed("settle an event"))?;
    }

    let mut reached = Vec::new();
    for consumer in each_once(rows.iter().map(|row| row.consumer)) {
        let tell = match settlement {
            Settlement::Extend { .. } => continue,
            Settlement::Release { .. } => true,
            Settlement::Ack | Settlement::Escalate { .. } => {
                let rows = rows.iter().filter(|row| row.consumer == consumer);
                frees_its_thread(conn, rows).await?
            }
        };
        if settlement == &Settlement::Ack
            || matches!(settlement, Settlement::Escalate { .. })
            || !settled.parked.is_empty()
        {
            let known = |consumer, filter: &_| frontiers.reached(consumer, filter);
            reached.push(BellStore::raise_low_water(conn, consumer, known).await?);
        }
        if tell {
            settled.consumer = Some(raise_returns(conn, consumer).await?);
        }
    }
    if settlement == &Settlement::Ack {
        for row in &rows {
            drop_below_mark(conn, row.consumer, row.seq).await?;
        }
    }
    tell(conn, &rows, settlement, &settled, now, auditor).await?;
    settled.done = rows.into_iter().map(|row| EventId::new(row.event_id)).collect();
    Ok((settled, reached))
}

/// Tells the audit record of a settlement, for each consumer.
async fn tell(
    conn: &mut SqliteConnection,
    rows: &[Leased],
    settlement: &Settlement,
    settled: &Settled,
    now: &Moment,
    auditor: &Auditor,
) -> Result<(), StoreError> {
    let (act, runs) = match settlement {
        Settlement::Ack => ("ack", None),
        Settlement::Release { .. } => ("release", None),
        Settlement::Extend { lease_millis } => ("extend", Some(Runs::on(now, *lease_millis))),
        Settlement::Escalate { .. } => ("escalate", None),
    };
    let is_parked = |row: &&Leased| {
        matches!(settlement, Settlement::Escalate { .. })
            || settled.parked.iter().any(|parked| parked.as_str() == row.event_id)
    };
    tell_settled(conn, auditor, rows, act, runs, is_parked, now.wall).await
}

/// Tells the audit record what became of the leases in `rows`, for each consumer.
pub(super) async fn tell_settled(
    conn: &mut SqliteConnection,
    auditor: &Auditor,
    rows: &[Leased],
    act: &'static str,
    runs: Option<Runs>,
    is_parked: impl Fn(&&Leased) -> bool,
    now: UnixMillis,
) -> Result<(), StoreError> {
    for consumer in each_once(rows.iter().map(|row| row.consumer)) {
        let rows: Vec<&Leased> = rows.iter().filter(|row| row.consumer == consumer).collect();
        let entry = Entry::Settled {
            act,
            consumer: name_of(conn, consumer).await?,
            holder: rows.first().and_then(|row| row.holder.clone()),
            seqs: rows.iter().map(|row| Seq(row.seq)).collect(),
            attempts: rows.iter().map(|row| row.attempt).collect(),
            runs: runs.clone(),
            parked: rows.iter().copied().filter(|row| is_parked(row)).map(|row| Seq(row.seq)).collect(),
        };
        auditor.record(conn, now, &entry).await?;
    }
    Ok(())
}

async fn name_of(conn: &mut SqliteConnection, consumer: i64) -> Result<ConsumerName, StoreError> {
    let row = sqlx::query(sql::claims::CONSUMER_BY_ID).bind(consumer).fetch_one(conn).await;
    Ok(Consumer::read(&row.map_err(failed("read a consumer"))?)?.name)
}

fn each_once(consumers: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut consumers: Vec<i64> = consumers.collect();
    consumers.sort_unstable();
    consumers.dedup();
    consumers
}

/// Tells waiters and the audit record that leases, by consumer and place, were taken back.
pub(super) async fn tell_taken_back(
    conn: &mut SqliteConnection,
    auditor: &Auditor,
    freed: Vec<(i64, i64)>,
    why: &'static str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    for consumer in each_once(freed.iter().map(|(consumer, _)| *consumer)) {
        let name = raise_returns(conn, consumer).await?;
        let seqs = freed.iter().filter(|(of, _)| *of == consumer).map(|(_, seq)| Seq(*seq)).collect();
        auditor.record(conn, now, &Entry::TakenBack { why, consumer: name, seqs }).await?;
    }
    Ok(())
}

/// Whether something waits for one of `rows`, which are settled: a later event of its thread.
async fn frees_its_thread(
    conn: &mut SqliteConnection,
    rows: impl Iterator<Item = &Leased>,
) -> Result<bool, StoreError> {
    for row in rows {
        let Some(thread) = &row.thread_id else { continue };
        let waits =
            sqlx::query_scalar::<_, bool>(sql::claims::LATER_WAITS).bind(thread).bind(row.seq).bind(row.consumer);
        if waits.fetch_one(&mut *conn).await.map_err(failed("look for what a thread holds up"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A row that was settled below the low-water mark has nothing left to say.
pub(super) async fn drop_below_mark(conn: &mut SqliteConnection, consumer: i64, seq: i64) -> Result<(), StoreError> {
    let drop = sqlx::query(sql::claims::DROP_ACKED_BELOW).bind(seq).bind(consumer).execute(conn).await;
    drop.map(|_| ()).map_err(failed("drop a settled claim"))
}

/// Has the waiters of other processes look again: something became free.
pub(super) async fn raise_returns(conn: &mut SqliteConnection, consumer: i64) -> Result<ConsumerName, StoreError> {
    let name: String = sqlx::query_scalar(sql::claims::RAISE_RETURNS)
        .bind(consumer)
        .fetch_one(conn)
        .await
        .map_err(failed("tell of returned events"))?;
    Ok(ConsumerName::new(name))
}

/// The word that stands for it in the column `parked_by`.
pub(super) fn parked_by_word(parked_by: ParkedBy) -> &'static str {
    match parked_by {
        ParkedBy::Agent => "agent",
        ParkedBy::Attempts => "attempts",
        ParkedBy::Operator => "operator",
    }
}
