//! The look that comes before a claim: all that a waiter asks of its consumer, as one row.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    BellStore,
    claims::Consumer,
    lease::new_to,
    left::{self, Left},
    select::{Claimant, freed},
    sql,
};
use crate::{
    domain::{cursor::Seq, event::EventFilter},
    store::{
        StoreError, failed,
        leases::BACKLOG_MAX,
        log::Extent,
        statement::{Bind, Statement},
    },
};

/// What a look saw, all at one moment.
pub(super) struct Look {
    pub(super) consumer: Consumer,
    pub(super) extent: Extent,
    /// Whether there is something that the claim may have.
    pub(super) found: bool,
    pub(super) left: Left,
}

impl BellStore {
    /// Looks whether `known` has something for a claim by `filter` (its kinds included).
    pub(super) async fn look(
        &self,
        conn: &mut SqliteConnection,
        known: &Consumer,
        filter: &EventFilter,
        claimant: Claimant<'_>,
    ) -> Result<Look, StoreError> {
        let mut after = known.low_water.max(self.frontiers.reached(known.id, filter));
        loop {
            let row = statement(known, filter, claimant, after).query().fetch_optional(&mut *conn).await;
            let row = row.map_err(failed("look for events"))?;
            let consumer = row.as_ref().map(Consumer::read).transpose()?.filter(|consumer| consumer.id == known.id);
            let (Some(row), Some(consumer)) = (row, consumer) else {
                self.frontiers.forget(&known.name);
                return Err(StoreError::Corrupt {
                    table: "consumers",
                    row: known.id.to_string(),
                    why: "it is there no more",
                });
            };
            let (extent, [new, returned, unclaimed]) = self.seen(&row).map_err(failed("look for events"))?;
            // Rows below a mark that has risen since are gone, and their events look like new ones.
            if unclaimed && consumer.low_water > after {
                after = consumer.low_water;
                continue;
            }
            self.frontiers.know(&consumer);
            // Those that wait behind their thread still have to be come back to.
            if !unclaimed {
                self.frontiers.reach(consumer.id, filter, extent.head);
            }
            let left = Left::read(&row, LEFT_AT, claimant.now)?;
            return Ok(Look { consumer, extent, found: new || returned, left });
        }
    }

    fn seen(&self, row: &SqliteRow) -> Result<(Extent, [bool; 3]), sqlx::Error> {
        let (tail, head) = (row.try_get(4)?, row.try_get(5)?);
        let extent = Extent { log: self.log_id.clone(), head: Seq(head), tail: Seq(tail) };
        Ok((extent, [row.try_get(6)?, row.try_get(7)?, row.try_get(8)?]))
    }
}

/// The column at which what is left begins.
const LEFT_AT: usize = 9;

/// A consumer's row; the log's tail and head; whether there is something new for the claim, something that it may have again,
/// and something new at all; and what is left.
pub(super) fn statement(known: &Consumer, filter: &EventFilter, claimant: Claimant<'_>, after: Seq) -> Statement {
    let mut look = Statement::new(sql::claims::LOOK, []);
    let looks = [
        new_to(known.id, filter, after, "e.seq", 1, Some(claimant)),
        freed(known.id, filter, claimant, 1),
        new_to(known.id, filter, after, "e.seq", 1, None),
    ];
    for one in looks {
        look.push(", EXISTS (");
        look.append(one);
        look.push(")");
    }
    look.append(left::columns(", ", known, BACKLOG_MAX, claimant.now));
    look.append(Statement::new(sql::claims::LOOK_END, [Bind::Text(known.name.as_str().to_owned())]));
    look
}
