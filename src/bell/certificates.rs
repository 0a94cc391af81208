//! The certificates that providers sign with, remembered by where they lie: fetched once, however many requests name them at
//! once, and only so many in a minute, because whoever knows a topic's name can name certificates that are not there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use url::Url;

use super::{
    fetch::{Fetch, FetchError},
    sources::{Certificate, Rejection},
};
use crate::domain::clock::UnixMillis;

/// Certificates remembered at most; a provider signs with one in each region, and with two while it changes them.
const KEPT_MAX: usize = 64;
/// How long one is remembered. It is asked for again then, in case its provider has withdrawn it.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// Fetches in a minute at most.
const FETCHES_PER_MINUTE_MAX: u32 = 20;

/// Why a request cannot be checked.
#[derive(Debug)]
pub(super) enum Unchecked {
    /// It is not its source's.
    Rejected(Rejection),
    /// The certificate is not to be had now.
    Unavailable(FetchError),
    /// So many others were asked for within a minute.
    TooMany,
}

pub(super) struct Certificates {
    fetch: Arc<dyn Fetch>,
    known: Mutex<Known>,
    /// Held while one is fetched: whoever else needs it finds it then.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    by_url: HashMap<Url, (Arc<Certificate>, UnixMillis)>,
    minute: i64,
    fetches: u32,
}

impl Known {
    fn get(&self, url: &Url, now: UnixMillis) -> Option<Arc<Certificate>> {
        let fresh = |(certificate, at): &&(Arc<Certificate>, UnixMillis)| {
            certificate.is_valid(now) && *at <= now && now < at.plus(KEPT_FOR)
        };
        self.by_url.get(url).filter(fresh).map(|(certificate, _)| certificate.clone())
    }

    /// Whether one more may be fetched in this minute.
    fn count(&mut self, now: UnixMillis) -> bool {
        let minute = now.0.div_euclid(60_000);
        if self.minute != minute {
            (self.minute, self.fetches) = (minute, 0);
        }
        self.fetches += 1;
        self.fetches <= FETCHES_PER_MINUTE_MAX
    }

    fn keep(&mut self, url: Url, certificate: Arc<Certificate>, now: UnixMillis) {
        if self.by_url.len() >= KEPT_MAX {
            let oldest = self.by_url.iter().min_by_key(|(_, (_, at))| *at).map(|(url, _)| url.clone());
            oldest.map(|url| self.by_url.remove(&url));
        }
        self.by_url.insert(url, (certificate, now));
    }
}

impl Certificates {
    pub(super) fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, known: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The certificate at `url`, which is its provider's.
    pub(super) async fn at(&self, url: &Url, now: UnixMillis) -> Result<Arc<Certificate>, Unchecked> {
        if let Some(certificate) = self.known().get(url, now) {
            return Ok(certificate);
        }
        let _one = self.fetching.lock().await;
        {
            let mut known = self.known();
            if let Some(certificate) = known.get(url, now) {
                return Ok(certificate);
            }
            if !known.count(now) {
                return Err(Unchecked::TooMany);
            }
        }
        let pem = match self.fetch.get(url).await {
            Ok(pem) => pem,
            // There is none: the provider would not have named it.
            Err(FetchError::Status(400..=428 | 430..=499)) => return Err(Unchecked::Rejected(Rejection::Certificate)),
            Err(error) => return Err(Unchecked::Unavailable(error)),
        };
        let certificate = Certificate::read(&pem).ok_or(Unchecked::Rejected(Rejection::Certificate))?;
        let certificate = Arc::new(certificate);
        self.known().keep(url.clone(), certificate.clone(), now);
        Ok(certificate)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
