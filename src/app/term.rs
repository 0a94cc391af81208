//! A keeper's term: the listeners, the mail service and its workers, from the taking of the lock to its giving back.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    StartError,
    agent_side::{self, MailApi, hosted, hosted_service},
    bell_side::BellSide,
    console,
    data_dir::DataDir,
    keeper::{Addresses, Heritage, KeeperLock, Published},
    letters,
    listeners::{BusyDefault, Listeners, reachable},
    local_socket,
    mail_side::{self, MailSide},
    notices, own_secrets,
    resident::Resident,
    retention,
    roll::Roll,
    tokens::{self, ShowOperatorToken},
    vitals::HouseVitals,
};
use crate::{
    bell::{
        fetch::Providers,
        imap, indexing,
        intake::Intake,
        oversight::{Errands, Oversight},
        retention::Retention,
        sources,
        upstream::Authority,
        webhooks::SOURCE,
    },
    config::{Config, load::Loaded},
    domain::{clock::Clock, id::SourceName, secret::Secret},
    http::{self, health::Vitals},
    mcp::{Limits, over_http::Reach},
    store::{
        StoreError,
        hosted::HostedApis as _,
        mail::MailStore,
        sources::{SourceError, Sources as _},
    },
};

/// How long the parts of a house get to end: everything must be over 5 s after SIGTERM.
const CLOSING: Duration = Duration::from_secs(4);
/// How often a keeper looks whether it is to pause.
const PAUSE_LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a keeper looks whether its term still holds, when it has nothing to write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a term begins.
pub(super) struct Entry {
    /// Proves that this process keeps the directory.
    pub(super) lock: KeeperLock,
    /// The settings of the term, which may be a predecessor's.
    pub(super) loaded: Loaded,
    /// Whether other processes may find it. One that stands for a single command is gone before they could use it.
    pub(super) publish: bool,
    /// Whether it gives way to a `serve`.
    pub(super) yields: bool,
    /// What to do about a busy default port.
    pub(super) busy: BusyDefault,
    /// Where a first start shows the operator's token.
    pub(super) operator: ShowOperatorToken,
}

/// A term that runs.
pub(super) struct Term {
    addresses: Addresses,
    parts: TaskTracker,
    shutdown: CancellationToken,
    superseded: CancellationToken,
    dir: DataDir,
    api_at: watch::Sender<Option<url::Url>>,
    _lock: KeeperLock,
}

