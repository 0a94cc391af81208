//! What the mail API keeps beside mail.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::UnixMillis,
    id::{MailboxId, MessageId},
    message::MessageSummary,
    office::{Account, Contact, MailboxSettings, UsageDay},
};

/// What became of a new contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactAdded {
    /// It is there now.
    Fresh,
    /// One with that address was there already.
    Exists(Contact),
    /// There are as many as there may be.
    Full,
}

/// Settings, contacts, the account, what was used; and what was called spam.
#[async_trait]
pub trait Office: Send + Sync + 'static {
    /// How a mailbox is set; as every new one where nobody set it.
    async fn settings(&self, mailbox: &MailboxId) -> Result<MailboxSettings, StoreError>;
    /// Sets a mailbox, and calls it so.
    async fn set(
        &self,
        mailbox: &MailboxId,
        display_name: Option<&str>,
        settings: &MailboxSettings,
    ) -> Result<(), StoreError>;

    /// The contacts whose name, address or tags hold `part` in any case, by name.
    async fn contacts(&self, part: Option<&str>, limit: u32) -> Result<Vec<Contact>, StoreError>;
    /// Adds a contact, unless there are `most`.
    async fn add_contact(&self, contact: &Contact, most: u32) -> Result<ContactAdded, StoreError>;
    /// Removes a contact; false if there was none.
    async fn remove_contact(&self, id: &str) -> Result<bool, StoreError>;

    /// What the account is called.
    async fn account(&self) -> Result<Account, StoreError>;
    /// Calls it so.
    async fn put_account(&self, account: &Account) -> Result<(), StoreError>;

    /// Adds so many requests to a day's.
    async fn count_calls(&self, day: i64, calls: u64) -> Result<(), StoreError>;
    /// What was used from `from` until before `to`, by day; days without anything are left out.
    async fn usage(&self, from: UnixMillis, to: UnixMillis) -> Result<Vec<UsageDay>, StoreError>;
    /// The bytes of all messages as they came or went out.
    async fn stored_bytes(&self) -> Result<u64, StoreError>;

    /// What was called spam, in every mailbox, the newest first, older than `before`.
    async fn spam(&self, before: Option<&MessageId>, limit: u32) -> Result<Vec<MessageSummary>, StoreError>;
    /// Calls a message that came in spam, or not; false if there is none of that id.
    async fn call_spam(&self, id: &MessageId, spam: bool) -> Result<bool, StoreError>;
}
