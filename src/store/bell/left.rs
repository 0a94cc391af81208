//! What a consumer has before it: its backlog by kind, and when the next of its leases or pauses is over.

use std::collections::BTreeMap;

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{claims::Consumer, sql};
use crate::{
    domain::{clock::BootTime, event::EventKind},
    store::{
        StoreError, failed,
        statement::{Bind, Statement},
    },
};

/// What a consumer has before it.
#[derive(Default)]
pub(super) struct Left {
    /// How many events of each kind that has any.
    pub(super) backlog: BTreeMap<EventKind, u64>,
    /// When the next of its leases or pauses is over, in milliseconds from now.
    pub(super) next_expiry_millis: Option<i64>,
}

/// The two columns that [`Left::read`] reads, for `consumer` and each of its kinds counted up to `max`: `text` comes before them.
pub(super) fn columns(text: &str, consumer: &Consumer, max: u64, now: &BootTime) -> Statement {
    let kinds: Vec<&str> = consumer.kinds.iter().map(|kind| kind.as_str()).collect();
    let kinds = serde_json::to_string(&kinds).expect("a list of words is JSON");
    let consumer = Bind::Int(consumer.id);
    let binds = [
        consumer.clone(),
        Bind::Int(i64::try_from(max).unwrap_or(i64::MAX)),
        consumer.clone(),
        consumer.clone(),
        consumer.clone(),
        Bind::Text(kinds),
        consumer,
        Bind::Text(now.boot_id.clone()),
        Bind::Int(now.millis),
    ];
    Statement::new(format!("{text}{}", sql::claims::LEFT_COLUMNS), binds)
}

impl Left {
    /// Reads them from `row`, where they begin at the column `first`.
    pub(super) fn read(row: &SqliteRow, first: usize, now: &BootTime) -> Result<Self, StoreError> {
        let columns = || Ok((row.try_get(first)?, row.try_get(first + 1)?));
        let (counts, deadline): (String, Option<i64>) = columns().map_err(failed("count a backlog"))?;
        let counts: BTreeMap<String, u64> = serde_json::from_str(&counts).expect("SQLite makes JSON of counts");
        let known = |(word, count): (String, u64)| Some((word.parse().ok()?, count));
        let backlog = counts.into_iter().filter(|(_, count)| *count > 0).filter_map(known).collect();
        Ok(Self { backlog, next_expiry_millis: deadline.map(|deadline| deadline - now.millis) })
    }

    /// The same once a lease runs for so long.
    pub(super) fn with_lease(self, millis: i64) -> Self {
        let next = self.next_expiry_millis.map_or(millis, |next| next.min(millis));
        Self { next_expiry_millis: Some(next), ..self }
    }
}

/// What the consumer has before it, of each kind counted up to `max`.
pub(super) async fn left(
    conn: &mut SqliteConnection,
    consumer: &Consumer,
    max: u64,
    now: &BootTime,
) -> Result<Left, StoreError> {
    let row = columns("SELECT ", consumer, max, now).query().fetch_one(conn).await;
    Left::read(&row.map_err(failed("count a backlog"))?, 0, now)
}
