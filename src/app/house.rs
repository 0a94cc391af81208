//! A whole house: every part made, joined, listening, and in the end closed.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    StartError,
    agent_side::{self, MailApi, TokenGate, hosted},
    bell_side::BellSide,
    data_dir::{Addresses, DataDir, KeeperLock},
    listeners::{BusyDefault, Listeners, reachable},
    mail_side::{self, MailSide},
    tokens::{self, ShowOperatorToken},
};
use crate::{
    bell::{intake::Intake, upstream::Upstream, webhooks::SOURCE},
    config::load::Loaded,
    domain::{clock::Clock, id::SourceName, secret::Secret},
    http,
    ids::{Entropy, Ids},
    mcp::{Server, over_http::Reach},
    store::{
        hosted::HostedApis as _,
        sources::{SourceError, Sources as _},
    },
};

/// How long the parts of a house get to end: everything must be over 5 s after SIGTERM.
const CLOSING: Duration = Duration::from_secs(4);

/// What a house is made from.
pub struct Plan {
    /// Where everything is kept.
    pub dir: DataDir,
    /// Proves that this process keeps it.
    pub lock: KeeperLock,
    /// The settings.
    pub loaded: Loaded,
    /// Whether other processes may find it. One that stands for a single command is gone before they could use it.
    pub publish: bool,
    /// What to do about a busy default port.
    pub busy: BusyDefault,
    /// Where a first start shows the operator's token.
    pub operator: ShowOperatorToken,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// A running house.
pub struct House {
    addresses: Addresses,
    bell: BellSide,
    upstream: Arc<Upstream>,
    server: Server,
    parts: TaskTracker,
    shutdown: CancellationToken,
    disk_failed: CancellationToken,
    dir: DataDir,
    _lock: KeeperLock,
}

impl House {
    /// Makes a house and opens its doors. Returns the operator's token where this start made one for the terminal.
    pub async fn start(plan: Plan) -> Result<(Self, Option<Secret>), StartError> {
        let Plan { dir, lock, loaded, publish, busy, operator, clock, entropy } = plan;
        let config = &loaded.config;
        let ids = Arc::new(Ids::new(clock.clone(), entropy.clone()));
        let (shutdown, disk_failed) = (CancellationToken::new(), CancellationToken::new());

        // The token files come before the database: who finds the database finds them.
        let api_token = tokens::kept(&dir, tokens::API, &ids)?;
        let store = BellSide::open_as_keeper(&dir, &lock, &ids, disk_failed.clone()).await?;
        let bell = BellSide::over(store, clock.clone(), ids.clone());
        tokens::for_agents(&dir, &*bell.store, &*clock, &ids).await?;
        let operator_token = tokens::for_the_operator(&operator, &*bell.store, &*clock, &ids).await?;
        // Our receiver knows the secret before the service signs with it.
        let own_secret = own_secret(&bell).await?;

        let listeners = Listeners::bind(&loaded, busy).await?;
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
        let mut tracking = None;
        let api = match (hosted(config), listeners.mail) {
            (Some(api), _) => api,
            (None, None) => return Err(StartError::NoApiToken),
            (None, Some(sockets)) => {
                let (api_at, smtp_at, lmtp_at) = (
                    reachable(&sockets.api).map_err(StartError::Socket)?,
                    reachable(&sockets.smtp).map_err(StartError::Socket)?,
                    reachable(&sockets.lmtp).map_err(StartError::Socket)?,
                );
                let base = format!("http://{api_at}");
                addresses.smtp = Some(smtp_at.to_string());
                addresses.lmtp = Some(lmtp_at.to_string());
                let url = base.parse().expect("a socket's address makes a URL");
                addresses.api = Some(base);
                let inside = mail_side::Inside {
                    dir: &dir,
                    config,
                    clock: clock.clone(),
                    ids: ids.clone(),
                    entropy,
                    // The receiver listens as long as the house stands.
                    own_receiver: watch::channel(Some(hooks_at)).1,
                    disk_failed: disk_failed.clone(),
                    images: config.hooks.public_url.clone().unwrap_or(hooks_url),
                };
                let mail = MailSide::open(inside).await?;
                mail.furnish(&api_token, &own_secret).await?;
                tracking = Some(mail.tracking());
                know_secrets(&bell, mail.own_secrets().await?).await?;
                mail.open_doors(sockets, &parts, &shutdown);
                MailApi { base: watch::channel(Some(url)).1, key: api_token }
            }
        };

        let upstream = agent_side::upstream(&bell, api)?;
        let server = agent_side::server(&bell, upstream.clone(), config);
        let store = bell.store.clone();
        let intake = Intake::new(store.clone(), store.clone(), store.clone(), bell.bell.clone(), clock.clone());
        let reach = Reach {
            allowed_hosts: config.mcp.allowed_hosts.clone(),
            allowed_origins: config.mcp.allowed_origins.clone(),
        };
        let gate = Arc::new(TokenGate(store.clone()));
        let mcp = http::mcp::router(server.clone(), gate, reach, shutdown.clone());
        let mut hooks = http::hooks::router(Arc::new(intake));
        if let Some(tracking) = tracking {
            hooks = hooks.merge(http::opens::router(tracking));
        }
        let health = http::health::router(store);
        for (name, listener, router) in
            [("mcp", listeners.mcp, mcp), ("hooks", listeners.hooks, hooks), ("console", listeners.console, health)]
        {
            parts.spawn(http::listen::serve(name, listener, router, shutdown.clone()));
        }
        parts.spawn(bell.watch(shutdown.clone()));
        match &config.mail.base_url {
            None => bell.store.none_in_use().await?,
            // A house that stands for a single command leaves this to one that stays.
            Some(base) if publish => {
                let service = agent_side::hosted_service(&bell, upstream.clone(), base, config);
                parts.spawn(service.run(shutdown.clone()));
            }
            Some(_) => {}
        }
        parts.close();
        if publish {
            dir.publish(&addresses)?;
        }
        Ok((Self { addresses, bell, upstream, server, parts, shutdown, disk_failed, dir, _lock: lock }, operator_token))
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What `serve` says on stdout, once.
    pub fn ready_line(&self) -> String {
        #[derive(serde::Serialize)]
        struct Ready<'a> {
            ready: bool,
            #[serde(flatten)]
            addresses: &'a Addresses,
        }
        let ready = Ready { ready: true, addresses: &self.addresses };
        serde_json::to_string(&ready).expect("addresses are plain texts")
    }

