//! `mailbell mcp` through the years: beside a keeper, then its heir, then beside a `serve` again. The agent on its stdin
//! notices none of it.
//!
//! Beside a keeper it tries the lock ten times a second, and at once when the keeper's end of the local socket closes. Once
//! it has the lock it opens the house at the addresses, and with the settings, that the keeper had published. As a keeper it
//! gives way to a `serve` that asks, and to whoever has begun a term on the same data by other means.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::task::TaskTracker;

use super::{
    StartError,
    agent_side::hosted,
    bell_side::BellSide,
    data_dir::{DataDir, DataDirError},
    keeper::{Heritage, KeeperLock, Published},
    listeners::BusyDefault,
    local_socket,
    resident::Resident,
    term::{Entry, Term},
    tokens::ShowOperatorToken,
};
use crate::{config::load::Loaded, domain::clock::Clock, ids::Entropy, mcp::Server};

/// How often an heir tries the lock and looks what is published, and a keeper whether a `serve` asks. Trying costs some
/// microseconds; two seconds after a keeper's death its heir must be at work.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long to leave the lock to the `serve` that asked for it, which has begun by then or failed.
const GIVEN_WAY: Duration = Duration::from_secs(5);
/// How long an heir that could not open the house waits before it tries again.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// How often to say again that the keeper does not answer.
const REMIND_EVERY: Duration = Duration::from_mins(1);

/// A process that serves one agent, and keeps the directory when nobody else does.
pub struct Neighbour {
    resident: Arc<Resident>,
    life: TaskTracker,
}

impl Neighbour {
    /// Joins the processes of `dir`; with the lock, as its keeper, at work when this returns.
    pub async fn join(
        dir: DataDir,
        lock: Option<KeeperLock>,
        loaded: Loaded,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let resident = Arc::new(Resident::open(dir, loaded, lock.as_ref(), clock, entropy).await?);
        let first = match lock {
            Some(lock) => {
                let left = lock.left().cloned();
                Some(begin(&resident, lock, left).await?)
            }
            None => None,
        };
        resident.listen();
        let life = TaskTracker::new();
        let living = resident.clone();
        life.spawn(async move { live(&living, first).await });
        life.close();
        Ok(Self { resident, life })
    }

    /// The MCP server to be put on stdin and stdout.
    pub fn server(&self) -> Server {
        self.resident.server.clone()
    }

    /// Its bell wing.
    pub fn bell(&self) -> &BellSide {
        &self.resident.bell
    }

    /// Resolves if this process must end by itself.
    pub async fn failed(&self) -> StartError {
        self.resident.failed().await
    }

    /// Leaves; a keeper closes its doors and gives the directory back.
    pub async fn close(self) {
        self.resident.shutdown.cancel();
        self.life.wait().await;
    }
}

/// One term after the other, and beside the terms of others, until the process ends.
async fn live(resident: &Resident, mut term: Option<Term>) {
    let shutdown = &resident.shutdown;
    loop {
        if let Some(keeping) = term.take() {
            let gave_way = tokio::select! {
                () = shutdown.cancelled() => {
                    keeping.close().await;
                    return;
                }
                () = a_serve_asks(&resident.dir) => true,
                () = keeping.superseded() => false,
            };
            tracing::info!(to_a_serve = gave_way, "giving the data directory back; going on beside its new keeper");
            keeping.close().await;
            if gave_way {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = somebody_keeps(&resident.dir) => {}
                }
            }
        }
        let (lock, left) = tokio::select! {
            () = shutdown.cancelled() => return,
            inherited = beside(resident) => inherited,
        };
        tracing::info!("the data directory has no keeper any more; taking over");
        match begin(resident, lock, left).await {
            Ok(begun) => term = Some(begun),
            Err(error) => {
                tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not take over the house; trying again"
                );
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = sleep(FAILED_PAUSE) => {}
                }
            }
        }
    }
}

/// Begins a term with what a predecessor left, if one did.
async fn begin(resident: &Resident, lock: KeeperLock, left: Option<Heritage>) -> Result<Term, StartError> {
    let mut loaded = resident.loaded.clone();
    let left = left.filter(|left| left.fits(&loaded.config));
    let busy = if left.is_some() { BusyDefault::Inherit } else { BusyDefault::GiveWay };
    if let Some(left) = left {
        left.settle_into(&mut loaded.config);
    }
    let operator = ShowOperatorToken::Nowhere;
    let entry = Entry { lock, loaded, publish: true, yields: true, busy, operator };
    Ok(Term::begin(resident, entry).await?.0)
}

