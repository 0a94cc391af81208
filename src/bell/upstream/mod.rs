//! The mail API as the bell wing uses it: the embedded service over loopback or a hosted one, by one path.
//!
//! The API wants a mailbox's id in nearly every path, while events and agents name a message alone. So every list that
//! passes by here is remembered (which message is in which mailbox), and a message that was never listed is asked for in
//! each mailbox. This is the one home of `reqwest` in the bell wing.

mod arrivals;
mod attachments;
mod changing;
mod client;
mod error;
mod inbox;
mod keeper;
mod mail;
mod mailboxes;
mod provider;
mod public_url;
mod received;
mod sending;
mod webhooks;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::de::DeserializeOwned;
use tokio::sync::watch;
use url::Url;

pub use self::{
    arrivals::Arrivals,
    attachments::ATTACHMENT_BYTES_MAX,
    error::{SAID_CHARS_MAX, UpstreamError},
    inbox::{InboxCursor, InboxPage, InboxQuery, MAILBOXES_MERGED_MAX, PAGE_MAX},
    keeper::{Keeper, PROOF_PATH, Silence},
    mail::{Attachment, Email, HANDLED, Mailbox, Summary, Thread},
    public_url::{Answers, RECEIVER_PROOF_PATH, who_answers},
    received::Elsewhere,
    sending::{Outgoing, Retry, Sent, Suppression, SuppressionPage},
    webhooks::{Created, Delivery, DeliveryPage, Fare, NewWebhook, Probe, Rotation, Webhook, WebhookScope},
};
use self::{client::Client, received::Home};
use crate::{
    bell::oversight::Oversight,
    domain::{
        address::as_logged,
        clock::Clock,
        id::{MailboxId, MessageId, ThreadId},
        oversight::Change,
        secret::Secret,
    },
    store::{sources::MessageMap, together::Together},
};

/// Messages whose mailbox is kept in memory, before the map on disk is asked; about 1 MiB.
const REMEMBERED_MAX: usize = 10_000;

/// A client of the mail API.
pub struct Upstream {
    client: Client,
    /// The lists of all mailboxes that are asked for. Callers who ask at once share one, which is asked for after each of them did.
    lists: Together<(), Result<Arc<[Mailbox]>, UpstreamError>>,
    map: Arc<dyn MessageMap>,
    /// What came without the API.
    received: Option<Elsewhere>,
    known: Mutex<Known>,
    authority: Authority,
}

/// In whose name changes are asked for.
#[derive(Clone)]
pub enum Authority {
    /// Agents': each change passes the gate.
    Agents(Arc<Oversight>),
    /// The house's own: what it needs to hear of mail, and what an operator has approved.
    House,
}

/// What lists have told so far. Only a shortcut: the API has the truth.
#[derive(Default)]
struct Known {
    mailboxes: Vec<Mailbox>,
    messages: HashMap<MessageId, MailboxId>,
    threads: HashMap<ThreadId, MailboxId>,
}

impl Upstream {
    /// A client of the API at `base`, which may be published later, with `api_key`. Fails only where no HTTP client can be
    /// made on this system.
    pub fn new(
        base: watch::Receiver<Option<Url>>,
        api_key: Secret,
        map: Arc<dyn MessageMap>,
        clock: Arc<dyn Clock>,
        authority: Authority,
    ) -> Result<Self, UpstreamError> {
        let client =
            Client::new(base, api_key, clock).map_err(|source| UpstreamError::Unreachable { source: source.into() })?;
        Ok(Self { client, lists: Together::default(), map, received: None, known: Mutex::default(), authority })
    }

    /// A client of the API at an address that does not change.
    pub fn fixed(
        base: Url,
        api_key: Secret,
        map: Arc<dyn MessageMap>,
        clock: Arc<dyn Clock>,
        authority: Authority,
    ) -> Result<Self, UpstreamError> {
        // A receiver outlives its sender: the last value stays.
        Self::new(watch::channel(Some(base)).1, api_key, map, clock, authority)
    }

