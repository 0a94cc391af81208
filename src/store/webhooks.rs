//! Webhooks and the secrets that sign for them.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::UnixMillis,
    id::{MailboxId, WebhookId},
    secret::Secret,
    webhook::Webhook,
};

/// What became of a new webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is there now.
    Fresh,
    /// There are as many as there may be; it was not stored.
    Full,
}

/// A webhook with its live secrets, the newest first; never empty.
pub type SigningWebhook = (Webhook, Vec<SigningSecret>);

/// A secret, and from when on it signs no more, where that is settled.
pub type SigningSecret = (Secret, Option<UnixMillis>);

/// The webhooks.
#[async_trait]
pub trait Webhooks: Send + Sync + 'static {
    /// Adds a webhook with its first secret, unless there are `max` already.
    async fn add_webhook(&self, webhook: &Webhook, secret: &Secret, max: u32) -> Result<Registered, StoreError>;
    /// Every webhook, the oldest first.
    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError>;
    /// The webhook of that id, with its secrets.
    async fn webhook(&self, id: &WebhookId) -> Result<Option<SigningWebhook>, StoreError>;
    /// Removes a webhook; what it was still owed becomes dead letters. False if there was none.
    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError>;
    /// Keeps a host that an operator has approved.
    async fn approve_host(&self, host: &str) -> Result<(), StoreError>;
    /// Every host that operators have approved.
    async fn approved_hosts(&self) -> Result<Vec<String>, StoreError>;
    /// Removes every webhook of scope `mailbox`, in the same way; answers how many.
    async fn remove_webhooks_of(&self, mailbox: &MailboxId) -> Result<u32, StoreError>;
}
