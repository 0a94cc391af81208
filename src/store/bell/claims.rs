//! Claims: handing a consumer's oldest free events to one worker.
//!
//! What a consumer may be handed comes from two places: events it was never handed, which lie in the log above its
//! low-water mark without a row of its own, and events it was handed and may have again (given back, or the lease ran
//! out), which are among its few open rows. A claim looks at both with a reader first, and goes to the writer, where the
//! same look decides, only if there is something: an idle wait writes nothing. One that was rung for goes there at once.

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    BellStore,
    lease::{Lease, Taken},
    left::{self, Left},
    look::Look,
    sql,
};
use crate::{
    domain::{
        clock::{Moment, UnixMillis},
        consumer::{Gap, Held, KINDS_BY_DEFAULT, LeaseToken, Settled, Settlement, Start},
        cursor::{Cursor, Seq},
        event::{EventFilter, EventKind},
        id::{ActionId, ConsumerName, EventId, MessageId},
    },
    store::{
        StoreError, failed,
        leases::{BACKLOG_MAX, Claim, ClaimError, Claimed, Consumers},
        log::Extent,
        statement::Statement,
        writer::Lasts,
    },
};

/// A consumer's row.
#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) id: i64,
    pub(super) name: ConsumerName,
    /// Sorted, each once, never empty.
    pub(super) kinds: Vec<EventKind>,
    pub(super) low_water: Seq,
}

impl Consumer {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let columns = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
        let (id, name, kinds, low_water): (i64, String, String, i64) = columns().map_err(failed("read a consumer"))?;
        let kinds: Result<Vec<EventKind>, _> = kinds.split(' ').map(str::parse).collect();
        let kinds = kinds.map_err(|_| StoreError::Corrupt {
            table: "consumers",
            row: id.to_string(),
            why: "kinds are not words of kinds",
        })?;
        Ok(Self { id, name: ConsumerName::new(name), kinds, low_water: Seq(low_water) })
    }

    /// The events that `filter` leaves of those it owns, as a filter with kinds; or the kind that it does not own.
    fn owned(&self, filter: &EventFilter) -> Result<EventFilter, ClaimError> {
        if let Some(kind) = filter.kinds.iter().find(|kind| !self.kinds.contains(kind)) {
            let owned: Vec<_> = self.kinds.iter().map(|kind| kind.as_str()).collect();
            return Err(ClaimError::NotOwned { consumer: self.name.clone(), kind: *kind, owned: owned.join(", ") });
        }
        let kinds = if filter.kinds.is_empty() { self.kinds.clone() } else { sorted(&filter.kinds) };
        Ok(EventFilter { kinds, ..filter.clone() })
    }
}

