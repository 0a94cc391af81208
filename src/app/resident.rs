//! A process of a data directory: the log, and what agents reach. Whether it keeps the directory may change while it runs.

use std::{sync::Arc, time::Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    StartError,
    agent_side::{self, MailApi, hosted},
    audit_key,
    bell_side::BellSide,
    data_dir::DataDir,
    keeper::KeeperLock,
    system::{SystemClock, SystemEntropy},
    tokens,
};
use crate::{
    bell::{
        oversight::Oversight,
        upstream::{Authority, Keeper, Silence, Upstream},
    },
    config::load::Loaded,
    domain::{allow_hosts::AllowHosts, clock::Clock, secret::Secret},
    ids::{Entropy, Ids},
    mcp::{Seal, Server},
    signing::chain::ChainKey,
};

/// What every process of a data directory has.
pub(super) struct Resident {
    pub(super) dir: DataDir,
    pub(super) loaded: Loaded,
    pub(super) bell: BellSide,
    pub(super) upstream: Arc<Upstream>,
    pub(super) oversight: Arc<Oversight>,
    pub(super) server: Server,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<Ids>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// Where the keeper's API is. Not used where the settings name a hosted one.
    pub(super) api_at: watch::Sender<Option<Url>>,
    /// Since when the keeper does not answer.
    pub(super) silent: watch::Sender<Option<Silence>>,
    /// The key to the embedded service's API.
    pub(super) api_token: Secret,
    /// What proves to other processes of the directory that the keeper is one.
    pub(super) proof: Secret,
    /// Cancelled if the disk fails at a commit.
    pub(super) disk_failed: CancellationToken,
    /// Ends what runs beside.
    pub(super) shutdown: CancellationToken,
}

impl Resident {
    /// Moves in: as the keeper, who makes what is missing, or beside one.
    pub(super) async fn open(
        dir: DataDir,
        loaded: Loaded,
        lock: Option<&KeeperLock>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let ids = Arc::new(Ids::new(clock.clone(), entropy.clone()));
        let (shutdown, disk_failed) = (CancellationToken::new(), CancellationToken::new());
        let bell = match lock {
            Some(lock) => {
                // The token files come before the database: who finds the database finds them.
                tokens::kept(&dir, tokens::API, &ids)?;
                tokens::kept(&dir, tokens::PROOF, &ids)?;
                audit_key::settle(&dir, loaded.config.audit.key_file.as_deref())?;
                let store = BellSide::open_as_keeper(&dir, lock, &ids, disk_failed.clone()).await?;
                BellSide::over(store, clock.clone(), ids.clone())
            }
            None => BellSide::open(&dir, clock.clone(), ids.clone(), disk_failed.clone()).await?,
        };
        let token = |name| dir.token(name).map(|token| token.map(Secret::new));
        let api_token = token(tokens::API)?.ok_or(StartError::NoApiToken)?;
        let proof = token(tokens::PROOF)?.ok_or(StartError::NoApiToken)?;
        let (api_at, silent) = (watch::Sender::new(None), watch::Sender::new(None));
        let mut allowed = AllowHosts::new(&loaded.config.webhooks.allow_hosts);
        // A hosted service reaches our own receiver by this.
        if let (Some(_), Some(own)) = (&loaded.config.mail.base_url, &loaded.config.hooks.public_url) {
            allowed = allowed.and(own);
        }
        let oversight = Arc::new(bell.oversight(allowed));
        let agents = Authority::Agents(oversight.clone());
        let upstream = if let Some(api) = hosted(&loaded.config) {
            agent_side::upstream(&bell, api, agents)?
        } else {
            let api = MailApi { base: api_at.subscribe(), key: api_token.clone() };
            let keeper = Keeper { secret: proof.clone(), ids: ids.clone(), silent: silent.subscribe() };
            agent_side::upstream(&bell, api, agents)?.of_keeper(keeper)
        };
        let upstream = Arc::new(upstream);
        let seal = Seal::new(ChainKey::new(proof.expose()).ok_or(StartError::NoApiToken)?);
        let server = agent_side::server(&bell, upstream.clone(), oversight.clone(), seal, &loaded.config);
        Ok(Self {
            dir,
            loaded,
            bell,
            upstream,
            oversight,
            server,
            clock,
            ids,
            entropy,
            api_at,
            silent,
            api_token,
            proof,
            disk_failed,
            shutdown,
        })
    }

    /// Has this process hear of what others commit, until it moves out.
    pub(super) fn listen(&self) {
        tokio::spawn(self.bell.watch(self.shutdown.clone()));
    }

    /// Notes that `pid` has not answered `since` then, or that it has.
    pub(super) fn keeper_silent(&self, silence: Option<(u32, Instant)>) {
        self.silent.send_replace(silence.map(|(pid, since)| Silence { pid, since }));
    }

    /// Resolves if this process must end by itself.
    pub(super) async fn failed(&self) -> StartError {
        self.disk_failed.cancelled().await;
        StartError::DiskFailed
    }
}

/// A client of the mail API beside the keeper, for a command that asks it something and ends.
pub async fn upstream(dir: &DataDir, loaded: &Loaded) -> Result<Arc<Upstream>, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let resident = Resident::open(dir.clone(), loaded.clone(), None, clock, Arc::new(SystemEntropy)).await?;
    let api = dir.published()?.and_then(|published| published.addresses.api);
    resident.api_at.send_replace(api.and_then(|api| api.parse().ok()));
    Ok(resident.upstream)
}
