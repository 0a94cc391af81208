//! Failures in sentences for a model: what was wrong, what is allowed, what to do next; foreign words in them are fenced.

use super::present::{Fence, Sentence, sentence};
use crate::{
    bell::{
        oversight::{Held, HoldError},
        upstream::UpstreamError,
        waiting::WaitError,
        webhooks::WebhookError,
    },
    store::{StoreError, leases::ClaimError, sources::SourceError},
};

/// Why a call did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// In a sentence.
    Told(Sentence),
    /// The caller went away; nobody reads the answer.
    Cancelled,
    /// The mail API's.
    Upstream(UpstreamError),
    /// A wait's or a listing's.
    Wait(WaitError),
    /// A webhook's.
    Webhook(WebhookError),
    /// The store's.
    Store(StoreError),
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<WaitError> for Failure {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Cancelled => Self::Cancelled,
            error => Self::Wait(error),
        }
    }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        Self::Webhook(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// The action that the change waits as, where it waits for an operator.
    pub(super) fn held(&self) -> Option<&Held> {
        match self {
            Self::Upstream(UpstreamError::Pending(held))
            | Self::Webhook(WebhookError::Upstream(UpstreamError::Pending(held))) => Some(held),
            _ => None,
        }
    }

    /// The sentence for it.
    pub(super) fn sentence(&self, fence: &Fence) -> Sentence {
        match self {
            Self::Told(sentence) => sentence.clone(),
            Self::Cancelled => "the call was cancelled; nothing is leased to you from it".into(),
            Self::Upstream(error) | Self::Webhook(WebhookError::Upstream(error)) => upstream(fence, error),
            Self::Wait(error) => wait(fence, error),
            Self::Webhook(error @ WebhookError::NoPublicUrl) => Sentence::vouched_for(error),
            Self::Webhook(WebhookError::Source(error)) => source(error),
            Self::Webhook(WebhookError::Store(error)) | Self::Store(error) => store(error),
        }
    }
}

fn upstream(fence: &Fence, error: &UpstreamError) -> Sentence {
    let sentence = match error {
        UpstreamError::NoMessage(id) => sentence!("no message {}; call check_inbox", fence.code(id.as_str())),
        UpstreamError::NoAttachment(id, number) => {
            let id = fence.code(id.as_str());
            sentence!("message {} has no attachment {}; call read_email to see its `attachments`", id, *number)
        }
        UpstreamError::NoThread(id) => sentence!("no thread {}; call check_inbox", fence.code(id.as_str())),
        UpstreamError::NoMailbox(address) => sentence!("no mailbox {}; call list_mailboxes", fence.code(address)),
        UpstreamError::NoWebhook(id) => sentence!("no webhook {}; call list_webhooks", fence.code(id.as_str())),
        UpstreamError::NoDelivery(id) => {
            sentence!("no delivery {}; call list_webhook_deliveries", fence.code(id.as_str()))
        }
        UpstreamError::Store(error) | UpstreamError::Hold(HoldError::Store(error)) => return store(error),
        // These say nothing but what we wrote ourselves.
        UpstreamError::WhichMailbox
        | UpstreamError::Unauthorized
        | UpstreamError::Withheld(_)
        | UpstreamError::NoReply
        | UpstreamError::NoReplyButSend
        | UpstreamError::NoBytes(_)
        | UpstreamError::Pending(_)
        | UpstreamError::Hold(HoldError::Full)
        | UpstreamError::Forbidden { .. }
        | UpstreamError::Refused { .. }
        | UpstreamError::RateLimited { .. }
        | UpstreamError::Unreachable { .. }
        | UpstreamError::NotReady
        | UpstreamError::Stranger
        | UpstreamError::Silent { .. }
        | UpstreamError::Failed { .. }
        | UpstreamError::Unreadable(_)
        | UpstreamError::NotOffered(_)
        | UpstreamError::NotACursor => Sentence::vouched_for(error),
    };
    if let UpstreamError::Unreachable { source } = error {
        tracing::warn!(error = source as &(dyn std::error::Error + 'static), "the mail API cannot be reached");
    }
    match error.said() {
        Some(said) => sentence!("{}; it says {}", sentence, fence.text(said)),
        None => sentence,
    }
}

fn wait(fence: &Fence, error: &WaitError) -> Sentence {
    match error {
        WaitError::OtherLog(log) => sentence!(
            "this cursor belongs to another log ({}), perhaps one from before a restore; pass `earliest` or `now` instead",
            fence.code(log.as_str())
        ),
        WaitError::NotACursor(_) | WaitError::NeedsPosition => Sentence::vouched_for(error),
        WaitError::Claim(ClaimError::NotOwned { consumer, kind, owned }) => sentence!(
            "consumer {} does not own the kind `{}`, so it would wait for ever; it owns {}. Pass `after` (`now`, `earliest` or a cursor) instead of `consumer` to watch for other kinds, or name another `consumer` to own them",
            fence.code(consumer.as_str()),
            *kind,
            // A list of our own words, joined with commas; fenced should it ever be more than that.
            Sentence::joined(owned.split(", ").map(|kind| fence.code(kind)), ", "),
        ),
        WaitError::Claim(ClaimError::Store(error)) | WaitError::Store(error) => store(error),
        WaitError::Cancelled => Failure::Cancelled.sentence(fence),
    }
}

fn source(error: &SourceError) -> Sentence {
    tracing::error!(%error, "the receiver could not store a webhook's secret");
    match error {
        SourceError::Store(error) => store(error),
        SourceError::Exists(_) | SourceError::Unknown(_) | SourceError::SecretInUse(_) | SourceError::TooManySecrets(_) => {
            "our receiver could not store this webhook's secret, so the webhook was not kept; the operator must look at \
             `mailbell source list`. Registering without `endpoint_url` fewer times, or deleting webhooks, helps where \
             there are too many"
                .into()
        }
    }
}

fn store(error: &StoreError) -> Sentence {
    match error {
        // Our own words, and worth a second try.
        StoreError::Refused(_) => Sentence::vouched_for(error),
        StoreError::Database { .. } | StoreError::Corrupt { .. } => {
            tracing::error!(error = error as &(dyn std::error::Error + 'static), "the store failed under a tool");
            "the event store failed; nothing was changed. Try again once; if it fails again, the operator must look at the log"
                .into()
        }
    }
}