    /// The same for an API that `keeper` has published: the key goes there only while it is the keeper that answers.
    #[must_use]
    pub fn of_keeper(mut self, keeper: Keeper) -> Self {
        self.client.keeper = Some(keeper);
        self
    }

    /// Whether it is the embedded service's API, on this machine.
    pub fn is_of_keeper(&self) -> bool {
        self.client.keeper.is_some()
    }

    /// The same, which also shows the messages that came without the API.
    #[must_use]
    pub fn with_received(self, received: Elsewhere) -> Self {
        Self { received: Some(received), ..self }
    }

    /// Every mailbox, by address, those of messages that came without the API among them.
    pub async fn mailboxes(&self) -> Result<Vec<Mailbox>, UpstreamError> {
        let mut mailboxes = self.api_mailboxes().await?;
        for mailbox in self.received_mailboxes().await? {
            if !mailboxes.iter().any(|one| one.address == mailbox.address) {
                mailboxes.push(mailbox);
            }
        }
        mailboxes.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(mailboxes)
    }

    /// Every mailbox of the API, by address.
    pub(in crate::bell) async fn api_mailboxes(&self) -> Result<Vec<Mailbox>, UpstreamError> {
        let client = self.client.clone();
        let listed = self.lists.ask((), move |asked| async move { Ok(vec![list(&client).await; asked.len()]) });
        let mailboxes = listed.await??.to_vec();
        self.known().mailboxes.clone_from(&mailboxes);
        Ok(mailboxes)
    }

    /// A message with its text. The API marks it read.
    pub async fn read_email(&self, id: &MessageId) -> Result<Email, UpstreamError> {
        if let Home::Received(received, message) = self.home(id).await? {
            return received.email(message).await;
        }
        let (mailbox, body): (_, wire::EmailBody) = self.get_of_message(id, &[]).await?;
        body.email(&mailbox).ok_or(UpstreamError::Unreadable("a message without an id"))
    }

