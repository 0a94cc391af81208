//! The rows of what the API keeps beside mail.

mod contacts;
mod features;
mod settings;
mod spam;
mod usage;

use async_trait::async_trait;

use super::MailStore;
use crate::{
    domain::{
        clock::UnixMillis,
        id::{MailboxId, MessageId},
        message::MessageSummary,
        office::{Account, Contact, MailboxSettings, UsageDay},
    },
    store::{
        StoreError,
        office::{ContactAdded, Office},
    },
};

#[async_trait]
impl Office for MailStore {
    async fn settings(&self, mailbox: &MailboxId) -> Result<MailboxSettings, StoreError> {
        let readers = self.database.readers.clone();
        let read =
            self.looks.settings.ask(mailbox.clone(), move |all| async move { settings::of(&readers, all).await });
        read.await?
    }

    async fn set(
        &self,
        mailbox: &MailboxId,
        display_name: Option<&str>,
        settings: &MailboxSettings,
    ) -> Result<(), StoreError> {
        let asked = (mailbox.clone(), display_name.map(str::to_owned), settings.clone());
        let write = self.database.writer.write(move |conn| {
            let (mailbox, display_name, settings) = asked.clone();
            Box::pin(async move {
                settings::put(conn, &mailbox, display_name.as_deref(), &settings).await?;
                features::put(conn, &mailbox, &settings.features).await
            })
        });
        write.await
    }

    async fn contacts(&self, part: Option<&str>, limit: u32) -> Result<Vec<Contact>, StoreError> {
        contacts::page(&self.database.readers, part, limit).await
    }

    async fn add_contact(&self, contact: &Contact, most: u32) -> Result<ContactAdded, StoreError> {
        let contact = contact.clone();
        let write = self.database.writer.write(move |conn| {
            let contact = contact.clone();
            Box::pin(async move { contacts::add(conn, &contact, most).await })
        });
        write.await
    }

    async fn remove_contact(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        let write = self.database.writer.write(move |conn| {
            let id = id.clone();
            Box::pin(async move { contacts::remove(conn, &id).await })
        });
        write.await
    }

    async fn account(&self) -> Result<Account, StoreError> {
        settings::account(&self.database.readers).await
    }

    async fn put_account(&self, account: &Account) -> Result<(), StoreError> {
        let account = account.clone();
        let write = self.database.writer.write(move |conn| {
            let account = account.clone();
            Box::pin(async move { settings::put_account(conn, &account).await })
        });
        write.await
    }

    async fn count_calls(&self, day: i64, calls: u64) -> Result<(), StoreError> {
        let write =
            self.database.writer.write(move |conn| Box::pin(async move { usage::count(conn, day, calls).await }));
        write.await
    }

    async fn usage(&self, from: UnixMillis, to: UnixMillis) -> Result<Vec<UsageDay>, StoreError> {
        usage::by_day(&self.database.readers, from, to).await
    }

    async fn stored_bytes(&self) -> Result<u64, StoreError> {
        usage::stored_bytes(&self.database.readers).await
    }

    async fn spam(&self, before: Option<&MessageId>, limit: u32) -> Result<Vec<MessageSummary>, StoreError> {
        spam::page(&self.database.readers, before, limit).await
    }

    async fn call_spam(&self, id: &MessageId, spam: bool) -> Result<bool, StoreError> {
        let id = id.clone();
        let write = self.database.writer.write(move |conn| {
            let id = id.clone();
            Box::pin(async move { spam::call(conn, &id, spam).await })
        });
        write.await
    }
}
