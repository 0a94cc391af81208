//! How much of what there is, for whoever watches the house; each count by an index or of a short table.

use std::time::Duration;

use super::BellStore;
use crate::store::{StoreError, failed};

/// What is counted in `bell.db`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BellTally {
    /// Signed bodies that were not understood.
    pub quarantine: i64,
    /// Changes that wait for the operator.
    pub actions_pending: i64,
}

/// How long the write lock may be another's before a store counts as taking no writes.
const WRITABLE_WITHIN: Duration = Duration::from_secs(2);

impl BellStore {
    /// Counts.
    pub async fn tally(&self) -> Result<BellTally, StoreError> {
        let counts = "SELECT (SELECT count(*) FROM quarantine), (SELECT count(*) FROM actions WHERE state = 'pending')";
        let (quarantine, actions_pending) =
            sqlx::query_as(counts).fetch_one(&self.database.readers).await.map_err(failed("count"))?;
        Ok(BellTally { quarantine, actions_pending })
    }

    /// Fails where nothing can be written now.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.database.writer.probe(WRITABLE_WITHIN).await
    }
}
