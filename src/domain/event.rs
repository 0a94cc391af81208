//! The event: an immutable fact about one e-mail, in the log for good.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    clock::UnixMillis,
    cursor::Seq,
    grant::Mailboxes,
    id::{ActionId, EventId, MessageId, SourceName, ThreadId},
};

/// What kind of thing happened. Webhooks carry only the first five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A message came in.
    Inbound,
    /// A message was accepted for its recipient.
    Delivery,
    /// A message could not be delivered, for now or for good.
    Bounce,
    /// A recipient called a message spam.
    Complaint,
    /// A recipient's mail program fetched the tracking image.
    Open,
    /// An operator decided on an action that an agent asked for.
    Approval,
    /// A provider told something that is none of the above; `provider_kind` says what.
    Other,
}

impl EventKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 7] =
        [Self::Inbound, Self::Delivery, Self::Bounce, Self::Complaint, Self::Open, Self::Approval, Self::Other];

    /// The kinds that webhooks carry.
    pub const OF_WEBHOOKS: [Self; 5] = [Self::Inbound, Self::Delivery, Self::Bounce, Self::Complaint, Self::Open];

    /// The word for it in events, filters and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Delivery => "delivery",
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Open => "open",
            Self::Approval => "approval",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no kind of event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kinds of event are inbound, delivery, bounce, complaint, open, approval and other")]
pub struct NotAKind;

impl FromStr for EventKind {
    type Err = NotAKind;

    fn from_str(text: &str) -> Result<Self, NotAKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(NotAKind)
    }
}

/// How an event's source proved that the event is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// An HMAC-SHA256 over the raw body, with a secret that only the source and we know.
    HmacSha256,
    /// An Ed25519 signature over the raw body, by a key that only the source has.
    Ed25519,
    /// An ECDSA signature (P-256, SHA-256) over the raw body, by a key that only the source has.
    EcdsaP256,
    /// An HMAC-SHA1 over the raw body: the same, by an older digest.
    HmacSha1,
    /// An HMAC-SHA512 over the raw body.
    HmacSha512,
    /// An RSA signature (SHA-256) over all that counts of the body, by a key that only the source has.
    RsaSha256,
    /// The same by an older digest, SHA-1.
    RsaSha1,
    /// An HMAC over a time and a token that came along with the request and count once; it does not cover the body.
    SignedToken,
    /// A secret that came along with the request; it vouches for the sender, not for the body.
    SharedSecret,
    /// It was not sent: we read it from the source's API, with our key.
    Api,
    /// Nobody sent it: this house made it.
    Internal,
}

impl Auth {
    /// Every way.
    pub const ALL: [Self; 11] = [
        Self::HmacSha256,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::HmacSha1,
        Self::HmacSha512,
        Self::RsaSha256,
        Self::RsaSha1,
        Self::SignedToken,
        Self::SharedSecret,
        Self::Api,
        Self::Internal,
    ];

    /// The word for it in events and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha512 => "hmac-sha512",
            Self::RsaSha256 => "rsa-sha256",
            Self::RsaSha1 => "rsa-sha1",
            Self::SignedToken => "signed-token",
            Self::SharedSecret => "shared-secret",
            Self::Api => "api",
            Self::Internal => "internal",
        }
    }
}

impl Serialize for Auth {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An event as its source tells it, before the log gives it a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Unique within the source; a second event with this id is a duplicate.
    pub event_id: EventId,
    /// The mailbox it happened to, lower-cased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// The message it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The thread of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<ThreadId>,
    /// When it happened, by the source's clock.
    pub timestamp: UnixMillis,
    /// The provider's own name for it, where it has one that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_kind: Option<String>,
    /// What happened, with the fields of its kind.
    #[serde(flatten)]
    pub detail: Detail,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its place in the log.
    pub seq: Seq,
    /// The source that told it.
    pub source: SourceName,
    /// How that source was authenticated.
    pub auth: Auth,
    /// When we received it, by our clock.
    pub received_at: UnixMillis,
    /// What the source told.
    #[serde(flatten)]
    pub fact: NewEvent,
}

