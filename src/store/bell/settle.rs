//! Settling: what a worker says of the events it holds, and taking back a claim that nobody saw.

use std::sync::Arc;

use sqlx::SqliteConnection;

use super::{BellStore, frontier::Frontiers, low_water::Reached, sql};
use crate::{
    domain::{
        clock::BootTime,
        consumer::{LeaseToken, Settled, Settlement},
        id::{ConsumerName, EventId, MessageId},
    },
    store::{StoreError, failed},
};

/// A leased row, with the event's id: consumer, seq, event id.
type Held = (i64, i64, String);
/// The same with who holds it: token and holder.
type HeldBy = (i64, i64, String, Option<String>, Option<String>);

impl BellStore {
    pub(super) async fn take_back(&self, token: &LeaseToken) -> Result<(), StoreError> {
        let token = token.as_str().to_owned();
        let unclaimed = self.database.writer.write(move |conn| {
            let token = token.clone();
            Box::pin(async move {
                let freed = sqlx::query_scalar::<_, i64>(sql::UNCLAIM).bind(token).fetch_all(&mut *conn);
                let mut consumers = freed.await.map_err(failed("take a claim back"))?;
                consumers.dedup();
                for consumer in consumers {
                    raise_returns(conn, consumer).await?;
                }
                Ok(())
            })
        });
        unclaimed.await
    }

    pub(super) async fn settle_held(
        &self,
        token: &LeaseToken,
        only: Option<&[EventId]>,
        settlement: &Settlement,
        now: BootTime,
    ) -> Result<Settled, StoreError> {
        let (token, only, settlement) = (token.clone(), only.map(<[EventId]>::to_vec), settlement.clone());
        // Most stale tokens are told apart without a write.
        let mut reader = self.database.readers.acquire().await.map_err(failed("look a lease up"))?;
        if held(&mut reader, &token).await?.is_empty() {
            return Ok(Settled { stale: only.unwrap_or_default(), ..Settled::default() });
        }
        drop(reader);
        let frontiers = self.frontiers.clone();
        let settled = self.database.writer.write(move |conn| {
            let (token, only, settlement, now) = (token.clone(), only.clone(), settlement.clone(), now.clone());
            let frontiers = frontiers.clone();
            Box::pin(async move {
                let held = held(conn, &token).await?;
                let (named, stale) = named(held, only);
                let (consumer, reached) = settle_rows(conn, &named, &settlement, &now, &frontiers).await?;
                let done = named.into_iter().map(|(_, _, id)| EventId::new(id)).collect();
                Ok((Settled { done, stale, consumer }, reached))
            })
        });
        Ok(self.keep_reached(settled.await?))
    }

    pub(super) async fn ack_held_of(
        &self,
        message: &MessageId,
        token: Option<&LeaseToken>,
        holder: &str,
    ) -> Result<Settled, StoreError> {
        let (message, token, holder) = (message.clone(), token.cloned(), holder.to_owned());
        let frontiers = self.frontiers.clone();
        let settled = self.database.writer.write(move |conn| {
            let (message, token, holder) = (message.clone(), token.clone(), holder.clone());
            let frontiers = frontiers.clone();
            Box::pin(async move {
                let leases: Vec<HeldBy> = sqlx::query_as(sql::LEASES_OF_MESSAGE)
                    .bind(message.as_str())
                    .fetch_all(&mut *conn)
                    .await
                    .map_err(failed("look a message's leases up"))?;
                let (mut mine, mut stale) = (Vec::new(), Vec::new());
                for (consumer, seq, id, lease, owner) in leases {
                    let ours = match &token {
                        Some(token) => lease.as_deref() == Some(token.as_str()),
                        None => owner.as_ref() == Some(&holder),
                    };
                    if ours {
                        mine.push((consumer, seq, id));
                    } else {
                        // Several consumers may each have leased it to somebody.
                        let id = EventId::new(id);
                        if !stale.contains(&id) {
                            stale.push(id);
                        }
                    }
                }
                let now = BootTime { boot_id: String::new(), millis: 0 };
                let (consumer, reached) = settle_rows(conn, &mine, &Settlement::Ack, &now, &frontiers).await?;
                let done = mine.into_iter().map(|(_, _, id)| EventId::new(id)).collect();
                Ok((Settled { done, stale, consumer }, reached))
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

async fn held(conn: &mut SqliteConnection, token: &LeaseToken) -> Result<Vec<Held>, StoreError> {
    sqlx::query_as(sql::HELD).bind(token.as_str()).fetch_all(conn).await.map_err(failed("look a lease up"))
}

/// Those of the held rows that are named, and the names that are not held.
fn named(held: Vec<Held>, only: Option<Vec<EventId>>) -> (Vec<Held>, Vec<EventId>) {
    let Some(mut stale) = only else { return (held, Vec::new()) };
    let is_named = |(_, _, id): &Held| stale.iter().any(|name| name.as_str() == id);
    let rows: Vec<Held> = held.into_iter().filter(is_named).collect();
    stale.retain(|name| !rows.iter().any(|(_, _, id)| id == name.as_str()));
    (rows, stale)
}

async fn settle_rows(
    conn: &mut SqliteConnection,
    rows: &[Held],
    settlement: &Settlement,
    now: &BootTime,
    frontiers: &Arc<Frontiers>,
) -> Result<(Option<ConsumerName>, Vec<Reached>), StoreError> {
    for (consumer, seq, _) in rows {
        let update = match settlement {
            Settlement::Ack => sqlx::query(sql::ACK),
            Settlement::Release => sqlx::query(sql::RELEASE),
            Settlement::Extend { lease_millis } => {
                sqlx::query(sql::EXTEND).bind(&now.boot_id).bind(now.millis.saturating_add(*lease_millis))
            }
            Settlement::Escalate { note } => sqlx::query(sql::PARK).bind(note),
        };
        update.bind(consumer).bind(seq).execute(&mut *conn).await.map_err(failed("settle an event"))?;
    }
    let mut consumers: Vec<i64> = rows.iter().map(|(consumer, ..)| *consumer).collect();
    consumers.sort_unstable();
    consumers.dedup();

    let (mut name, mut reached) = (None, Vec::new());
    for consumer in consumers {
        match settlement {
            Settlement::Ack | Settlement::Escalate { .. } => {
                let known = |consumer, filter: &_| frontiers.reached(consumer, filter);
                reached.push(BellStore::raise_low_water(conn, consumer, known).await?);
            }
            Settlement::Release => name = Some(raise_returns(conn, consumer).await?),
            Settlement::Extend { .. } => {}
        }
    }
    Ok((name, reached))
}

async fn raise_returns(conn: &mut SqliteConnection, consumer: i64) -> Result<ConsumerName, StoreError> {
    let name: String = sqlx::query_scalar(sql::RAISE_RETURNS)
        .bind(consumer)
        .fetch_one(conn)
        .await
        .map_err(failed("tell of returned events"))?;
    Ok(ConsumerName::new(name))
}
