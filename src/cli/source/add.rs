//! `mailbell source add`: what a source of each dialect needs, and what to do in its provider's dashboard.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{
    super::{
        Failure, Where,
        answer::{Answer, say_json},
        say, time_and_ids,
    },
    imap, url,
};
use crate::{
    app::bell_side::open_bell_store,
    bell::{
        imap::DIALECT as IMAP,
        sources::{
            dialect, names,
            settings::{Mapping, Settings, TOLERANCE_SECS_MAX},
        },
        webhooks::SOURCE,
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
    /// How it speaks (multimail, or imap where there is a --host)
    #[arg(long)]
    dialect: Option<String>,
    /// Read the signing secret, or the mailbox's app password, from stdin (one line); it never stands on the command line.
    /// Amazon SES has none
    #[arg(long)]
    secret_stdin: bool,
    /// Read it from this file (one line)
    #[arg(long, value_name = "FILE", conflicts_with = "secret_stdin")]
    secret_file: Option<PathBuf>,
    /// The ARN of a topic that Amazon SES tells by; may be given several times
    #[arg(long = "topic", value_name = "ARN")]
    topics: Vec<String>,
    /// Refuse signatures by SHA-1, which topics make until their signature version is set to 2
    #[arg(long)]
    sha256_only: bool,
    /// How a sender that no dialect is written for signs and spells, as JSON (docs/providers.md)
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Read a key of the provider's API from this file (one line): for what its webhooks do not carry, as Resend's leave out the
    /// text
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// How far a signed timestamp may lie from this machine's clock, in seconds either way (300 unless given)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(TOLERANCE_SECS_MAX)))]
    tolerance_secs: Option<u32>,
    #[command(flatten)]
    imap: imap::Imap,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

impl Add {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let plain = self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !self.name.starts_with('-');
        if !plain || self.name.is_empty() || self.name.len() > NAME_CHARS_MAX {
            return Err(format!(
                "`{}` is no name for a source; use up to {NAME_CHARS_MAX} letters, digits and hyphens",
                self.name
            )
            .into());
        }
        let speaks =
            self.dialect.clone().unwrap_or_else(|| if self.imap.is_meant() { IMAP } else { SOURCE }.to_owned());
        let settings = self.settings(&speaks)?;
        let has_secret = self.secret_stdin || self.secret_file.is_some();
        let Self { name, secret_file, api_key_file, imap, place, answer, .. } = self;
        let api_key = api_key_file.map(|file| api_key(&speaks, &file)).transpose()?;
        if speaks == IMAP {
            if imap.needs_no_password() == has_secret {
                return Err(
                    "a mailbox is opened by its app password, with --secret-stdin or --secret-file, or else by a \
                            --token-command: give one of them"
                        .into(),
                );
            }
            let secret = has_secret.then(|| secret_from(secret_file, IMAP)).transpose()?;
            return watch(&name, secret.as_ref(), &imap.settings()?, &place, answer).await;
        }
        if imap.is_meant() {
            return Err(format!("--host belongs to a mailbox, of the dialect {IMAP}; leave it or --dialect out").into());
        }
        let Some(speaker) = dialect(&speaks) else {
            let known = names().chain([IMAP]).collect::<Vec<_>>().join(", ");
            return Err(format!("there is no dialect `{speaks}`; there are: {known}").into());
        };
        speaker.check(&settings)?;
        let manual = speaker.manual();
        let secret = match (manual.secret, has_secret) {
            (Some(_), true) => Some(secret_from(secret_file, &speaks)?),
            (None, false) => None,
            (Some(secret), false) => {
                return Err(format!(
                    "the {speaks} dialect needs {secret}: give it with --secret-stdin or --secret-file"
                )
                .into());
            }
            (None, true) => {
                return Err(
                    format!("the {speaks} dialect has no secret; leave --secret-stdin and --secret-file out").into()
                );
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
        if api_key.is_some() {
            store.set_api_key(&source, api_key.as_ref()).await?;
        }
        let about = json!({ "name": name, "dialect": speaks });
        store.record(Entry::Operator { command: "source add", about }, clock.now()).await?;
        let base = dir.published()?.and_then(|published| published.addresses.hooks);
        let url = url(base.as_deref(), &name);
        if answer.is_json() {
            let steps: Vec<_> = manual.steps.iter().map(|step| step.replace("{url}", &url)).collect();
            return say_json(json!({ "name": name, "dialect": speaks, "url": url, "steps": steps }));
        }
        say(format!("{url} takes webhooks of the {speaks} dialect"))?;
        for (n, step) in manual.steps.iter().enumerate() {
            say(format!("  {}. {}", n + 1, step.replace("{url}", &url)))?;
        }
        if let Some(secret) = manual.secret {
            say(format!("Its secret is {secret}."))?;
        }
        if let Some(remainder) = speaker.remainder().filter(|_| api_key.is_none()) {
            let provider = remainder.provider();
            say(format!(
                "{provider}'s webhooks leave out the text of messages: mailbell source api-key {name} --file FILE has it fetched \
                 with a key of {provider}'s API."
            ))?;
        }
        say(format!("A provider on the internet needs a public URL in place of {url}."))
    }

    /// How it is to be set up, of which its dialect has to approve.
    fn settings(&self, speaks: &str) -> Result<Settings, Failure> {
        let for_ses = !self.topics.is_empty() || self.sha256_only;
        if for_ses && speaks != "ses" {
            return Err("--topic and --sha256-only are for --dialect ses".into());
        }
        if self.mapping.is_some() && speaks != "generic" {
            return Err("--mapping is for --dialect generic; the others know what their providers say".into());
        }
        if self.tolerance_secs.is_some() && speaks == IMAP {
            return Err("--tolerance-secs is for webhooks; a mailbox signs nothing".into());
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

/// A key of the provider's API from a file, for a dialect that has use for one.
pub(super) fn api_key(speaks: &str, file: &Path) -> Result<Secret, Failure> {
    if dialect(speaks).is_none_or(|speaker| speaker.remainder().is_none()) {
        return Err(format!("the {speaks} dialect asks no API; a key is for --dialect resend").into());
    }
    let mut key = String::new();
    File::open(file)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut key)?;
    let key = key.trim();
    let plain =
        !key.is_empty() && key.len() as u64 <= SECRET_BYTES_MAX && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain {
        return Err(format!("a key is one line of 1 to {SECRET_BYTES_MAX} visible ASCII characters").into());
    }
    Ok(Secret::new(key))
}

/// Adds a mailbox elsewhere, for the keeper to watch.
async fn watch(
    name: &str,
    password: Option<&Secret>,
    settings: &crate::bell::imap::settings::Settings,
    place: &Where,
    answer: Answer,
) -> Result<(), Failure> {
    let (clock, ids) = time_and_ids();
    let store = open_bell_store(&place.open()?, &ids).await?;
    let source = SourceName::new(name);
    store.add_source(&source, IMAP, password, clock.now()).await?;
    store.set_up(&source, &settings.stored()).await?;
    let about = json!({ "name": name, "dialect": IMAP, "mailbox": settings.mailbox });
    store.record(Entry::Operator { command: "source add", about }, clock.now()).await?;
    imap::added(name, settings, answer)
}

/// One secret from a file, or else from stdin, such that a source of the dialect can use it.
pub(super) fn secret_from(file: Option<PathBuf>, speaks: &str) -> Result<Secret, Failure> {
    let mut secret = String::new();
    match file {
        Some(file) => File::open(file)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut secret)?,
        None => std::io::stdin().take(SECRET_BYTES_MAX + 1).read_to_string(&mut secret)?,
    };
    if speaks == IMAP {
        // A password is as it is, but for the end of its line.
        let password = secret.trim_end_matches(['\r', '\n']);
        if password.is_empty() || password.len() as u64 > SECRET_BYTES_MAX || password.contains(['\r', '\n', '\0']) {
            return Err(format!("a password is one line of 1 to {SECRET_BYTES_MAX} bytes").into());
        }
        return Ok(Secret::new(password));
    }
    let secret = secret.trim();
    if secret.chars().count() < SECRET_CHARS_MIN || secret.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!(
            "a signing secret has {SECRET_CHARS_MIN} to {SECRET_BYTES_MAX} characters; give it as one line"
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
