//! The mailbox one already has: watched over IMAP, so that its mail rings the bell like any other.
//!
//! [`Watch`] runs in the keeper. It starts a [`reader`] for each source of the dialect `imap`, one connection a folder as far
//! as the account's limit goes, and ends it when the source is removed or changed. A reader logs in ([`connect`]), brings what
//! is new since the last UID that the store knows ([`catch_up`]), and then idles until the server says that more came.
//!
//! **Nothing is changed in the mailbox** unless the source says `mark_seen`: folders are opened by EXAMINE and messages read
//! by BODY.PEEK. **Each message is one event**: its identity, its events and the folder's place are one transaction, under the
//! keeper's epoch. After a change of UIDVALIDITY the whole folder is looked through again, and what is known by its identity,
//! or came in before the source was there, is passed over.
//!
//! A server is believed nothing: every answer has limits in bytes and in time ([`wire`]), and its words reach the operator's
//! terminal alone.

mod catch_up;
mod connect;
mod credentials;
mod folder;
mod names;
mod reader;
mod session;
pub mod settings;
mod trouble;
mod wire;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::trouble::Trouble;
use self::{
    reader::{Company, Reader},
    session::Session,
    settings::Settings,
};
use crate::{
    bell::letter::ReadLetter,
    domain::{clock::Clock, id::SourceName},
    ids::{Entropy, Ids},
    store::{
        StoreError,
        received::Folders,
        sources::{Source, Sources},
    },
    wake::Bell,
};

/// The dialect of these sources. They have no webhooks, and `/hooks` knows nothing of them.
pub const DIALECT: &str = "imap";
/// How often to look whether a source came, changed or went: an operator who adds one sees it at work at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The name by which the log knows an account's events: no source of webhooks can have it.
pub fn told_by(name: &SourceName) -> SourceName {
    SourceName::new(format!("{DIALECT}:{name}"))
}

/// What a [`Watch`] is made from.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the part of its name")]
pub struct Parts {
    pub sources: Arc<dyn Sources>,
    pub folders: Arc<dyn Folders>,
    pub bell: Bell,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<Ids>,
    pub entropy: Arc<dyn Entropy>,
    pub read_letter: ReadLetter,
    /// Of the term in which this runs.
    pub epoch: i32,
}

/// Watches every configured mailbox, as long as a term lasts.
pub struct Watch {
    parts: Parts,
    running: HashMap<SourceName, Running>,
    version: Option<i64>,
}

/// An account that is watched.
struct Running {
    source: Source,
    end: CancellationToken,
    readers: TaskTracker,
}

impl Watch {
    /// One that has begun nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self { parts, running: HashMap::new(), version: None }
    }

    /// Watches until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.follow().await {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "could not look which mailboxes to watch; looking again");
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.parts.clock.sleep(LOOK_EVERY) => {}
            }
        }
        for running in self.running.values() {
            running.end.cancel();
        }
        for running in self.running.values() {
            running.readers.wait().await;
        }
    }

    /// Begins what is new, ends what is gone, and begins anew what was changed.
    async fn follow(&mut self) -> Result<(), StoreError> {
        let version = self.parts.sources.version().await?;
        if self.version == Some(version) {
            return Ok(());
        }
        let all = self.parts.sources.sources().await?;
        let wanted: Vec<Source> = all.into_iter().filter(|source| source.dialect == DIALECT).collect();
        let ended: Vec<SourceName> = self
            .running
            .iter()
            .filter(|(_, running)| !wanted.iter().any(|source| same(source, &running.source)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            if let Some(running) = self.running.remove(&name) {
                running.end.cancel();
                running.readers.wait().await;
            }
        }
        for source in wanted {
            if !self.running.contains_key(&source.name) {
                self.begin(source);
            }
        }
        self.version = Some(version);
        Ok(())
    }

    fn begin(&mut self, source: Source) {
        let (end, readers) = (CancellationToken::new(), TaskTracker::new());
        match Settings::read(&source.settings) {
            Ok(settings) => {
                readers.spawn(read_account(self.parts.clone(), source.clone(), settings, end.clone()));
            }
            // Between `add` and what it is set to, which follows at once.
            Err(_) if source.settings == "{}" => {}
            Err(error) => tracing::warn!(%error, source = %source.name, "a mailbox is not watched"),
        }
        readers.close();
        self.running.insert(source.name.clone(), Running { source, end, readers });
    }
}

/// Reads an account until `end`, over as many connections as it has; over one, once the server has refused another beside one
/// that is open.
async fn read_account(parts: Parts, source: Source, settings: Settings, end: CancellationToken) {
    let (company, readers, over) = (Company::default(), TaskTracker::new(), end.child_token());
    for (nth, folders) in settings.shares().into_iter().enumerate() {
        let reader = Reader::new(parts.clone(), &source, settings.clone(), folders);
        let reader = reader.in_company(company.clone(), nth == 0);
        readers.spawn(reader.run(over.clone()));
    }
    readers.close();
    tokio::select! {
        () = readers.wait() => return,
        () = company.crowded.cancelled() => {}
    }
    over.cancel();
    readers.wait().await;
    if !end.is_cancelled() {
        tracing::info!(source = %source.name, "the server takes no further connection; one reads all folders");
        let folders = settings.folders.clone();
        Reader::new(parts, &source, settings, folders).run(end).await;
    }
}

/// Whether a source is as it was, so that its readers may go on.
fn same(now: &Source, before: &Source) -> bool {
    (&now.name, now.created_at, &now.settings, &now.secrets)
        == (&before.name, before.created_at, &before.settings, &before.secrets)
}

/// What a look at an account finds, for `mailbell source test`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Whether the server tells of new mail by itself.
    pub idles: bool,
    /// The folders there, as the server spells them.
    pub folders: Vec<String>,
    /// The watched folders: name, and messages in it, or why it cannot be opened.
    pub watched: Vec<(String, Result<u32, String>)>,
}

/// Logs in, lists the folders and opens those that are watched, without changing anything.
pub async fn look(source: &Source, clock: Arc<dyn Clock>) -> Result<Findings, Trouble> {
    let settings = Settings::read(&source.settings).map_err(|_| Trouble::Unset)?;
    let mut session = Session::open(&settings, source.secrets.first(), clock).await?;
    let folders = session.list().await?;
    let asked: Vec<&str> = settings.folders.iter().map(String::as_str).collect();
    let sent = session.sent_among(&asked).await?;
    let mut watched = Vec::new();
    for folder in &settings.folders {
        if sent.contains(folder) {
            watched.push((folder.clone(), Err(Trouble::Sent(folder.clone()).to_string())));
            continue;
        }
        let opened = match session.examine(folder, false).await {
            Ok(opened) => Ok(opened.exists),
            Err(Trouble::Said { said, .. }) => Err(said),
            Err(trouble) => return Err(trouble),
        };
        watched.push((folder.clone(), opened));
    }
    let folders = folders.into_iter().map(|folder| folder.name).collect();
    let findings = Findings { idles: session.idles(), folders, watched };
    session.log_out().await;
    Ok(findings)
}
