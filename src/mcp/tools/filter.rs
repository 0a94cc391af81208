//! The filters that `wait_for_event` and `list_events` share, and where to read from.

use super::super::{
    arguments::{Arguments, Kind, Parameter},
    failure::Failure,
    present::sentence,
};
use crate::{
    bell::waiting::Position,
    domain::{
        address::{Address, NotAnAddress, ascii_domain, is_domain},
        event::{EventFilter, EventKind},
        grant::Mailboxes,
        id::{ActionId, MessageId, ThreadId},
    },
};

/// The words for kinds of event.
pub(super) const KINDS: &[&str] = &["inbound", "delivery", "bounce", "complaint", "open", "approval", "other"];

pub(super) const EVENT_TYPES: Parameter = Parameter::new("event_types", Kind::Words(KINDS), "");
pub(super) const MAILBOX: Parameter = Parameter::new("mailbox", Kind::Text, "address");
pub(super) const DOMAIN: Parameter = Parameter::new("domain", Kind::Text, "");
pub(super) const THREAD_ID: Parameter = Parameter::new("thread_id", Kind::Text, "");
pub(super) const MESSAGE_ID: Parameter = Parameter::new("message_id", Kind::Text, "");
/// Of tools that act: a lease that is over is refused before anything is done.
pub(super) const LEASE_TOKEN: Parameter = Parameter::new("lease_token", Kind::Lease, "");
pub(super) const ACTION_ID: Parameter = Parameter::new("action_id", Kind::Text, "");

/// The kinds that these words name; the arguments' check has seen to it that they are kinds.
pub(super) fn kinds(words: &[String]) -> Vec<EventKind> {
    words.iter().filter_map(|word| word.parse().ok()).collect()
}

/// An address as the log writes it.
pub(in crate::mcp) fn address(text: &str) -> Result<String, Failure> {
    text.parse::<Address>().map(|address| address.to_string()).map_err(|error: NotAnAddress| {
        Failure::Told(sentence!("argument `mailbox`: {}; call list_mailboxes for yours", error))
    })
}

/// A domain as the log writes it.
pub(super) fn domain(text: &str) -> Result<String, Failure> {
    let domain = ascii_domain(text.trim_start_matches('@')).into_owned();
    if is_domain(&domain) {
        Ok(domain)
    } else {
        Err(Failure::Told("argument `domain` must be a domain such as example.com".into()))
    }
}

/// The filter that the arguments describe, for a caller that sees these mailboxes.
pub(super) fn filter(arguments: &Arguments, seen: &Mailboxes) -> Result<EventFilter, Failure> {
    Ok(EventFilter {
        kinds: kinds(arguments.texts("event_types")),
        mailbox: arguments.text("mailbox").map(address).transpose()?,
        within: seen.clone(),
        domain: arguments.text("domain").map(domain).transpose()?,
        thread_id: arguments.text("thread_id").map(ThreadId::new),
        message_id: arguments.text("message_id").map(MessageId::new),
        action_id: arguments.text("action_id").map(ActionId::new),
    })
}

/// The place that `text` names.
pub(super) fn position(text: &str) -> Result<Position, Failure> {
    match text {
        "earliest" => Ok(Position::Earliest),
        "now" => Ok(Position::Now),
        cursor => cursor.parse().map(Position::After).map_err(|error: crate::domain::cursor::NotACursor| {
            Failure::Told(sentence!("argument `after`: {}", error))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_events() {
        assert_eq!(EventKind::ALL.map(EventKind::as_str).as_slice(), KINDS);
    }
}
