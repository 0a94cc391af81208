//! A process beside the keeper: it serves its agent over the shared log, and binds nothing.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    StartError,
    agent_side::{self, MailApi, hosted},
    bell_side::BellSide,
    data_dir::DataDir,
    system::{SystemClock, SystemEntropy},
    tokens,
};
use crate::{
    bell::upstream::Upstream, config::load::Loaded, domain::clock::Clock, domain::secret::Secret, ids::Ids, mcp::Server,
};

/// How often to look where the keeper listens: it moves when another process becomes the keeper.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A process beside the keeper.
pub struct Follower {
    server: Server,
    disk_failed: CancellationToken,
}

impl Follower {
    /// Joins the house that another process keeps on `dir`. What it runs beside ends with `shutdown`.
    pub async fn join(
        dir: DataDir,
        loaded: &Loaded,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
        shutdown: &CancellationToken,
    ) -> Result<Self, StartError> {
        let disk_failed = CancellationToken::new();
        let bell = BellSide::open(&dir, clock.clone(), ids, disk_failed.clone()).await?;
        let upstream = agent_side::upstream(&bell, mail_api(dir, loaded, clock, shutdown.clone())?)?;
        tokio::spawn(bell.watch(shutdown.clone()));
        Ok(Self { server: agent_side::server(&bell, upstream, &loaded.config), disk_failed })
    }

    /// The MCP server to be put on stdin and stdout.
    pub fn server(&self) -> Server {
        self.server.clone()
    }

    /// Resolves if this process must end by itself.
    pub async fn failed(&self) -> StartError {
        self.disk_failed.cancelled().await;
        StartError::DiskFailed
    }
}

/// A client of the mail API beside the keeper, for a command that asks it something and ends.
pub async fn upstream(dir: &DataDir, loaded: &Loaded) -> Result<Arc<Upstream>, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids = Arc::new(Ids::new(clock.clone(), Arc::new(SystemEntropy)));
    let bell = BellSide::open(dir, clock.clone(), ids, CancellationToken::new()).await?;
    let over = CancellationToken::new();
    over.cancel();
    agent_side::upstream(&bell, mail_api(dir.clone(), loaded, clock, over)?).map_err(StartError::from)
}

/// The mail API that the settings name, or else the embedded service's, wherever the keeper of the moment listens.
fn mail_api(
    dir: DataDir,
    loaded: &Loaded,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<MailApi, StartError> {
    if let Some(api) = hosted(&loaded.config) {
        return Ok(api);
    }
    // The keeper makes the token before the database, which is there by now.
    let key = dir.token(tokens::API)?.map(Secret::new).ok_or(StartError::NoApiToken)?;
    Ok(MailApi { base: follow_the_keeper(dir, clock, shutdown), key })
}

/// The base URL of the embedded service's API, wherever the keeper of the moment published it.
fn follow_the_keeper(dir: DataDir, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> watch::Receiver<Option<Url>> {
    let published = move || {
        // A file that cannot be read is one that is being written: the next look sees it.
        let addresses = dir.published().ok().flatten()?;
        addresses.api?.parse::<Url>().ok()
    };
    let (tell, told) = watch::channel(published());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = clock.sleep(LOOK_EVERY) => {}
            }
            let now = published();
            tell.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
        }
    });
    told
}
