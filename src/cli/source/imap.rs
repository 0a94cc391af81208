//! A mailbox elsewhere as a source: how it is set up, how it does, and what to do at its provider.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};

use serde_json::json;

use super::super::{
    Failure,
    answer::{Answer, say_json},
    say,
    terminal::plain,
};
use crate::{
    bell::imap::{
        self, Trouble,
        settings::{self, CONNECTIONS_MAX, FOLDERS_MAX, MESSAGE_BYTES_MAX, Settings},
    },
    domain::{address::Address, clock::Clock},
    store::{
        bell::BellStore,
        received::{FolderState, Folders as _},
        sources::Source,
    },
};

/// The certificates of an authority, in bytes; more is another file.
const CA_BYTES_MAX: u64 = 1 << 20;
/// Folders that `source test` lists.
const LISTED_MAX: usize = 40;

/// How connections are secured.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Security {
    /// TLS from the first byte
    Tls,
    /// STARTTLS, which must be there
    Starttls,
    /// None: only to a server on this machine
    None,
}

#[derive(Args)]
#[command(next_help_heading = "A mailbox elsewhere (dialect imap)")]
pub(super) struct Imap {
    /// The IMAP server, by the name that its certificate bears
    #[arg(long)]
    host: Option<String>,
    /// Its port (993, or 143 without TLS from the first byte)
    #[arg(long)]
    port: Option<u16>,
    /// How connections are secured
    #[arg(long, value_enum, default_value = "tls")]
    security: Security,
    /// Trust the certificate authorities in this PEM file beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Who logs in
    #[arg(long)]
    user: Option<String>,
    /// The mailbox's address, where the user is not it
    #[arg(long)]
    address: Option<String>,
    /// Run this program for an OAuth access token instead of a password: no shell, what it prints is never logged
    #[arg(long, value_name = "PROGRAM")]
    token_command: Option<String>,
    /// An argument of the token command; once for each
    #[arg(long = "token-arg", value_name = "ARGUMENT", requires = "token_command", allow_hyphen_values = true)]
    token_args: Vec<String>,
    /// A folder to watch; once for each
    #[arg(long = "folder", value_name = "FOLDER", default_value = "INBOX")]
    folders: Vec<String>,
    /// Mark as seen in the mailbox what is in the log; without this nothing is changed there
    #[arg(long)]
    mark_seen: bool,
    /// Connections at once; folders beyond take turns
    #[arg(long, default_value_t = settings::connections() as u64, value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX as u64))]
    connections: u64,
    /// Keep larger messages by their headers alone, in bytes
    #[arg(long, default_value_t = settings::message_bytes(), value_parser = clap::value_parser!(u32).range(1024..=i64::from(MESSAGE_BYTES_MAX)))]
    message_bytes_max: u32,
}

impl Imap {
    /// Whether a mailbox is meant, also where no dialect is named.
    pub(super) fn is_meant(&self) -> bool {
        self.host.is_some()
    }

    /// Whether it logs in without a password.
    pub(super) fn needs_no_password(&self) -> bool {
        self.token_command.is_some()
    }

    /// The settings of the account.
    pub(super) fn settings(self) -> Result<Settings, Failure> {
        let host = self.host.ok_or("an imap source needs --host, the name of its server")?;
        let user = self.user.ok_or("an imap source needs --user, who logs in there")?;
        let security = match self.security {
            Security::Tls => settings::Security::Tls,
            Security::Starttls => settings::Security::Starttls,
            Security::None => settings::Security::None,
        };
        let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if security == settings::Security::None && !here {
            return Err(Trouble::Plain(host).into());
        }
        let address = self.address.as_deref().unwrap_or(&user);
        let mailbox: Address = address.parse().map_err(|_| {
            format!("`{address}` is no address; name the mailbox's with --address, such as --address ann@example.com")
        })?;
        let mut folders = self.folders;
        folders.dedup();
        if folders.len() > FOLDERS_MAX || folders.iter().any(|name| name.is_empty() || name.len() > 1000) {
            return Err(format!(
                "a source watches 1 to {FOLDERS_MAX} folders, each with a name; add another source for more"
            )
            .into());
        }
        let ca = match self.ca_file {
            Some(file) if std::fs::metadata(&file)?.len() <= CA_BYTES_MAX => Some(std::fs::read_to_string(file)?),
            Some(_) => return Err("--ca-file is larger than 1 MiB; give a PEM file with the authority alone".into()),
            None => None,
        };
        crate::tls::verified(ca.as_deref().map(str::as_bytes))
            .map_err(|error| format!("--ca-file cannot be used: {error}"))?;
        Ok(Settings {
            port: self.port.unwrap_or(security.port()),
            host,
            security,
            ca,
            user,
            mailbox: mailbox.to_string().to_lowercase(),
            token_command: self.token_command.into_iter().chain(self.token_args).collect(),
            folders,
            mark_seen: self.mark_seen,
            connections: usize::try_from(self.connections).unwrap_or(1),
            message_bytes_max: self.message_bytes_max,
        })
    }
}

/// Tells what was set up, and what has to be so at the provider.
pub(super) fn added(name: &str, settings: &Settings, answer: Answer) -> Result<(), Failure> {
    if answer.is_json() {
        return say_json(json!({
            "name": name, "dialect": imap::DIALECT, "mailbox": settings.mailbox, "folders": settings.folders,
            "mark_seen": settings.mark_seen, "steps": steps(&settings.host),
        }));
    }
    let folders = settings.folders.join(", ");
    say(format!("{name} watches {folders} of {} at {} port {}", settings.mailbox, settings.host, settings.port))?;
    for (n, step) in steps(&settings.host).iter().enumerate() {
        say(format!("  {}. {step}", n + 1))?;
    }
    say(if settings.mark_seen {
        "Messages in the log are marked as seen there; nothing else is changed in the mailbox."
    } else {
        "Nothing is changed in the mailbox. What is in it now is no news; what comes from now on is."
    })?;
    say(format!(
        "`mailbell source test {name}` logs in and says what would be watched; `mailbell doctor` says how it does."
    ))
}

