//! `mailbell mcp`: an MCP server on stdin and stdout.
//!
//! The first on a data directory keeps the house; any other, and one beside a `serve`, binds nothing, shares the log, and
//! takes over when the keeper has gone.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Failure, Settings, Where, serve::Signals};
use crate::{
    app::{
        succession::Neighbour,
        system::{SystemClock, SystemEntropy},
    },
    config::load::token_for_elsewhere,
    mcp::{Server, bridge, stdio},
};

#[derive(Args)]
pub(super) struct Mcp {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Be the stdio of a `serve` that runs elsewhere, or as another user: the URL is its `mcp` address, and the token is taken
    /// from the variable `MAILBELL_TOKEN`
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    connect: Option<Url>,
    /// Have Claude Code told of events in a running session (its research preview of channels; start it with
    /// `--dangerously-load-development-channels server:mailbell`): kinds and counts, and nothing of what is in them
    #[arg(long, conflicts_with = "connect")]
    claude_channel: bool,
}

impl Mcp {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if let Some(url) = self.connect {
            return bridge(&url).await;
        }
        let loaded = self.settings.load(&[])?;
        let dir = self.place.open()?;
        let shutdown = CancellationToken::new();
        let lock = dir.keep_or_join().await?;
        let signals = Signals::listen()?;
        let neighbour =
            Neighbour::join(dir, lock, loaded, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await?;
        let mut ours = neighbour.server();
        if self.claude_channel {
            ours = ours.with_claude_channel();
        }
        let served = tokio::select! {
            served = speak(ours, signals, &shutdown) => served,
            fault = neighbour.failed() => Err(fault.into()),
        };
        neighbour.close().await;
        served
    }
}

/// Serves the client on stdin and stdout from the house at `url`.
async fn bridge(url: &Url) -> Result<(), Failure> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{url} is no http address; give the `mcp` address of a `mailbell serve`").into());
    }
    let (signals, shutdown) = (Signals::listen()?, CancellationToken::new());
    let token = token_for_elsewhere();
    let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
    let mut bridged = std::pin::pin!(bridge::serve(url, token.as_ref(), input, output, shutdown.clone()));
    tokio::select! {
        ended = &mut bridged => return Ok(ended?),
        () = signals.received() => shutdown.cancel(),
    }
    Ok(bridged.await?)
}

/// Serves the client on stdin and stdout until it leaves or a signal ends the process.
async fn speak(server: Server, signals: Signals, shutdown: &CancellationToken) -> Result<(), Failure> {
    tokio::select! {
        ended = stdio::serve(server, shutdown.clone()) => Ok(ended?),
        () = signals.received() => Ok(()),
    }
}
