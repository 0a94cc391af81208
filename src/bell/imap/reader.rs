//! Reads some folders of an account over one connection, for as long as the account is watched.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Parts, catch_up::CatchUp, session::Session, settings::Settings, trouble::Trouble};
use crate::{
    domain::secret::Secret,
    store::{Refusal, StoreError, received::Watched, sources::Source},
};

/// A waiting connection is renewed after this. Servers may hang up after 30 minutes (RFC 2177 says to renew within 29), and
/// many a NAT forgets a silent connection after ten.
const IDLE_RENEW: Duration = Duration::from_mins(9);
/// How often a server that does not tell of new messages is asked.
const POLL_EVERY: Duration = Duration::from_mins(1);
/// How long a connection stays with one of its folders where it has several.
const ROTATE_EVERY: Duration = Duration::from_secs(30);
/// From trouble to the next try, at first, and in the end.
const RETRY_DELAY_MIN: Duration = Duration::from_secs(1);
const RETRY_DELAY_MAX: Duration = Duration::from_mins(5);
/// The same after a refused login: servers lock accounts whose logins fail often.
const LOGIN_DELAY_MIN: Duration = Duration::from_mins(2);
const LOGIN_DELAY_MAX: Duration = Duration::from_hours(1);

pub(super) struct Reader {
    parts: Parts,
    settings: Settings,
    password: Option<Secret>,
    /// The folders of this connection.
    watched: Vec<Watched>,
    /// Those who read the same account, and whether this one is the first of them.
    company: Company,
    first: bool,
}

/// What the connections to one account know of each other.
#[derive(Clone)]
pub(super) struct Company {
    /// How many are logged in.
    open: watch::Sender<usize>,
    /// Cancelled when the server refused one beside another.
    pub(super) crowded: CancellationToken,
}

impl Default for Company {
    fn default() -> Self {
        Self { open: watch::Sender::new(0), crowded: CancellationToken::new() }
    }
}

/// One that is logged in, as long as this lives.
struct Open(watch::Sender<usize>);

