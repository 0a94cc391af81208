//! Leasing, inside the writer's transaction: what there is for a claim is looked up once more, and becomes the claim's.

use sqlx::{FromRow, Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    BellStore,
    audit::{Auditor, end_in},
    events,
    left::Left,
    select::{Claimant, Select, freed, narrowing, unclaimed},
    settle::raise_returns,
    sql,
};
use crate::{
    domain::{
        clock::{BootTime, Moment},
        consumer::{ATTEMPTS_MAX, LeasedEvent},
        cursor::Seq,
        event::EventFilter,
    },
    signing::chain::Link,
    store::{
        StoreError,
        audit::{Entry, Runs},
        failed,
        leases::Claim,
        log::Order,
        statement::{Bind, Statement},
        turn::Turn,
    },
};

/// The column of a freed event's row that follows those of the event.
const ATTEMPT_AT: usize = 11;

/// The first `limit` events that `filter` (its kinds included) matches and that the consumer has no row of; with `claimant`, only
/// those that may be handed out before the earlier ones of their threads are settled.
pub(super) fn new_to(
    consumer: i64,
    filter: &EventFilter,
    after: Seq,
    columns: &str,
    limit: u32,
    claimant: Option<Claimant<'_>>,
) -> Statement {
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
    select.statement()
}

/// The place of the first event that `filter` (its kinds included) matches and that the consumer has no row of.
pub(super) async fn first_new(
    conn: &mut SqliteConnection,
    consumer: i64,
    filter: &EventFilter,
    after: Seq,
) -> Result<Option<i64>, StoreError> {
    let first = new_to(consumer, filter, after, "e.seq", 1, None).query().fetch_optional(conn).await;
    place(first.map_err(failed("look for events"))?.as_ref())
}

fn place(row: Option<&SqliteRow>) -> Result<Option<i64>, StoreError> {
    row.map(|row| row.try_get(0)).transpose().map_err(failed("read an event's place"))
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
    /// Up to where the consumer was handed everything, as far as it is known.
    pub(super) after: Seq,
    /// Without a look before it: what counts that which is left. Then nothing is leased where something has to be done before.
    pub(super) ahead: Option<Statement>,
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
    /// The log's head as it was then.
    pub(super) head: Seq,
    /// What is left, leased or not, where something was leased without a look before it.
    pub(super) left: Option<Left>,
}

/// What the writer's transaction finds, asked in one trip.
struct Found {
    /// Where the consumer is in the log.
    low_water: Seq,
    head: Seq,
    tail: Seq,
    /// Whether anything of it is leased or waits for a retry.
    open: bool,
    /// Whether any of that was handed out too often.
    spent: bool,
    /// The end of the audit record.
    told: (i64, Link),
    /// What the claim may have, the oldest first; each with which attempt it is.
    events: Vec<LeasedEvent>,
    /// What is left, where that is counted.
    left: Option<Left>,
}

impl Lease {
    /// Leases what there is, in two trips where nothing was handed out too often.
    pub(super) async fn take(&self, turn: &mut Turn<'_>) -> Result<Taken, StoreError> {
        let (mut after, mut parked) = (self.after, Vec::new());
        let found = loop {
            let found = self.find(turn, after).await?;
            let is_behind = found.low_water.0 + 1 < found.tail.0;
            if self.ahead.is_some() && (is_behind || found.spent || found.events.is_empty()) {
                return Ok(Taken::default());
            }
            if found.low_water > after {
                // Rows below a mark that has risen since are gone, and their events look like new ones.
                after = found.low_water;
            } else if found.spent {
                // First, so that they no longer hold their threads up.
                parked.extend(self.park_spent(turn.conn().await?).await?);
            } else {
                break found;
            }
        };
        let Self { consumer, filter, claim, now, auditor, .. } = self;
        let Found { head, open, told, events, left, .. } = found;

        let mut steps = Vec::new();
        if !events.is_empty() {
            let entry = Entry::Leased {
                consumer: claim.consumer.clone(),
                holder: claim.holder.name.clone(),
                client: claim.client.clone(),
                seqs: events.iter().map(|leased| leased.event.seq).collect(),
                attempts: events.iter().map(|leased| leased.attempt).collect(),
                runs: Runs::on(now, claim.lease_millis),
            };
            steps.extend([self.leases(&events), auditor.adds(&told, now.wall, &entry)]);
        }
        if open {
            steps.push(new_to(*consumer, filter, after, "e.seq", 1, None));
        }
        let mut rows = Vec::new();
        if let Some(steps) = steps.into_iter().reduce(Statement::then) {
            rows = turn.run_each(steps, true, "lease events").await?;
        }
        let reached = if open {
            place(rows.last().and_then(|rows| rows.first()))?.map_or(head, |seq| Seq(seq - 1))
        } else {
            // Nothing stood in the way of any, so these are all there are, or the first of them.
            match events.last() {
                Some(last) if events.len() >= usize::try_from(claim.limit).unwrap_or(usize::MAX) => last.event.seq,
                _ => head,
            }
        };
        Ok(Taken { events, parked, reached, head, left })
    }

