//! `mailbell doctor`: looks over everything a mailbell stands on. Each line says what is so, and where something is not as it
//! should be, what to do.

mod around;
mod keeper;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Failure, Where,
    answer::{Answer, say_json, say_marked},
    exit::Uneasy,
    terminal::{bad, good, plain, uneasy},
    time_and_ids,
};
use crate::{
    app::{bell_side::open_bell_store, data_dir::DataDir},
    config::Config,
    domain::{
        address::ascii_domain,
        clock::{Clock, UnixMillis},
        notice::NoticeTarget,
    },
    mail::space::{FileSystemOf, FreeSpace as _},
    store::{
        audit::{AuditLog as _, Verdict},
        bell, mail,
        notices::Notices as _,
        survey::Survey,
    },
};

/// A disk with less than this free is close to refusing mail.
const FREE_BYTES_LOW: u64 = 512 << 20;
/// A row that was made later than now by more than this tells of a clock that was set back.
const AHEAD_MILLIS: i64 = 60_000;

#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    place: Where,
    /// The settings' file [default: `$XDG_CONFIG_HOME/mailbell/config.toml`, where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    answer: Answer,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Failed,
}

/// One line.
#[derive(Serialize)]
struct Check {
    #[serde(rename = "check")]
    name: &'static str,
    state: State,
    says: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    data: Value,
}

impl Check {
    fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, state: State::Ok, says: says.into(), todo: None, data: Value::Null }
    }

    fn bad(name: &'static str, state: State, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name, state, says: says.into(), todo: Some(todo.into()), data: Value::Null }
    }

    fn with(self, data: Value) -> Self {
        Self { data, ..self }
    }
}

impl Doctor {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let dir = self.place.open()?;
        let (clock, _) = time_and_ids();
        let (settings, config) = around::settings(self.config);
        let mut checks = vec![settings, around::clock(&*clock), disk(&dir)];
        checks.extend(database("bell.db", &dir.bell_db(), bell::survey(&dir.bell_db()).await, &*clock));
        if dir.mail_db().exists() {
            checks.extend(database("mail.db", &dir.mail_db(), mail::survey(&dir.mail_db()).await, &*clock));
        }
        let (files, bytes) = weigh(&dir.blobs());
        checks.push(
            Check::ok("raw mail", format!("{files} messages in files, {}", size(bytes)))
                .with(json!({ "files": files, "bytes": bytes })),
        );
        // Opened for its key, it would bring an older schema up to date.
        if checks.iter().any(|check| check.name == "bell.db" && check.state == State::Ok) {
            let store = open_bell_store(&dir, &time_and_ids().1).await?;
            checks.push(audit(&store).await);
            checks.extend(around::sources(&store, &*clock).await);
            checks.extend(sources::mailboxes(&store).await);
            checks.extend(sources::webhooks(&store, &*clock).await);
            checks.extend(sources::weight(&store).await);
            if let Some(config) = &config {
                checks.extend(notices(&store, config).await?);
            }
        }
        let published = keeper::lives(&dir).await?;
        if let Some((_, published)) = &published {
            checks.extend(keeper::clock_was_set(published, &*clock));
        }
        checks.extend(keeper::checks(published.as_ref()).await);
        let published = published.map(|(_, published)| published);
        checks.extend(around::public_url(&dir, published.as_ref(), config.as_ref()).await);
        let failed = checks.iter().filter(|check| check.state == State::Failed).count();
        if self.answer.is_json() {
            say_json(json!({ "ok": failed == 0, "checks": checks }))?;
        } else {
            for check in &checks {
                let (style, mark) = match check.state {
                    State::Ok => (good(), "ok     "),
                    State::Warning => (uneasy(), "warning"),
                    State::Failed => (bad(), "failed "),
                };
                let todo = check.todo.as_ref().map(|todo| format!(": {todo}")).unwrap_or_default();
                say_marked("", style, mark, format_args!(" {:<10} {}{todo}", check.name, plain(&check.says)))?;
            }
        }
        let warnings = checks.iter().filter(|check| check.state == State::Warning).count();
        match (failed, warnings) {
            (0, 0) => Ok(()),
            (0, _) => {
                let says = format!("{}; each line says what to do", counted(warnings, "warning", "warnings"));
                Err(Box::new(Uneasy(says)))
            }
            _ => Err(format!("{}; each line says what to do", counted(failed, "check failed", "checks failed")).into()),
        }
    }
}

fn disk(dir: &DataDir) -> Check {
    match FileSystemOf(dir.root().to_owned()).free_bytes() {
        Ok(free) if free < FREE_BYTES_LOW => Check::bad(
            "disk",
            State::Warning,
            format!("{} free at {}", size(free), dir.root().display()),
            "make room, or keep less with [retention]: a full disk answers webhooks 503 and mail 452",
        ),
        Ok(free) => Check::ok("disk", format!("{} free at {}", size(free), dir.root().display())),
        Err(error) => Check::bad(
            "disk",
            State::Failed,
            error.to_string(),
            "see whether the file system of the data directory is there",
        ),
    }
}

