//! The mail wing's store in SQLite: one database, its rows and SQL by subject.

pub mod carried;
mod closing;
mod deliveries;
mod domains;
mod fanout;
mod found;
mod heads;
mod keys;
mod lines;
mod listing;
mod mailboxes;
mod messages;
mod office;
mod opens;
mod outbox;
mod pauses;
mod raw;
pub mod raw_copy;
mod recipients;
mod record;
mod retention;
mod rows;
mod running;
mod submit;
mod suppressions;
mod tags;
pub mod tally;
mod telling;
mod threads;
mod upkeep;
mod webhooks;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::{found::Found, record::Record};
use super::{
    StoreError,
    deliveries::Recorded,
    joint::Joint,
    keys::TokenHash,
    mailroom::{Added, Mailroom, NewMessage},
    sqlite::{Database, OpenError, open_for_a_term},
    survey::{self, Survey},
    term::Term,
    together::Together,
};
use crate::domain::{
    address::Address,
    id::{MailboxId, MessageId, ThreadId},
    key::ApiKey,
    message::{Mailbox, Message, MessagePage, MessageSummary},
    office::MailboxSettings,
};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/mail/migrations");

/// Looks `mail.db` over, without changing anything.
pub async fn survey(path: &Path) -> Result<Survey, StoreError> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let tables = [
        ("message", Some("received_at")),
        ("recipient", Some("planned_at")),
        ("delivery", Some("created_at")),
        ("attempt", Some("at")),
        ("suppression", None),
        ("raw", None),
    ];
    survey::survey(path, known, &tables).await
}

/// `mail.db`. Only the keeper of the data directory opens it.
#[derive(Clone)]
pub struct MailStore {
    database: Database,
    term: Term,
    arrivals: Joint<Vec<NewMessage>, Vec<ThreadId>>,
    records: Joint<Record, Recorded>,
    looks: Looks,
    found: Found,
}

/// What many requests look up at once, each kind together.
#[derive(Clone, Default)]
struct Looks {
    mailboxes: Together<(), Vec<Mailbox>>,
    addresses: Together<Address, Option<Mailbox>>,
    settings: Together<MailboxId, Result<MailboxSettings, StoreError>>,
    tracking: Together<MailboxId, bool>,
    keys: Together<TokenHash, Result<Option<ApiKey>, StoreError>>,
}

/// Ids as a statement takes a list of them.
fn json_list(ids: &[MailboxId]) -> String {
    serde_json::json!(ids).to_string()
}

impl MailStore {
    /// Opens or creates `mail.db` at `path`, and begins a term there: whoever opened it before can write no more.
    /// `disk_failed` is cancelled if the disk fails at a commit.
    pub async fn open(path: &Path, disk_failed: CancellationToken) -> Result<Self, OpenError> {
        let (database, term) = open_for_a_term(path, &MIGRATIONS, disk_failed).await?;
        let arrivals = Joint::new(database.writer.clone(), |turn, all| Box::pin(messages::store_each(turn, all)));
        let records = Joint::new(database.writer.clone(), |turn, all| Box::pin(record::record(turn, all)));
        Ok(Self { database, term, arrivals, records, looks: Looks::default(), found: Found::default() })
    }

    /// The term that this opening began.
    pub fn term(&self) -> &Term {
        &self.term
    }

    /// Fails where another process has begun its term since.
    pub async fn check_term(&self) -> Result<(), StoreError> {
        self.term.check(&self.database.readers).await
    }

    /// Transactions committed so far.
    pub fn commits(&self) -> u64 {
        self.database.writer.commits()
    }
}

#[async_trait]
impl Mailroom for MailStore {
    async fn add_mailbox(&self, mailbox: &Mailbox) -> Result<Added, StoreError> {
        let mailbox = Arc::new(mailbox.clone());
        let write = self.database.writer.write(move |conn| {
            let mailbox = mailbox.clone();
            Box::pin(async move { mailboxes::add(conn, &mailbox).await })
        });
        write.await
    }

