//! The ids that sources told before: of events in the log, and of those that retention has removed.
//!
//! They are looked up in the transaction that appends, for a whole batch at once. So the insert meets no conflict and answers
//! with one place, instead of a row for each event.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;

use super::sql;
use crate::{
    domain::{cursor::Seq, event::NewEvent},
    store::{StoreError, failed},
};

/// Those of some events that were told before, by the number of their source and their id.
#[derive(Default)]
pub(super) struct Known {
    removed: HashMap<(i64, String), Seq>,
    held: HashSet<(i64, String)>,
}

impl Known {
    /// Looks up the ids of some events of the source `origin`.
    pub(super) async fn add(
        &mut self,
        conn: &mut SqliteConnection,
        origin: i64,
        ids: &[&str],
    ) -> Result<(), StoreError> {
        let ids = serde_json::to_string(ids).expect("a list of texts is JSON");
        let rows: Vec<(String, Option<i64>)> = sqlx::query_as(sql::log::KNOWN)
            .bind(origin)
            .bind(ids)
            .fetch_all(conn)
            .await
            .map_err(failed("look up which events were told before"))?;
        for (id, removed_from) in rows {
            match removed_from {
                Some(seq) => {
                    self.removed.insert((origin, id), Seq(seq));
                }
                None => {
                    self.held.insert((origin, id));
                }
            }
        }
        Ok(())
    }

    /// Where the event was, if retention has removed it.
    pub(super) fn place(&self, origin: i64, event: &NewEvent) -> Option<Seq> {
        // Nearly always there is none, and then no key is made.
        if self.removed.is_empty() {
            return None;
        }
        self.removed.get(&(origin, event.event_id.as_str().to_owned())).copied()
    }

    /// Whether an event of this id is in the log.
    pub(super) fn holds(&self, origin: i64, event: &NewEvent) -> bool {
        !self.held.is_empty() && self.held.contains(&(origin, event.event_id.as_str().to_owned()))
    }
}
