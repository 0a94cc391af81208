//! Who calls: a bearer of a token with what it grants, or the one client of this process, which needs none.
//!
//! Calls, waits and sessions are counted by principal, so that one agent that runs wild takes nothing from the others.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::present::{Sentence, sentence};
use crate::domain::{clock::Clock, grant::Grant};

/// A call counts against its principal for so long.
const WINDOW: Duration = Duration::from_mins(1);

/// How much one principal may do at once and in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls of tools in a minute.
    pub calls_per_minute_max: u32,
    /// Waits at once.
    pub waits_max: u32,
    /// Sessions of the older protocol at once.
    pub sessions_max: u32,
    /// Resources followed at once, in all its sessions and streams; a stream counts as one more.
    pub subscriptions_max: u32,
}

impl Limits {
    const NONE: Self = Self {
        calls_per_minute_max: u32::MAX,
        waits_max: u32::MAX,
        sessions_max: u32::MAX,
        subscriptions_max: u32::MAX,
    };
}

/// Who a caller is. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Principal {
    name: Option<Arc<str>>,
    grant: Arc<Grant>,
    meter: Arc<Meter>,
    ended: CancellationToken,
}

#[derive(Debug)]
struct Meter {
    limits: Limits,
    waits: AtomicU32,
    subscriptions: AtomicU32,
    watched: AtomicBool,
    /// When the present minute began, in milliseconds of the boot clock, and the calls in it.
    minute: Mutex<(i64, u32)>,
}

impl Principal {
    /// The bearer of the token of that name, which must not be the token itself; it may do all that agents may.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::granted(name, Grant::default(), Limits::NONE)
    }

    /// The bearer of the token of that name, which grants so much.
    pub fn granted(name: impl Into<Arc<str>>, grant: Grant, limits: Limits) -> Self {
        Self { name: Some(name.into()), ..Self::made(grant, limits) }
    }

    /// The one client of a process: whoever may start it may read the data directory.
    pub(super) fn of_this_process() -> Self {
        Self::made(Grant::default(), Limits::NONE)
    }

    fn made(grant: Grant, limits: Limits) -> Self {
        let meter = Meter {
            limits,
            waits: AtomicU32::new(0),
            subscriptions: AtomicU32::new(0),
            watched: AtomicBool::new(false),
            minute: Mutex::new((0, 0)),
        };
        Self { name: None, grant: Arc::new(grant), meter: Arc::new(meter), ended: CancellationToken::new() }
    }

    /// The token's name; none for the client of this process.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it may do.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Ends all that it has in progress, in every clone: its token is revoked.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Resolves once its token is revoked.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether its token is revoked.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Whether they are the same one: not two of one name, of which the one was revoked before the other was made.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.name, &other.name) {
            // A process has one client.
            (None, None) => true,
            _ => Arc::ptr_eq(&self.meter, &other.meter),
        }
    }

    /// Whether this is the first time that this is asked: one task is enough to wait for its end.
    pub(super) fn is_new(&self) -> bool {
        !self.meter.watched.swap(true, Ordering::Relaxed)
    }

    /// How many sessions it may have.
    pub(super) fn sessions_max(&self) -> usize {
        self.meter.limits.sessions_max as usize
    }

    /// Counts a call; a sentence where it is one too many.
    pub(super) fn count_call(&self, clock: &dyn Clock) -> Result<(), Sentence> {
        let (max, now) = (self.meter.limits.calls_per_minute_max, clock.boot_millis());
        let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let mut minute = self.meter.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if now - minute.0 >= window || now < minute.0 {
            *minute = (now, 0);
        }
        if minute.1 >= max {
            let left = (window - (now - minute.0)).max(0) / 1000 + 1;
            return Err(sentence!(
                "nothing was done: this token may call tools {} times a minute, and it has; wait {} s. wait_for_event waits \
                 for events without calling again and again",
                max,
                left
            ));
        }
        minute.1 += 1;
        Ok(())
    }

    /// Counts a wait until the answer is dropped; a sentence where it is one too many.
    pub(super) fn begin_wait(&self) -> Result<OneWait, Sentence> {
        let max = self.meter.limits.waits_max;
        let wait = OneWait(self.meter.clone());
        if self.meter.waits.fetch_add(1, Ordering::Relaxed) >= max {
            return Err(sentence!(
                "nothing was leased: this token has {} waits in progress, as many as it may; end one first",
                max
            ));
        }
        Ok(wait)
    }

    /// Counts `count` subscriptions until the answer is dropped; a sentence where they are too many.
    pub(super) fn begin_subscriptions(&self, count: u32) -> Result<Subscriptions, Sentence> {
        let max = self.meter.limits.subscriptions_max;
        let subscriptions = Subscriptions { meter: self.meter.clone(), count };
        if self.meter.subscriptions.fetch_add(count, Ordering::Relaxed).saturating_add(count) > max {
            return Err(sentence!(
                "nothing is subscribed: this token may have {} subscriptions at once (mcp.subscriptions_max), and these would \
                 be more; end some first, or follow mailbell://events",
                max
            ));
        }
        Ok(subscriptions)
    }
}

/// Subscriptions that are counted.
pub(super) struct Subscriptions {
    meter: Arc<Meter>,
    count: u32,
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.meter.subscriptions.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// A wait in progress.
pub(super) struct OneWait(Arc<Meter>);

impl Drop for OneWait {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::Relaxed);
    }
}
