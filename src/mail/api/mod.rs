//! The use cases behind `/v1`: who may do what, in domain words. The wire's spelling is `http::v1`'s.

mod account;
mod api_keys;
mod attachments;
mod contacts;
mod domains;
mod features;
mod mailboxes;
mod messages;
mod opens;
mod sending;
mod settings;
mod spam;
mod suppressions;
mod tags;
mod upkeep;
mod verifying;
mod webhooks;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use account::{AccountChange, Span, USAGE_DAYS_MAX};
pub use api_keys::KeyChange;
pub use attachments::{File, LINK_LIFE, Link};
pub use contacts::{CONTACTS_MAX, NewContact};
pub use domains::{DnsRecord, DomainView};
pub use features::{AI_DISCLOSURE_LINE, FeatureChange};
pub use messages::{EMAILS_MAX, EmailQuery, OFFSET_MAX, Page, ThreadView};
pub use settings::{MailboxChange, SIGNATURE_CHARS_MAX};
pub use suppressions::SUPPRESSIONS_MAX;
pub use tags::Tags;
pub use verifying::Look;
pub use webhooks::DELIVERIES_MAX;

use super::{
    blobs::Blobs,
    closing::Closing,
    domains::Domains,
    find_mailbox,
    keys::Keys,
    webhooks::{
        registry::{RegisterError, Registry},
        upkeep::Upkeep,
    },
};
use crate::{
    domain::{
        address::Address,
        clock::Clock,
        id::MessageId,
        key::{ApiKey, KeyScope},
        message::Mailbox,
        secret::Secret,
        webhook::Endpoint,
    },
    ids::Ids,
    mail::{
        mailroom::Mailrooms,
        submission::{Submission, SubmitError},
        verdict::Lookups,
    },
    signing::digest::sha256,
    store::{
        Refusal, StoreError, deliveries::Deliveries, mailroom::Mailroom, office::Office, opens::Opens,
        suppressions::Suppressions,
    },
};

