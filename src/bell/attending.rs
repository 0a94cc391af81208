//! Attending to a consumer: its events are taken one by one, something outside of us handles each, and what came of it is
//! settled.
//!
//! Whoever handles an event has it alone: the lease is made longer while they are at it, and where it was lost all the same
//! (a machine that slept through it), they are stopped. A handler that fails is tried again after a pause that grows, until
//! the event is parked. Everything that must last is in the consumer's rows, so this may be killed at any point.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    consumers::Settling,
    waiting::{Reader, WaitError, WaitRequest, Waiting},
};
use crate::{
    domain::{
        clock::Clock,
        consumer::{Holder, LeaseToken, LeasedEvent, Settlement, Start},
        event::EventFilter,
        id::ConsumerName,
    },
    store::StoreError,
};

/// How long one look for an event takes; then the next begins.
const LOOK: Duration = Duration::from_mins(1);
/// A lease is made longer when a third of it is over, so that two tries may fail.
const EXTEND_EVERY: u32 = 3;
/// Each pause before a retry is so many times the one before.
const PAUSE_GROWS: u32 = 4;
/// The longest pause before a retry.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// How long to wait when the store failed; it may be busy.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is attended to, and how.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The consumer.
    pub consumer: ConsumerName,
    /// Where it begins, should this be its first use.
    pub start: Start,
    /// Which events; its kinds are also what the consumer owns, should this be its first use.
    pub filter: EventFilter,
    /// In whose name leases are held.
    pub holder: String,
    /// What handles the events, as an operator is shown it.
    pub client: String,
    /// How many are handled at a time.
    pub parallel: u32,
    /// How long a lease runs without being made longer: after this, another takes over what a killed process had.
    pub lease: Duration,
    /// The pause after a first failure.
    pub pause: Duration,
    /// How long one event may take.
    pub timeout: Duration,
}

/// How handling an event ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It is done.
    Done,
    /// It is not, for this reason.
    Failed(String),
}

/// Handling could not even begin, and would not for any other event.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotBegin(pub String);

/// Handles events.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles `leased`, which is held under `token`. Once `stop` is cancelled it ends soon, and leaves nothing running.
    async fn handle(
        &self,
        leased: &LeasedEvent,
        token: &LeaseToken,
        stop: CancellationToken,
    ) -> Result<Handled, CannotBegin>;
}

/// Why attending ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum AttendError {
    /// The wait was not served.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The handler does not work.
    #[error(transparent)]
    CannotBegin(#[from] CannotBegin),
}

/// Attends to a consumer.
pub struct Attending {
    waiting: Arc<Waiting>,
    settling: Settling,
    clock: Arc<dyn Clock>,
    orders: Orders,
    handler: Arc<dyn Handler>,
}

impl Attending {
    /// Attends by `orders`, with `handler`.
    pub fn new(
        waiting: Arc<Waiting>,
        settling: Settling,
        clock: Arc<dyn Clock>,
        orders: Orders,
        handler: Arc<dyn Handler>,
    ) -> Self {
        Self { waiting, settling, clock, orders, handler }
    }

