//! Sends what is queued: takes what is due, tries each message for all its due recipients at once, records what was said.
//!
//! # What a crash can do
//!
//! A message stays queued until what became of it is committed. Mail for a mailbox here is stored in the very transaction
//! that takes it off the queue, so it arrives exactly once. Mail for elsewhere is handed to the relay first and recorded
//! then: whoever is killed, or loses the connection, after the message's final dot was sent and before the relay's answer is
//! on disk, sends it once more at the next try. SMTP itself cannot tell these apart (RFC 1047); the Message-ID is the same
//! both times, by which receivers may drop the copy. At every other moment a crash repeats nothing.

mod attempt;
mod verdict;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{blobs::Blobs, domains::Domains, reception::Reception, relay::Relay};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        id::MessageId,
    },
    ids::{Entropy, Ids},
    store::{StoreError, outbox::Outbox},
};

/// Messages at work at once; each may hold one conversation with the relay.
const IN_FLIGHT_MAX: usize = 16;
/// How long the loop waits after the store has failed.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// How long what is under way gets to end when the process does; it must be gone within 5 s.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the worker is made of.
pub struct Parts {
    /// The queue.
    pub outbox: Arc<dyn Outbox>,
    /// Raw messages.
    pub blobs: Blobs,
    /// Puts mail into mailboxes here.
    pub reception: Arc<Reception>,
    /// The domains whose mail is taken here.
    pub domains: Arc<Domains>,
    /// Where mail for elsewhere goes, if anywhere.
    pub relay: Option<Relay>,
    /// While it is true, nothing is sent.
    pub paused: watch::Receiver<bool>,
    /// Rung after something was queued.
    pub queued: Arc<Notify>,
    /// To be rung after events came to be owed to webhooks.
    pub owed: Arc<Notify>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<Ids>,
    /// Spreads retries.
    pub entropy: Arc<dyn Entropy>,
}

/// Sends what is queued. One runs per keeper.
#[derive(Clone)]
pub struct Worker {
    parts: Arc<Parts>,
}

impl Worker {
    /// A worker.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Sends until `shutdown`, then lets what is under way end, but not for long.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut flying = Flying::default();
        let mut paused = self.parts.paused.clone();
        while !shutdown.is_cancelled() {
            let pause = match self.launch(&mut flying).await {
                Ok(next_at) => next_at.map(|at| span(self.parts.clock.now(), at)),
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "could not look for mail that is due; trying again");
                    Some(STORE_PAUSE)
                }
            };
            let sleep = async {
                match pause {
                    Some(pause) => self.parts.clock.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            let failed = tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.parts.queued.notified() => false,
                Ok(()) = paused.changed() => false,
                failed = flying.landed() => failed,
                () = sleep => false,
            };
            if failed {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = self.parts.clock.sleep(STORE_PAUSE) => {}
                }
            }
        }
        let farewell = async {
            while !flying.tasks.is_empty() {
                flying.landed().await;
            }
        };
        tokio::select! {
            () = farewell => {}
            () = self.parts.clock.sleep(FAREWELL) => tracing::warn!("mail under way was cut off; it is tried again"),
        }
    }

    /// Sends all that is due, and answers when the next is: for whoever drives time by hand.
    pub async fn run_until_idle(&self) -> Result<Option<UnixMillis>, StoreError> {
        let mut flying = Flying::default();
        loop {
            let next_at = self.launch(&mut flying).await?;
            if flying.tasks.is_empty() {
                return Ok(next_at);
            }
            flying.landed().await;
        }
    }

    /// Starts on what is due, as far as there is room; answers when the next is.
    async fn launch(&self, flying: &mut Flying) -> Result<Option<UnixMillis>, StoreError> {
        let room = IN_FLIGHT_MAX.saturating_sub(flying.busy.len());
        if room == 0 || *self.parts.paused.borrow() {
            return Ok(None);
        }
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let page = self.parts.outbox.due(self.parts.clock.now(), &flying.busy, limit).await?;
        for due in page.due {
            let id = due.sent.message.clone();
            flying.busy.push(id.clone());
            let parts = self.parts.clone();
            flying.tasks.spawn(async move { (id, attempt::attempt(&parts, due).await) });
        }
        Ok(page.next_at)
    }
}

/// Messages under way.
#[derive(Default)]
struct Flying {
    tasks: JoinSet<(MessageId, Result<(), StoreError>)>,
    busy: Vec<MessageId>,
}

impl Flying {
    /// Waits until one has ended; for ever where none is under way. Whether the store failed under it.
    async fn landed(&mut self) -> bool {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok((id, ended))) => {
                self.busy.retain(|busy| *busy != id);
                if let Err(error) = &ended {
                    let error = error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, message.id = %id, "could not record a try; the message is tried again");
                }
                ended.is_err()
            }
            Some(Err(error)) => {
                tracing::error!(%error, "trying a message failed; it is tried again after a restart");
                false
            }
        }
    }
}

fn span(now: UnixMillis, at: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
}
