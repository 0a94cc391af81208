//! Forgetting mail: what is too old, and raw messages that no message has any more, such as those of a removed mailbox.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::blobs::Blobs;
use crate::{
    domain::clock::Clock,
    store::retention::{MailPolicy, MailRetention},
};

/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);
/// The first look after a start: what a start has to do comes first.
const FIRST: Duration = Duration::from_mins(1);
/// Between two small transactions: others write too.
const PAUSE: Duration = Duration::from_millis(50);

/// Keeps the mail service's data in bounds.
pub struct Retention {
    /// The rows.
    pub store: Arc<dyn MailRetention>,
    /// The raw messages.
    pub blobs: Blobs,
    /// For how long what is kept.
    pub policy: MailPolicy,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Retention {
    /// Looks every hour, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut next = FIRST;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(next) => next = EVERY,
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.sweep() => {}
            }
        }
    }

    /// Removes all that is too old.
    pub async fn sweep(&self) {
        loop {
            match self.store.sweep(&self.policy, self.clock.now()).await {
                Ok(0) => break,
                Ok(_) => self.clock.sleep(PAUSE).await,
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "old mail could not be removed; trying again within the hour");
                    return;
                }
            }
        }
        for prefix in 0..=u8::MAX {
            if let Err(error) = self.clear(prefix).await {
                tracing::warn!(error = &*error, "raw messages that nobody has could not be removed");
                return;
            }
        }
    }

    async fn clear(&self, prefix: u8) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let names = self.blobs.settled(prefix, self.clock.now()).await?;
        if !names.is_empty() {
            let orphans = self.store.orphans(names).await?;
            self.blobs.remove_settled(orphans, self.clock.now()).await?;
        }
        Ok(())
    }
}