    async fn find(&self, turn: &mut Turn<'_>, after: Seq) -> Result<Found, StoreError> {
        let Self { consumer, filter, claim, now, ahead, .. } = self;
        let claimant = claim.claimant(&now.boot);
        let place = [
            Bind::Int(i64::from(ATTEMPTS_MAX)),
            Bind::Text(now.boot.boot_id.clone()),
            Bind::Int(now.boot.millis),
            Bind::Int(*consumer),
        ];
        let steps = Statement::new(sql::claims::REACHED, place)
            .then(Statement::new(sql::audit::LAST_AUDIT, []))
            .then(new_to(*consumer, filter, after, sql::log::EVENT_COLUMNS, claim.limit, Some(claimant)))
            .then(freed(*consumer, filter, claimant, claim.limit));
        let steps = match ahead {
            Some(count) => steps.then(count.clone()),
            None => steps,
        };
        let rows = turn.ask_each(steps, "look for events").await?;
        let [place, told, new, freed, left @ ..] = rows.as_slice() else {
            return Err(StoreError::of("look for events", sqlx::Error::RowNotFound));
        };
        let place = place.first().ok_or(sqlx::Error::RowNotFound).and_then(FromRow::from_row);
        let (low_water, head, open, spent, tail): (i64, i64, bool, bool, i64) =
            place.map_err(failed("read how far a consumer is"))?;

        let mut events = Vec::with_capacity(new.len() + freed.len());
        for row in new {
            events.push(LeasedEvent { event: events::event(row)?, attempt: 1 });
        }
        for row in freed {
            let before: i64 = row.try_get(ATTEMPT_AT).map_err(failed("read an attempt"))?;
            events.push(LeasedEvent {
                event: events::event(row)?,
                attempt: u32::try_from(before + 1).unwrap_or(u32::MAX),
            });
        }
        events.sort_unstable_by_key(|leased| leased.event.seq);
        events.truncate(usize::try_from(claim.limit).unwrap_or(usize::MAX));
        let told = end_in(told.first())?;
        let left = left.first().and_then(|rows| rows.first()).map(|row| Left::read(row, 0, &now.boot)).transpose()?;
        Ok(Found { low_water: Seq(low_water), head: Seq(head), tail: Seq(tail), open, spent, told, events, left })
    }

    /// What leases `events`.
    fn leases(&self, events: &[LeasedEvent]) -> Statement {
        let Self { consumer, claim, now, .. } = self;
        let seqs: Vec<i64> = events.iter().map(|leased| leased.event.seq.0).collect();
        let binds = [
            Bind::Int(*consumer),
            Bind::Text(claim.token.as_str().to_owned()),
            Bind::Text(claim.holder.name.clone()),
            claim.client.clone().map_or(Bind::Null, Bind::Text),
            Bind::Int(now.wall.0),
            Bind::Text(now.boot.boot_id.clone()),
            Bind::Int(now.boot_in(claim.lease_millis)),
            Bind::Text(serde_json::Value::from(seqs).to_string()),
        ];
        Statement::new(sql::claims::LEASE, binds)
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
