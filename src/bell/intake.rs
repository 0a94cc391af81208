//! The way in: what is posted is verified, understood, stored, and only then rung for.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    certificates::{Certificates, Unchecked},
    fetch::{Fetch, FetchError},
    keeping,
    letter::ReadLetter,
    refusals::Refusals,
    roster::Roster,
    sources::{
        Certificate, Dialect, Keys, Malformed, RawRequest, Rejection, dialect, is_rewritten, settings::Settings,
    },
};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        event::{Detail, NewEvent},
        id::SourceName,
    },
    signing::digest::sha256,
    store::{
        StoreError,
        log::{EventLog, Ingested},
        sources::{Quarantine, Records, Source, Sources},
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
    #[error("the body was not understood: {malformed}")]
    Unreadable {
        /// What was not understood.
        malformed: Malformed,
        /// The status that keeps its provider from sending it again, for it will be understood no better then.
        status: u16,
    },
    /// The source is set up in a way that this version cannot read.
    #[error("the source `{0}` is set up in a way that this version of mailbell cannot read")]
    Unset(SourceName),
    /// The certificate that it names could not be fetched; it may work later.
    #[error("the certificate of the signature could not be fetched; send it again later")]
    NoCertificate(#[source] FetchError),
    /// More certificates are asked for than anybody signs with.
    #[error("too many certificates were named within a minute; send it again later")]
    TooManyCertificates,
    /// What it asks to confirm could not be confirmed; it may work later.
    #[error("the subscription could not be confirmed; send it again later")]
    Unconfirmed(#[source] FetchError),
    /// It could not be stored; it may work later.
    #[error("the events could not be stored; send them again later")]
    NotStored(#[from] StoreError),
}

const CONFLICT: &str = "an event of this id was told before with other content; the first one stands";
const STALE: &str = "the event is older than 7 days, and its signature does not cover when it was sent";

/// In whose name requests are counted that come under a name that no source has: it is none that a source can have.
pub const STRAYS: &str = "-";
const NO_SOURCE: &str = "the request came under a name that no source has";

/// What `source show` calls a body that was not understood.
pub const UNREADABLE: &str = "the body was signed and not understood; it is in quarantine";

/// Takes what sources post.
pub struct Intake {
    roster: Roster,
    log: Arc<dyn EventLog>,
    quarantine: Arc<dyn Quarantine>,
    records: Arc<dyn Records>,
    refusals: Refusals,
    fetch: Arc<dyn Fetch>,
    certificates: Certificates,
    bell: Bell,
    clock: Arc<dyn Clock>,
    read_letter: ReadLetter,
}

/// What an intake stores into.
pub struct IntakeStore {
    /// Who may post.
    pub sources: Arc<dyn Sources>,
    /// Where events go.
    pub log: Arc<dyn EventLog>,
    /// Where signed bodies go that are not understood.
    pub quarantine: Arc<dyn Quarantine>,
    /// Where it is kept what came and what was refused.
    pub records: Arc<dyn Records>,
}

impl<S: Sources + EventLog + Quarantine + Records> From<Arc<S>> for IntakeStore {
    fn from(store: Arc<S>) -> Self {
        Self { sources: store.clone(), log: store.clone(), quarantine: store.clone(), records: store }
    }
}

impl Intake {
    /// An intake that stores into `store`, rings `bell`, asks providers by `fetch`, and reads messages by `read_letter`.
    pub fn new(
        store: IntakeStore,
        bell: Bell,
        clock: Arc<dyn Clock>,
        fetch: Arc<dyn Fetch>,
        read_letter: ReadLetter,
    ) -> Self {
        let IntakeStore { sources, log, quarantine, records } = store;
        Self {
            roster: Roster::new(sources),
            log,
            quarantine,
            refusals: Refusals::new(records.clone()),
            certificates: Certificates::new(fetch.clone()),
            fetch,
            records,
            bell,
            clock,
            read_letter,
        }
    }

    /// Sees to it that each count of refused requests is written within a second, until `shutdown`.
    pub async fn keep_counts(&self, shutdown: CancellationToken) {
        self.refusals.keep(&*self.clock, shutdown).await;
    }

    /// The clock that limits are measured on.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The largest body that `source` may post after this head, in bytes; a refusal where nothing it posts can be taken.
    pub async fn body_bytes_max(&self, source: &SourceName, head: &RawRequest) -> Result<usize, Refusal> {
        let mut roster = self.roster.lately();
        if !roster.contains_key(source) {
            roster = self.roster.now().await?;
        }
        if !roster.contains_key(source) {
            self.refusals.count(&SourceName::new(STRAYS), NO_SOURCE, self.clock.now()).await;
        }
        let known = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
        let dialect = spoken_by(known)?;
        let (now, settings) = (self.clock.now(), set_up(known)?);
        let keys = Keys { secrets: &known.live(now), settings: &settings, certificate: None };
        if dialect.admits(head, &keys).is_err() {
            // The roster may be old; whether it holds is looked at once, where it would refuse.
            let roster = self.roster.now().await?;
            let known = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
            let keys = Keys { secrets: &known.live(now), ..keys };
            if let Err(rejection) = dialect.admits(head, &keys) {
                return Err(self.reject(source, rejection, now).await);
            }
        }
        Ok(dialect.body_bytes_max())
    }

    /// Takes a request: when this answers `Ok`, its events are on disk and those who wait for them have been told.
    pub async fn receive(&self, source: &SourceName, request: &RawRequest) -> Result<Receipt, Refusal> {
        let roster = self.roster.now().await?;
        let known: &Source = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
        let dialect = spoken_by(known)?;
        let (now, settings) = (self.clock.now(), set_up(known)?);
        let certificate = match self.certificate(dialect, request, &settings, now).await {
            Ok(certificate) => certificate,
            Err(Unchecked::Rejected(rejection)) => return Err(self.reject(source, rejection, now).await),
            Err(Unchecked::Unavailable(error)) => return Err(Refusal::NoCertificate(error)),
            Err(Unchecked::TooMany) => return Err(Refusal::TooManyCertificates),
        };
        let keys = Keys { secrets: &known.live(now), settings: &settings, certificate: certificate.as_deref() };
        let verified = match dialect.verify(request, &keys, now) {
            Ok(verified) => verified,
            Err(Rejection::Wrong) if is_rewritten(dialect, request, &keys, now) => {
                return Err(self.reject(source, Rejection::Rewritten, now).await);
            }
            Err(rejection) => return Err(self.reject(source, rejection, now).await),
        };
        let told = dialect.normalise(&verified, &settings);
        let (events, confirmation) = match told.and_then(|events| Ok((events, dialect.confirmation(&verified)?))) {
            Ok(told) => told,
            Err(malformed) => {
                self.refusals.count(source, UNREADABLE, now).await;
                self.set_aside(source, &malformed.0, &request.body, now).await?;
                return Err(Refusal::Unreadable { malformed, status: dialect.unreadable_status() });
            }
        };
        if let Some(url) = confirmation {
            self.fetch.get(&url).await.map_err(Refusal::Unconfirmed)?;
            tracing::info!(%source, "confirmed a subscription");
        }
        if let Some(token) = verified.once()
            && !self.spend(source, token, &events, &settings, now).await?
        {
            return Err(self.reject(source, Rejection::Replayed, now).await);
        }
        let mut receipt = Receipt::default();
        let horizon = now.minus(DEDUPE_HORIZON);
        let (events, stale): (Vec<NewEvent>, Vec<NewEvent>) =
            events.into_iter().partition(|event| verified.sent_now() || event.timestamp >= horizon);
        if !stale.is_empty() {
            receipt.quarantined = Some(STALE);
        }

        let mailboxes: Vec<Option<String>> = events.iter().map(|event| event.mailbox.clone()).collect();
        let brings = events.iter().any(|event| matches!(event.detail, Detail::Inbound { .. }));
        let carried = if brings { dialect.carried(&verified) } else { None };
        let told = keeping::told((self.read_letter, &self.clock), source, carried, events, now).await;
        let ingested = self.log.take_in(source, verified.auth(), now, told).await?;
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

    async fn certificate(
        &self,
        dialect: &dyn Dialect,
        request: &RawRequest,
        settings: &Settings,
        now: UnixMillis,
    ) -> Result<Option<Arc<Certificate>>, Unchecked> {
        match dialect.certificate(request, settings, now).map_err(Unchecked::Rejected)? {
            Some(url) => self.certificates.at(&url, now).await.map(Some),
            None => Ok(None),
        }
    }

    async fn reject(&self, source: &SourceName, rejection: Rejection, now: UnixMillis) -> Refusal {
        self.refusals.count(source, rejection.as_str(), now).await;
        Refusal::Unauthenticated(rejection)
    }

    /// Whether these are the events that `token` came with the first time. A provider that missed our answer sends the
    /// same again, and is told that they are known; with other events the token is forged.
    async fn spend(
        &self,
        source: &SourceName,
        token: &str,
        events: &[NewEvent],
        settings: &Settings,
        now: UnixMillis,
    ) -> Result<bool, Refusal> {
        let told = sha256(&serde_json::to_vec(events).expect("events make JSON"));
        // A token lives until its timestamp, which may be ahead of our clock, is too old.
        let forget_before = now.minus(2 * settings.tolerance() + TOKEN_MARGIN);
        Ok(self.records.spend(source, token, told, now, forget_before).await?)
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

/// Tokens are remembered a little longer than they count, for clocks are set now and then.
const TOKEN_MARGIN: Duration = Duration::from_mins(10);

fn set_up(source: &Source) -> Result<Settings, Refusal> {
    Settings::read(&source.settings).map_err(|_| Refusal::Unset(source.name.clone()))
}

fn spoken_by(source: &Source) -> Result<&'static dyn Dialect, Refusal> {
    dialect(&source.dialect).ok_or_else(|| Refusal::UnknownDialect(source.name.clone()))
}