/// Resolves when a `serve` asks for the directory.
async fn a_serve_asks(dir: &DataDir) {
    let mut looks = looks();
    loop {
        looks.tick().await;
        match dir.serve_waits() {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "could not look whether a `serve` waits"),
        }
    }
}

/// Resolves when the next keeper has published, or is overdue.
async fn somebody_keeps(dir: &DataDir) {
    let deadline = Instant::now() + GIVEN_WAY;
    let mut looks = looks();
    while Instant::now() < deadline {
        looks.tick().await;
        if matches!(dir.published(), Ok(Some(_))) {
            return;
        }
    }
}

/// Lives beside a keeper until the lock is ours; answers with it and with what the keeper left.
async fn beside(resident: &Resident) -> (KeeperLock, Option<Heritage>) {
    let dir = &resident.dir;
    let silent = watch::Sender::new(None);
    let mut seen = None;
    let mut looks = looks();
    let mut socket = std::pin::pin!(stay_connected(resident, &silent));
    let mut reports = std::pin::pin!(report(resident, silent.subscribe()));
    loop {
        tokio::select! {
            // Its end closed: the keeper has just gone, or was never there.
            () = &mut socket => socket.set(stay_connected(resident, &silent)),
            () = &mut reports => {}
            _ = looks.tick() => {}
        }
        match look(resident, &mut seen) {
            Ok(Some(lock)) => {
                let left = lock.left().cloned().or(seen.map(|seen: Published| seen.heritage));
                return (lock, left);
            }
            Ok(None) => {}
            Err(error) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::debug!(error, dir = %dir.root().display(), "could not look at the keeper's files");
            }
        }
    }
}

/// Takes the lock if it is free and no `serve` wants it, and notes what the keeper publishes.
fn look(resident: &Resident, seen: &mut Option<Published>) -> Result<Option<KeeperLock>, DataDirError> {
    let dir = &resident.dir;
    if let Some(published) = dir.published()?
        && seen.as_ref() != Some(&published)
    {
        if hosted(&resident.loaded.config).is_none() {
            let api = published.addresses.api.as_ref().and_then(|api| api.parse().ok());
            resident.api_at.send_replace(api);
        }
        if !published.heritage.fits(&resident.loaded.config) {
            tracing::warn!(
                "the keeper's mail.base_url is not that of these settings, so this process will not take over from it"
            );
        }
        *seen = Some(published);
    }
    let another_house = seen.as_ref().is_some_and(|seen| !seen.heritage.fits(&resident.loaded.config));
    if another_house || dir.serve_waits()? { Ok(None) } else { dir.try_keep() }
}

/// Is connected to the keeper until its end closes; without a socket, for the time between two looks.
async fn stay_connected(resident: &Resident, silent: &watch::Sender<Option<Instant>>) {
    if let Err(error) = local_socket::attend(&resident.dir, &resident.bell.bell, silent).await {
        tracing::debug!(%error, "not connected to the keeper's local socket");
        sleep(LOOK_EVERY).await;
    }
    silent.send_if_modified(|since| since.take().is_some());
}

/// Says, and has the tools say, that the keeper does not answer, and that it does again.
async fn report(resident: &Resident, mut silent: watch::Receiver<Option<Instant>>) {
    loop {
        let since = *silent.borrow_and_update();
        let Some(since) = since else {
            if resident.silent.borrow().is_some() {
                tracing::info!("the keeper of the data directory answers again, or has gone");
            }
            resident.keeper_silent(None);
            if silent.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        };
        let pid = resident.dir.published().ok().flatten().map_or(0, |published| published.addresses.pid);
        resident.keeper_silent(Some((pid, since.into_std())));
        tracing::warn!(
            "the keeper with pid {pid} has not answered for {} s: it is stopped or stuck; let it go on (kill -CONT {pid}) or \
             end it (kill -KILL {pid})",
            since.elapsed().as_secs()
        );
        tokio::select! {
            changed = silent.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
            }
            () = sleep(REMIND_EVERY) => {}
        }
    }
}

fn looks() -> tokio::time::Interval {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}
