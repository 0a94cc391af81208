//! What is around the data: the settings, the machine's clock, whose webhooks are taken, and how the world comes in.

use std::path::PathBuf;

use serde_json::json;

use super::{CONNECT, Check, State};
use crate::{
    app::data_dir::default_config_file,
    bell::sources::dialect,
    config::{
        Config,
        load::{Overrides, load},
    },
    domain::clock::{Clock, UnixMillis},
    store::{bell::BellStore, hosted::HostedApis as _, sources::Sources as _},
};

/// 2026-01-01: before it there was no mailbell.
const FIRST_YEAR: UnixMillis = UnixMillis(1_767_225_600_000);
/// 2100-01-01: whoever runs this then has another version.
const LAST_YEAR: UnixMillis = UnixMillis(4_102_444_800_000);

/// The settings that a `serve` would start with, and the line about them.
pub(super) fn settings(file: Option<PathBuf>) -> (Check, Option<Config>) {
    let default_file = default_config_file();
    let named = file.clone().or(default_file.clone());
    match load(Overrides { file, default_file, values: Vec::new() }) {
        Ok(loaded) => {
            let says =
                named.map_or_else(|| "the defaults, and variables".to_owned(), |file| file.display().to_string());
            (Check::ok("settings", says), Some(loaded.config))
        }
        Err(error) => {
            let todo = "correct it; src/config/default.toml is the manual";
            (Check::bad("settings", State::Failed, error.to_string(), todo), None)
        }
    }
}

/// Whether the clock can be right at all; leases do not go by it, and what people read does.
pub(super) fn clock(clock: &dyn Clock) -> Check {
    let now = clock.now();
    if (FIRST_YEAR..LAST_YEAR).contains(&now) {
        return Check::ok("clock", format!("it is {now}"));
    }
    let says = format!("it is {now} by this machine's clock");
    Check::bad(
        "clock",
        State::Failed,
        says,
        "set it (timedatectl); signatures with a time in them are refused by a wrong one",
    )
}

/// Whose webhooks are taken, and how a hosted mail service does.
pub(super) async fn sources(store: &BellStore, clock: &dyn Clock) -> Vec<Check> {
    let sources = match store.sources().await {
        Ok(sources) => sources,
        Err(error) => return vec![Check::bad("sources", State::Failed, error.to_string(), "see the log")],
    };
    let now = clock.now();
    // Some sign by a certificate of theirs, and a mailbox may be opened by a token.
    let signs = |name: &str| dialect(name).is_some_and(|speaker| speaker.manual().secret.is_some());
    let signing = sources.iter().filter(|source| signs(&source.dialect));
    let mute: Vec<&str> =
        signing.filter(|source| source.live(now).is_empty()).map(|source| source.name.as_str()).collect();
    let mut checks = vec![if mute.is_empty() {
        Check::ok("sources", format!("{}, each with what it needs", sources.len()))
            .with(json!({ "sources": sources.len() }))
    } else {
        let says = format!("without a secret, so that nothing of theirs is taken: {}", mute.join(", "));
        let todo = "give each its secret with `mailbell source rotate NAME --secret-stdin`, or remove it";
        Check::bad("sources", State::Warning, says, todo)
    }];
    match store.hosted_in_use().await {
        Ok(Some(api)) => checks.push(match api.trouble {
            None => Check::ok("upstream", api.api),
            Some(trouble) => {
                let todo = "see whether its key holds and whether it can be reached; `serve` goes on trying";
                Check::bad("upstream", State::Warning, format!("{}: {trouble}", api.api), todo)
            }
        }),
        Ok(None) => {}
        Err(error) => checks.push(Check::bad("upstream", State::Failed, error.to_string(), "see the log")),
    }
    checks
}

/// Whether anything takes connections where the world is told to come; that it leads here, only a webhook shows.
pub(super) async fn public_url(config: &Config) -> Option<Check> {
    let url = config.hooks.public_url.as_ref()?;
    let host = url.host_str()?.to_owned();
    let port = url.port_or_known_default()?;
    let connecting = tokio::net::TcpStream::connect((host, port));
    let connected = tokio::time::timeout(CONNECT, connecting).await;
    Some(if connected.is_ok_and(|connected| connected.is_ok()) {
        let says = format!("something takes connections at {url}; a webhook from outside shows whether it leads here");
        Check::ok("public_url", says)
    } else {
        let todo = "start the tunnel or proxy that leads to the hooks listener, or correct hooks.public_url";
        Check::bad("public_url", State::Warning, format!("nothing takes connections at {url}"), todo)
    })
}
