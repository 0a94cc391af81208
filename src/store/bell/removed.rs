//! The ids of events that retention has removed: what is told again is still known.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::sql;
use crate::{
    domain::{cursor::Seq, event::NewEvent},
    store::{StoreError, failed},
};

/// Those of some events that were here once, by source and id, with where.
pub(super) struct Removed(HashMap<(i64, String), Seq>);

impl Removed {
    /// Looks events up, each by the number of its source and its id.
    pub(super) async fn of(conn: &mut SqliteConnection, ids: Vec<(i64, String)>) -> Result<Self, StoreError> {
        let ids = serde_json::to_string(&ids).expect("numbers and texts");
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(sql::retention::REMOVED)
            .bind(ids)
            .fetch_all(conn)
            .await
            .map_err(failed("look removed events up"))?;
        Ok(Self(rows.into_iter().map(|(origin, id, seq)| ((origin, id), Seq(seq))).collect()))
    }

    /// Where the event was.
    pub(super) fn place(&self, origin: i64, event: &NewEvent) -> Option<Seq> {
        // Nearly always there is none, and then no key is made.
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(origin, event.event_id.as_str().to_owned())).copied()
    }
}