impl Term {
    /// Opens the doors of `resident`'s house. Returns the operator's token where this start made one for the terminal.
    #[expect(clippy::too_many_lines, reason = "one list of parts, in the order in which they need each other")]
    pub(super) async fn begin(resident: &Resident, entry: Entry) -> Result<(Self, Option<Secret>), StartError> {
        let Entry { lock, loaded, publish, yields, busy, operator } = entry;
        let Resident { dir, bell, clock, ids, entropy, api_token, proof, disk_failed, .. } = resident;
        let config = &loaded.config;
        let (shutdown, superseded) = (CancellationToken::new(), CancellationToken::new());
        // A term that does not come about leaves nothing running.
        let unless_begun = shutdown.clone().drop_guard();

        tokens::for_agents(dir, &*bell.store, &**clock, ids).await?;
        let operator_token = tokens::for_the_operator(&operator, &*bell.store, &**clock, ids).await?;
        // Our receiver knows the secret before the service signs with it.
        let own_secret = own_secret(bell).await?;
        let epoch = bell.store.begin_term(&clock.boot_time().boot_id).await?;

        let listeners = Listeners::bind(&loaded, busy).await?;
        let heritage = Heritage::of(config, listeners.bound().map_err(StartError::Socket)?);
        let hooks_at = reachable(&listeners.hooks).map_err(StartError::Socket)?;
        let mut addresses = Addresses {
            mcp: Some(format!("http://{}/mcp", reachable(&listeners.mcp).map_err(StartError::Socket)?)),
            hooks: Some(format!("http://{hooks_at}")),
            api: None,
            smtp: None,
            lmtp: None,
            console: Some(format!("http://{}", reachable(&listeners.console).map_err(StartError::Socket)?)),
            pid: std::process::id(),
        };

        let parts = TaskTracker::new();
        let hooks_url = format!("http://{hooks_at}").parse().expect("a socket's address makes a URL");
        let (mut tracking, mut mail_ways, mut mail_store, mut mail_api) = (None, None, None, None);
        // Made anew each time and written nowhere: what nobody can read, nobody can use to approve by themselves.
        let approvals = Secret::new(ids.secret("mb_approvals_"));
        // Before any worker begins: what was paused stays so.
        let paused = watch::Sender::new(resident.oversight.rules().await?.paused);
        let mut errands = hosted(config).map(|api| agent_side::upstream(bell, api, Authority::House)).transpose()?;
        let (pause, paused) = (paused.clone(), paused.subscribe());
        parts.spawn(watch_the_pause(resident.oversight.clone(), pause, clock.clone(), shutdown.clone()));
        let vitals_with = |mail: Option<Arc<MailStore>>| -> Arc<dyn Vitals> {
            Arc::new(HouseVitals {
                dir: dir.clone(),
                bell: bell.store.clone(),
                mail,
                oversight: resident.oversight.clone(),
                clock: clock.clone(),
                epoch,
                free_bytes_min: config.mail.free_bytes_min,
            })
        };
        if hosted(config).is_none() {
            let sockets = listeners.mail.ok_or(StartError::NoApiToken)?;
            let base = format!("http://{}", reachable(&sockets.api).map_err(StartError::Socket)?);
            addresses.smtp = Some(reachable(&sockets.smtp).map_err(StartError::Socket)?.to_string());
            addresses.lmtp = Some(reachable(&sockets.lmtp).map_err(StartError::Socket)?.to_string());
            let url: Url = base.parse().expect("a socket's address makes a URL");
            addresses.api = Some(base.clone());
            let inside = mail_side::Inside {
                dir,
                config,
                clock: clock.clone(),
                ids: ids.clone(),
                entropy: entropy.clone(),
                // The receiver listens as long as the term lasts.
                own_receiver: watch::channel(Some(hooks_at)).1,
                disk_failed: disk_failed.clone(),
                images: config.hooks.public_url.clone().unwrap_or(hooks_url),
                paused,
                approvals: &approvals,
                oversight: resident.oversight.clone(),
            };
            let mail = Box::pin(MailSide::open(inside)).await?;
            mail.furnish(api_token, &own_secret).await?;
            tracking = Some(mail.tracking());
            mail_ways = Some(mail.ways());
            mail_store = Some(mail.store());
            mail_api = Some(mail.api());
            own_secrets::settle(bell, &mail.api()).await?;
            parts.spawn(own_secrets::keep(bell.clone(), mail.api(), shutdown.clone()));
            parts.spawn(watch_the_term(mail.store(), clock.clone(), superseded.clone(), shutdown.clone()));
            let vitals = vitals_with(Some(mail.store()));
            mail.open_doors(sockets, (proof.clone(), base), vitals, &parts, &shutdown);
            let api = MailApi { base: watch::channel(Some(Url::clone(&url))).1, key: approvals };
            errands = Some(agent_side::upstream(bell, api, Authority::House)?);
            resident.api_at.send_replace(Some(url));
        }

        let errands = Arc::new(errands.ok_or(StartError::NoApiToken)?);
        // Of a house that stands for a single command, the one that stays does what is approved.
        if publish {
            parts.spawn(Errands::new(resident.oversight.clone(), errands.clone()).run(shutdown.clone()));
            let teller = notices::teller(resident, config, mail_ways, errands.clone(), epoch);
            parts.spawn(teller.run(shutdown.clone()));
        }

        let store = bell.store.clone();
        tell_of_wrong_sources(bell).await?;
        let providers = Arc::new(Providers::new(clock.clone()));
        let intake = Intake::new(store.clone().into(), bell.bell.clone(), clock.clone(), providers, letters::read);
        let forgetting = Retention { store: store.clone(), policy: retention::of_bell(config), clock: clock.clone() };
        parts.spawn(forgetting.run(shutdown.clone()));
        parts.spawn(indexing::run(store.clone(), clock.clone(), shutdown.clone()));
        let gate = Arc::new(Roll::new(store.clone(), clock.clone(), limits(config)));
        parts.spawn(gate.clone().watch(shutdown.clone()));
        let vitals = vitals_with(mail_store);
        let probes = || http::health::probes(vitals.clone());
        let (server, closing) = (resident.server.clone(), shutdown.clone());
        parts.spawn(async move {
            closing.cancelled().await;
            // What ends by it gives back what it has leased.
            server.tasks_over().await;
        });
        let mcp = http::mcp::router(resident.server.clone(), gate, reach(config), shutdown.clone()).merge(probes());
        let (intake, ending) = (Arc::new(intake), shutdown.clone());
        let counting = intake.clone();
        parts.spawn(async move { counting.keep_counts(ending).await });
        let mut hooks = http::hooks::router(intake).merge(probes());
        hooks = hooks.merge(http::proof::of_the_receiver(proof.clone(), format!("http://{hooks_at}")));
        if let Some(tracking) = tracking {
            hooks = hooks.merge(http::opens::router(tracking));
        }
        let console_at = reachable(&listeners.console).map_err(StartError::Socket)?;
        let pages = console::parts(resident, &loaded, mail_api, console_at, shutdown.clone());
        let names = http::names::Names::new(&config.mcp.allowed_hosts);
        let console = http::console::router(pages).merge(http::health::router(vitals, names));
        for (name, listener, router) in
            [("mcp", listeners.mcp, mcp), ("hooks", listeners.hooks, hooks), ("console", listeners.console, console)]
        {
            parts.spawn(http::listen::serve(name, listener, router, shutdown.clone()));
        }
        if config.mail.base_url.is_none() {
            bell.store.none_in_use().await?;
        }
        // A house that stands for a single command leaves this to one that stays.
        if let Some(base) = config.mail.base_url.as_ref().filter(|_| publish) {
            parts.spawn(hosted_service(bell, errands, base, config).run(shutdown.clone()));
        }
        // Likewise: a mailbox is read by one process.
        if publish {
            let parts_of_watch = imap::Parts {
                sources: bell.store.clone(),
                folders: bell.store.clone(),
                bell: bell.bell.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
                entropy: entropy.clone(),
                read_letter: letters::read,
                epoch,
            };
            parts.spawn(imap::Watch::new(parts_of_watch).run(shutdown.clone()));
        }
        if publish {
            ring_for_others(dir, bell, &parts, &shutdown);
            let began = Some(clock.moment().into());
            dir.publish(&Published { addresses: addresses.clone(), epoch, yields, began, heritage })?;
        }
        parts.close();
        unless_begun.disarm();
        resident.keeper_silent(None);
        let term = Self {
            addresses,
            parts,
            shutdown,
            superseded,
            dir: dir.clone(),
            api_at: resident.api_at.clone(),
            _lock: lock,
        };
        Ok((term, operator_token))
    }

