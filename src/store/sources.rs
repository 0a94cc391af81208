//! Who may post to the receiver, what they posted that could not be read, and where a message's mailbox is.

use std::borrow::Cow;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::UnixMillis,
    id::{MailboxId, MessageId, SourceName, WebhookId},
    secret::Secret,
};

/// A configured origin of webhooks.
#[derive(Debug, Clone)]
pub struct Source {
    /// The last part of its path at the receiver.
    pub name: SourceName,
    /// The dialect that it speaks, such as `multimail`.
    pub dialect: String,
    /// Its live secrets, the newest first; any of them vouches.
    pub secrets: Vec<Secret>,
    /// Secrets that are on their way out, with the moment from which they vouch no more.
    pub retiring: Vec<(Secret, UnixMillis)>,
    /// The key to its provider's API, where that has more of a message than a webhook brings.
    pub api_key: Option<Secret>,
    /// How it is set up, as JSON.
    pub settings: String,
    /// When it was added.
    pub created_at: UnixMillis,
}

impl Source {
    /// The secrets that vouch at `now`, the newest first.
    pub fn live(&self, now: UnixMillis) -> Cow<'_, [Secret]> {
        if self.retiring.is_empty() {
            return Cow::Borrowed(&self.secrets);
        }
        let retiring = self.retiring.iter().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        self.secrets.iter().chain(retiring).cloned().collect()
    }
}

/// A source holds at most so many live secrets: each costs an HMAC per forged request.
pub const SECRETS_PER_SOURCE_MAX: usize = 16;

/// Why a source or secret was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The name is taken.
    #[error("a source named `{0}` exists already; remove it first or choose another name")]
    Exists(SourceName),
    /// There is none of that name.
    #[error("there is no source named `{0}`; `mailbell source list` shows those there are")]
    Unknown(SourceName),
    /// Another source holds the secret: a body signed with it could be posted to either.
    #[error("source `{0}` holds this secret already; each source needs a secret of its own")]
    SecretInUse(SourceName),
    /// The source has as many secrets as it may.
    #[error("source `{0}` holds {SECRETS_PER_SOURCE_MAX} secrets, as many as it may; remove one first")]
    TooManySecrets(SourceName),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The sources.
#[async_trait]
pub trait Sources: Send + Sync + 'static {
    /// Adds a source with its first secret, or with none yet.
    async fn add_source(
        &self,
        name: &SourceName,
        dialect: &str,
        secret: Option<&Secret>,
        now: UnixMillis,
    ) -> Result<(), SourceError>;

    /// Adds a live secret to a source; `webhook` ties it to the webhook that signs with it, so that both can go together.
    async fn add_secret(
        &self,
        name: &SourceName,
        secret: &Secret,
        webhook: Option<&WebhookId>,
        now: UnixMillis,
    ) -> Result<(), SourceError>;

    /// Lets the secrets that a source has now, and that are tied to no webhook, vouch only until `until`. Those that are
    /// on their way out already keep their earlier moment; those beyond theirs are removed.
    async fn retire_secrets(&self, name: &SourceName, until: UnixMillis, now: UnixMillis) -> Result<(), SourceError>;

    /// Gives a source the key to its provider's API, or takes it away.
    async fn set_api_key(&self, name: &SourceName, key: Option<&Secret>) -> Result<(), SourceError>;

    /// Sets a source up anew.
    async fn set_up(&self, name: &SourceName, settings: &str) -> Result<(), SourceError>;

    /// Whether a live secret is tied to `webhook`.
    async fn has_secret_of(&self, webhook: &WebhookId) -> Result<bool, StoreError>;

    /// Removes the secret tied to `webhook`; false if there was none.
    async fn remove_secret_of(&self, webhook: &WebhookId) -> Result<bool, StoreError>;

    /// Removes a secret that no webhook is tied to; false if there was none.
    async fn remove_secret(&self, name: &SourceName, secret: &Secret) -> Result<bool, StoreError>;

    /// Has a source hold each of `live`, which stand newest first, as long as it says. Those beginning with `prefix` that no
    /// webhook is tied to, are none of `live`, and are older than the newest of these that it held end now: one that is
    /// newer may be about to be signed with.
    async fn settle_secrets(
        &self,
        name: &SourceName,
        live: &[(Secret, Option<UnixMillis>)],
        prefix: &'static str,
        now: UnixMillis,
    ) -> Result<(), SourceError>;

    /// Removes a source with its secrets; false if there was none. Its events stay.
    async fn remove_source(&self, name: &SourceName) -> Result<bool, StoreError>;

    /// The source of that name, if there is one.
    async fn source(&self, name: &SourceName) -> Result<Option<Source>, StoreError>;

    /// Every source, by name.
    async fn sources(&self) -> Result<Vec<Source>, StoreError>;

    /// A number that every change to sources and their secrets raises, by whichever process: for telling at little cost
    /// whether what is remembered of them still holds.
    async fn version(&self) -> Result<i64, StoreError>;
}

/// What sources sent, and what of it was refused.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// Takes `token` of a source as used for the events with the digest `told`; false where others came with it already.
    /// Tokens used before `forget_before` are forgotten, for their time is over.
    async fn spend(
        &self,
        name: &SourceName,
        token: &str,
        told: [u8; 32],
        now: UnixMillis,
        forget_before: UnixMillis,
    ) -> Result<bool, StoreError>;

    /// Counts requests that were refused, each with its reason and how often.
    async fn count_refusals(
        &self,
        refused: &[(SourceName, &'static str, u32)],
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Its refused requests, the latest first: reason, how many, when the last came.
    async fn refusals(&self, name: &SourceName) -> Result<Vec<(String, i64, UnixMillis)>, StoreError>;

    /// What is known of a source's past, whether it is still there or not.
    async fn history(&self, name: &SourceName) -> Result<History, StoreError>;
}

/// What a source sent so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Its events in the log: kind, the provider's name, how many, when the last came.
    pub told: Vec<(String, Option<String>, i64, UnixMillis)>,
    /// Its refused requests: reason, how many, when the last came. The last second's may be missing.
    pub refused: Vec<(String, i64, UnixMillis)>,
}

/// Signed bodies that could not be taken, for the operator to look at.
#[async_trait]
pub trait Quarantine: Send + Sync + 'static {
    /// Keeps `body` with the reason; the same body again, by its SHA-256, only counts. The oldest go where the cap is reached.
    async fn quarantine(
        &self,
        source: &SourceName,
        reason: &str,
        body: &[u8],
        body_sha256: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// What is kept, the newest first: source, reason, body, when it last came, how often.
    async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>, StoreError>;
}

/// A body in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The source whose secret signed it.
    pub source: SourceName,
    /// Why it was not taken.
    pub reason: String,
    /// The body, to the byte.
    pub body: Vec<u8>,
    /// When it came last.
    pub last_at: UnixMillis,
    /// How often it came.
    pub times: i64,
}

/// Which mailbox a message is in: the mail API wants the mailbox's id in the path of nearly every call.
#[async_trait]
pub trait MessageMap: Send + Sync + 'static {
    /// Remembers that `messages` are in `mailbox`.
    async fn remember(&self, mailbox: &MailboxId, messages: &[MessageId]) -> Result<(), StoreError>;

    /// The mailbox of `message`, if it is known.
    async fn mailbox_of(&self, message: &MessageId) -> Result<Option<MailboxId>, StoreError>;
}