    /// Attends until `shutdown`. What is being handled then is stopped, and given back unless it was done.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AttendError> {
        let this = Arc::new(self);
        let stop = shutdown.child_token();
        let mut slots = JoinSet::new();
        for slot in 1..=this.orders.parallel {
            slots.spawn(this.clone().fill(slot, stop.clone()));
        }
        let mut ended = Ok(());
        while let Some(slot) = slots.join_next().await {
            let slot = slot.unwrap_or_else(|panicked| {
                Err(CannotBegin(format!("a part of this process failed: {panicked}")).into())
            });
            if slot.is_err() {
                stop.cancel();
                ended = ended.and(slot);
            }
        }
        ended
    }

    async fn fill(self: Arc<Self>, slot: u32, shutdown: CancellationToken) -> Result<(), AttendError> {
        let Orders { consumer, start, filter, lease, .. } = self.orders.clone();
        let kinds = filter.kinds.clone();
        let request = WaitRequest {
            filter,
            reader: Reader::Worker { consumer, start, kinds, lease },
            limit: 1,
            timeout: LOOK,
            holder: Holder::worker(format!("{}:{slot}", self.orders.holder)),
            client: Some(self.orders.client.clone()),
            // What handles it may take this machine down, and nothing else is written before: each attempt counts.
            on_disk: true,
        };
        loop {
            let waited = match self.waiting.wait(request.clone(), shutdown.clone()).await {
                Ok(waited) => waited,
                Err(WaitError::Cancelled) => return Ok(()),
                Err(WaitError::Store(error)) => {
                    warn(&error, "could not look for events; looking again");
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(()),
                        () = self.clock.sleep(STORE_PAUSE) => continue,
                    }
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(gap) = waited.gap {
                tracing::warn!(
                    after = gap.after.0,
                    resumes_at = gap.resumes_at.0,
                    "events were removed by retention before this consumer saw them"
                );
            }
            let (Some(token), Some(leased)) = (waited.lease_token, waited.events.first()) else { continue };
            if shutdown.is_cancelled() {
                self.take_back(&token).await;
                return Ok(());
            }
            self.attend(leased, &token, &shutdown).await?;
        }
    }

    async fn attend(
        &self,
        leased: &LeasedEvent,
        token: &LeaseToken,
        shutdown: &CancellationToken,
    ) -> Result<(), CannotBegin> {
        let (seq, attempt) = (leased.event.seq.0, leased.attempt);
        tracing::info!(event.seq = seq, attempt, "handling an event");
        let stop = shutdown.child_token();
        let mut handling = self.handler.handle(leased, token, stop.clone());
        let mut over = self.clock.sleep(self.orders.timeout);
        let mut timed_out = false;
        let handled = loop {
            tokio::select! {
                biased;
                handled = &mut handling => break handled,
                () = &mut over, if !timed_out => {
                    timed_out = true;
                    stop.cancel();
                }
                () = self.clock.sleep(self.orders.lease / EXTEND_EVERY) => {
                    if !self.keep(leased, token).await {
                        tracing::warn!(event.seq = seq, "the lease was lost to another worker; stopping");
                        stop.cancel();
                    }
                }
            }
        };
        match handled {
            Ok(Handled::Done) => self.done(leased, token).await,
            Ok(Handled::Failed(_)) if shutdown.is_cancelled() => {
                tracing::info!(event.seq = seq, attempt, "stopped at an event, which is given back");
                self.settle(token, &Settlement::Release { pause_millis: 0 }).await;
            }
            Ok(Handled::Failed(why)) => {
                let why =
                    if timed_out { format!("it took longer than {} s", self.orders.timeout.as_secs()) } else { why };
                self.failed(leased, token, &why).await;
            }
            Err(cannot) => {
                // The event is not to blame, and this attempt was none.
                self.take_back(token).await;
                return Err(cannot);
            }
        }
        Ok(())
    }

    /// Makes the lease longer. False once another worker has the event; whoever handles it may have settled it already,
    /// which is no loss.
    async fn keep(&self, leased: &LeasedEvent, token: &LeaseToken) -> bool {
        let lease_millis = millis(self.orders.lease);
        match self.settle(token, &Settlement::Extend { lease_millis }).await {
            Some(0) => match self.settling.is_leased(&self.orders.consumer, leased.event.seq).await {
                Ok(by_another) => !by_another,
                Err(error) => {
                    warn(&error, "could not look whether a lease was lost");
                    true
                }
            },
            _ => true,
        }
    }

    async fn done(&self, leased: &LeasedEvent, token: &LeaseToken) {
        let seq = leased.event.seq.0;
        match self.settle(token, &Settlement::Ack).await {
            Some(0) => tracing::info!(event.seq = seq, "handled; the event was settled meanwhile"),
            Some(_) => tracing::info!(event.seq = seq, "handled"),
            None => {}
        }
    }

    async fn failed(&self, leased: &LeasedEvent, token: &LeaseToken, why: &str) {
        let (seq, attempt) = (leased.event.seq.0, leased.attempt);
        let grown = PAUSE_GROWS.saturating_pow(attempt.saturating_sub(1));
        let pause = self.orders.pause.saturating_mul(grown).min(PAUSE_MAX);
        tracing::warn!(event.seq = seq, attempt, pause_secs = pause.as_secs(), why, "an event was not handled");
        self.settle(token, &Settlement::Release { pause_millis: millis(pause) }).await;
    }

    /// How many events it took effect on; none if the store failed, and then the lease runs out by itself.
    async fn settle(&self, token: &LeaseToken, settlement: &Settlement) -> Option<usize> {
        match self.settling.settle(token, None, settlement).await {
            Ok(settled) => Some(settled.done.len()),
            Err(error) => {
                warn(&error, "could not settle an event");
                None
            }
        }
    }

    async fn take_back(&self, token: &LeaseToken) {
        if let Err(error) = self.settling.take_back(token, &self.orders.consumer).await {
            warn(&error, "could not give an event back; its lease runs out");
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn warn(error: &StoreError, what: &str) {
    tracing::warn!(error = error as &(dyn std::error::Error + 'static), "{what}");
}