    /// A thread, the oldest message first.
    pub async fn thread(&self, id: &ThreadId) -> Result<Thread, UpstreamError> {
        if let Some(thread) = self.received_thread(id).await? {
            return Ok(thread);
        }
        let known = self.known().threads.get(id).cloned();
        for mailbox in self.mailboxes_with_first(known.as_ref()).await? {
            let path = ["v1", "mailboxes", mailbox.id.as_str(), "threads", id.as_str()];
            let mut answer: wire::Page = match self.client.get(&path, &[]).await {
                Ok(answer) => answer,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            let mut messages: Vec<Summary> = answer.take().iter().filter_map(|body| body.summary(&mailbox)).collect();
            if messages.is_empty() {
                continue;
            }
            messages.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
            self.remember(&mailbox.id, &messages).await;
            return Ok(Thread { id: id.clone(), messages });
        }
        Err(UpstreamError::NoThread(id.clone()))
    }

    /// Adds `add` to a message's tags and removes `remove`; answers with the names of all it then has.
    pub async fn tag(&self, id: &MessageId, add: &[String], remove: &[String]) -> Result<Vec<String>, UpstreamError> {
        if let Home::Received(received, message) = self.home(id).await? {
            return self.tag_received(received, message, add, remove).await;
        }
        let (mailbox, before): (_, wire::Tags) = self.get_of_message(id, &["tags"]).await?;
        let mut tags = before.tags.clone().unwrap_or_default();
        if !add.is_empty() {
            // Some APIs merge what is put, some replace: the union means the same to both.
            tags.extend(add.iter().map(|name| (name.clone(), "true".to_owned())));
            let body = serde_json::json!({ "tags": tags });
            let path = ["v1", "mailboxes", mailbox.id.as_str(), "emails", id.as_str(), "tags"];
            let change = Change::new("PUT", &path, body).of(&mailbox.address);
            let after: wire::Tags = self.change_with(change, before.tags.clone().unwrap_or_default()).await?;
            tags = after.tags.unwrap_or(tags);
        }
        for name in remove {
            if tags.remove(name).is_none() {
                continue;
            }
            let path = ["v1", "mailboxes", mailbox.id.as_str(), "emails", id.as_str(), "tags", name.as_str()];
            let change = Change::new("DELETE", &path, serde_json::Value::Null).of(&mailbox.address);
            match self.change::<serde::de::IgnoredAny>(change).await {
                Err(error) if !error.is_not_found() => return Err(error),
                // Gone already is what was wanted.
                _ => {}
            }
        }
        Ok(tags.into_keys().collect())
    }

    /// The mailbox of that address, or of that id.
    pub(super) async fn mailbox_at(&self, address: &str) -> Result<Mailbox, UpstreamError> {
        let address = as_logged(address);
        let find = |mailboxes: &[Mailbox]| {
            mailboxes.iter().find(|mailbox| mailbox.address == address || mailbox.id.as_str() == address).cloned()
        };
        if let Some(known) = find(&self.known().mailboxes) {
            return Ok(known);
        }
        find(&self.api_mailboxes().await?).ok_or(UpstreamError::NoMailbox(address))
    }

    /// Gets the message, or what stands under `below` it, from the mailbox that it is in: the one remembered, or else each,
    /// until one knows it.
    async fn get_of_message<T: DeserializeOwned>(
        &self,
        id: &MessageId,
        below: &[&str],
    ) -> Result<(Mailbox, T), UpstreamError> {
        let known = self.known().messages.get(id).cloned();
        let known = match known {
            Some(known) => Some(known),
            None => self.map.mailbox_of(id).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the map of messages cannot be read; asking each mailbox");
                None
            }),
        };
        for mailbox in self.mailboxes_with_first(known.as_ref()).await? {
            let path = [&["v1", "mailboxes", mailbox.id.as_str(), "emails", id.as_str()], below].concat();
            match self.client.get(&path, &[]).await {
                Ok(value) => {
                    self.remember_ids(&mailbox.id, std::slice::from_ref(id)).await;
                    return Ok((mailbox, value));
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Err(UpstreamError::NoMessage(id.clone()))
    }

    /// Every mailbox, `first` before the others; without asking the API where `first` is one we know of.
    async fn mailboxes_with_first(&self, first: Option<&MailboxId>) -> Result<Vec<Mailbox>, UpstreamError> {
        let is_first = |mailbox: &Mailbox| Some(&mailbox.id) == first;
        let mut mailboxes = self.known().mailboxes.clone();
        if !mailboxes.iter().any(is_first) {
            mailboxes = self.api_mailboxes().await?;
        }
        mailboxes.sort_by_key(|mailbox| !is_first(mailbox));
        Ok(mailboxes)
    }

    async fn remember(&self, mailbox: &MailboxId, messages: &[Summary]) {
        {
            let mut known = self.known();
            if known.threads.len() > REMEMBERED_MAX {
                known.threads.clear();
            }
            for thread in messages.iter().filter_map(|message| message.thread_id.clone()) {
                known.threads.insert(thread, mailbox.clone());
            }
        }
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id.clone()).collect();
        self.remember_ids(mailbox, &ids).await;
    }

    async fn remember_ids(&self, mailbox: &MailboxId, ids: &[MessageId]) {
        let fresh: Vec<MessageId> = {
            let mut known = self.known();
            if known.messages.len() > REMEMBERED_MAX {
                known.messages.clear();
            }
            let fresh = ids.iter().filter(|id| known.messages.get(id) != Some(mailbox)).cloned().collect();
            known.messages.extend(ids.iter().map(|id| (id.clone(), mailbox.clone())));
            fresh
        };
        // What memory holds was written before, so a list that is read again and again writes nothing.
        if !fresh.is_empty()
            && let Err(error) = self.map.remember(mailbox, &fresh).await
        {
            tracing::warn!(%error, "could not remember which mailbox messages are in; they will be searched for");
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn list(client: &Client) -> Result<Arc<[Mailbox]>, UpstreamError> {
    let answer: wire::Mailboxes = client.get(&["v1", "mailboxes"], &[]).await?;
    let mut mailboxes: Vec<Mailbox> = answer.mailboxes.into_iter().map(Mailbox::from).collect();
    mailboxes.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(mailboxes.into())
}
