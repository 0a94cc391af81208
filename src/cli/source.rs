//! `mailbell source`: whose webhooks the receiver takes. A running house sees a change at once.

use std::io::Read as _;

use clap::{Args, Subcommand};

use super::{Failure, Where, say, time_and_ids};
use crate::{
    app::bell_side::open_bell_store,
    bell::{
        sources::{dialect, names},
        webhooks::SOURCE,
    },
    domain::{id::SourceName, secret::Secret},
    store::{
        audit::{AuditLog as _, Entry},
        hosted::{HostedApi, HostedApis as _},
        sources::Sources as _,
    },
};

/// A secret shorter than this can be guessed; providers give 24 characters and more.
const SECRET_CHARS_MIN: usize = 16;
/// No provider's secret is longer.
const SECRET_BYTES_MAX: u64 = 1024;
/// A name is part of a URL, and of every event of the source.
const NAME_CHARS_MAX: usize = 64;

#[derive(Subcommand)]
pub(super) enum Source {
    /// Take webhooks at /hooks/NAME that are signed with a secret you hold
    Add(Add),
    /// Show the sources
    List(List),
    /// Take no more webhooks from a source; its events stay
    Remove(Remove),
}

#[derive(Args)]
pub(super) struct Add {
    /// The last part of its URL: letters, digits and hyphens
    name: String,
    /// How it speaks
    #[arg(long, default_value = "multimail")]
    dialect: String,
    /// Read the signing secret from stdin (one line); it never stands on the command line
    #[arg(long, required = true)]
    secret_stdin: bool,
    #[command(flatten)]
    place: Where,
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
pub(super) struct Remove {
    /// Which
    name: String,
    #[command(flatten)]
    place: Where,
}

impl Source {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List(list) => list.run().await,
            Self::Remove(remove) => remove.run().await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        let Self { name, dialect: speaks, secret_stdin: _, place } = self;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !name.starts_with('-');
        if !plain || name.is_empty() || name.len() > NAME_CHARS_MAX {
            return Err(format!(
                "`{name}` is no name for a source; use up to {NAME_CHARS_MAX} letters, digits and hyphens"
            )
            .into());
        }
        if dialect(&speaks).is_none() {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(format!("there is no dialect `{speaks}`; there are: {known}").into());
        }
        let mut secret = String::new();
        std::io::stdin().take(SECRET_BYTES_MAX + 1).read_to_string(&mut secret)?;
        let secret = secret.trim();
        if secret.chars().count() < SECRET_CHARS_MIN || secret.len() as u64 > SECRET_BYTES_MAX {
            return Err(format!(
                "a signing secret has {SECRET_CHARS_MIN} to {SECRET_BYTES_MAX} characters; give it as one line on stdin"
            )
            .into());
        }
        let (clock, ids) = time_and_ids();
        let dir = place.open()?;
        let store = open_bell_store(&dir, &ids).await?;
        store.add_source(&SourceName::new(&name), &speaks, Some(&Secret::new(secret)), clock.now()).await?;
        let about = serde_json::json!({ "name": name, "dialect": speaks });
        store.record(Entry::Operator { command: "source add", about }, clock.now()).await?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        say(format!("{} takes webhooks of the {speaks} dialect", url(base.as_deref(), &name)))
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

impl Remove {
    async fn run(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        if store.remove_source(&SourceName::new(&self.name)).await? {
            let about = serde_json::json!({ "name": self.name });
            store.record(Entry::Operator { command: "source remove", about }, clock.now()).await?;
            say(format!("removed; /hooks/{} now answers 404", self.name))
        } else {
            Err(format!("there is no source named `{}`; `mailbell source list` shows those there are", self.name)
                .into())
        }
    }
}

fn url(base: Option<&str>, name: &str) -> String {
    format!("{}/hooks/{name}", base.unwrap_or_default())
}
