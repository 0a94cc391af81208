//! Webhooks as the mail wing sends them, in the seed's and the service's words.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    address::Address,
    clock::UnixMillis,
    event::EventKind,
    id::{MailboxId, WebhookId},
};

/// What a webhook is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// One mailbox.
    Mailbox {
        /// Its id.
        id: MailboxId,
        /// Its address.
        address: Address,
    },
    /// Every mailbox of a domain, those to come included.
    Domain(String),
    /// Every mailbox.
    Account,
}

/// Where a webhook is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// To our own receiver, wherever it listens when the delivery is made; stored and shown as `self`.
    Own,
    /// To this URL.
    Url(url::Url),
}

impl Endpoint {
    /// How our own receiver is written.
    pub const OWN: &'static str = "self";
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str(Self::OWN),
            Self::Url(url) => f.write_str(url.as_str()),
        }
    }
}

/// A text that is neither `self` nor a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is `self` (mailbell's own receiver) or an absolute URL, such as https://example.com/hook")]
pub struct NotAnEndpoint;

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        if text == Self::OWN { Ok(Self::Own) } else { text.parse().map(Self::Url).map_err(|_| NotAnEndpoint) }
    }
}

/// How an endpoint wants its signature spelled in `X-MultiMail-Signature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureFormat {
    /// The bare digest.
    #[default]
    Hex,
    /// `sha256=` and the digest.
    Sha256Prefixed,
}

impl SignatureFormat {
    /// The word for it in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Sha256Prefixed => "sha256=",
        }
    }
}

/// A word that names no spelling of a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signature_format is `hex` (the bare digest) or `sha256=` (that prefix before it)")]
pub struct NotASignatureFormat;

impl FromStr for SignatureFormat {
    type Err = NotASignatureFormat;

    fn from_str(text: &str) -> Result<Self, NotASignatureFormat> {
        match text {
            "hex" => Ok(Self::Hex),
            "sha256=" | "sha256" => Ok(Self::Sha256Prefixed),
            _ => Err(NotASignatureFormat),
        }
    }
}

/// Which of the service's public vocabularies a subscriber used when it named the kinds it wants; it is told of them in
/// the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vocabulary {
    /// `inbound`, `bounce`, …
    #[default]
    Plain,
    /// `message.received`, `message.bounced`, …
    Message,
    /// `email.received`, `email.bounced`, …
    Email,
}

impl Vocabulary {
    /// Every vocabulary.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Message, Self::Email];

    /// The name of a vocabulary, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Message => "message",
            Self::Email => "email",
        }
    }

    /// What `kind` is called in it.
    pub fn word(self, kind: EventKind) -> String {
        let prefix = match self {
            Self::Plain => return kind.as_str().to_owned(),
            Self::Message => "message",
            Self::Email => "email",
        };
        let verb = match kind {
            EventKind::Inbound => "received",
            EventKind::Delivery => "delivered",
            EventKind::Bounce => "bounced",
            EventKind::Complaint => "complained",
            EventKind::Open => "opened",
            // Webhooks do not carry these; the plain word is still the right one to show.
            EventKind::Approval | EventKind::Other => kind.as_str(),
        };
        format!("{prefix}.{verb}")
    }

    /// The kind that `word` names and the vocabulary it is taken from.
    pub fn read(word: &str) -> Result<(EventKind, Self), NotAWebhookKind> {
        Self::ALL
            .into_iter()
            .flat_map(|vocabulary| EventKind::OF_WEBHOOKS.map(|kind| (kind, vocabulary)))
            .find(|(kind, vocabulary)| vocabulary.word(*kind) == word)
            .ok_or(NotAWebhookKind)
    }
}

/// A word that names no kind of event that webhooks carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the events of a webhook are inbound, delivery, bounce, complaint and open, or the same as message.received, \
     message.delivered, message.bounced, message.complained and message.opened, or with email. in the place of message."
)]
pub struct NotAWebhookKind;

/// Why nothing is sent to a webhook any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// Since when.
    pub at: UnixMillis,
    /// Why, as a sentence of ours.
    pub why: String,
}

/// A webhook: an endpoint, what it is told of, and (kept elsewhere) the secret that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it is sent.
    pub endpoint: Endpoint,
    /// Of which mailboxes.
    pub scope: Scope,
    /// Of which kinds; never empty.
    pub kinds: Vec<EventKind>,
    /// In whose words it is told of them.
    pub vocabulary: Vocabulary,
    /// What its owner says it is for.
    pub description: Option<String>,
    /// How its signature is spelled.
    pub signature_format: SignatureFormat,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Set where nothing is sent to it any more.
    pub disabled: Option<Disabled>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_every_vocabulary_is_read_back() {
        for vocabulary in Vocabulary::ALL {
            for kind in EventKind::OF_WEBHOOKS {
                assert_eq!(Vocabulary::read(&vocabulary.word(kind)), Ok((kind, vocabulary)));
            }
        }
    }

    #[test]
    fn what_webhooks_do_not_carry_is_refused() {
        for word in ["approval", "other", "message.sent", "message.approval", "email.", "Inbound", ""] {
            assert_eq!(Vocabulary::read(word), Err(NotAWebhookKind), "{word}");
        }
    }
}
