//! `mailbell source`: whose webhooks the receiver takes. A running house sees a change at once.

mod add;
mod imap;
mod look;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::add::{Add, api_key, secret_from};
use super::{Failure, Where, answer::Answer, terminal::plain, time_and_ids};
use crate::{
    app::bell_side::open_bell_store,
    bell::{
        imap::DIALECT as IMAP,
        sources::{RawRequest, dialect, settings::Settings},
    },
    domain::id::SourceName,
    store::{
        audit::{AuditLog as _, Entry},
        sources::{Quarantine as _, Quarantined, Sources as _},
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
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
pub(super) struct Named {
    /// Which
    name: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
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
    #[command(flatten)]
    answer: Answer,
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
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
pub(super) struct Kept {
    /// Of which source; of all unless given
    name: Option<String>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
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

impl Named {
    async fn remove(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        if store.remove_source(&SourceName::new(&self.name)).await? {
            let about = json!({ "name": self.name });
            store.record(Entry::Operator { command: "source remove", about }, clock.now()).await?;
            let said = format!("removed; nothing more is taken or read for {}", self.name);
            self.answer.give(json!({ "name": self.name, "removed": true }), said)
        } else {
            Err(unknown(&self.name))
        }
    }

    async fn test(self) -> Result<(), Failure> {
        let dir = self.place.open()?;
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&dir, &ids).await?;
        let source = store.source(&SourceName::new(&self.name)).await?.ok_or_else(|| unknown(&self.name))?;
        if source.dialect == IMAP {
            return imap::test(&source, clock, self.answer).await;
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
            let told = json!({ "name": self.name, "taken": true, "answer": answer });
            return self.answer.give(told, format_args!("the running receiver took a signed sample: {answer}"));
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
            let told = json!({ "name": self.name, "old_until": null });
            return self.answer.give(told, "the new password is used from now on");
        }
        let said = format!("the new secret vouches from now on, the old ones until {until}");
        self.answer.give(json!({ "name": self.name, "old_until": until }), said)
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
        let about = json!({ "name": self.name, "given": key.is_some() });
        store.record(Entry::Operator { command: "source api-key", about }, clock.now()).await?;
        let said = if key.is_some() { "the key is used from now on" } else { "the key is forgotten" };
        self.answer.give(json!({ "name": self.name, "api_key": key.is_some() }), said)
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
            let line = format!("{last_at}  {source}  {times} time(s)  {} bytes  {}", body.len(), plain(&reason));
            let told = json!({
                "source": source.as_str(), "reason": reason, "last_at": last_at, "times": times,
                "body": String::from_utf8_lossy(&body),
            });
            self.answer.give(told, line)?;
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
