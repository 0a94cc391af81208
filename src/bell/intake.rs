//! The way in: what is posted is verified, understood, stored, and only then rung for.

use std::{sync::Arc, time::Duration};

use super::{
    roster::Roster,
    sources::{Dialect, Malformed, RawRequest, Rejection, dialect},
};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        event::NewEvent,
        id::SourceName,
    },
    signing::digest::sha256,
    store::{
        StoreError,
        log::{EventLog, Ingested},
        sources::{Quarantine, Source, Sources},
    },
    wake::Bell,
};

/// How long the log is relied upon to know an event again. Older ones, where only their own `timestamp` tells their age,
/// may be repetitions by anyone who once saw them; no sender in use retries for longer than a day or two.
pub const DEDUPE_HORIZON: Duration = Duration::from_hours(7 * 24);

/// What became of a request that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Events that are new in the log.
    pub received: usize,
    /// Events that the log had already.
    pub duplicates: usize,
    /// Why events were put into quarantine instead, where some were. They need not be sent again.
    pub quarantined: Option<&'static str>,
}

/// Why a request was not taken: each is one answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such source.
    #[error("there is no source `{0}`; `mailbell source list` shows those there are")]
    UnknownSource(SourceName),
    /// The source speaks a dialect that this version does not know.
    #[error("the source `{0}` speaks a dialect that this version of mailbell does not know")]
    UnknownDialect(SourceName),
    /// Its source did not make it. Whoever posted it is not told why.
    #[error("the signature is missing or wrong")]
    Unauthenticated(#[source] Rejection),
    /// Its source made it, and it is not understood; it is in quarantine.
    #[error("the body was not understood: {0}")]
    Unreadable(Malformed),
    /// It could not be stored; it may work later.
    #[error("the events could not be stored; send them again later")]
    NotStored(#[from] StoreError),
}

const CONFLICT: &str = "an event of this id was told before with other content; the first one stands";
const STALE: &str = "the event is older than 7 days, and its signature does not cover when it was sent";

/// Takes what sources post.
pub struct Intake {
    roster: Roster,
    log: Arc<dyn EventLog>,
    quarantine: Arc<dyn Quarantine>,
    bell: Bell,
    clock: Arc<dyn Clock>,
}

impl Intake {
    /// An intake that stores into `log` and rings `bell`.
    pub fn new(
        sources: Arc<dyn Sources>,
        log: Arc<dyn EventLog>,
        quarantine: Arc<dyn Quarantine>,
        bell: Bell,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { roster: Roster::new(sources), log, quarantine, bell, clock }
    }

    /// The clock that limits are measured on.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The largest body that `source` may post, in bytes; a refusal where nothing it posts can be taken.
    pub async fn body_bytes_max(&self, source: &SourceName) -> Result<usize, Refusal> {
        let mut roster = self.roster.lately();
        if !roster.contains_key(source) {
            roster = self.roster.now().await?;
        }
        let known = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
        Ok(spoken_by(known)?.body_bytes_max())
    }

    /// Takes a request: when this answers `Ok`, its events are on disk and those who wait for them have been told.
    pub async fn receive(&self, source: &SourceName, request: &RawRequest) -> Result<Receipt, Refusal> {
        let roster = self.roster.now().await?;
        let known: &Source = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
        let dialect = spoken_by(known)?;
        let now = self.clock.now();
        let verified = dialect.verify(request, &known.secrets, now).map_err(Refusal::Unauthenticated)?;
        let events = match dialect.normalise(&verified) {
            Ok(events) => events,
            Err(malformed) => {
                self.set_aside(source, &malformed.0, &request.body, now).await?;
                return Err(Refusal::Unreadable(malformed));
            }
        };
        let mut receipt = Receipt::default();
        let horizon = now.minus(DEDUPE_HORIZON);
        let (events, stale): (Vec<NewEvent>, Vec<NewEvent>) =
            events.into_iter().partition(|event| verified.sent_now() || event.timestamp >= horizon);
        if !stale.is_empty() {
            receipt.quarantined = Some(STALE);
        }

        let mailboxes: Vec<Option<String>> = events.iter().map(|event| event.mailbox.clone()).collect();
        let ingested = self.log.append(source, verified.auth(), now, events).await?;
        for (ingested, mailbox) in ingested.into_iter().zip(mailboxes) {
            match ingested {
                Ingested::Fresh(seq) => {
                    receipt.received += 1;
                    self.bell.ring_event(mailbox.as_deref());
                    tracing::debug!(event.seq = seq.0, source = %source, "took an event");
                }
                Ingested::Duplicate(_) => receipt.duplicates += 1,
                Ingested::Conflict(_) => receipt.quarantined = Some(CONFLICT),
            }
        }
        if let Some(reason) = receipt.quarantined {
            self.set_aside(source, reason, &request.body, now).await?;
        }
        Ok(receipt)
    }

    async fn set_aside(
        &self,
        source: &SourceName,
        reason: &str,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        tracing::warn!(source = %source, reason, "put a signed body into quarantine");
        self.quarantine.quarantine(source, reason, body, sha256(body), now).await
    }
}

fn spoken_by(source: &Source) -> Result<&'static dyn Dialect, Refusal> {
    dialect(&source.dialect).ok_or_else(|| Refusal::UnknownDialect(source.name.clone()))
}
