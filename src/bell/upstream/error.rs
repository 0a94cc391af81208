//! Why the mail API did not do what it was asked, in sentences that say what to do next.

use std::sync::Arc;

use crate::{
    bell::oversight::{Held, HoldError},
    domain::id::{DeliveryId, MessageId, ThreadId, WebhookId},
    store::StoreError,
};

/// What the mail API said of its own refusal is kept to so many characters.
pub const SAID_CHARS_MAX: usize = 300;

/// Why the mail API did not answer with what it was asked for.
///
/// [`UpstreamError::said`] is another system's text: whoever shows it to a model fences it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// There is no such message in any mailbox.
    #[error("no message {0}; call check_inbox")]
    NoMessage(MessageId),
    /// The message has no such file.
    #[error("message {0} has no attachment {1}; call read_email to see its `attachments`")]
    NoAttachment(MessageId, usize),
    /// There is no such thread in any mailbox.
    #[error("no thread {0}; call check_inbox")]
    NoThread(ThreadId),
    /// There is no such mailbox.
    #[error("no mailbox {0}; call list_mailboxes")]
    NoMailbox(String),
    /// There are several mailboxes, and none was named.
    #[error("there is more than one mailbox, so `mailbox` must say which one; call list_mailboxes")]
    WhichMailbox,
    /// There is no such webhook.
    #[error("no webhook {0}; call list_webhooks")]
    NoWebhook(WebhookId),
    /// There is no such delivery.
    #[error("no delivery {0}; call list_webhook_deliveries")]
    NoDelivery(DeliveryId),
    /// The key is wrong or gone.
    #[error("the mail API does not accept the configured key; the operator must check mail.api_key")]
    Unauthorized,
    /// It waits for an operator.
    #[error("this waits for an operator's approval, as {}", .0.action)]
    Pending(Held),
    /// The operator's rules do not let it be done.
    #[error("{0}")]
    Withheld(String),
    /// The key may not do this.
    #[error("the configured key may not do this; the operator must give it the scope it lacks")]
    Forbidden {
        /// The API's own words.
        said: String,
    },
    /// The request was understood and refused.
    #[error("the mail API refused this (HTTP {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The API's own words.
        said: String,
    },
    /// Too many requests.
    #[error("the mail API takes no more of this for now; try again in {retry_after_secs} seconds")]
    RateLimited {
        /// How long to wait.
        retry_after_secs: u64,
        /// The API's own words.
        said: String,
    },
    /// No connection, or none that answers.
    #[error("the mail API cannot be reached; try again in a minute, and if that fails too, the operator must check it")]
    Unreachable {
        /// What went wrong.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// Its address is not known yet.
    #[error("the mail service is not up yet; try again in a few seconds")]
    NotReady,
    /// Somebody else listens where our keeper did; the key was not sent.
    #[error(
        "what listens at the mail service's published address is not this data directory's keeper, so it was told nothing; try again in a few seconds, and if that fails too, the operator must look at who took the port"
    )]
    Stranger,
    /// The keeper is stopped or stuck.
    #[error(
        "the process {pid} that keeps the mail service has not answered for {silent_secs} s: it is stopped or stuck; the operator must let it go on (kill -CONT {pid}) or end it (kill -KILL {pid})"
    )]
    Silent {
        /// The keeper's process id.
        pid: u32,
        /// For how long, in seconds.
        silent_secs: u64,
    },
    /// It failed.
    #[error("the mail API failed (HTTP {status}); try again in a minute")]
    Failed {
        /// The HTTP status.
        status: u16,
    },
    /// It answered with something that is not what its documentation says.
    #[error("the mail API answered with something that cannot be read: {0}")]
    Unreadable(&'static str),
    /// The hosted API has no such function.
    #[error("{0} is not offered by the upstream mail API")]
    NotOffered(&'static str),
    /// It came without the API, and cannot be replied to.
    #[error(
        "this message came by a webhook or from a mailbox that is only read here, so it cannot be replied to; answer it where its mailbox lives, or by send_email from a mailbox of this mail service (list_mailboxes), with its sender as `to`"
    )]
    NoReply,
    /// The same, to an address that is a mailbox of the API too.
    #[error(
        "this message came by a webhook or from a mailbox elsewhere, so the mail service does not have it to reply to; call send_email from that same mailbox, which is one here too, with the sender as `to` and its subject after `Re: `"
    )]
    NoReplyButSend,
    /// A file's bytes are not here.
    #[error("the bytes of this file are not here: {0}")]
    NoBytes(String),
    /// What waits for an operator could not be kept.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The gate could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cursor is none of ours.
    #[error("this is not a cursor of check_inbox: pass the `cursor` of its last result unchanged, or leave it out")]
    NotACursor,
}

impl UpstreamError {
    /// The API's own words, where it said any.
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Forbidden { said } | Self::Refused { said, .. } | Self::RateLimited { said, .. } => {
                (!said.is_empty()).then_some(said)
            }
            _ => None,
        }
    }

    /// Whether the API answered that it knows no such path or method.
    pub(super) fn is_unknown_here(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 405, .. })
    }

    /// Whether the API answered that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}
