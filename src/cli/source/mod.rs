//! `mailbell source`: whose webhooks the receiver takes. A running house sees a change at once.

mod add;
mod imap;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::add::{Add, api_key, secret_from};
use super::{Failure, Where, say, time_and_ids};
use crate::{
    app::bell_side::open_bell_store,
    bell::{
        imap::{DIALECT as IMAP, told_by},
        sources::{RawRequest, dialect, settings::Settings},
        webhooks::SOURCE,
    },
    domain::id::SourceName,
    store::{
        audit::{AuditLog as _, Entry},
        hosted::{HostedApi, HostedApis as _},
        sources::{Quarantine as _, Quarantined, Records as _, Sources as _},
    },
};

/// Old secrets vouch for a day, as long as providers sign with both.
const KEEP_OLD_SECS: u32 = 86_400;
/// What is read of the receiver's answer, in bytes: it is one line.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Bodies in quarantine at most; the store keeps no more.
const QUARANTINED_MAX: u32 = 1_000;

pub(super) use self::imap::states;

#[derive(Subcommand)]
pub(super) enum Source {
    /// Take webhooks at /hooks/NAME that are signed with a secret you hold, or watch a mailbox elsewhere (--host)
    Add(Box<Add>),
    /// Show the sources
    List(List),
    /// Show what a source sent, and what of it was refused
    Show(Named),
    /// Add a new secret; the old ones vouch a while longer
    Rotate(Rotate),
    /// Give a source a key of its provider's API, or take it away
    ApiKey(ApiKey),
    /// Post a signed sample through the running receiver
    Test(Named),
    /// Show the signed bodies that were not understood
    Quarantine(Kept),
    /// Take no more webhooks from a source; its events stay
    Remove(Named),
}

#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Where,
    /// Print JSON, one source a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Named {
    /// Which
    name: String,
    #[command(flatten)]
    place: Where,
}

#[derive(Args)]
pub(super) struct Rotate {
    /// Which
    name: String,
    /// Read the new secret from stdin (one line)
    #[arg(long, required = true)]
    secret_stdin: bool,
    /// How long the old secrets still vouch, in seconds
    #[arg(long, default_value_t = KEEP_OLD_SECS, value_parser = clap::value_parser!(u32).range(0..=2_592_000))]
    keep_old_secs: u32,
    #[command(flatten)]
    place: Where,
}

#[derive(Args)]
pub(super) struct ApiKey {
    /// Which
    name: String,
    /// Read the key from this file (one line); it never stands on the command line
    #[arg(long, required_unless_present = "remove", conflicts_with = "remove")]
    file: Option<PathBuf>,
    /// Forget the key
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Args)]
pub(super) struct Kept {
    /// Of which source; of all unless given
    name: Option<String>,
    #[command(flatten)]
    place: Where,
    /// Print JSON, one body a line, with the whole body
    #[arg(long)]
    json: bool,
}

impl Source {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List(list) => list.run().await,
            Self::Show(named) => named.show().await,
            Self::Rotate(rotate) => rotate.run().await,
            Self::ApiKey(key) => key.run().await,
            Self::Test(named) => named.test().await,
            Self::Quarantine(kept) => kept.run().await,
            Self::Remove(named) => named.remove().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let dir = self.place.open()?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        let store = open_bell_store(&dir, &time_and_ids().1).await?;
        let hosted = store.hosted_in_use().await?;
        for source in store.sources().await? {
            let upstream = hosted.as_ref().filter(|_| source.name.as_str() == SOURCE);
            let (name, secrets) = (source.name.as_str(), source.secrets.len());
            if source.dialect == IMAP {
                let states = imap::states(&store, &source).await?;
                if self.json {
                    let folders: Vec<_> = states.iter().map(imap::json).collect();
                    say(serde_json::json!({
                        "name": name, "dialect": source.dialect, "secrets": secrets, "created_at": source.created_at,
                        "folders": folders,
                    }))?;
                } else {
                    say(format!("{name}  {}  since {}", source.dialect, source.created_at))?;
                    states.iter().try_for_each(|state| say(format!("  {}", imap::sentence(state))))?;
                }
                continue;
            }
            if self.json {
                say(serde_json::json!({
                    "name": name, "dialect": source.dialect, "secrets": secrets, "created_at": source.created_at,
                    "upstream": upstream.map(|known| serde_json::json!({
                        "api": known.api, "webhook_id": known.webhook, "looked_at": known.looked_at,
                        "tried_at": known.tried_at, "trouble": known.trouble,
                    })),
                }))?;
            } else {
                let url = url(base.as_deref(), name);
                say(format!("{name}  {}  {url}  {secrets} secret(s)  since {}", source.dialect, source.created_at))?;
                if let Some(HostedApi { api, tried_at: Some(at), trouble, .. }) = upstream {
                    say(format!("  {api} at {at}: {}", trouble.as_deref().unwrap_or("all is well")))?;
                }
            }
        }
        Ok(())
    }
}

impl Named {
    async fn remove(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        if store.remove_source(&SourceName::new(&self.name)).await? {
            let about = serde_json::json!({ "name": self.name });
            store.record(Entry::Operator { command: "source remove", about }, clock.now()).await?;
            say(format!("removed; nothing more is taken or read for {}", self.name))
        } else {
            Err(unknown(&self.name))
        }
    }