    async fn house_mailbox(&self, mailbox: &Mailbox) -> Result<Option<Mailbox>, StoreError> {
        let mailbox = Arc::new(mailbox.clone());
        let write = self.database.writer.write(move |conn| {
            let mailbox = mailbox.clone();
            Box::pin(async move { mailboxes::of_house(conn, &mailbox).await })
        });
        write.await
    }

    async fn remove_mailbox(&self, id: &MailboxId) -> Result<bool, StoreError> {
        let id = id.clone();
        let write = self.database.writer.write(move |conn| {
            let id = id.clone();
            Box::pin(async move { mailboxes::remove(conn, &id).await })
        });
        write.await
    }

    async fn mailboxes(&self) -> Result<Vec<Mailbox>, StoreError> {
        let readers = self.database.readers.clone();
        let listed = self.looks.mailboxes.ask((), move |asked| async move {
            let all = mailboxes::all(&readers).await?;
            Ok(vec![all; asked.len()])
        });
        listed.await
    }

    async fn mailbox(&self, id: &MailboxId) -> Result<Option<Mailbox>, StoreError> {
        mailboxes::shown_by_id(&self.database.readers, id).await
    }

    async fn mailbox_at(&self, address: &Address) -> Result<Option<Mailbox>, StoreError> {
        // Before the look: what is committed after it counts as a change since.
        let changes = self.database.writer.changes();
        if let Some(mailbox) = self.found.at(address, changes) {
            return Ok(Some(mailbox));
        }
        let readers = self.database.readers.clone();
        let looked_up = self
            .looks
            .addresses
            .ask(address.clone(), move |all| async move { mailboxes::by_addresses(&readers, &all).await });
        let mailbox = looked_up.await?;
        if let Some(mailbox) = &mailbox {
            self.found.keep(mailbox, changes);
        }
        Ok(mailbox)
    }

    async fn store_messages(&self, new: Vec<NewMessage>) -> Result<Vec<ThreadId>, StoreError> {
        self.arrivals.write(new).await
    }

    async fn messages(&self, mailbox: &MailboxId, page: &MessagePage) -> Result<Vec<MessageSummary>, StoreError> {
        listing::page(&self.database.readers, mailbox, page).await
    }

    async fn message(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<Message>, StoreError> {
        messages::by_id(&self.database.readers, mailbox, id).await
    }

    async fn mailbox_of(&self, id: &MessageId) -> Result<Option<MailboxId>, StoreError> {
        messages::mailbox_of(&self.database.readers, id).await
    }

    async fn blob_of(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<String>, StoreError> {
        messages::blob_of(&self.database.readers, mailbox, id).await
    }

    async fn mark_read(&self, mailbox: &MailboxId, id: &MessageId) -> Result<bool, StoreError> {
        let (mailbox, id) = (mailbox.clone(), id.clone());
        let write = self.database.writer.write(move |conn| {
            let (mailbox, id) = (mailbox.clone(), id.clone());
            Box::pin(async move { messages::mark_read(conn, &mailbox, &id).await })
        });
        write.await
    }

    async fn thread(&self, mailbox: &MailboxId, id: &ThreadId) -> Result<Vec<MessageSummary>, StoreError> {
        threads::messages(&self.database.readers, mailbox, id).await
    }

    async fn put_tags(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
        tags: &BTreeMap<String, String>,
        replace: bool,
    ) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        let asked = Arc::new((mailbox.clone(), id.clone(), tags.clone()));
        let write = self.database.writer.write(move |conn| {
            let asked = asked.clone();
            Box::pin(async move {
                let (mailbox, id, tags) = &*asked;
                tags::put(conn, mailbox, id, tags, replace).await
            })
        });
        write.await
    }

    async fn delete_tag(&self, mailbox: &MailboxId, id: &MessageId, key: &str) -> Result<bool, StoreError> {
        let asked = Arc::new((mailbox.clone(), id.clone(), key.to_owned()));
        let write = self.database.writer.write(move |conn| {
            let asked = asked.clone();
            Box::pin(async move {
                let (mailbox, id, key) = &*asked;
                tags::delete(conn, mailbox, id, key).await
            })
        });
        write.await
    }
}
