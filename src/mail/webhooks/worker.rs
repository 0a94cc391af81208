//! The loop: claim the lines that are due, have each walked, and sleep until the next is due or the bell rings.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    dispatch::Dispatch,
    egress::TIMEOUT,
    running::{LOOK_EVERY, Look},
    schedule::WAIT_MAX,
    walk::Walker,
};
use crate::{
    domain::clock::{BootTime, Clock, UnixMillis},
    ids::{Entropy, Ids},
    store::deliveries::{ClaimLines, ClaimedLines, Deliveries, Since},
};

/// Lines at work at once, each with a connection: as many as share a commit, and every endpoint there may be has its turn.
const IN_FLIGHT_MAX: usize = 256;
/// Lines of one endpoint at work at once: mailboxes are independent, but a receiver should not be flooded.
const IN_FLIGHT_PER_ENDPOINT_MAX: u32 = 8;
/// Of these, lines of replays: whatever they meet, first sendings find room.
const REPLAYS_PER_ENDPOINT_MAX: u32 = 2;
/// Where all these are at work, and more are due: so many have to end before others take their place, or this has to pass.
const ENDED_TOGETHER_MIN: usize = 32;
const FULL_FOR: Duration = Duration::from_millis(50);
/// What comes meanwhile goes along with the next post to our own receiver, where mail comes in a stream: each post is a commit at both
/// ends, whatever it holds. Somebody who waits for one event of a stream waits so much longer for it.
pub const GATHERED_FOR: Duration = Duration::from_millis(20);
/// How long a lease on a line runs. It is renewed before it would no longer outlast a try.
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
    /// The way out. Deliveries to our own receiver wait while it does not know where that is.
    pub dispatch: Arc<Dispatch>,
    /// While it is true, nothing goes to others than our own receiver.
    pub paused: watch::Receiver<bool>,
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
    walker: Arc<Walker>,
    bell: Arc<Notify>,
    ids: Arc<Ids>,
    /// The last look at the store that succeeded, and whether something was owed then.
    looked: Mutex<Option<(Look, bool)>>,
}

impl Worker {
    /// A worker with leases of `lease`, such as [`LEASE`].
    pub fn new(parts: Parts, lease: Duration) -> Result<Self, LeaseTooShort> {
        if lease < TIMEOUT + LEASE_MARGIN {
            return Err(LeaseTooShort { lease });
        }
        let Parts { deliveries, dispatch, paused, bell, clock, ids, entropy } = parts;
        let [others_wait, ends] = [false; 2].map(AtomicBool::new);
        let walker = Walker { deliveries, dispatch, paused, clock, entropy, lease, others_wait, ends };
        Ok(Self { walker: Arc::new(walker), bell, ids, looked: Mutex::new(None) })
    }

