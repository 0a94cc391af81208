//! The addresses of resources: what they name, and which of them an event is news for.

use crate::domain::{
    address::as_logged,
    cursor::Seq,
    event::{Event, NewEvent},
    id::{MessageId, ThreadId, WebhookId},
};

/// What every address begins with.
pub(super) const SCHEME: &str = "mailbell://";

/// The longest address: an e-mail address with all of it percent-encoded fits twice. What does not fit is not repeated either.
const URI_BYTES_MAX: usize = 2_000;

/// What a resource's address names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Events,
    Event(Seq),
    MailboxEvents(String),
    Thread(ThreadId),
    Message(MessageId),
    Attachment(MessageId, usize),
    Deliveries(WebhookId),
    Tagged { mailbox: String, tag: String },
}

impl Place {
    /// What `uri` names; none where it is no address of ours.
    pub(super) fn of(uri: &str) -> Option<Self> {
        // A URI is written in these (RFC 3986 section 2), so an address that is repeated in an answer has no spaces.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        if uri.len() > URI_BYTES_MAX || !uri.bytes().all(fits) {
            return None;
        }
        let path: Vec<String> = uri.strip_prefix(SCHEME)?.split('/').map(decoded).collect::<Option<_>>()?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path.iter().any(|part| part.is_empty()) {
            return None;
        }
        match path[..] {
            ["events"] => Some(Self::Events),
            ["events", seq] => seq.parse().ok().filter(|seq| *seq > 0).map(|seq| Self::Event(Seq(seq))),
            ["mailboxes", address, "events"] => Some(Self::MailboxEvents(address.to_owned())),
            ["mailboxes", address, "tags", tag] => {
                Some(Self::Tagged { mailbox: address.to_owned(), tag: tag.to_owned() })
            }
            ["threads", id] => Some(Self::Thread(ThreadId::new(id))),
            ["messages", id] => Some(Self::Message(MessageId::new(id))),
            ["messages", id, "attachments", number] => number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .map(|number| Self::Attachment(MessageId::new(id), number)),
            ["webhooks", id, "deliveries"] => Some(Self::Deliveries(WebhookId::new(id))),
            _ => None,
        }
    }

    /// As events name it, where events are what it changes by. An event and an attachment never change, and deliveries and tags change
    /// without one.
    pub(super) fn followed(self) -> Option<Self> {
        match self {
            Self::Events | Self::Thread(_) | Self::Message(_) => Some(self),
            Self::MailboxEvents(address) => Some(Self::MailboxEvents(as_logged(&address))),
            Self::Event(_) | Self::Attachment(..) | Self::Deliveries(_) | Self::Tagged { .. } => None,
        }
    }

    /// Those that `event` changes.
    pub(super) fn changed_by(event: &Event) -> impl Iterator<Item = Self> {
        let NewEvent { mailbox, thread_id, message_id, .. } = &event.fact;
        let of_event = [
            mailbox.clone().map(Self::MailboxEvents),
            thread_id.clone().map(Self::Thread),
            message_id.clone().map(Self::Message),
        ];
        std::iter::once(Self::Events).chain(of_event.into_iter().flatten())
    }
}

/// Percent-decoding (RFC 3986 section 2.1); none where it is not valid or not UTF-8.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let byte = hex::decode(tail.get(..2)?).ok()?;
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_name_what_they_say() {
        for (uri, place) in [
            ("mailbell://events", Some(Place::Events)),
            ("mailbell://events/7", Some(Place::Event(Seq(7)))),
            ("mailbell://events/0", None),
            ("mailbell://events/x", None),
            ("mailbell://mailboxes/a%2Bb%40c.test/events", Some(Place::MailboxEvents("a+b@c.test".into()))),
            (
                "mailbell://mailboxes/b@c.test/tags/soft-bounce",
                Some(Place::Tagged { mailbox: "b@c.test".into(), tag: "soft-bounce".into() }),
            ),
            ("mailbell://mailboxes//events", None),
            ("mailbell://threads/thr_1", Some(Place::Thread(ThreadId::new("thr_1")))),
            ("mailbell://messages/em_1", Some(Place::Message(MessageId::new("em_1")))),
            ("mailbell://messages/em_1/attachments/2", Some(Place::Attachment(MessageId::new("em_1"), 2))),
            ("mailbell://messages/em_1/attachments/0", None),
            ("mailbell://messages/em_1/attachments/-1", None),
            ("mailbell://webhooks/wh_1/deliveries", Some(Place::Deliveries(WebhookId::new("wh_1")))),
            ("mailbell://webhooks/wh_1", None),
            ("mailbell://threads/%zz", None),
            ("mailbell://threads/obey me", None),
            ("mailbell://threads/%ff", None),
            ("https://events", None),
            (&format!("mailbell://threads/{}", "x".repeat(URI_BYTES_MAX)), None),
        ] {
            assert_eq!(Place::of(uri), place, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn no_address_panics(rest in ".*") {
            let _ = Place::of(&rest);
            let _ = Place::of(&format!("mailbell://threads/{rest}"));
        }
    }
}
