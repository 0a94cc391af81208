//! The message that a report returns, or as much of it as there is.

use std::sync::LazyLock;

use mail_parser::{Address, HeaderName, HeaderValue, Message, MessageParser};
use regex::Regex;

use super::{
    Original, addresses,
    letter::Letter,
    limits::{ADDRESSES_MAX, HEADER_BYTES_MAX, LINE_BYTES_MAX, cut},
    parts,
};

static ID_IN_TEXT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)message[- ]?id(?:entifier)?(?: of| was| is)?\s*[:=]?\s*<([^<>\s@]{1,250}@[^<>\s]{1,250})>")
        .expect("a pattern that the tests compile")
});
static QUOTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[ \t]*>[ \t]?|^[ \t]+").expect("a pattern that the tests compile"));

/// What `letter` tells of the message that it is about.
pub(super) fn of(letter: &Letter) -> Original {
    let mut about = letter.returned.iter().find_map(|returned| from_header(returned)).unwrap_or_default();
    about.message_id = about
        .message_id
        .or_else(|| letter.field_in_text("x-original-message-id").and_then(|id| bare(&id)))
        .or_else(|| ID_IN_TEXT.captures(&letter.text).and_then(|found| bare(&found[1])))
        // Gmail and Exchange answer the message that they return.
        .or_else(|| letter.answers().into_iter().next().and_then(|id| bare(&id)));
    about
}

/// A field of the returned header, as it stands.
pub(super) fn field(letter: &Letter, name: &'static str) -> Option<String> {
    letter.returned.iter().find_map(|returned| {
        let headers = header(returned)?;
        Some(headers.header_raw(name)?.trim().to_owned())
    })
}

fn from_header(returned: &str) -> Option<Original> {
    let headers = header(returned)?;
    let about = Original {
        message_id: match headers.header(HeaderName::MessageId) {
            Some(HeaderValue::Text(id)) => bare(id),
            Some(HeaderValue::TextList(ids)) => ids.first().and_then(|id| bare(id)),
            _ => None,
        },
        envelope_id: None,
        from: headers.from().and_then(Address::first).and_then(|person| person.address()).map(line),
        to: people(headers.to()).chain(people(headers.cc())).take(ADDRESSES_MAX).collect(),
        subject: headers.subject().map(line).filter(|subject| !subject.is_empty()),
    };
    (about != Original::default()).then_some(about)
}

fn people<'a>(field: Option<&'a Address<'a>>) -> impl Iterator<Item = String> + 'a {
    let people = field.map(Address::iter).into_iter().flatten();
    people.filter_map(|person| person.address()).filter(|address| address.contains('@')).map(line)
}

fn header(returned: &str) -> Option<Message<'static>> {
    let text = returned.trim_start_matches(['\n', ' ', '-', '=']);
    let first = text.lines().next()?;
    // Forwarders quote the header, and some mail systems indent it.
    let quoted = returned.trim_start_matches('\n').starts_with(['>', ' ', '\t']);
    let plain: String;
    let text = if quoted && first.contains(':') {
        plain = cut(returned.trim_start_matches('\n'), HEADER_BYTES_MAX)
            .lines()
            .map(|line| QUOTE.replace(line, "") + "\n")
            .collect();
        plain.as_str()
    } else {
        text
    };
    if parts::split(text.as_bytes()).0.is_empty() {
        return None;
    }
    // Some mail systems lose the blanks that fold a line: what is no field is passed over, not taken for the end.
    let mut block = String::new();
    for line in cut(text, HEADER_BYTES_MAX).lines().take_while(|line| !line.trim_end().is_empty()) {
        if line.starts_with([' ', '\t']) || !parts::split(line.as_bytes()).0.is_empty() {
            block.push_str(line);
            block.push_str("\r\n");
        }
    }
    let block = [block.as_bytes(), b"\r\n"].concat();
    MessageParser::default().parse_headers(&block).map(Message::into_owned)
}

fn line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(clean.trim(), LINE_BYTES_MAX).to_owned()
}

/// A Message-ID without its brackets.
fn bare(id: &str) -> Option<String> {
    let id = id.trim().trim_start_matches('<').trim_end_matches('>').trim();
    (!id.is_empty() && id.len() <= LINE_BYTES_MAX && !id.contains(char::is_whitespace)).then(|| id.to_owned())
}

/// The addresses that the returned header shows it was for: those of `To` and `Cc`, or else the one it was routed to.
pub(super) fn recipients(letter: &Letter, about: &Original) -> Vec<String> {
    if !about.to.is_empty() {
        return about.to.clone();
    }
    let routed = ["X-Envelope-To", "Envelope-To", "X-Original-To", "Delivered-To", "X-Rcpt-To"];
    routed
        .into_iter()
        .find_map(|name| field(letter, name))
        .and_then(|to| addresses::clean(&to, false))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_header_is_read() {
        let about = from_header(
            "Message-ID: <1@a.test>\nFrom: A <a@a.test>\nTo: b@b.test, C <c@c.test>\nSubject: =?utf-8?Q?caf=C3=A9?=\n\nhi",
        );
        let about = about.expect("a header");
        assert_eq!(about.message_id.as_deref(), Some("1@a.test"));
        assert_eq!(about.from.as_deref(), Some("a@a.test"));
        assert_eq!(about.to, ["b@b.test", "c@c.test"]);
        assert_eq!(about.subject.as_deref(), Some("café"));
        assert_eq!(from_header("REDACTED\n"), None);
    }

    #[test]
    fn a_quoted_header_is_read() {
        let about = from_header("> Message-Id: <2@a.test>\n> To: b@b.test\n>\n> hi\n").expect("a header");
        assert_eq!((about.message_id.as_deref(), about.to.len()), (Some("2@a.test"), 1));
    }
}
