//! `mailbell backup` and `mailbell restore`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{
    Failure, Where,
    answer::{Answer, say_json},
    exit::Uneasy,
    progress::Bar,
    say, time_and_ids,
};
use crate::app::backup::{Backup, Restored, Restoring};

/// `mailbell backup`
#[derive(Args)]
pub(super) struct Make {
    /// A new directory for the backup
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Also what proves who somebody is: secrets of sources and webhooks, hashes of tokens and keys, token files, the audit
    /// record's key. Whoever has such a backup can be you
    #[arg(long)]
    with_secrets: bool,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    place: Where,
}

impl Make {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { to, with_secrets, answer, place } = self;
        let dir = place.open()?;
        let (clock, ids) = time_and_ids();
        let bar = Bar::new(answer.is_json());
        let backup = Backup { dir: &dir, to: &to, with_secrets };
        let manifest = backup.make(&*clock, &ids, &mut |progress| bar.show(progress)).await?;
        drop(bar);
        let done = format!(
            "backed up to {}: {} events, {} messages, as of {}, {} secrets",
            to.display(),
            manifest.events,
            manifest.messages,
            manifest.at,
            if with_secrets { "with" } else { "without" },
        );
        answer.give(&manifest, done)?;
        lost(manifest.raw_mail.lost.len(), dir.root())
    }
}

/// Raw mail that is not there is no reason to have no backup, and one to look.
fn lost(files: usize, root: &Path) -> Result<(), Failure> {
    if files == 0 {
        return Ok(());
    }
    Err(Box::new(Uneasy(format!(
        "the raw bytes of {files} messages are missing or damaged in {}, and so they are in the backup (manifest.json names them); look at the disk, and whether an older backup has them",
        root.join("blobs").display()
    ))))
}

/// `mailbell restore`
#[derive(Args)]
pub(super) struct Restore {
    /// A directory that `mailbell backup` made
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The file with the key of the audit record (`audit.key`, or what `audit.key_file` names), where the backup is without secrets
    #[arg(long, value_name = "FILE")]
    audit_key: Option<PathBuf>,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    place: Where,
}

impl Restore {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { from, audit_key, answer, place } = self;
        let to = place.root()?;
        let (clock, ids) = time_and_ids();
        let bar = Bar::new(answer.is_json());
        let restoring = Restoring { from: &from, to: &to, audit_key: audit_key.as_deref() };
        let restored = restoring.restore(&*clock, &ids, &mut |progress| bar.show(progress)).await?;
        drop(bar);
        if answer.is_json() { tell_programs(&restored, &to) } else { tell_people(&restored, &to) }
    }
}

fn tell_programs(restored: &Restored, to: &Path) -> Result<(), Failure> {
    let Restored { manifest, log, new_secrets, record_goes_on, record_before } = restored;
    say_json(json!({
        "data_dir": to, "log": log, "was_log": manifest.log, "at": manifest.at, "events": manifest.events,
        "messages": manifest.messages, "paused": true, "with_secrets": manifest.with_secrets,
        "new_webhook_secrets": new_secrets, "audit_goes_on": record_goes_on, "audit_before": record_before,
    }))
}

fn tell_people(restored: &Restored, to: &Path) -> Result<(), Failure> {
    let Restored { manifest, new_secrets, record_goes_on, record_before, .. } = restored;
    say(format_args!(
        "restored {} events and {} messages, as of {}, into {}",
        manifest.events,
        manifest.messages,
        manifest.at,
        to.display()
    ))?;
    say("It is a new log: cursors of the old one are refused, and leases are over.")?;
    if !record_goes_on {
        let before = record_before.as_deref().map_or_else(String::new, |path| path.display().to_string());
        say(format_args!(
            "The audit record begins anew, because its key is not here; the one from before is in {before}."
        ))?;
    }
    if !manifest.with_secrets {
        say("The backup is without secrets. Before anything works as before:")?;
        say("  make the operator token: mailbell token operator (on a terminal), or serve --operator-token-file FILE")?;
        say("  give each source its secret again: mailbell source list")?;
        if *new_secrets > 0 {
            say(format_args!(
                "  {new_secrets} webhooks have a new secret; give it to those who check it: mailbell webhook list"
            ))?;
        }
        say("  make agents' tokens and API keys again: mailbell token create")?;
    }
    say(
        "Mail and webhooks are held. What was sent after the backup would be sent again: look first, then let go with",
    )?;
    say("  mailbell resume")?;
    Ok(std::io::stdout().flush()?)
}
