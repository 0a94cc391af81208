//! What is known of a hosted mail API: our webhook there, how far its mailboxes were looked through, and how it does.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::UnixMillis,
    id::{MailboxId, MessageId, WebhookId},
};

/// A hosted mail API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedApi {
    /// Its base URL.
    pub api: String,
    /// The webhook of ours there that tells of everything.
    pub webhook: Option<WebhookId>,
    /// When the last look that saw everything began.
    pub looked_at: Option<UnixMillis>,
    /// When the last look ended; none unless it is the API in use.
    pub tried_at: Option<UnixMillis>,
    /// What the last look met, as a sentence of ours.
    pub trouble: Option<String>,
}

/// How far a mailbox was looked through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The newest message that was seen; none if there was none.
    pub newest: Option<MessageId>,
    /// When that came in, by the API's clock.
    pub received_at: Option<UnixMillis>,
}

/// Hosted mail APIs, by base URL.
#[async_trait]
pub trait HostedApis: Send + Sync + 'static {
    /// What is known of the API at `api`.
    async fn hosted(&self, api: &str) -> Result<Option<HostedApi>, StoreError>;

    /// The API in use, once it was looked at.
    async fn hosted_in_use(&self) -> Result<Option<HostedApi>, StoreError>;

    /// Says that none is in use: the mail service is the embedded one.
    async fn none_in_use(&self) -> Result<(), StoreError>;

    /// Keeps which webhook there is ours.
    async fn keep_webhook(&self, api: &str, webhook: Option<&WebhookId>) -> Result<(), StoreError>;

    /// Keeps what a look came to that ended at `now`: the trouble it met, and if it saw everything, when it `began`. The API
    /// is the one in use from then on.
    async fn keep_look(
        &self,
        api: &str,
        now: UnixMillis,
        trouble: Option<&str>,
        began: Option<UnixMillis>,
    ) -> Result<(), StoreError>;

    /// How far the mailbox was looked through; none if it never was.
    async fn mark(&self, api: &str, mailbox: &MailboxId) -> Result<Option<Mark>, StoreError>;

    /// Keeps how far the mailbox was looked through.
    async fn keep_mark(&self, api: &str, mailbox: &MailboxId, mark: &Mark) -> Result<(), StoreError>;
}
