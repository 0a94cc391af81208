//! The mailroom's rows: mailboxes, messages, threads and tags.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

use super::{StoreError, outbox::Tell};
use crate::domain::{
    address::Address,
    id::{MailboxId, MessageId, ThreadId},
    message::{Mailbox, Message, MessagePage, MessageSummary},
};

/// The raw bytes of a message that is to be stored.
#[derive(Debug, Clone)]
pub struct Raw {
    /// 64 hexadecimal digits by which they are found again: their SHA-256 where they are in a file.
    pub name: String,
    /// How many they are.
    pub size_bytes: u64,
    /// They themselves, to be stored in the message's transaction; none where they are in a file, which is on disk already.
    pub bytes: Option<Arc<Vec<u8>>>,
}

/// Raw bytes that were stored in their message's transaction.
#[async_trait]
pub trait RawMail: Send + Sync + 'static {
    /// The bytes of that name; none where they are in a file, or nowhere.
    async fn raw(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

/// A message ready to be stored in one mailbox.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The message; the store may put it into another thread than the one named here.
    pub message: Message,
    /// Its raw bytes.
    pub raw: Raw,
    /// Its own Message-ID, without angle brackets.
    pub internet_id: Option<String>,
    /// The Message-IDs it answers or refers to, the nearest first.
    pub references: Vec<String>,
    /// The envelope's sender; empty for the null sender.
    pub envelope_from: String,
    /// What is told of it: its `inbound` event, or where it is a report, what that reports.
    pub tells: Vec<Tell>,
}

/// What became of a new mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is there now.
    Fresh(Mailbox),
    /// One of that address was there already.
    Exists(Mailbox),
}

/// Mailboxes and their messages.
#[async_trait]
pub trait Mailroom: Send + Sync + 'static {
    /// Adds a mailbox.
    async fn add_mailbox(&self, mailbox: &Mailbox) -> Result<Added, StoreError>;
    /// Adds the mailbox from which the house itself writes, or finds it; none where another mailbox has its address. It is in no
    /// list, and no event is told of it.
    async fn house_mailbox(&self, mailbox: &Mailbox) -> Result<Option<Mailbox>, StoreError>;
    /// Removes a mailbox with its messages; false if there was none.
    async fn remove_mailbox(&self, id: &MailboxId) -> Result<bool, StoreError>;
    /// Every mailbox, by address.
    async fn mailboxes(&self) -> Result<Vec<Mailbox>, StoreError>;
    /// The mailbox of that id.
    async fn mailbox(&self, id: &MailboxId) -> Result<Option<Mailbox>, StoreError>;
    /// The mailbox of that address.
    async fn mailbox_at(&self, address: &Address) -> Result<Option<Mailbox>, StoreError>;

    /// Stores `messages` (one SMTP transaction's, one a mailbox), finds each its thread, and owes the event of each to every
    /// matching webhook: all in one transaction, on disk when this answers. Answers with the threads, in order.
    async fn store_messages(&self, messages: Vec<NewMessage>) -> Result<Vec<ThreadId>, StoreError>;

    /// A page of a mailbox, the newest first.
    async fn messages(&self, mailbox: &MailboxId, page: &MessagePage) -> Result<Vec<MessageSummary>, StoreError>;
    /// A message with its text.
    async fn message(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<Message>, StoreError>;
    /// The mailbox that a message is in.
    async fn mailbox_of(&self, id: &MessageId) -> Result<Option<MailboxId>, StoreError>;
    /// The name of a message's raw bytes.
    async fn blob_of(&self, mailbox: &MailboxId, id: &MessageId) -> Result<Option<String>, StoreError>;
    /// Marks a message read; false if there is none.
    async fn mark_read(&self, mailbox: &MailboxId, id: &MessageId) -> Result<bool, StoreError>;
    /// The messages of a thread in a mailbox, the oldest first, at most 500; empty if there is none.
    async fn thread(&self, mailbox: &MailboxId, id: &ThreadId) -> Result<Vec<MessageSummary>, StoreError>;

    /// Writes tags: adds to those there are, or with `replace`, puts them in their place. Answers with all the message then
    /// has, or none if there is no such message.
    async fn put_tags(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
        tags: &BTreeMap<String, String>,
        replace: bool,
    ) -> Result<Option<BTreeMap<String, String>>, StoreError>;
    /// Removes a tag; false if the message does not carry it or is not there.
    async fn delete_tag(&self, mailbox: &MailboxId, id: &MessageId, key: &str) -> Result<bool, StoreError>;
}
