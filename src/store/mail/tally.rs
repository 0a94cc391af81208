//! How much of what there is, for whoever watches the house; each count by an index or of a short table.

use std::time::Duration;

use super::MailStore;
use crate::{
    domain::clock::UnixMillis,
    store::{StoreError, failed},
};

/// What is counted in `mail.db`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct MailTally {
    /// Deliveries still owed.
    pub pending: i64,
    /// When the oldest of those was owed first.
    pub pending_since: Option<i64>,
    /// Dead letters.
    pub dead: i64,
    /// Lines whose last post failed.
    pub failing: i64,
    /// Recipients still to be tried.
    pub queued: i64,
    /// When the next of those is due.
    pub due_at: Option<i64>,
    /// Addresses that nothing is sent to.
    pub suppressions: i64,
}

/// How long the write lock may be another's before a store counts as taking no writes.
const WRITABLE_WITHIN: Duration = Duration::from_secs(2);

const COUNTS: &str = "SELECT (SELECT count(*) FROM delivery WHERE state = 'pending') AS pending, \
     (SELECT created_at FROM delivery WHERE state = 'pending' ORDER BY seq LIMIT 1) AS pending_since, \
     (SELECT count(*) FROM delivery WHERE state = 'dead') AS dead, \
     (SELECT count(*) FROM line WHERE failing_since IS NOT NULL) AS failing, \
     (SELECT count(*) FROM recipient WHERE due_at IS NOT NULL) AS queued, \
     (SELECT min(due_at) FROM recipient WHERE due_at IS NOT NULL) AS due_at, \
     (SELECT suppressions FROM weight) AS suppressions";

impl MailTally {
    /// How long before `now` that was, in whole seconds; 0 for never and for later.
    pub fn seconds_since(at: Option<i64>, now: UnixMillis) -> i64 {
        at.map_or(0, |at| (now.0 - at).max(0) / 1000)
    }
}

impl MailStore {
    /// Counts.
    pub async fn tally(&self) -> Result<MailTally, StoreError> {
        sqlx::query_as(COUNTS).fetch_one(&self.database.readers).await.map_err(failed("count"))
    }

    /// Fails where nothing can be written now, or where another has begun its term.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.database.writer.probe(WRITABLE_WITHIN).await
    }
}
