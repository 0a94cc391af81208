//! `mailbell source add`: what a source of each dialect needs, and what to do in its provider's dashboard.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    super::{Failure, Where, say, time_and_ids},
    url,
};
use crate::{
    app::bell_side::open_bell_store,
    bell::sources::{
        dialect, names,
        settings::{Mapping, Settings, TOLERANCE_SECS_MAX},
    },
    domain::{id::SourceName, secret::Secret},
    signing::ecdsa,
    store::{
        audit::{AuditLog as _, Entry},
        sources::Sources as _,
    },
};

/// A secret shorter than this can be guessed; providers give 24 characters and more.
const SECRET_CHARS_MIN: usize = 16;
/// No provider's secret is longer.
const SECRET_BYTES_MAX: u64 = 1024;
/// A mapping is a screen or two of JSON.
const MAPPING_BYTES_MAX: u64 = 64 << 10;
/// A name is part of a URL, and of every event of the source.
const NAME_CHARS_MAX: usize = 64;

#[derive(Args)]
pub(in super::super) struct Add {
    /// The last part of its URL: letters, digits and hyphens
    name: String,
    /// How it speaks
    #[arg(long, default_value = "multimail")]
    dialect: String,
    /// Read the signing secret from stdin (one line); it never stands on the command line. Amazon SES has none
    #[arg(long)]
    secret_stdin: bool,
    /// The ARN of a topic that Amazon SES tells by; may be given several times
    #[arg(long = "topic", value_name = "ARN")]
    topics: Vec<String>,
    /// Refuse signatures by SHA-1, which topics make until their signature version is set to 2
    #[arg(long)]
    sha256_only: bool,
    /// How a sender that no dialect is written for signs and spells, as JSON (docs/providers.md)
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// How far a signed timestamp may lie from this machine's clock, in seconds either way (300 unless given)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(TOLERANCE_SECS_MAX)))]
    tolerance_secs: Option<u32>,
    #[command(flatten)]
    place: Where,
}

impl Add {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let settings = self.settings()?;
        let Self { name, dialect: speaks, secret_stdin, place, .. } = self;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !name.starts_with('-');
        if !plain || name.is_empty() || name.len() > NAME_CHARS_MAX {
            return Err(format!(
                "`{name}` is no name for a source; use up to {NAME_CHARS_MAX} letters, digits and hyphens"
            )
            .into());
        }
        let Some(speaker) = dialect(&speaks) else {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(format!("there is no dialect `{speaks}`; there are: {known}").into());
        };
        speaker.check(&settings)?;
        let manual = speaker.manual();
        let secret = match (manual.secret, secret_stdin) {
            (Some(_), true) => Some(secret_from_stdin(&speaks)?),
            (None, false) => None,
            (Some(secret), false) => {
                return Err(
                    format!("the {speaks} dialect needs {secret}: give it on stdin, with --secret-stdin").into()
                );
            }
            (None, true) => {
                return Err(format!("the {speaks} dialect has no secret; leave --secret-stdin out").into());
            }
        };
        let (clock, ids) = time_and_ids();
        let dir = place.open()?;
        let store = open_bell_store(&dir, &ids).await?;
        let source = SourceName::new(&name);
        store.add_source(&source, &speaks, secret.as_ref(), clock.now()).await?;
        if settings != Settings::default() {
            store.set_up(&source, &settings.stored()).await?;
        }
        let about = serde_json::json!({ "name": name, "dialect": speaks });
        store.record(Entry::Operator { command: "source add", about }, clock.now()).await?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        let url = url(base.as_deref(), &name);
        say(format!("{url} takes webhooks of the {speaks} dialect"))?;
        for (n, step) in manual.steps.iter().enumerate() {
            say(format!("  {}. {}", n + 1, step.replace("{url}", &url)))?;
        }
        if let Some(secret) = manual.secret {
            say(format!("Its secret is {secret}."))?;
        }
        say(format!("A provider on the internet needs a public URL in place of {url}."))
    }

    /// How it is to be set up, of which its dialect has to approve.
    fn settings(&self) -> Result<Settings, Failure> {
        let for_ses = !self.topics.is_empty() || self.sha256_only;
        if for_ses && self.dialect != "ses" {
            return Err("--topic and --sha256-only are for --dialect ses".into());
        }
        if self.mapping.is_some() && self.dialect != "generic" {
            return Err("--mapping is for --dialect generic; the others know what their providers say".into());
        }
        let mapping = self.mapping.as_deref().map(read_mapping).transpose()?;
        let (topics, sha256_only) = (self.topics.clone(), self.sha256_only);
        Ok(Settings { tolerance_secs: self.tolerance_secs, topics, sha256_only, mapping })
    }
}

fn read_mapping(path: &Path) -> Result<Mapping, Failure> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("could not read {}: {error}", path.display()))?;
    file.take(MAPPING_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAPPING_BYTES_MAX {
        return Err(format!("a mapping has at most {MAPPING_BYTES_MAX} bytes").into());
    }
    Ok(Mapping::read(&text)?)
}

/// One secret from stdin, such that a source of the dialect can use it.
pub(super) fn secret_from_stdin(speaks: &str) -> Result<Secret, Failure> {
    let mut secret = String::new();
    std::io::stdin().take(SECRET_BYTES_MAX + 1).read_to_string(&mut secret)?;
    let secret = secret.trim();
    if secret.chars().count() < SECRET_CHARS_MIN || secret.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!(
            "a signing secret has {SECRET_CHARS_MIN} to {SECRET_BYTES_MAX} characters; give it as one line on stdin"
        )
        .into());
    }
    let secret = Secret::new(secret);
    if speaks == "sendgrid" && ecdsa::public_key(&secret).is_none() {
        return Err(
            "SendGrid's verification key is a P-256 public key in base64, beginning with MFkw; give that".into()
        );
    }
    Ok(secret)
}