    async fn show(self) -> Result<(), Failure> {
        let dir = self.place.open()?;
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&dir, &ids).await?;
        let name = SourceName::new(&self.name);
        let source = store.source(&name).await?.ok_or_else(|| unknown(&self.name))?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        let now = clock.now();
        let teller = if source.dialect == IMAP {
            imap::show(&source)?;
            for state in imap::states(&store, &source).await? {
                say(format!("  {}", imap::sentence(&state)))?;
            }
            told_by(&name)
        } else {
            say(format!("{}  {}", url(base.as_deref(), &self.name), source.dialect))?;
            let key = if source.api_key.is_some() { "  with an API key" } else { "" };
            say(format!("  settings: {}  secrets: {}{key}", source.settings, source.live(now).len()))?;
            name
        };
        for (_, until) in source.retiring.iter().filter(|(_, until)| now < *until) {
            say(format!("  one of them vouches until {until}"))?;
        }
        let history = store.history(&teller).await?;
        if history.told.is_empty() {
            say("  nothing of it was ever taken")?;
        }
        for (kind, its_name, times, at) in history.told {
            say(format!("  {kind} ({}): {times}, the last at {at}", its_name.as_deref().unwrap_or("-")))?;
        }
        for (reason, times, at) in history.refused {
            say(format!("  refused {times}, the last at {at}: {reason}"))?;
        }
        Ok(())
    }

    async fn test(self) -> Result<(), Failure> {
        let dir = self.place.open()?;
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&dir, &ids).await?;
        let source = store.source(&SourceName::new(&self.name)).await?.ok_or_else(|| unknown(&self.name))?;
        if source.dialect == IMAP {
            return imap::test(&source, clock).await;
        }
        let speaker = dialect(&source.dialect).ok_or("this version of mailbell does not know the source's dialect")?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        let base = base.ok_or("no receiver runs on this data directory; start `mailbell serve` first")?;
        let (now, settings) = (clock.now(), Settings::read(&source.settings)?);
        let live = source.live(now);
        let sample = live.iter().find_map(|secret| speaker.sample(secret, &settings, now)).ok_or(
            "only the provider can sign for this source, with the key that we do not have; send a test from its dashboard",
        )?;
        let answer = post(&base, &self.name, &sample).await?;
        if answer.starts_with("200 ") {
            return say(format!("the running receiver took a signed sample: {answer}"));
        }
        Err(format!("the running receiver did not take a signed sample: {answer}").into())
    }
}

/// Posts `sample` to the receiver at `base`; the status and body of the answer.
async fn post(base: &str, name: &str, sample: &RawRequest) -> Result<String, Failure> {
    let address = base.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let token = sample.token.as_ref().map(|token| format!("/{}", token.expose())).unwrap_or_default();
    let mut head = format!("POST /hooks/{name}{token} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let length = ("content-length".to_owned(), sample.body.len().to_string());
    for (name, value) in sample.headers.iter().chain([&length]) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.write_all(&sample.body).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok(format!("{} {body}", head.split(' ').nth(1).unwrap_or("no status")))
}

impl Rotate {
    async fn run(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        let name = SourceName::new(&self.name);
        let source = store.source(&name).await?.ok_or_else(|| unknown(&self.name))?;
        if dialect(&source.dialect).is_some_and(|speaker| speaker.manual().secret.is_none()) {
            return Err(format!("the {} dialect has no secret that could be another", source.dialect).into());
        }
        let secret = secret_from(None, &source.dialect)?;
        let now = clock.now();
        let until = now.plus(Duration::from_secs(self.keep_old_secs.into()));
        store.retire_secrets(&name, until, now).await?;
        store.add_secret(&name, &secret, None, now).await?;
        if source.dialect == IMAP {
            return say("the new password is used from now on");
        }
        say(format!("the new secret vouches from now on, the old ones until {until}"))
    }
}

impl ApiKey {
    async fn run(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        let name = SourceName::new(&self.name);
        let source = store.source(&name).await?.ok_or_else(|| unknown(&self.name))?;
        let key = self.file.map(|file| api_key(&source.dialect, &file)).transpose()?;
        store.set_api_key(&name, key.as_ref()).await?;
        let about = serde_json::json!({ "name": self.name, "given": key.is_some() });
        store.record(Entry::Operator { command: "source api-key", about }, clock.now()).await?;
        say(if key.is_some() { "the key is used from now on" } else { "the key is forgotten" })
    }
}

impl Kept {
    async fn run(self) -> Result<(), Failure> {
        let store = open_bell_store(&self.place.open()?, &time_and_ids().1).await?;
        for kept in store.quarantined(QUARANTINED_MAX).await? {
            let Quarantined { source, reason, body, last_at, times } = kept;
            if self.name.as_ref().is_some_and(|name| *name != source.as_str()) {
                continue;
            }
            if self.json {
                let body = String::from_utf8_lossy(&body);
                say(serde_json::json!({
                    "source": source.as_str(), "reason": reason, "last_at": last_at, "times": times, "body": body,
                }))?;
            } else {
                say(format!("{last_at}  {source}  {times} time(s)  {} bytes  {reason}", body.len()))?;
            }
        }
        Ok(())
    }
}

fn unknown(name: &str) -> Failure {
    format!("there is no source named `{name}`; `mailbell source list` shows those there are").into()
}

fn url(base: Option<&str>, name: &str) -> String {
    format!("{}/hooks/{name}", base.unwrap_or_default())
}
