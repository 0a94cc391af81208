//! Leasing, inside the writer's transaction: what there is for a claim is looked up once more, and becomes the claim's.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    BellStore,
    audit::Auditor,
    events,
    select::{Claimant, Select, freed, narrowing, unclaimed},
    settle::raise_returns,
    sql,
};
use crate::{
    domain::{
        clock::{BootTime, Moment},
        consumer::{ATTEMPTS_MAX, LeasedEvent},
        cursor::Seq,
        event::{Event, EventFilter},
    },
    store::{
        StoreError,
        audit::{Entry, Runs},
        failed,
        leases::Claim,
        log::Order,
    },
};

/// The first `limit` events that `filter` (its kinds included) matches and that the consumer has no row of; with `claimant`, only
/// those that may be handed out before the earlier ones of their threads are settled.
pub(super) async fn never_claimed(
    conn: &mut SqliteConnection,
    consumer: i64,
    filter: &EventFilter,
    after: Seq,
    columns: &str,
    limit: u32,
    claimant: Option<Claimant<'_>>,
) -> Result<Vec<SqliteRow>, StoreError> {
    let select = Select {
        columns,
        kinds: &narrowing(&filter.kinds),
        filter,
        after,
        before: None,
        also: Some(&unclaimed(consumer, filter, claimant)),
        order: Order::Ascending,
        limit,
    };
    select.statement().query().fetch_all(conn).await.map_err(failed("look for events"))
}

impl Claim {
    pub(super) fn claimant<'a>(&'a self, now: &'a BootTime) -> Claimant<'a> {
        Claimant { worker: self.holder.one_worker.then_some(self.holder.name.as_str()), now }
    }
}

/// A claim on its way to become a lease.
#[derive(Clone)]
pub(super) struct Lease {
    pub(super) consumer: i64,
    pub(super) filter: EventFilter,
    pub(super) claim: Claim,
    pub(super) now: Moment,
    pub(super) reached: Seq,
    pub(super) auditor: Auditor,
}

/// What a claim took.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) events: Vec<LeasedEvent>,
    /// Those that had been handed out too often.
    pub(super) parked: Vec<Seq>,
    /// Up to where no event that the filter matches is without a row.
    pub(super) reached: Seq,
}

/// Where a consumer is in the log.
struct Place {
    low_water: Seq,
    head: Seq,
    /// Whether anything of it is leased or waits for a retry.
    open: bool,
}

impl Place {
    async fn of(conn: &mut SqliteConnection, consumer: i64) -> Result<Self, StoreError> {
        let (low_water, head, open): (i64, i64, bool) = sqlx::query_as(sql::claims::REACHED)
            .bind(consumer)
            .fetch_one(conn)
            .await
            .map_err(failed("read how far a consumer is"))?;
        Ok(Self { low_water: Seq(low_water), head: Seq(head), open })
    }
}

impl Lease {
    /// Leases what there is.
    pub(super) async fn take(&self, conn: &mut SqliteConnection) -> Result<Taken, StoreError> {
        let Self { consumer, filter, claim, now, reached, auditor } = self;
        // Read anew: rows below a mark that has risen since are gone, and their events would look like new ones.
        let mut place = Place::of(conn, *consumer).await?;
        // What is open may be spent, or may be had again. For a worker that has settled all it had, which is one that waits,
        // there is no more to ask than what is new.
        let open = place.open;
        let mut parked = Vec::new();
        if open {
            // First, so that they no longer hold their threads up.
            parked = self.park_spent(conn).await?;
            place = Place::of(conn, *consumer).await?;
        }
        let Place { low_water, head, .. } = place;
        let claimant = claim.claimant(&now.boot);
        let after = low_water.max(*reached);
        let new =
            never_claimed(conn, *consumer, filter, after, sql::log::EVENT_COLUMNS, claim.limit, Some(claimant)).await?;
        let mut freed_rows = Vec::new();
        if open {
            let freed = freed(*consumer, filter, claimant, claim.limit).query().fetch_all(&mut *conn).await;
            freed_rows = freed.map_err(failed("look for returned events"))?;
        }
        let mut events: Vec<Event> = new.iter().chain(&freed_rows).map(events::event).collect::<Result<_, _>>()?;
        events.sort_unstable_by_key(|event| event.seq);
        events.truncate(usize::try_from(claim.limit).unwrap_or(usize::MAX));

        let mut leased = Vec::with_capacity(events.len());
        for event in events {
            let attempt: i64 = sqlx::query_scalar(sql::claims::LEASE)
                .bind(consumer)
                .bind(event.seq.0)
                .bind(claim.token.as_str())
                .bind(&claim.holder.name)
                .bind(&claim.client)
                .bind(event.fact.thread_id.as_ref().map(|thread| thread.as_str().to_owned()))
                .bind(now.wall.0)
                .bind(&now.boot.boot_id)
                .bind(now.boot_in(claim.lease_millis))
                .fetch_one(&mut *conn)
                .await
                .map_err(failed("lease an event"))?;
            leased.push(LeasedEvent { event, attempt: u32::try_from(attempt).unwrap_or(u32::MAX) });
        }
        if !leased.is_empty() {
            let entry = Entry::Leased {
                consumer: claim.consumer.clone(),
                holder: claim.holder.name.clone(),
                client: claim.client.clone(),
                seqs: leased.iter().map(|leased| leased.event.seq).collect(),
                attempts: leased.iter().map(|leased| leased.attempt).collect(),
                runs: Runs::on(now, claim.lease_millis),
            };
            auditor.record(conn, now.wall, &entry).await?;
        }
        let reached = if open {
            let left = never_claimed(conn, *consumer, filter, after, "e.seq", 1, None).await?;
            let left: Option<i64> =
                left.first().map(|row| row.try_get(0)).transpose().map_err(failed("read an event's place"))?;
            left.map_or(head, |seq| Seq(seq - 1))
        } else {
            // Nothing stood in the way of any, so these are all there are, or the first of them.
            match leased.last() {
                Some(last) if leased.len() >= usize::try_from(claim.limit).unwrap_or(usize::MAX) => last.event.seq,
                _ => head,
            }
        };
        Ok(Taken { events: leased, parked, reached })
    }

    async fn park_spent(&self, conn: &mut SqliteConnection) -> Result<Vec<Seq>, StoreError> {
        let Self { consumer, claim, now, auditor, .. } = self;
        let parked = sqlx::query_scalar::<_, i64>(sql::claims::PARK_SPENT)
            .bind(now.wall.0)
            .bind(consumer)
            .bind(ATTEMPTS_MAX)
            .bind(&now.boot.boot_id)
            .bind(now.boot.millis);
        let parked = parked.fetch_all(&mut *conn).await.map_err(failed("park what was handed out too often"))?;
        if !parked.is_empty() {
            BellStore::raise_low_water(conn, *consumer, |_, _| Seq::ZERO).await?;
            raise_returns(conn, *consumer).await?;
        }
        let parked: Vec<Seq> = parked.into_iter().map(Seq).collect();
        if !parked.is_empty() {
            let entry =
                Entry::Parked { consumer: claim.consumer.clone(), seqs: parked.clone(), boot: now.boot.clone() };
            auditor.record(conn, now.wall, &entry).await?;
        }
        Ok(parked)
    }
}