/// What to do at the provider of `host`.
fn steps(host: &str) -> &'static [&'static str] {
    let host = host.to_ascii_lowercase();
    let of = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    if of("gmail.com") || of("googlemail.com") {
        &[
            "Gmail: switch 2-Step Verification on at https://myaccount.google.com/security",
            "make an app password at https://myaccount.google.com/apppasswords and give it as the secret, without spaces",
            "a Workspace account without app passwords: --token-command with a program that prints an OAuth token of the scope https://mail.google.com/",
        ]
    } else if of("office365.com") || of("outlook.com") {
        &[
            "Outlook and Microsoft 365 take no passwords over IMAP: register an app in Entra ID with the delegated permission IMAP.AccessAsUser.All",
            "give --token-command a program that prints its access token of the scope https://outlook.office.com/IMAP.AccessAsUser.All",
            "IMAP must be allowed: Exchange admin center, Recipients, Mailboxes, Email apps; for outlook.com in Settings, Mail, Forwarding and IMAP",
        ]
    } else if of("fastmail.com") || of("messagingengine.com") {
        &[
            "Fastmail: Settings, Privacy & Security, Manage app passwords and access, New app password, access: Mail (IMAP)",
            "give that app password as the secret",
        ]
    } else {
        &["at the provider, switch IMAP access on, and give an app password of your own for mailbell as the secret"]
    }
}

/// How the folders do, a line each.
pub(in crate::cli) async fn states(store: &BellStore, source: &Source) -> Result<Vec<FolderState>, Failure> {
    let watched = Settings::read(&source.settings).map(|settings| settings.folders).unwrap_or_default();
    let mut known = store.folders(&source.name).await?;
    let fresh = |folder: String| FolderState { folder, place: None, looked_at: None, trouble: None };
    for folder in watched {
        if !known.iter().any(|state| state.folder == folder) {
            known.push(fresh(folder));
        }
    }
    Ok(known)
}

/// One folder, in a sentence.
pub(super) fn sentence(state: &FolderState) -> String {
    let FolderState { folder, looked_at, trouble, .. } = state;
    match (trouble, looked_at) {
        (Some((why, since)), _) => format!("{folder}: not read since {since}: {why}"),
        (None, Some(at)) => format!("{folder}: all is well, the last news at {at}"),
        (None, None) => format!("{folder}: not read yet; `mailbell serve` reads it"),
    }
}

/// The same as JSON.
pub(super) fn json(state: &FolderState) -> serde_json::Value {
    serde_json::json!({
        "folder": state.folder,
        "looked_at": state.looked_at,
        "last_uid": state.place.map(|place| place.last_uid),
        "uid_validity": state.place.map(|place| place.uid_validity),
        "trouble": state.trouble.as_ref().map(|(why, _)| why),
        "trouble_since": state.trouble.as_ref().map(|(_, since)| since),
    })
}

/// How it is set up, as a line.
pub(super) fn shown(source: &Source) -> Result<String, Failure> {
    let settings = Settings::read(&source.settings)?;
    let by = if settings.token_command.is_empty() { "a password" } else { "an OAuth token" };
    Ok(format!(
        "{}  imap  {} at {} port {} ({:?}), by {by}; mark_seen {}, {} connection(s), messages of at most {} bytes",
        source.name,
        plain(&settings.user),
        plain(&settings.host),
        settings.port,
        settings.security,
        settings.mark_seen,
        settings.connections,
        settings.message_bytes_max
    ))
}

/// Logs in and tells what is there.
pub(super) async fn test(source: &Source, clock: Arc<dyn Clock>, answer: Answer) -> Result<(), Failure> {
    let found = imap::look(source, clock).await?;
    let missing = found.watched.iter().filter(|(_, opened)| opened.is_err()).count();
    if answer.is_json() {
        let watched = found.watched.iter().map(|(folder, opened)| match opened {
            Ok(count) => json!({ "folder": folder, "messages": count }),
            Err(why) => json!({ "folder": folder, "trouble": why }),
        });
        let watched: Vec<_> = watched.collect();
        say_json(json!({ "name": source.name, "idle": found.idles, "folders": found.folders, "watched": watched }))?;
    } else {
        tell_what_is_there(found)?;
    }
    if missing > 0 {
        return Err(
            "a folder cannot be opened; `source remove` and `source add` the source with names from the list".into()
        );
    }
    Ok(())
}

fn tell_what_is_there(found: imap::Findings) -> Result<(), Failure> {
    say(if found.idles {
        "logged in; the server tells of new messages by itself (IDLE)"
    } else {
        "logged in; the server has no IDLE, so it is asked every minute"
    })?;
    let more = found.folders.len().saturating_sub(LISTED_MAX);
    let listed = found.folders.iter().take(LISTED_MAX).map(|name| plain(name)).collect::<Vec<_>>().join(", ");
    say(format!("folders there: {listed}{}", if more > 0 { format!(", and {more} more") } else { String::new() }))?;
    for (folder, opened) in found.watched {
        match opened {
            Ok(count) => say(format!("  {}: would be watched; {count} message(s) in it", plain(&folder)))?,
            Err(why) => say(format!("  {}: cannot be opened: {}", plain(&folder), plain(&why)))?,
        }
    }
    Ok(())
}