impl Open {
    fn count(company: &Company) -> Self {
        company.open.send_modify(|open| *open += 1);
        Self(company.open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Reader {
    pub(super) fn new(parts: Parts, source: &Source, settings: Settings, folders: Vec<String>) -> Self {
        let watched = folders.into_iter().map(|folder| Watched {
            source: source.name.clone(),
            added_at: source.created_at,
            folder,
            epoch: parts.epoch,
        });
        let password = source.secrets.first().cloned();
        Self { watched: watched.collect(), parts, settings, password, company: Company::default(), first: true }
    }

    /// The same beside others. One that is not the first waits until another is logged in, so that what is refused then is
    /// refused because there is another.
    pub(super) fn in_company(self, company: Company, first: bool) -> Self {
        Self { company, first, ..self }
    }

    /// Reads until `end`.
    pub(super) async fn run(self, end: CancellationToken) {
        let mut failures = 0;
        loop {
            let trouble = tokio::select! {
                () = end.cancelled() => return,
                trouble = self.read(&mut failures) => trouble,
            };
            if matches!(trouble, Trouble::Store(StoreError::Refused(Refusal::Superseded))) {
                // The term or the source is over; whoever ended it ends this.
                end.cancelled().await;
                return;
            }
            self.tell(&trouble).await;
            let wait = self.delay(failures, trouble.is_login());
            failures = failures.saturating_add(1);
            tokio::select! {
                () = end.cancelled() => return,
                () = self.parts.clock.sleep(wait) => {}
            }
        }
    }

    /// Reads until something goes wrong.
    async fn read(&self, failures: &mut u32) -> Trouble {
        match self.go_round(failures).await {
            Ok(never) => match never {},
            Err(trouble) => trouble,
        }
    }

    async fn go_round(&self, failures: &mut u32) -> Result<std::convert::Infallible, Trouble> {
        if !self.first {
            let _ = self.company.open.subscribe().wait_for(|open| *open > 0).await;
        }
        let opened = Session::open(&self.settings, self.password.as_ref(), self.parts.clock.clone()).await;
        let is_refused = matches!(opened, Err(Trouble::Refused { .. } | Trouble::Said { .. } | Trouble::Broken { .. }));
        if is_refused && !self.first && *self.company.open.borrow() > 0 {
            self.company.crowded.cancel();
            // Whoever reads the account ends this, and nobody is told of a trouble that is none.
            return std::future::pending().await;
        }
        let mut session = opened?;
        let _open = Open::count(&self.company);
        let folders: Vec<&str> = self.watched.iter().map(|watched| &*watched.folder).collect();
        let sent = session.sent_among(&folders).await?;
        for watched in self.watched.iter().filter(|watched| sent.contains(&watched.folder)) {
            self.keep(watched, &Trouble::Sent(watched.folder.clone())).await;
        }
        let watched: Vec<&Watched> = self.watched.iter().filter(|watched| !sent.contains(&watched.folder)).collect();
        if watched.is_empty() {
            return Err(Trouble::Sent(sent.join("`, `")));
        }
        let count = watched.len();
        let alone = count == 1;
        loop {
            for (nth, watched) in watched.iter().enumerate() {
                let catch_up = CatchUp { parts: &self.parts, settings: &self.settings, watched };
                match catch_up.run(&mut session).await {
                    // One folder that is not there does not keep the others from being read.
                    Err(trouble @ Trouble::Said { .. }) if !alone => {
                        self.keep(watched, &trouble).await;
                        continue;
                    }
                    other => other?,
                }
                *failures = 0;
                if nth + 1 == count {
                    self.stay(&mut session, &catch_up, alone).await?;
                }
            }
            if !alone {
                // The last folder may have been left out, and a round must not follow at once.
                session.noop().await?;
                self.parts.clock.sleep(RETRY_DELAY_MIN).await;
            }
        }
    }

    /// Stays with the folder that is open: for good where it is the only one.
    async fn stay(&self, session: &mut Session, catch_up: &CatchUp<'_>, alone: bool) -> Result<(), Trouble> {
        loop {
            // What came while messages were read was told then, and is looked for before anybody waits.
            if !session.heard_news() {
                match (session.idles(), alone) {
                    (true, true) => session.idle(IDLE_RENEW).await?,
                    (true, false) => session.idle(ROTATE_EVERY).await?,
                    (false, true) => {
                        self.parts.clock.sleep(POLL_EVERY).await;
                        session.noop().await?;
                    }
                    (false, false) => self.parts.clock.sleep(ROTATE_EVERY).await,
                }
                session.heard_news();
            }
            catch_up.go_on(session).await?;
            if !alone {
                return Ok(());
            }
        }
    }

    async fn tell(&self, trouble: &Trouble) {
        tracing::warn!(source = %self.watched[0].source, why = trouble.logged(), "a mailbox is not read now; trying again");
        for watched in &self.watched {
            self.keep(watched, trouble).await;
        }
    }

    async fn keep(&self, watched: &Watched, trouble: &Trouble) {
        let now = self.parts.clock.now();
        if let Err(error) = self.parts.folders.keep_trouble(watched, &trouble.to_string(), now).await {
            tracing::warn!(%error, "could not keep why a mailbox is not read");
        }
    }

    /// Doubled with each failure, half of it by chance: a server that comes back is not met by everyone at once.
    fn delay(&self, failures: u32, login: bool) -> Duration {
        let (min, max) = if login { (LOGIN_DELAY_MIN, LOGIN_DELAY_MAX) } else { (RETRY_DELAY_MIN, RETRY_DELAY_MAX) };
        let whole = min.saturating_mul(1 << failures.min(16)).min(max);
        let mut chance = [0; 4];
        self.parts.entropy.fill(&mut chance);
        whole / 2 + whole.mul_f64(f64::from(u32::from_be_bytes(chance)) / f64::from(u32::MAX) / 2.0)
    }
}