    /// Its bell wing.
    pub fn bell(&self) -> &BellSide {
        &self.bell
    }

    /// Its client of the mail API.
    pub fn upstream(&self) -> Arc<Upstream> {
        self.upstream.clone()
    }

    /// Its MCP server, to be put on stdin and stdout.
    pub fn server(&self) -> Server {
        self.server.clone()
    }

    /// Resolves if the house must end by itself.
    pub async fn failed(&self) -> StartError {
        self.disk_failed.cancelled().await;
        StartError::DiskFailed
    }

    /// Closes the doors, lets what is in progress end, and gives the data directory back.
    pub async fn close(self) {
        // First, so that whoever starts meanwhile waits for the lock and does not join a house that is closing.
        if let Err(error) = self.dir.unpublish() {
            tracing::warn!(%error, "could not take back where this house listened");
        }
        self.shutdown.cancel();
        if tokio::time::timeout(CLOSING, self.parts.wait()).await.is_err() {
            tracing::warn!("some parts did not end in time; what they had not committed is repeated at the next start");
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

/// Has our receiver know what the service signs with for it. It does, unless its source was removed or its log is a new
/// one; then every delivery would be refused, for as long as it is tried.
async fn know_secrets(bell: &BellSide, signing: Vec<Secret>) -> Result<(), StartError> {
    let name = SourceName::new(SOURCE);
    let source = bell.store.source(&name).await.map_err(SourceError::Store)?;
    let mut known = source.map(|source| source.secrets).unwrap_or_default();
    for secret in signing {
        if known.iter().any(|one| one.expose() == secret.expose()) {
            continue;
        }
        bell.store.add_secret(&name, &secret, None, bell.clock.now()).await?;
        known.push(secret);
    }
    Ok(())
}

async fn own_secret_kept(bell: &BellSide, name: &SourceName) -> Result<Option<Secret>, StartError> {
    let source = bell.store.source(name).await.map_err(SourceError::Store)?;
    Ok(source.and_then(|source| source.secrets.into_iter().next()))
}