fn sorted(kinds: &[EventKind]) -> Vec<EventKind> {
    let mut kinds = kinds.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[async_trait]
impl Consumers for BellStore {
    async fn claim(&self, claim: &Claim, now: Moment) -> Result<Claimed, ClaimError> {
        let known = match self.frontiers.known(&claim.consumer) {
            Some(known) => known,
            None => self.get_to_know(claim).await?,
        };
        // A consumer owns what it was made with: kinds that are named later would be waited for in vain.
        known.owned(&EventFilter { kinds: claim.kinds.clone(), ..EventFilter::default() })?;
        let filter = known.owned(&claim.filter)?;
        if let Some(claimed) = self.claim_ahead(&known, &filter, claim, &now).await? {
            return Ok(claimed);
        }
        let mut reader = self.database.readers.acquire().await.map_err(failed("claim events"))?;
        let look = self.look(&mut reader, &known, &filter, claim.claimant(&now.boot)).await?;
        // Others read meanwhile.
        drop(reader);
        let Look { consumer, extent, found, mut left } = look;
        let gap = self.pass_gap(&consumer, &extent).await?;

        let mut taken = Taken::default();
        if found {
            taken = self.lease(&consumer, filter, claim, &now, None).await?;
            // What is leased is left as before. Where it was not, another took it, and its lease is to be waited for.
            left = if taken.events.is_empty() || !taken.parked.is_empty() {
                let mut reader = self.database.readers.acquire().await.map_err(failed("count a backlog"))?;
                left::left(&mut reader, &consumer, BACKLOG_MAX, &now.boot).await?
            } else {
                left.with_lease(claim.lease_millis)
            };
        }
        let (Taken { events, parked, .. }, Left { backlog, next_expiry_millis }) = (taken, left);
        let head = Cursor { log: extent.log, seq: extent.head };
        Ok(Claimed { head, events, backlog, gap, next_expiry_millis, parked })
    }

    async fn unclaim(&self, token: &LeaseToken, now: UnixMillis) -> Result<(), StoreError> {
        self.take_back(token, now).await
    }

    async fn settle(
        &self,
        token: &LeaseToken,
        only: Option<&[EventId]>,
        settlement: &Settlement,
        now: Moment,
    ) -> Result<Settled, StoreError> {
        self.settle_held(token, only, settlement, now).await
    }

    async fn ack_message(
        &self,
        message: &MessageId,
        token: Option<&LeaseToken>,
        holder: &str,
        now: Moment,
    ) -> Result<Settled, StoreError> {
        self.ack_held_of(message, token, holder, now).await
    }

    async fn hold(
        &self,
        token: &LeaseToken,
        message: Option<&MessageId>,
        millis: i64,
        now: Moment,
    ) -> Result<Option<Held>, StoreError> {
        self.hold_on(token, message, millis, now).await
    }

    async fn hold_for_action(&self, token: &LeaseToken, action: &ActionId, now: Moment) -> Result<bool, StoreError> {
        self.keep_for_action(token, action, now).await
    }

    async fn holder_of(&self, token: &LeaseToken) -> Result<Option<String>, StoreError> {
        let holder = sqlx::query_scalar::<_, Option<String>>(sql::claims::HOLDER_OF).bind(token.as_str());
        let holder = holder.fetch_optional(&self.database.readers).await.map_err(failed("look a lease up"))?;
        Ok(holder.flatten())
    }

    async fn is_leased(&self, consumer: &ConsumerName, seq: Seq, now: Moment) -> Result<bool, StoreError> {
        let leased = sqlx::query_scalar::<_, bool>(sql::claims::IS_LEASED)
            .bind(consumer.as_str())
            .bind(seq.0)
            .bind(&now.boot.boot_id)
            .bind(now.boot.millis);
        leased.fetch_one(&self.database.readers).await.map_err(failed("look a lease up"))
    }

    async fn returns(&self) -> Result<Vec<(ConsumerName, i64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(sql::claims::RETURNS)
            .fetch_all(&self.database.readers)
            .await
            .map_err(failed("read what was given back"))?;
        Ok(rows.into_iter().map(|(name, returns)| (ConsumerName::new(name), returns)).collect())
    }
}

impl BellStore {
    pub(super) async fn consumer(&self, name: &ConsumerName) -> Result<Option<Consumer>, StoreError> {
        let row = sqlx::query(sql::claims::CONSUMER).bind(name.as_str()).fetch_optional(&self.database.readers).await;
        row.map_err(failed("read a consumer"))?.as_ref().map(Consumer::read).transpose()
    }

    /// Reads the consumer of `claim`, which is made at its first use.
    async fn get_to_know(&self, claim: &Claim) -> Result<Consumer, StoreError> {
        if let Some(consumer) = self.consumer(&claim.consumer).await? {
            return Ok(consumer);
        }
        let extent = sqlx::query_as(sql::log::EXTENT).fetch_one(&self.database.readers).await;
        let (tail, head): (i64, i64) = extent.map_err(failed("measure the log"))?;
        let low_water = match claim.start {
            Start::Earliest => tail - 1,
            Start::Now => head,
        };
        self.add_consumer(claim, low_water).await
    }

    async fn add_consumer(&self, claim: &Claim, low_water: i64) -> Result<Consumer, StoreError> {
        let name = claim.consumer.as_str().to_owned();
        let kinds = sorted(if claim.kinds.is_empty() { &KINDS_BY_DEFAULT } else { &claim.kinds });
        let words = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ");
        let add = self.database.writer.write(move |conn| {
            let (name, words) = (name.clone(), words.clone());
            Box::pin(async move {
                let add = sqlx::query(sql::claims::ADD_CONSUMER).bind(&name).bind(words).bind(low_water);
                add.execute(&mut *conn).await.map_err(failed("add a consumer"))?;
                let row = sqlx::query(sql::claims::CONSUMER).bind(name).fetch_one(conn).await;
                Consumer::read(&row.map_err(failed("read a consumer"))?)
            })
        });
        add.await
    }

    /// Tells, once, what fell behind the log's tail before `consumer` saw it. Retention raises the marks of those who lose
    /// nothing by it, so a mark below the tail is a loss.
    async fn pass_gap(&self, consumer: &Consumer, extent: &Extent) -> Result<Option<Gap>, StoreError> {
        let Some(gap) = extent.gap(consumer.low_water) else { return Ok(None) };
        let (id, mark) = (consumer.id, extent.tail.0 - 1);
        let raised = self.database.writer.write(move |conn| {
            Box::pin(async move {
                let raise = sqlx::query(sql::claims::RAISE_LOW_WATER).bind(mark).bind(id);
                raise.execute(conn).await.map_err(failed("pass a gap"))?;
                Ok(())
            })
        });
        raised.await.map(|()| Some(gap))
    }

    /// Leases for `known` what a ring told of, with no look before: a look would find it, and the transaction looks once more anyway.
    /// None where no ring told of anything, another claim of the consumer is ahead, or a look has to come first after all.
    async fn claim_ahead(
        &self,
        known: &Consumer,
        filter: &EventFilter,
        claim: &Claim,
        now: &Moment,
    ) -> Result<Option<Claimed>, StoreError> {
        let Some(_ahead) = claim.rung.then(|| self.frontiers.go_ahead(known.id)).flatten() else { return Ok(None) };
        let count = left::columns("SELECT ", known, BACKLOG_MAX, &now.boot);
        let Taken { events, head, left: Some(left), .. } =
            self.lease(known, filter.clone(), claim, now, Some(count)).await?
        else {
            return Ok(None);
        };
        let Left { backlog, next_expiry_millis } = left.with_lease(claim.lease_millis);
        let head = Cursor { log: self.log_id.clone(), seq: head };
        Ok(Some(Claimed { head, events, backlog, gap: None, next_expiry_millis, parked: Vec::new() }))
    }

    /// Leases what there is; with `ahead`, which counts what is left, only where nothing has to be done before.
    async fn lease(
        &self,
        consumer: &Consumer,
        filter: EventFilter,
        claim: &Claim,
        now: &Moment,
        ahead: Option<Statement>,
    ) -> Result<Taken, StoreError> {
        let after = consumer.low_water.max(self.frontiers.reached(consumer.id, &filter));
        let lease = Lease {
            consumer: consumer.id,
            filter,
            claim: claim.clone(),
            now: now.clone(),
            after,
            ahead,
            auditor: self.auditor.clone(),
        };
        let (consumer, filter) = (consumer.id, lease.filter.clone());
        let lasts = if lease.claim.on_disk { Lasts::OnDisk } else { Lasts::ThisBoot };
        let leased = self.database.writer.write_to_last(lasts, move |turn| {
            let lease = lease.clone();
            Box::pin(async move { lease.take(turn).await })
        });
        let taken = leased.await?;
        self.frontiers.reach(consumer, &filter, taken.reached);
        Ok(taken)
    }
}