/// Why a request was not served; each says what is wrong, what is allowed, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No key, or none that we know.
    #[error(
        "this needs an API key: send `Authorization: Bearer KEY` or `X-API-Key: KEY`; `mailbell token show api` prints one"
    )]
    Unauthenticated,
    /// The key may not do this.
    #[error("this needs a key with the scope `{0}`, which the one you sent does not have")]
    Forbidden(KeyScope),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The mailbox may not do this, whatever the key.
    #[error("{0}")]
    Withheld(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The request clashes with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The request is fine, and is refused by a rule that keeps others from harm.
    #[error("{0}")]
    Refused(String),
    /// Too much of it within a span of time.
    #[error("{said}")]
    TooMany {
        /// In a sentence.
        said: String,
        /// When there is room again, in seconds.
        retry_after_secs: u64,
    },
    /// The store does not take writes now.
    #[error(transparent)]
    Unavailable(Refusal),
    /// Something is broken here; the log says what.
    #[error("something is broken at this end; the operator finds it in the log")]
    Broken,
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Refused(refusal) = error {
            return Self::Unavailable(refusal);
        }
        tracing::error!(error = &error as &(dyn std::error::Error + 'static), "could not serve an API request");
        Self::Broken
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Store(error) => error.into(),
            RegisterError::Full => Self::Conflict(error.to_string()),
            RegisterError::NoMailbox(_) => Self::NotFound(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let retry_after_secs = error.retry_after_secs();
        match error {
            SubmitError::Store(error) => error.into(),
            SubmitError::Disk(_) | SubmitError::Compose => {
                tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not take mail in to be sent"
                );
                Self::Broken
            }
            SubmitError::Invalid(said) => Self::Invalid(said),
            SubmitError::NoMessage(_) => Self::NotFound(error.to_string()),
            SubmitError::SameReply(_) | SubmitError::TooLate(_) | SubmitError::NoRetry(_) => {
                Self::Conflict(error.to_string())
            }
            SubmitError::NotAnswerable(_) | SubmitError::Suppressed(_) | SubmitError::NoRelay(_) => {
                Self::Refused(error.to_string())
            }
            SubmitError::TooMany { .. } => {
                Self::TooMany { said: error.to_string(), retry_after_secs: retry_after_secs.unwrap_or(1) }
            }
        }
    }
}

/// What the API is made of.
pub struct Parts {
    /// Mailboxes and messages.
    pub mailroom: Arc<dyn Mailroom>,
    /// The raw bytes of messages.
    pub blobs: Blobs,
    /// Tracking images.
    pub opens: Arc<dyn Opens>,
    /// Deliveries of webhooks.
    pub deliveries: Arc<dyn Deliveries>,
    /// Webhooks.
    pub registry: Registry,
    /// What people do to them by hand.
    pub upkeep: Upkeep,
    /// Keys.
    pub keys: Keys,
    /// Takes mail in to be sent.
    pub submission: Submission,
    /// Addresses that are no longer written to.
    pub suppressions: Arc<dyn Suppressions>,
    /// What is kept beside mail.
    pub office: Arc<dyn Office>,
    /// The domains whose mail is taken here; the first is the one a bare local part gets.
    pub domains: Arc<Domains>,
    /// The name of the host that takes it, for MX records.
    pub hostname: String,
    /// Closes the account.
    pub closing: Closing,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<Ids>,
}

/// The API. Every use case but [`Api::is_healthy`] and [`Api::authenticate`] takes the caller's key first.
pub struct Api {
    mailroom: Arc<dyn Mailroom>,
    blobs: Blobs,
    opens: Arc<dyn Opens>,
    deliveries: Arc<dyn Deliveries>,
    mailboxes: Mailrooms,
    registry: Registry,
    upkeep: Upkeep,
    keys: Keys,
    clock: Arc<dyn Clock>,
    link_secret: Secret,
    reading: Arc<Semaphore>,
    submission: Submission,
    suppressions: Arc<dyn Suppressions>,
    office: Arc<dyn Office>,
    tally: account::Tally,
    domains: Arc<Domains>,
    hostname: String,
    closing: Closing,
    ids: Arc<Ids>,
    verifying: verifying::Verifying,
    /// The hash of the token of whoever does what was approved.
    approvals: Option<[u8; 32]>,
}

impl Api {
    /// The same, which asks the DNS about its domains by these.
    #[must_use]
    pub fn asking_dns(self, lookups: Option<Arc<Lookups>>) -> Self {
        Self { verifying: verifying::Verifying::new(lookups), ..self }
    }

    /// Takes mail in to be sent, for the house itself.
    pub fn submission(&self) -> &Submission {
        &self.submission
    }

    /// Where notices of the actions of the mailbox of this address go, if anywhere.
    pub async fn overseer(&self, address: &Address) -> Result<Option<Endpoint>, ApiError> {
        let Some(mailbox) = self.mailroom.mailbox_at(address).await? else { return Ok(None) };
        Ok(self.office.settings(&mailbox.id).await?.features.oversight_webhook)
    }

    /// An API over these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            mailroom,
            blobs,
            opens,
            deliveries,
            registry,
            upkeep,
            keys,
            submission,
            suppressions,
            office,
            domains,
            hostname,
            closing,
            clock,
            ids,
        } = parts;
        let link_secret = attachments::link_secret(&ids);
        let mailboxes = Mailrooms::new(mailroom.clone(), ids.clone(), clock.clone(), domains.clone());
        let reading = attachments::turns();
        Self {
            mailroom,
            blobs,
            opens,
            deliveries,
            mailboxes,
            registry,
            upkeep,
            keys,
            clock,
            link_secret,
            reading,
            submission,
            suppressions,
            office,
            tally: account::Tally::default(),
            domains,
            hostname,
            closing,
            ids,
            verifying: verifying::Verifying::new(None),
            approvals: None,
        }
    }

    /// The same, which knows by `token` whoever does what an operator has approved. It is made anew at each start and stands
    /// in no file, so that no agent can read it.
    #[must_use]
    pub fn doing_approved(self, token: &Secret) -> Self {
        Self { approvals: Some(sha256(token.expose().as_bytes())), ..self }
    }

    /// The key that `token` is.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<ApiKey, ApiError> {
        let token = token.ok_or(ApiError::Unauthenticated)?;
        // By its hash, so the time that takes tells nothing of it.
        if self.approvals == Some(sha256(token.as_bytes())) {
            return Ok(ApiKey::of_approvals());
        }
        let key = self.keys.authenticate(token).await?.ok_or(ApiError::Unauthenticated)?;
        self.count_call().await;
        Ok(key)
    }

    /// Whether the store answers.
    pub async fn is_healthy(&self) -> bool {
        self.mailroom.mailboxes().await.is_ok()
    }

    /// The keys, for the program that installs its own.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The register of webhooks, for the program that registers its own receiver.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The mailbox of that address or id.
    pub async fn find(&self, named: &str) -> Result<Mailbox, ApiError> {
        find_mailbox(&*self.mailroom, named).await?.ok_or_else(|| {
            let named: String = named.chars().take(ECHO_CHARS_MAX).collect();
            ApiError::NotFound(format!("there is no mailbox `{named}`; GET /v1/mailboxes lists those there are"))
        })
    }
}

/// Characters of a caller's own text that an error repeats.
const ECHO_CHARS_MAX: usize = 128;

fn must(key: &ApiKey, scope: KeyScope) -> Result<(), ApiError> {
    if key.may(scope) { Ok(()) } else { Err(ApiError::Forbidden(scope)) }
}

fn no_message(id: &MessageId, mailbox: &Mailbox) -> ApiError {
    let id: String = id.as_str().chars().take(ECHO_CHARS_MAX).collect();
    ApiError::NotFound(format!("there is no email `{id}` in {}; list the mailbox's emails to find it", mailbox.address))
}

fn unknown_cursor() -> ApiError {
    ApiError::Invalid("`cursor` must be that of an earlier answer to the same question, unchanged".into())
}
