//! The event that a provider's words become: the same limits, ids and addresses whichever dialect they came in.

use super::vocabulary::{Meaning, Row};
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        event::{AcceptedBy, Detail, NewEvent, Tied},
        id::{EventId, MessageId, ThreadId},
    },
    signing::digest::sha256,
};

use super::failure::Failure;

/// Bytes of an id that is kept as it is; one longer, as Message-IDs may be, is stood for by a digest.
const ID_BYTES_MAX: usize = 128;
/// Characters of an address with a name or a comment around it.
const ADDRESS_CHARS_MAX: usize = 320;
/// Characters of a name or a subject: a line of RFC 5322 section 2.1.1.
const LINE_CHARS_MAX: usize = 998;
/// Characters of a snippet.
const SNIPPET_CHARS_MAX: usize = 200;
/// Characters of a provider's word.
const WORD_CHARS_MAX: usize = 128;
/// Addresses of an inbound message that are kept.
const TO_LEN_MAX: usize = 50;

/// What one webhook tells of one message, in our words for the things and the provider's for the rest.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    /// The provider's id of the event, or an id made by [`derived_id`].
    pub(super) id: String,
    pub(super) at: Option<UnixMillis>,
    pub(super) mailbox: Option<String>,
    pub(super) message: Option<String>,
    pub(super) thread: Option<String>,
    /// The provider's name for what happened.
    pub(super) name: String,
    pub(super) recipient: Option<String>,
    /// What an accepting server said.
    pub(super) response: Option<&'a str>,
    pub(super) failure: Failure<'a>,
    pub(super) feedback: Option<&'a str>,
    pub(super) machine: Option<bool>,
    pub(super) inbound: Inbound,
}

/// A message that came in.
#[derive(Debug, Default, Clone)]
pub(super) struct Inbound {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) auto: bool,
}

impl Told<'_> {
    /// The event. `fallback` is the moment where the provider names none.
    pub(super) fn event(self, row: &Row, fallback: UnixMillis) -> NewEvent {
        let recipient = self.recipient.map(|text| address(&text));
        let detail = match row.meaning {
            Meaning::Inbound => self.inbound.detail(),
            Meaning::Delivery => match recipient {
                Some(recipient) => Detail::Delivery {
                    recipient,
                    smtp_response: self.response.map(|text| limited(text, LINE_CHARS_MAX)),
                    accepted_by: Some(AcceptedBy::Recipient),
                },
                // A delivery to nobody says nothing; it is kept, and called what its provider calls it.
                None => Detail::Other {},
            },
            Meaning::Bounce(label) => Failure { recipient, ..self.failure }.bounce(label),
            Meaning::Complaint => Detail::Complaint {
                recipient,
                feedback_type: self.feedback.map(|text| limited(text, WORD_CHARS_MAX)),
                tied: Tied::None,
            },
            Meaning::Open => Detail::Open { recipient, machine: self.machine },
            Meaning::Other => Detail::Other {},
        };
        let (id, message) = (naming(&self.id), self.message.map(|id| naming(bare(&id))));
        NewEvent {
            event_id: EventId::new(id),
            mailbox: self.mailbox.map(|text| address(&text).to_lowercase()).filter(|text| text.contains('@')),
            message_id: message.map(MessageId::new),
            thread_id: self.thread.map(|id| ThreadId::new(naming(&id))),
            timestamp: self.at.unwrap_or(fallback),
            provider_kind: Some(limited(&self.name, WORD_CHARS_MAX)).filter(|name| !name.is_empty()),
            detail,
        }
    }
}

impl Inbound {
    fn detail(self) -> Detail {
        let snippet = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        Detail::Inbound {
            from: address(&self.from),
            from_name: display_name(&self.from),
            to: self.to.iter().flat_map(|list| split(list)).take(TO_LEN_MAX).map(|one| address(&one)).collect(),
            subject: limited(&self.subject, LINE_CHARS_MAX),
            snippet: limited(&snippet, SNIPPET_CHARS_MAX),
            auto: self.auto,
        }
    }
}