    /// Delivers until `shutdown`, then lets what is under way end, but not for long. Only the keeper of the data directory may
    /// run it: it begins by ending the leases that a killed predecessor left.
    pub async fn run(&self, shutdown: CancellationToken) {
        if let Err(error) = self.walker.deliveries.void_leases().await {
            tracing::warn!(
                error = &error as &(dyn std::error::Error + 'static),
                "could not end the leases of an earlier worker; its lines wait until they run out"
            );
        }
        let mut flight = Flight::default();
        let mut own = self.walker.dispatch.own().clone();
        let mut paused = self.walker.paused.clone();
        while !shutdown.is_cancelled() {
            let pause = self.launch(&mut flight).await;
            let sleep = async {
                match pause {
                    Some(pause) => self.walker.clock.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.bell.notified() => {}
                true = flight.landing() => {}
                Ok(()) = own.changed() => {}
                Ok(()) = paused.changed() => {}
                () = sleep => {}
            }
        }
        self.walker.ends.store(true, Ordering::Relaxed);
        let farewell = async { while flight.landing().await {} };
        tokio::select! {
            () = farewell => {}
            () = self.walker.clock.sleep(FAREWELL) => tracing::info!("some posts did not end in time; they are made again"),
        }
    }

    /// Delivers all that is due now and ends when nothing is under way any more; answers when the next line falls due. For
    /// whoever drives time by hand.
    pub async fn run_until_idle(&self) -> Option<UnixMillis> {
        let mut flight = Flight::default();
        loop {
            let pause = self.launch(&mut flight).await;
            if !flight.landing().await {
                return pause.map(|pause| self.walker.clock.now().plus(pause));
            }
        }
    }

    /// Starts as many lines as are due and allowed; answers how long nothing else will be due unless something happens.
    async fn launch(&self, flight: &mut Flight) -> Option<Duration> {
        let room = match flight.room(&self.walker.clock.boot_time()) {
            Ok(room) => room,
            Err(early) => return Some(early),
        };
        let look = Look::now(&*self.walker.clock);
        let leased_at = look.boot.clone();
        let changes = self.walker.deliveries.changes();
        let claimed = match self.claim(look, room).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not look for due webhook deliveries; trying again shortly"
                );
                return Some(STORE_PAUSE);
            }
        };
        self.walker.others_wait.store(claimed.left_out, Ordering::Relaxed);
        flight.begins(room, claimed.owed.len(), &leased_at);
        for owed in claimed.owed {
            let walker = self.walker.clone();
            let leased_at = leased_at.clone();
            flight.lines.spawn(async move { walker.walk(owed, leased_at, changes).await });
        }
        // From the clock as it is now: the claim has taken its time.
        let due = claimed.next_due_at.map(|at| at.0 - self.walker.clock.now().0);
        let look = claimed.waiting.then_some(millis(LOOK_EVERY));
        let pause = [due, claimed.next_expiry_millis, look].into_iter().flatten().min()?;
        Some(Duration::from_millis(u64::try_from(pause).unwrap_or(0)))
    }

    async fn claim(&self, look: Look, room: usize) -> Result<ClaimedLines, crate::store::StoreError> {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let passed = look.since(looked.as_ref().map(|(look, _)| look));
        let waited = looked.is_some_and(|(_, waited)| waited);
        let held_back = *self.walker.paused.borrow();
        let claim = ClaimLines {
            token: self.ids.next("lease_"),
            limit: u32::try_from(room).unwrap_or(u32::MAX),
            per_endpoint_max: IN_FLIGHT_PER_ENDPOINT_MAX,
            replays_per_endpoint_max: REPLAYS_PER_ENDPOINT_MAX,
            own_reachable: self.walker.dispatch.own().borrow().is_some(),
            others: !held_back,
            now: look.wall,
            boot: look.boot.clone(),
            lease_millis: millis(self.walker.lease),
            since: Since {
                // What is held back by a person is not given up for that, and where nothing was owed, nothing's time passed.
                ran_millis: if held_back || !waited { 0 } else { passed.ran },
                stepped_millis: passed.stepped,
                wait_millis_max: millis(WAIT_MAX),
            },
        };
        let claimed = self.walker.deliveries.claim_lines(&claim).await?;
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((look, claimed.waiting));
        Ok(claimed)
    }
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The lines at work.
#[derive(Default)]
struct Flight {
    lines: JoinSet<()>,
    full: Option<Full>,
}

/// More lines were due than there was room for. To look for each that ends what may take its place would cost more than it
/// brings where a thousand are due: the next look is taken when some have ended, or a moment has passed.
struct Full {
    /// Lines at work then.
    lines: usize,
    /// When that was, in milliseconds of the boot clock.
    since_millis: i64,
}

impl Flight {
    /// How many more there may be; or how long it is too early to ask for others.
    fn room(&mut self, now: &BootTime) -> Result<usize, Duration> {
        // Those that ended meanwhile make room for more.
        while let Some(walked) = self.lines.try_join_next() {
            note(walked);
        }
        if let Some(Full { lines, since_millis }) = self.full {
            let few_ended = !self.lines.is_empty() && self.lines.len() + ENDED_TOGETHER_MIN > lines;
            if few_ended && now.millis - since_millis < millis(FULL_FOR) {
                return Err(FULL_FOR);
            }
        }
        Ok(IN_FLIGHT_MAX.saturating_sub(self.lines.len()))
    }

    /// Of `room` that there was, so many lines were `claimed`, and are about to begin.
    fn begins(&mut self, room: usize, claimed: usize, now: &BootTime) {
        let full = Full { lines: self.lines.len() + claimed, since_millis: now.millis };
        self.full = (claimed == room).then_some(full);
    }

    /// Resolves when one more has ended; false if none is at work.
    async fn landing(&mut self) -> bool {
        let Some(walked) = self.lines.join_next().await else { return false };
        note(walked);
        true
    }
}

fn note(walked: Result<(), tokio::task::JoinError>) {
    if let Err(error) = walked {
        tracing::error!(%error, "a webhook delivery ended unexpectedly; it is made again when its lease is over");
    }
}
