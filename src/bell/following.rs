//! The log as it grows: every event from a moment on, once and in order, for who tells others of it.

use std::sync::Arc;

use super::waiting::Waiting;
use crate::{
    domain::{
        cursor::Seq,
        event::{Event, EventFilter},
    },
    store::{
        StoreError,
        log::{EventLog, Order, PageRequest},
    },
    wake::{Ear, Topic},
};

/// Events read at once: a burst is told of in a few looks, and none holds more than some 100 kB.
const PAGE: u32 = 200;

/// Follows the log.
pub struct Following {
    log: Arc<dyn EventLog>,
    ear: Ear,
    after: Seq,
}

impl Waiting {
    /// Follows the log from now on: what is committed once this has returned is told, whichever process committed it.
    pub async fn follow(&self) -> Result<Following, StoreError> {
        let ear = self.bell.listen([Topic::All]);
        let after = self.log.extent().await?.head;
        Ok(Following { log: self.log.clone(), ear, after })
    }

    /// Follows the log from that place on.
    pub fn follow_after(&self, after: Seq) -> Following {
        Following { log: self.log.clone(), ear: self.bell.listen([Topic::All]), after }
    }
}

impl Following {
    /// The last event that it does not tell of.
    pub fn after(&self) -> Seq {
        self.after
    }

    /// The next events, at least one. Dropping the future loses none, and after an error the same are told again.
    pub async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            let page = PageRequest {
                filter: EventFilter::default(),
                after: self.after,
                before: None,
                order: Order::Ascending,
                limit: PAGE,
            };
            let events = self.log.page(&page).await?;
            if let Some(last) = events.last() {
                self.after = last.seq;
                return Ok(events);
            }
            self.ear.rung().await;
        }
    }
}