/// Whether a message with these headers is an automatic reply (RFC 3834 section 5).
pub(super) fn is_auto<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
    headers.into_iter().any(|(name, value)| {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let value = value.trim().to_ascii_lowercase();
        (is("auto-submitted") && value != "no" && !value.is_empty())
            || (is("x-autoreply") || is("x-autorespond"))
            || (is("precedence") && value == "auto_reply")
    })
}

/// The text of a raw message; empty where it has none.
pub(super) fn plain_text(raw: &[u8]) -> String {
    let message = mail_parser::MessageParser::default().parse(raw);
    message.and_then(|message| message.body_text(0).map(std::borrow::Cow::into_owned)).unwrap_or_default()
}

/// The first `chars_max` characters of `text`, without the space around it.
pub(super) fn limited(text: &str, chars_max: usize) -> String {
    text.trim().chars().take(chars_max).collect()
}

/// An id that fits: `text` itself, or where it is too long or holds control characters, a digest of it.
pub(super) fn naming(text: &str) -> String {
    let text = text.trim();
    if text.len() <= ID_BYTES_MAX && !text.is_empty() && !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    derived_id(&[text])
}

/// An id for an event whose provider gives it none of its own: the same for the same parts whenever they are told.
pub(super) fn derived_id(parts: &[&str]) -> String {
    // Each part with its length, so that no two lists of parts read alike.
    let text = parts.iter().map(|part| format!("{}:{part}", part.len())).collect::<Vec<_>>().concat();
    format!("derived_{}", hex::encode(&sha256(text.as_bytes())[..16]))
}

/// The id of one of several events that one webhook tells of: the webhook's own where it tells of one.
pub(super) fn part_id(id: &str, recipient: Option<&str>, parts: usize) -> String {
    match recipient {
        Some(recipient) if parts > 1 => derived_id(&[id, &recipient.to_lowercase()]),
        _ => id.to_owned(),
    }
}

/// An id without the angle brackets of a Message-ID.
fn bare(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

/// The address in `Name <address>`, or the text itself.
pub(super) fn address(text: &str) -> String {
    let inside = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(text, |(inside, _)| inside);
    match inside.trim().parse::<Address>() {
        Ok(address) => address.as_str().to_owned(),
        Err(_) => limited(inside, ADDRESS_CHARS_MAX),
    }
}

/// The name in `Name <address>`, where there is one.
fn display_name(text: &str) -> Option<String> {
    let (name, _) = text.rsplit_once('<')?;
    let name = name.trim().trim_matches('"').replace("\\\"", "\"");
    Some(limited(&name, LINE_CHARS_MAX)).filter(|name| !name.is_empty())
}

/// The addresses of a header's list: at commas outside of quotes and angle brackets.
pub(super) fn split(list: &str) -> Vec<String> {
    let (mut quoted, mut inside, mut escaped) = (false, false, false);
    let parts = list.split(|c: char| {
        let cut = c == ',' && !quoted && !inside;
        match c {
            '"' if !escaped => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if !quoted => inside = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        cut
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_addresses_are_taken_apart() {
        let list = r#""Doe, Jane" <Jane@Example.com>, bob@example.com,, <x@y.test>"#;
        let parts = split(list);
        assert_eq!(
            parts.iter().map(|one| address(one)).collect::<Vec<_>>(),
            ["jane@example.com", "bob@example.com", "x@y.test"]
        );
        assert_eq!(display_name(&parts[0]).as_deref(), Some("Doe, Jane"));
    }

    #[test]
    fn no_two_lists_of_parts_have_one_id() {
        assert_ne!(derived_id(&["a", "b"]), derived_id(&["ab"]));
        assert_ne!(derived_id(&["a", "b"]), derived_id(&["a\0b"]));
        assert_eq!(naming(&"x".repeat(129)).len(), "derived_".len() + 32);
    }
}
