//! The low-water mark: raised over what is settled, so that rows below it can go.

use sqlx::SqliteConnection;

use super::{BellStore, claims::Consumer, lease::first_new, sql};
use crate::{
    domain::{cursor::Seq, event::EventFilter},
    store::{StoreError, failed},
};

/// Rows dropped in one transaction at most, so that a mark that leaps does not hold the writer for long.
const ROWS_PER_STEP_MAX: i64 = 2_000;

/// Up to where nothing that a consumer owns is without a row: to be remembered once it is committed.
pub(super) type Reached = (i64, EventFilter, Seq);

impl BellStore {
    /// Raises the mark of `consumer` as far as it goes: to just before the first event of its kinds that it was never
    /// handed or has not settled; events of other kinds do not hold it. `known` is up to where it was handed everything.
    pub(super) async fn raise_low_water(
        conn: &mut SqliteConnection,
        consumer: i64,
        known: impl Fn(i64, &EventFilter) -> Seq,
    ) -> Result<Reached, StoreError> {
        let row = sqlx::query(sql::claims::CONSUMER_BY_ID).bind(consumer).fetch_one(&mut *conn).await;
        let Consumer { low_water, kinds, .. } = Consumer::read(&row.map_err(failed("read a consumer"))?)?;
        let owned = EventFilter { kinds, ..EventFilter::default() };
        let (_, head): (i64, i64) =
            sqlx::query_as(sql::log::EXTENT).fetch_one(&mut *conn).await.map_err(failed("measure the log"))?;

        let after = low_water.max(known(consumer, &owned));
        let new = first_new(conn, consumer, &owned, after).await?;
        let open: Option<i64> = sqlx::query_scalar(sql::claims::FIRST_OPEN)
            .bind(consumer)
            .bind(low_water.0)
            .fetch_optional(&mut *conn)
            .await
            .map_err(failed("look for open claims"))?;
        let far: Option<i64> = sqlx::query_scalar(sql::claims::NTH_CLAIM)
            .bind(consumer)
            .bind(low_water.0)
            .bind(ROWS_PER_STEP_MAX)
            .fetch_optional(&mut *conn)
            .await
            .map_err(failed("look for settled claims"))?;

        let first_held = [new, open, far].into_iter().flatten().min();
        let mark = first_held.map_or(head, |seq| seq - 1);
        if mark > low_water.0 {
            let raise = sqlx::query(sql::claims::RAISE_LOW_WATER).bind(mark).bind(consumer).execute(&mut *conn);
            raise.await.map_err(failed("raise a low-water mark"))?;
            let drop = sqlx::query(sql::claims::DROP_ACKED).bind(consumer).bind(low_water.0).bind(mark).execute(conn);
            drop.await.map_err(failed("drop settled claims"))?;
        }
        Ok((consumer, owned, Seq(new.map_or(head, |seq| seq - 1))))
    }
}
