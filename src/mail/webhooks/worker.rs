//! The loop: claim the lines that are due, have each walked, and sleep until the next is due or the bell rings.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    dispatch::Dispatch,
    egress::{Egress, TIMEOUT},
    targets::Targets,
};
use crate::{
    domain::clock::{Clock, UnixMillis},
    ids::{Entropy, Ids},
    store::deliveries::{ClaimLines, ClaimedLines, Deliveries},
};

/// Lines at work at once: what one process and its database take in their stride.
const IN_FLIGHT_MAX: usize = 64;
/// Lines of one endpoint at work at once: mailboxes are independent, but a receiver should not be flooded.
const IN_FLIGHT_PER_ENDPOINT_MAX: u32 = 8;
/// How long a lease on a line runs. It is renewed with each delivery.
pub const LEASE: Duration = Duration::from_secs(30);
/// What a lease outlasts the timeout by at least: signing, the store's queue, a slow disk.
pub const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// How long the loop waits after the store has failed.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// How long posts that are under way get to end when the process does; it must be gone within 5 s.
const FAREWELL: Duration = Duration::from_secs(3);

/// A lease that could end while its try goes on: a second worker would then overtake the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a lease of {lease:?} must outlast the timeout of {TIMEOUT:?} by {LEASE_MARGIN:?}")]
pub struct LeaseTooShort {
    /// The lease.
    pub lease: Duration,
}

/// What the worker is made of.
pub struct Parts {
    /// What is owed.
    pub deliveries: Arc<dyn Deliveries>,
    /// The way out.
    pub egress: Egress,
    /// Which targets are allowed.
    pub targets: Targets,
    /// Where our own receiver listens, while it does; its deliveries wait for it.
    pub own: watch::Receiver<Option<SocketAddr>>,
    /// Rung after something came to be owed.
    pub bell: Arc<Notify>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Makes lease tokens.
    pub ids: Arc<Ids>,
    /// Spreads retries.
    pub entropy: Arc<dyn Entropy>,
}

/// Delivers what is owed. One runs per keeper.
pub struct Worker {
    dispatch: Arc<Dispatch>,
    bell: Arc<Notify>,
    ids: Arc<Ids>,
}

impl Worker {
    /// A worker with leases of `lease`, such as [`LEASE`].
    pub fn new(parts: Parts, lease: Duration) -> Result<Self, LeaseTooShort> {
        if lease < TIMEOUT + LEASE_MARGIN {
            return Err(LeaseTooShort { lease });
        }
        let Parts { deliveries, egress, targets, own, bell, clock, ids, entropy } = parts;
        let lease_millis = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let dispatch = Dispatch { deliveries, egress, targets, own, clock, entropy, lease_millis };
        Ok(Self { dispatch: Arc::new(dispatch), bell, ids })
    }

    /// Delivers until `shutdown`, then lets what is under way end, but not for long. Only the keeper of the data directory may
    /// run it: it begins by ending the leases that a killed predecessor left.
    pub async fn run(&self, shutdown: CancellationToken) {
        if let Err(error) = self.dispatch.deliveries.void_leases().await {
            tracing::warn!(
                error = &error as &(dyn std::error::Error + 'static),
                "could not end the leases of an earlier worker; its lines wait until they run out"
            );
        }
        let mut flying = JoinSet::new();
        let mut own = self.dispatch.own.clone();
        while !shutdown.is_cancelled() {
            let pause = self.launch(&mut flying).await;
            let sleep = async {
                match pause {
                    Some(pause) => self.dispatch.clock.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.bell.notified() => {}
                Some(walked) = flying.join_next() => note(walked),
                Ok(()) = own.changed() => {}
                () = sleep => {}
            }
        }
        let farewell = async { while flying.join_next().await.is_some() {} };
        tokio::select! {
            () = farewell => {}
            () = self.dispatch.clock.sleep(FAREWELL) => tracing::info!("some posts did not end in time; they are made again"),
        }
    }

    /// Delivers all that is due now and ends when nothing is under way any more; answers when the next line falls due. For
    /// whoever drives time by hand.
    pub async fn run_until_idle(&self) -> Option<UnixMillis> {
        let mut flying = JoinSet::new();
        loop {
            let pause = self.launch(&mut flying).await;
            match flying.join_next().await {
                Some(walked) => note(walked),
                None => return pause.map(|pause| self.dispatch.clock.now().plus(pause)),
            }
        }
    }

    /// Starts as many lines as are due and allowed; answers how long nothing else will be due unless something happens.
    async fn launch(&self, flying: &mut JoinSet<()>) -> Option<Duration> {
        let now = self.dispatch.clock.now();
        let claimed = match self.claim(now, IN_FLIGHT_MAX.saturating_sub(flying.len())).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not look for due webhook deliveries; trying again shortly"
                );
                return Some(STORE_PAUSE);
            }
        };
        for owed in claimed.owed {
            let dispatch = self.dispatch.clone();
            flying.spawn(async move { dispatch.walk(owed).await });
        }
        // From the clock as it is now: the claim has taken its time.
        let due = claimed.next_due_at.map(|at| at.0 - self.dispatch.clock.now().0);
        let pause = [due, claimed.next_expiry_millis].into_iter().flatten().min()?;
        Some(Duration::from_millis(u64::try_from(pause).unwrap_or(0)))
    }

    async fn claim(&self, now: UnixMillis, room: usize) -> Result<ClaimedLines, crate::store::StoreError> {
        let claim = ClaimLines {
            token: self.ids.next("lease_"),
            limit: u32::try_from(room).unwrap_or(u32::MAX),
            per_endpoint_max: IN_FLIGHT_PER_ENDPOINT_MAX,
            own_reachable: self.dispatch.own.borrow().is_some(),
            now,
            boot: self.dispatch.clock.boot_time(),
            lease_millis: self.dispatch.lease_millis,
        };
        self.dispatch.deliveries.claim_lines(&claim).await
    }
}

fn note(walked: Result<(), tokio::task::JoinError>) {
    if let Err(error) = walked {
        tracing::error!(%error, "a webhook delivery ended unexpectedly; it is made again when its lease is over");
    }
}
