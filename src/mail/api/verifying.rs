//! Asks the DNS whether the owner of a domain has published what leads its mail here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::ApiError;
use crate::{
    domain::clock::{Clock, UnixMillis},
    mail::verdict::{Lookups, Published},
};

/// How long name servers have to answer.
const LOOK_TIME_MAX: Duration = Duration::from_secs(10);
/// Domains that are asked about at once; each takes a few questions.
const LOOKS_AT_ONCE_MAX: usize = 4;
/// For so long the same answer is given again: records change no sooner, and whoever asks costs others' name servers nothing.
const LOOK_HOLDS: Duration = Duration::from_secs(10);

/// What was found when the DNS was asked about a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The settings give nobody to ask.
    NoResolver,
    /// Nobody asked since this process began.
    NotYet,
    /// It said this.
    Done(Published, UnixMillis),
}

/// Asks, and keeps what was said last.
pub(super) struct Verifying {
    lookups: Option<Arc<Lookups>>,
    seen: Mutex<HashMap<String, (Published, UnixMillis)>>,
    looks: Semaphore,
}

impl Verifying {
    pub(super) fn new(lookups: Option<Arc<Lookups>>) -> Self {
        Self { lookups, seen: Mutex::default(), looks: Semaphore::new(LOOKS_AT_ONCE_MAX) }
    }

    /// What was said last of `domain`.
    pub(super) fn last(&self, domain: &str) -> Look {
        match self.seen().get(domain) {
            Some((published, at)) => Look::Done(*published, *at),
            None if self.lookups.is_none() => Look::NoResolver,
            None => Look::NotYet,
        }
    }

    pub(super) fn forget(&self, domain: &str) {
        self.seen().remove(domain);
    }

    /// Asks about `domain`, one of ours; what nobody answered in time is not known.
    pub(super) async fn look(&self, domain: &str, clock: &dyn Clock) -> Result<Look, ApiError> {
        let Some(lookups) = &self.lookups else { return Ok(Look::NoResolver) };
        let last = self.seen().get(domain).copied();
        if let Some((published, at)) = last.filter(|(_, at)| clock.now() < at.plus(LOOK_HOLDS)) {
            return Ok(Look::Done(published, at));
        }
        let _look = self.looks.try_acquire().map_err(|_| ApiError::TooMany {
            said: format!("the DNS is asked about {LOOKS_AT_ONCE_MAX} domains now, as many as may be; try again soon"),
            retry_after_secs: LOOK_TIME_MAX.as_secs(),
        })?;
        let published = tokio::select! {
            published = lookups.published(domain) => published,
            () = clock.sleep(LOOK_TIME_MAX) => Published::default(),
        };
        let at = clock.now();
        self.seen().insert(domain.to_owned(), (published, at));
        Ok(Look::Done(published, at))
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, (Published, UnixMillis)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