/// What happened, by kind. Texts in here were written by strangers unless their documentation says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event_type", rename_all = "snake_case")]
pub enum Detail {
    /// A message came in.
    Inbound {
        /// The sender's address, as the message says.
        from: String,
        /// The sender's name, as the message says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_name: Option<String>,
        /// The addresses it was sent to, as the message says.
        #[serde(default)]
        to: Vec<String>,
        /// The subject, decoded.
        #[serde(default)]
        subject: String,
        /// The first 200 characters of the text.
        #[serde(default)]
        snippet: String,
        /// Whether it is an automatic reply (RFC 3834).
        #[serde(default)]
        auto: bool,
    },
    /// A message was accepted for its recipient.
    Delivery {
        /// Who it was for.
        recipient: String,
        /// What the accepting server said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smtp_response: Option<String>,
        /// Who accepted it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accepted_by: Option<AcceptedBy>,
    },
    /// A message could not be delivered.
    Bounce {
        /// Who it was for; none where the report does not say.
        recipient: Option<String>,
        /// An enhanced status code, or else a reply code; never empty.
        bounce_code: String,
        /// Whether `bounce_code` was concluded rather than read.
        #[serde(default)]
        code_inferred: bool,
        /// By the class of the code.
        bounce_type: BounceType,
        /// Why, in our words, such as `user_unknown`, `mailbox_full` or `spam_block`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether no more tries follow.
        #[serde(default)]
        r#final: bool,
        /// Whether sending to this address again would do harm.
        #[serde(default)]
        suppress_advised: bool,
        /// Whether the address is on the suppression list because of this.
        #[serde(default)]
        suppressed: bool,
        /// What the remote server said, to the letter.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diagnostic: Option<String>,
        /// How the report was tied to the message.
        #[serde(default)]
        tied: Tied,
    },
    /// A recipient called a message spam.
    Complaint {
        /// Who complained; none where the report does not say.
        recipient: Option<String>,
        /// The report's Feedback-Type (RFC 5965), such as `abuse`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        feedback_type: Option<String>,
        /// How the report was tied to the message.
        #[serde(default)]
        tied: Tied,
    },
    /// The tracking image was fetched.
    Open {
        /// Whose copy it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recipient: Option<String>,
        /// Whether a machine fetched it ahead of any person; none where that cannot be known.
        #[serde(default)]
        machine: Option<bool>,
    },
    /// An operator decided.
    Approval {
        /// On which action.
        action_id: ActionId,
        /// How: `approved`, `denied` or `expired`, in our words.
        outcome: String,
    },
    /// Something else; `provider_kind` says what.
    Other {},
}

impl Detail {
    /// The kind of event that this is the detail of.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Inbound { .. } => EventKind::Inbound,
            Self::Delivery { .. } => EventKind::Delivery,
            Self::Bounce { .. } => EventKind::Bounce,
            Self::Complaint { .. } => EventKind::Complaint,
            Self::Open { .. } => EventKind::Open,
            Self::Approval { .. } => EventKind::Approval,
            Self::Other {} => EventKind::Other,
        }
    }
}

/// Who accepted a delivered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptedBy {
    /// The recipient's own mail system.
    Recipient,
    /// The relay that we hand mail to; what became of it further on is not known.
    Relay,
}

/// Which class a bounce is of, by the first digit of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BounceType {
    /// `5`: permanent.
    Hard,
    /// `4`: transient.
    Soft,
}

impl BounceType {
    /// The word for it, in the API and in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

/// How a report was tied to the message that it is about, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tied {
    /// The server said so while we were handing the message over.
    Session,
    /// It came back to the message's secret envelope address.
    Envelope,
    /// It carried a token of ours.
    Token,
    /// It named headers of the message, which anyone who saw it can.
    Headers,
    /// It was not.
    #[default]
    None,
}

/// Which events a reader wants; each part narrows, an absent or empty one takes all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EventFilter {
    /// Any of these kinds.
    pub kinds: Vec<EventKind>,
    /// Of this mailbox, lower-cased.
    pub mailbox: Option<String>,
    /// Of one of these mailboxes: what the reader may see at all.
    pub within: Mailboxes,
    /// Of any mailbox of this domain, lower-cased.
    pub domain: Option<String>,
    /// Of this thread.
    pub thread_id: Option<ThreadId>,
    /// About this message.
    pub message_id: Option<MessageId>,
    /// About this action.
    pub action_id: Option<ActionId>,
}
