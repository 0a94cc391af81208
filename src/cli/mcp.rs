//! `mailbell mcp`: an MCP server on stdin and stdout.
//!
//! The first on a data directory keeps the house; any other, and one beside a `serve`, binds nothing and shares the log.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, Settings, Where, plan, time_and_ids};
use crate::{
    app::{follower::Follower, house::House},
    mcp::{Server, stdio},
};

#[derive(Args)]
pub(super) struct Mcp {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
}

impl Mcp {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let loaded = self.settings.load(&[])?;
        let dir = self.place.open()?;
        let shutdown = CancellationToken::new();
        if let Some(lock) = dir.try_keep()? {
            let (house, _) = House::start(plan(dir, lock, loaded)).await?;
            let served = tokio::select! {
                served = speak(house.server(), &shutdown) => served,
                fault = house.failed() => Err(fault.into()),
            };
            house.close().await;
            served
        } else {
            let (clock, ids) = time_and_ids();
            let follower = Follower::join(dir, &loaded, clock, ids, &shutdown).await?;
            let served = tokio::select! {
                served = speak(follower.server(), &shutdown) => served,
                fault = follower.failed() => Err(fault.into()),
            };
            shutdown.cancel();
            served
        }
    }
}

/// Serves the client on stdin and stdout until it leaves or a signal ends the process.
async fn speak(server: Server, shutdown: &CancellationToken) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        ended = stdio::serve(server, shutdown.clone()) => Ok(ended?),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