fn database(
    name: &'static str,
    path: &Path,
    survey: Result<Survey, crate::store::StoreError>,
    clock: &dyn Clock,
) -> Vec<Check> {
    if !path.exists() {
        return vec![Check::bad(
            name,
            State::Warning,
            "is not there yet",
            "start `mailbell serve` on this data directory once",
        )];
    }
    let survey = match survey {
        Ok(survey) => survey,
        Err(error) => {
            let todo = "end all mailbell processes of this data directory, keep a copy of it, and restore the database from a backup";
            return vec![Check::bad(name, State::Failed, format!("cannot be read: {error}"), todo)];
        }
    };
    let Survey { schema, schema_known, faults, tables } = &survey;
    if schema > schema_known {
        let says = format!("has schema {schema}, written by a newer mailbell; this one knows {schema_known}");
        return vec![Check::bad(name, State::Failed, says, "run that version, or one later than it")];
    }
    if !faults.is_empty() {
        let todo = "end all mailbell processes of this data directory, keep a copy of it, and restore the database from a backup";
        return vec![Check::bad(name, State::Failed, format!("is damaged: {}", faults.join("; ")), todo)];
    }
    if schema < schema_known {
        let says = format!("has schema {schema} and this version needs {schema_known}");
        return vec![Check::bad(name, State::Warning, says, "start `mailbell serve`, which brings it up to date")];
    }
    let bytes: u64 = ["", "-wal", "-shm"]
        .iter()
        .filter_map(|ending| fs::metadata(format!("{}{ending}", path.display())).ok())
        .map(|file| file.len())
        .sum();
    let rows: Vec<String> = tables
        .iter()
        .map(|table| {
            let oldest = table.oldest.map(|at| format!(" since {at}")).unwrap_or_default();
            format!("{} {}{oldest}", table.rows, table.table)
        })
        .collect();
    let whole = Check::ok(name, format!("whole, {}: {}", size(bytes), rows.join(", ")))
        .with(json!({ "bytes": bytes, "survey": survey }));
    let newest = tables.iter().filter_map(|table| table.newest).max().unwrap_or(UnixMillis(0));
    let now = clock.now();
    if newest.0 > now.0 + AHEAD_MILLIS {
        let says = format!("it is {now}, and {name} holds something of {newest}");
        let todo = "see whether this machine's clock is right (timedatectl)";
        return vec![whole, Check::bad("clock", State::Warning, says, todo)];
    }
    vec![whole]
}

async fn audit(store: &bell::BellStore) -> Check {
    match store.verify(None).await.map_err(|error| error.to_string()) {
        Ok(Verdict::Whole { entries, head, .. }) => Check::ok("audit", format!("whole, {entries} entries"))
            .with(json!({ "entries": entries, "head": head.to_string() })),
        Ok(Verdict::Broken { id, why }) => Check::bad(
            "audit",
            State::Failed,
            format!("does not hold from entry {id} on: {why}"),
            "compare it with an export or a backup from before",
        ),
        Err(error) => Check::bad("audit", State::Failed, error, "see the log"),
    }
}

/// How it stands with telling the operator.
async fn notices(store: &bell::BellStore, config: &Config) -> Result<Vec<Check>, Failure> {
    let standing = store.notice_standing().await?;
    let named = config.operator.notify.iter().map(ToString::to_string);
    let overseers = standing.iter().map(|one| one.target.clone()).filter(|target| target.starts_with("mailbox:"));
    let mut checks = Vec::new();
    for text in named.chain(overseers) {
        let Ok(target) = text.parse::<NoticeTarget>() else { continue };
        let shown = target.shown();
        let one = standing.iter().find(|one| one.target == text);
        // The settings do not know the domains that the API added; what was told there shows that there is a way.
        if one.is_none_or(|one| one.told_at.is_none())
            && let NoticeTarget::Address(address) = &target
            && config.mail.relay.host.is_none()
            && !config.mail.domains.iter().any(|ours| ascii_domain(ours) == address.domain())
        {
            let todo = "set mail.relay, or name a URL or an address at a domain whose mail is taken here";
            let says = format!("{shown} of operator.notify is at none of mail.domains, and no relay is set");
            checks.push(Check::bad("notify", State::Warning, says, todo));
            continue;
        }
        let Some(one) = one else {
            checks.push(Check::ok("notify", format!("{shown}: nothing was told yet")));
            continue;
        };
        let data = json!({ "target": shown, "waiting": one.waiting, "told_at": one.told_at, "given_up_at": one.given_up_at,
            "failure": one.failure.as_ref().map(|(why, _)| why) });
        let told = one.told_at.map_or("nothing was told yet".to_owned(), |at| format!("last told {at}"));
        let waiting = if one.waiting > 0 { format!(", {} notices wait", one.waiting) } else { String::new() };
        let fails = one.failure.as_ref().filter(|(_, tried)| *tried || one.given_up_at > one.told_at);
        checks.push(match fails {
            Some((why, tried)) => {
                let gone = if *tried { "is tried again" } else { "was given up" };
                let says = format!("{shown}: {told}{waiting}; a letter {gone}: {why}");
                Check::bad("notify", State::Warning, says, "try it with `mailbell notify test`").with(data)
            }
            None => Check::ok("notify", format!("{shown}: {told}{waiting}")).with(data),
        });
    }
    Ok(checks)
}

/// The files under `root`, and their bytes.
fn weigh(root: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for shelf in fs::read_dir(root).into_iter().flatten().flatten() {
        for file in fs::read_dir(shelf.path()).into_iter().flatten().flatten() {
            if let Ok(file) = file.metadata() {
                files += 1;
                bytes += file.len();
            }
        }
    }
    (files, bytes)
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
