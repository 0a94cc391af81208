//! A server for the official conformance suite: mailbell's own MCP server as it is mounted in every house, and beside it the
//! tools, resources and prompts that the suite asks for by name. What is not one of those, our server answers.
//!
//! ```text
//! cargo run --example conformance
//! npx @modelcontextprotocol/conformance@0.2.0-alpha.12 server --url URL --requirements 2026-07-28
//! ```
//!
//! It prints its URL, and ends when its input does.

#![expect(deprecated, reason = "the suite asks older servers for logging, sampling and roots")]

mod calls;
mod fixtures;
mod jobs;

use std::{error::Error, io::Write as _, sync::Arc};

use axum::serve::ListenerExt as _;
use mailbell::{
    app::{
        data_dir::DataDir,
        house::{House, Plan},
        listeners::BusyDefault,
        system::{SystemClock, SystemEntropy},
        tokens::ShowOperatorToken,
    },
    config::load::{Overrides, load},
    mcp::over_http::{self, Reach},
};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use crate::fixtures::Fixtures;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let home = tempfile::tempdir()?;
    let dir = DataDir::open(Some(home.path().to_owned()))?;
    let doors = ["mcp.addr", "hooks.addr", "api.addr", "smtp.addr", "lmtp.addr", "console.addr"];
    let values = doors.map(|door| (door, ":0".to_owned())).into();
    let loaded = load(Overrides { file: None, default_file: None, values })?;
    let lock = dir.keep().await?;
    let (house, _) = House::start(Plan {
        dir,
        lock,
        loaded,
        publish: true,
        busy: BusyDefault::GiveWay,
        operator: ShowOperatorToken::Nowhere,
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    })
    .await?;

    let shutdown = CancellationToken::new();
    let ours = house.server().until(shutdown.clone());
    let (service, _) = over_http::service(Fixtures::beside(ours), Reach::default(), shutdown.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let router = axum::Router::new().nest_service("/mcp", service);
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served?,
        _ = async { tokio::io::stdin().read_to_end(&mut Vec::new()).await } => {}
    }
    shutdown.cancel();
    house.close().await;
    Ok(())
}
