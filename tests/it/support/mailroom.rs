//! A mailroom in memory, for stories that are about something else.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use mailbell::{
    domain::{
        address::Address,
        clock::UnixMillis,
        id::{MailboxId, MessageId, ThreadId},
        message::{Direction, Mailbox, Message, MessagePage, MessageSummary, Status},
    },
    store::{
        StoreError,
        mailroom::{Added, Mailroom, NewMessage},
    },
};

/// The mailroom.
#[derive(Default)]
pub struct MemoryMailroom {
    mailboxes: Mutex<Vec<Mailbox>>,
    messages: Mutex<Vec<Message>>,
}

/// A mailbox with the id `mbx_` and its local part.
pub fn mailbox(address: &str) -> Mailbox {
    let address: Address = address.parse().expect("an address");
    Mailbox {
        id: MailboxId::new(format!("mbx_{}", address.local())),
        address,
        display_name: None,
        created_at: UnixMillis(1_795_514_400_000),
    }
}

/// An unread message in `mailbox`.
pub fn message(id: &str, mailbox: &Mailbox, thread: &str) -> Message {
    Message {
        summary: MessageSummary {
            id: MessageId::new(id),
            mailbox_id: mailbox.id.clone(),
            thread_id: ThreadId::new(thread),
            direction: Direction::Inbound,
            status: Status::Unread,
            from: "bob@example.com".into(),
            from_name: Some("Bob".into()),
            to: vec![mailbox.address.to_string()],
            cc: vec![],
            subject: format!("About {id}"),
            snippet: "Hello".into(),
            received_at: UnixMillis(1_795_514_400_000),
            auto: false,
            attachments: vec![],
            tags: BTreeMap::new(),
            delivered_at: None,
            bounced: None,
            report: false,
        },
        text: format!("The text of {id}"),
        notes: vec![],
        verdict: None,
    }
}

impl MemoryMailroom {
    /// Puts a mailbox in.
    pub fn with_mailbox(self, mailbox: Mailbox) -> Self {
        self.mailboxes.lock().unwrap().push(mailbox);
        self
    }

    /// Puts a message in; ids must rise.
    pub fn with_message(self, message: Message) -> Self {
        self.messages.lock().unwrap().push(message);
        self
    }

    fn change<T>(&self, mailbox: &MailboxId, id: &MessageId, change: impl FnOnce(&mut Message) -> T) -> Option<T> {
        let mut messages = self.messages.lock().unwrap();
        let found = messages.iter_mut().find(|one| one.summary.id == *id && one.summary.mailbox_id == *mailbox);
        found.map(change)
    }
}

#[async_trait]
impl Mailroom for MemoryMailroom {
    async fn add_mailbox(&self, mailbox: &Mailbox) -> Result<Added, StoreError> {
        let mut mailboxes = self.mailboxes.lock().unwrap();
        if let Some(there) = mailboxes.iter().find(|there| there.address == mailbox.address) {
            return Ok(Added::Exists(there.clone()));
        }
        mailboxes.push(mailbox.clone());
        Ok(Added::Fresh(mailbox.clone()))
    }

    async fn house_mailbox(&self, mailbox: &Mailbox) -> Result<Option<Mailbox>, StoreError> {
        Ok(Some(mailbox.clone()))
    }

    async fn remove_mailbox(&self, id: &MailboxId) -> Result<bool, StoreError> {
        let mut mailboxes = self.mailboxes.lock().unwrap();
        let before = mailboxes.len();
        mailboxes.retain(|mailbox| mailbox.id != *id);
        Ok(mailboxes.len() < before)
    }

    async fn mailboxes(&self) -> Result<Vec<Mailbox>, StoreError> {
        Ok(self.mailboxes.lock().unwrap().clone())
    }

    async fn mailbox(&self, id: &MailboxId) -> Result<Option<Mailbox>, StoreError> {
        Ok(self.mailboxes.lock().unwrap().iter().find(|mailbox| mailbox.id == *id).cloned())
    }

    async fn mailbox_at(&self, address: &Address) -> Result<Option<Mailbox>, StoreError> {
        Ok(self.mailboxes.lock().unwrap().iter().find(|mailbox| mailbox.address == *address).cloned())
    }

    async fn store_messages(&self, messages: Vec<NewMessage>) -> Result<Vec<ThreadId>, StoreError> {
        let threads = messages.iter().map(|new| new.message.summary.thread_id.clone()).collect();
        self.messages.lock().unwrap().extend(messages.into_iter().map(|new| new.message));
        Ok(threads)
    }

    async fn messages(&self, mailbox: &MailboxId, page: &MessagePage) -> Result<Vec<MessageSummary>, StoreError> {
        let filter = &page.filter;
        let within = |text: &str, part: &Option<String>| part.as_ref().is_none_or(|part| text.contains(part.as_str()));
        let matches = |email: &MessageSummary| {
            email.mailbox_id == *mailbox
                && page.before.as_ref().is_none_or(|before| email.id < *before)
                && filter.since_id.as_ref().is_none_or(|since| email.id > *since)
                && filter.status.is_none_or(|status| status == email.status)
                && filter.direction.is_none_or(|direction| direction == email.direction)
                && filter.thread_id.as_ref().is_none_or(|thread| *thread == email.thread_id)
                && filter.has_attachments.is_none_or(|has| has != email.attachments.is_empty())
                && filter.date_after.is_none_or(|after| email.received_at >= after)
                && filter.date_before.is_none_or(|before| email.received_at <= before)
                && filter.tag.as_ref().is_none_or(|tag| email.tags.contains_key(tag))
                && filter.without_tag.as_ref().is_none_or(|tag| !email.tags.contains_key(tag))
                && within(&email.subject, &filter.subject_contains)
                && within(&email.from, &filter.sender)
        };
        let messages = self.messages.lock().unwrap();
        let found = messages.iter().rev().map(|message| &message.summary).filter(|email| matches(email));
        Ok(found.take(page.limit as usize).cloned().collect())
    }

    async fn message(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<Message>, StoreError> {
        Ok(self.change(mailbox, id, |message| message.clone()))
    }

    async fn mailbox_of(&self, id: &MessageId) -> Result<Option<MailboxId>, StoreError> {
        let messages = self.messages.lock().unwrap();
        Ok(messages.iter().find(|one| one.summary.id == *id).map(|one| one.summary.mailbox_id.clone()))
    }

    async fn blob_of(&self, _: &MailboxId, _: &MessageId) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn mark_read(&self, mailbox: &MailboxId, id: &MessageId) -> Result<bool, StoreError> {
        Ok(self.change(mailbox, id, |message| message.summary.status = Status::Read).is_some())
    }

    async fn thread(&self, mailbox: &MailboxId, id: &ThreadId) -> Result<Vec<MessageSummary>, StoreError> {
        let messages = self.messages.lock().unwrap();
        let summaries = messages.iter().map(|message| &message.summary);
        Ok(summaries.filter(|one| one.mailbox_id == *mailbox && one.thread_id == *id).cloned().collect())
    }

    async fn put_tags(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
        tags: &BTreeMap<String, String>,
        replace: bool,
    ) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        Ok(self.change(mailbox, id, |message| {
            if replace {
                message.summary.tags.clear();
            }
            message.summary.tags.extend(tags.clone());
            message.summary.tags.clone()
        }))
    }

    async fn delete_tag(&self, mailbox: &MailboxId, id: &MessageId, key: &str) -> Result<bool, StoreError> {
        Ok(self.change(mailbox, id, |message| message.summary.tags.remove(key).is_some()).unwrap_or(false))
    }
}
