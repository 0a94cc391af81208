//! `mailbell mcp`: an MCP server on stdin and stdout.
//!
//! The first on a data directory keeps the house; any other, and one beside a `serve`, binds nothing and shares the log.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, Settings, Where, plan, serve::Signals, time_and_ids};
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
        let kept = dir.keep_or_join().await?;
        let signals = Signals::listen()?;
        if let Some(lock) = kept {
            let (house, _) = House::start(plan(dir, lock, loaded)).await?;
            let served = tokio::select! {
                served = speak(house.server(), signals, &shutdown) => served,
                fault = house.failed() => Err(fault.into()),
            };
            house.close().await;
            served
        } else {
            let (clock, ids) = time_and_ids();
            let follower = Follower::join(dir, &loaded, clock, ids, &shutdown).await?;
            let served = tokio::select! {
                served = speak(follower.server(), signals, &shutdown) => served,
                fault = follower.failed() => Err(fault.into()),
            };
            shutdown.cancel();
            served
        }
    }
}

/// Serves the client on stdin and stdout until it leaves or a signal ends the process.
async fn speak(server: Server, signals: Signals, shutdown: &CancellationToken) -> Result<(), Failure> {
    tokio::select! {
        ended = stdio::serve(server, shutdown.clone()) => Ok(ended?),
        () = signals.received() => Ok(()),
    }
}
