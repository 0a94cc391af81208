//! What is around the data: the settings, the machine's clock, whose webhooks are taken, and how the world comes in.

use std::{path::PathBuf, sync::Arc};

use serde_json::json;

use super::{Check, State};
use crate::{
    app::{
        data_dir::{DataDir, default_config_file},
        keeper::Published,
        tokens,
    },
    bell::{
        sources::dialect,
        upstream::{Answers, who_answers},
    },
    cli::time_and_ids,
    config::{
        Config,
        load::{Overrides, load},
    },
    domain::{
        clock::{Clock, UnixMillis},
        secret::Secret,
    },
    reach::SystemNames,
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

/// Whether the URL that the world is told leads to the receiver that runs here.
pub(super) async fn public_url(dir: &DataDir, published: Option<&Published>, config: Option<&Config>) -> Option<Check> {
    let said = config.and_then(|config| config.hooks.public_url.as_ref());
    let runs_with = published.map(|published| published.heritage.public_url());
    let url = runs_with.unwrap_or(said)?;
    let receiver = published.and_then(|published| published.addresses.hooks.as_deref());
    let (Some(receiver), Ok(Some(secret))) = (receiver, dir.token(tokens::PROOF)) else {
        return Some(Check::ok("public_url", format!("{url}; whether it leads here shows when a house runs")));
    };
    let ids = time_and_ids().1;
    let answers = who_answers(url, receiver, &Secret::new(secret), &ids, Arc::new(SystemNames)).await;
    Some(match answers {
        Answers::Ours => {
            Check::ok("public_url", format!("{url} leads to this receiver")).with(json!({ "answers": "ours" }))
        }
        Answers::Another(status) => {
            let says = format!("{url} leads to something else, which answered {status}");
            let todo = format!("have the tunnel or proxy pass /hooks/ on to {receiver}, or correct hooks.public_url");
            Check::bad("public_url", State::Failed, says, todo).with(json!({ "answers": "another", "status": status }))
        }
        Answers::Nobody(why) => {
            let says = format!("nothing answers at {url} when asked from here: {why}");
            let todo = format!(
                "start the tunnel or proxy that leads to {receiver}, or correct hooks.public_url; where only this machine cannot go \
                 out and in again, a webhook from outside shows whether it works"
            );
            Check::bad("public_url", State::Warning, says, todo).with(json!({ "answers": "nobody", "why": why }))
        }
    })
}
