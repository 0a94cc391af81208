//! The way in: what is posted is verified, understood, stored, and only then rung for.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

pub use super::answer::{Receipt, Refusal};
use super::{
    certificates::{Certificates, Unchecked},
    fetch::Fetch,
    keeping,
    letter::ReadLetter,
    refusals::Refusals,
    roster::{AsOf, Posting, Roster},
    sources::{Certificate, Dialect, Keys, RawRequest, Rejection, Verified, is_rewritten, settings::Settings},
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
        sources::{Quarantine, Records, Sources},
    },
    wake::Bell,
};

/// How long the log is relied upon to know an event again. Older ones, where only their own `timestamp` tells their age,
/// may be repetitions by anyone who once saw them; no sender in use retries for longer than a day or two.
pub const DEDUPE_HORIZON: Duration = Duration::from_hours(7 * 24);

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
        if roster.get(source).is_none() {
            roster = self.roster.now().await?;
        }
        if roster.get(source).is_none() {
            self.refusals.count(&SourceName::new(STRAYS), NO_SOURCE, self.clock.now()).await;
        }
        let known = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
        let (dialect, settings) = set_up(known)?;
        let now = self.clock.now();
        let keys = Keys { secrets: &known.source.live(now), settings, certificate: None };
        if dialect.admits(head, &keys).is_err() {
            // The roster may be old; whether it holds is looked at once, where it would refuse.
            let roster = self.roster.now().await?;
            let known = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
            let keys = Keys { secrets: &known.source.live(now), ..keys };
            if let Err(rejection) = dialect.admits(head, &keys) {
                return Err(self.reject(source, rejection, now).await);
            }
        }
        Ok(dialect.body_bytes_max())
    }

    /// Takes a request: when this answers `Ok`, its events are on disk and those who wait for them have been told.
    pub async fn receive(&self, source: &SourceName, request: &RawRequest) -> Result<Receipt, Refusal> {
        // Nearly always the sources are as they were, and all there is to do is to store. Whether they are, the store sees
        // where it stores; so anything else begins with a look at them.
        let lately = self.roster.lately();
        let hasty = self.understood_at_once(&lately, source, request);
        let rejected = match hasty {
            Some(Ok(heard)) => match self.keep(source, heard, lately.version).await? {
                Some(receipt) => return Ok(receipt),
                None => None,
            },
            Some(Err(rejection)) => Some(rejection),
            None => None,
        };
        let roster = self.roster.now().await?;
        let known = roster.get(source).ok_or_else(|| Refusal::UnknownSource(source.clone()))?;
        let (dialect, settings) = set_up(known)?;
        let now = self.clock.now();
        let certificate = match self.certificate(dialect, request, settings, now).await {
            Ok(certificate) => certificate,
            Err(Unchecked::Rejected(rejection)) => return Err(self.reject(source, rejection, now).await),
            Err(Unchecked::Unavailable(error)) => return Err(Refusal::NoCertificate(error)),
            Err(Unchecked::TooMany) => return Err(Refusal::TooManyCertificates),
        };
        let keys = Keys { secrets: &known.source.live(now), settings, certificate: certificate.as_deref() };
        // What was judged by these very sources is not judged again: a forged request costs an HMAC for each secret, not two.
        let verified = match rejected.filter(|_| Arc::ptr_eq(&roster, &lately)) {
            Some(rejection) => Err(rejection),
            None => dialect.verify(request, &keys, now),
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(Rejection::Wrong) if is_rewritten(dialect, request, &keys, now) => {
                return Err(self.reject(source, Rejection::Rewritten, now).await);
            }
            Err(rejection) => return Err(self.reject(source, rejection, now).await),
        };
        let told = dialect.normalise(&verified, settings);
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
            && !self.spend(source, token, &events, settings, now).await?
        {
            return Err(self.reject(source, Rejection::Replayed, now).await);
        }
        let kept = self.keep(source, Heard { request, dialect, verified, events, now }, None).await?;
        Ok(kept.expect("without a condition it is kept"))
    }

    /// What `request` tells by the sources of `roster`; or why it is none of its source's. None where it takes more than its
    /// source's secrets to say so, or where there is more to do than to append its events.
    fn understood_at_once<'a>(
        &self,
        roster: &AsOf,
        source: &SourceName,
        request: &'a RawRequest,
    ) -> Option<Result<Heard<'a>, Rejection>> {
        let known = roster.get(source)?;
        let (dialect, settings) = set_up(known).ok()?;
        let now = self.clock.now();
        let Ok(None) = dialect.certificate(request, settings, now) else { return None };
        let keys = Keys { secrets: &known.source.live(now), settings, certificate: None };
        let verified = match dialect.verify(request, &keys, now) {
            Ok(verified) => verified,
            Err(rejection) => return Some(Err(rejection)),
        };
        let events = dialect.normalise(&verified, settings).ok()?;
        let Ok(None) = dialect.confirmation(&verified) else { return None };
        let heard = Heard { request, dialect, verified, events, now };
        let plain = !heard.events.is_empty() && heard.verified.once().is_none();
        (plain && heard.events.iter().all(|event| heard.is_young(event))).then_some(Ok(heard))
    }

    /// Stores what was heard, rings for it, and sets aside what is not stored; with a `roster`, only while it has that version,
    /// and none where it has not.
    async fn keep(
        &self,
        source: &SourceName,
        heard: Heard<'_>,
        roster: Option<i64>,
    ) -> Result<Option<Receipt>, Refusal> {
        let mut receipt = Receipt::default();
        let (mut heard, mut stale) = (heard, Vec::new());
        if !heard.events.iter().all(|event| heard.is_young(event)) {
            let all = std::mem::take(&mut heard.events);
            (heard.events, stale) = all.into_iter().partition(|event| heard.is_young(event));
        }
        if !stale.is_empty() {
            receipt.quarantined = Some(STALE);
        }
        let Heard { request, dialect, verified, events, now } = heard;
        let mailboxes: Vec<Option<String>> = events.iter().map(|event| event.mailbox.clone()).collect();
        let brings = events.iter().any(|event| matches!(event.detail, Detail::Inbound { .. }));
        let carried = if brings { dialect.carried(&verified) } else { None };
        let told = keeping::told((self.read_letter, &self.clock), source, carried, events, now).await;
        let Some(ingested) = self.log.take_in(source, verified.auth(), now, told, roster).await? else {
            return Ok(None);
        };
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
        Ok(Some(receipt))
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

/// What its source told by a request, as it was understood.
struct Heard<'a> {
    request: &'a RawRequest,
    dialect: &'static dyn Dialect,
    verified: Verified<'a>,
    events: Vec<NewEvent>,
    now: UnixMillis,
}

impl Heard<'_> {
    /// Whether the log would know `event` again if it had been told before.
    fn is_young(&self, event: &NewEvent) -> bool {
        self.verified.sent_now() || event.timestamp >= self.now.minus(DEDUPE_HORIZON)
    }
}

fn set_up(known: &Posting) -> Result<(&'static dyn Dialect, &Settings), Refusal> {
    let name = &known.source.name;
    let dialect = known.dialect.ok_or_else(|| Refusal::UnknownDialect(name.clone()))?;
    let settings = known.settings.as_ref().ok_or_else(|| Refusal::Unset(name.clone()))?;
    Ok((dialect, settings))
}