    /// Where it listens.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Resolves if another process has begun a term on the same data.
    pub(super) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }

    /// Closes the doors, lets what is in progress end, and gives the data directory back.
    pub(super) async fn close(self) {
        // First, so that whoever starts meanwhile waits for the lock and does not join a house that is closing. What a
        // successor has published is not ours to take back.
        if !self.superseded.is_cancelled()
            && let Err(error) = self.dir.unpublish()
        {
            tracing::warn!(%error, "could not take back where this house listened");
        }
        self.api_at.send_replace(None);
        self.shutdown.cancel();
        if tokio::time::timeout(CLOSING, self.parts.wait()).await.is_err() {
            tracing::warn!("some parts did not end in time; what they had not committed is repeated at the next start");
        }
    }
}

/// Cancels `superseded` once another process has begun its term on `mail.db`.
async fn watch_the_term(
    store: Arc<MailStore>,
    clock: Arc<dyn Clock>,
    superseded: CancellationToken,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = store.term().over() => break,
            () = clock.sleep(LOOK_EVERY) => {}
        }
        // It says so itself, by the term that is over; a failure to read is the next look's.
        if let Err(error) = store.check_term().await {
            tracing::debug!(%error, "looked whether the term still holds");
        }
    }
    tracing::error!("another process has begun to keep this data directory; this one sends and takes nothing more");
    superseded.cancel();
}

/// Says of each source of webhooks that is set up in a way that nothing of it can be taken. A watched mailbox says so itself.
async fn tell_of_wrong_sources(bell: &BellSide) -> Result<(), StoreError> {
    let sources = bell.store.sources().await?;
    for source in sources.into_iter().filter(|source| source.dialect != imap::DIALECT) {
        if let Err(why) = sources::check(&source.dialect, &source.settings) {
            tracing::error!(source = %source.name, why, "a source is set up wrongly and nothing of it is taken");
        }
    }
    Ok(())
}

/// Who may be named by clients of `/mcp`, and for how long a session may be silent.
fn reach(config: &Config) -> Reach {
    Reach {
        allowed_hosts: config.mcp.allowed_hosts.clone(),
        allowed_origins: config.mcp.allowed_origins.clone(),
        session_idle: Some(Duration::from_secs(config.mcp.session_idle_secs)),
    }
}

/// How much the bearer of one token may do.
fn limits(config: &Config) -> Limits {
    Limits {
        calls_per_minute_max: config.mcp.calls_per_minute_max,
        waits_max: config.mcp.waits_max,
        sessions_max: config.mcp.sessions_max,
        subscriptions_max: config.mcp.subscriptions_max,
    }
}

/// Has the other processes of the directory hear at once of what is committed, by the local socket.
fn ring_for_others(dir: &DataDir, bell: &BellSide, parts: &TaskTracker, shutdown: &CancellationToken) {
    match local_socket::open(dir) {
        Ok(listener) => {
            parts.spawn(local_socket::host(dir.clone(), listener, bell.bell.clone(), shutdown.clone()));
        }
        Err(error) => {
            tracing::warn!(%error, "there is no local socket; other processes look for events every 50 ms");
        }
    }
}

/// Has the workers know whether everything stands still, whichever process says so.
async fn watch_the_pause(
    oversight: Arc<Oversight>,
    paused: watch::Sender<bool>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    loop {
        match oversight.rules().await {
            Ok(rules) => {
                paused.send_if_modified(|now| std::mem::replace(now, rules.paused) != rules.paused);
            }
            Err(error) => tracing::warn!(%error, "could not look whether the operator has paused this house"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock.sleep(PAUSE_LOOK_EVERY) => {}
        }
    }
}

/// The secret that the embedded service signs with for our own receiver; the source `multimail` holds it.
async fn own_secret(bell: &BellSide) -> Result<Secret, StartError> {
    let name = SourceName::new(SOURCE);
    if let Some(secret) = own_secret_kept(bell, &name).await? {
        return Ok(secret);
    }
    let fresh = Secret::new(bell.ids.secret("whsec_"));
    let now = bell.clock.now();
    match bell.store.add_source(&name, SOURCE, Some(&fresh), now).await {
        // It is there without a secret, as after `source remove` of the last one.
        Err(SourceError::Exists(_)) => bell.store.add_secret(&name, &fresh, None, now).await?,
        added => added?,
    }
    Ok(fresh)
}

async fn own_secret_kept(bell: &BellSide, name: &SourceName) -> Result<Option<Secret>, StartError> {
    let source = bell.store.source(name).await.map_err(SourceError::Store)?;
    Ok(source.and_then(|source| source.secrets.into_iter().next()))
}
