//! The fields of a message's own header: people, subject, Message-IDs.

use mail_parser::{Address, HeaderName, HeaderValue, Message};

use super::{
    Reading, auto,
    entity::Entity,
    limits::{ADDRESSES_MAX, HEADER_BYTES_MAX, HEADER_FIELDS_MAX, LINE_CHARS_MAX},
    text::one_line,
};

pub(super) fn read(root: &Entity<'_>, reading: &mut Reading) {
    if root.cut {
        reading.notes.push(format!(
            "the header is longer than {HEADER_FIELDS_MAX} fields or {} KiB; fields beyond that were not read",
            HEADER_BYTES_MAX / 1024
        ));
    }
    let Some(headers) = root.headers() else {
        reading.notes.push("the message has no header".into());
        return;
    };
    reading.subject = one_line(headers.subject().unwrap_or(""), LINE_CHARS_MAX);
    // From comes first; Sender stands in where there is none.
    if let Some(sender) = headers.from().or_else(|| headers.sender()).and_then(Address::first) {
        let (mut address, mut name) = (sender.address().map(address), sender.name());
        // `Ann (ann@there)` is read the wrong way round, and all of `Ann <ann@there>` in one encoded word as a name.
        let holds = |text: Option<&str>| text.is_some_and(|text| text.contains('@'));
        if !holds(address.as_deref()) && holds(name) {
            let (before, within) = name.and_then(|name| name.split_once('<')).unzip();
            (address, name) = (within.or(name).map(self::address), before.or_else(|| sender.address()));
        }
        reading.from = address.filter(|text| !text.is_empty());
        reading.from_name = name.map(|name| one_line(name, LINE_CHARS_MAX)).filter(|text| !text.is_empty());
    }
    reading.to = addresses(headers, &HeaderName::To, "To", &mut reading.notes);
    reading.cc = addresses(headers, &HeaderName::Cc, "Cc", &mut reading.notes);
    reading.internet_id = ids(headers.header(HeaderName::MessageId)).into_iter().next();
    reading.in_reply_to = ids(headers.header(HeaderName::InReplyTo));
    reading.references = ids(headers.header(HeaderName::References));
    reading.auto = auto::is_automatic_reply(headers);
}

/// The addresses of every field of that name (RFC 5322 allows one, senders do not).
fn addresses(headers: &Message<'_>, name: &HeaderName<'_>, shown: &str, notes: &mut Vec<String>) -> Vec<String> {
    let fields = headers.headers().iter().filter(|header| header.name == *name);
    let mut all = fields
        .filter_map(|header| header.value().as_address())
        .flat_map(Address::iter)
        .filter_map(|person| person.address())
        .map(address)
        .filter(|address| !address.is_empty());
    let kept: Vec<String> = all.by_ref().take(ADDRESSES_MAX).collect();
    let rest = all.count();
    if rest > 0 {
        notes.push(format!("{shown} names {rest} more addresses than the {ADDRESSES_MAX} that are shown"));
    }
    kept
}

/// An address without the brackets and the route (RFC 5322 section 4.4) that are left on some.
fn address(said: &str) -> String {
    let bare = said.trim().trim_matches(['<', '>']);
    let bare = match bare.split_once(':') {
        Some((route, behind)) if route.starts_with('@') => behind,
        _ => bare,
    };
    one_line(bare, LINE_CHARS_MAX)
}

/// The Message-IDs of a field, in its order.
fn ids(value: Option<&HeaderValue<'_>>) -> Vec<String> {
    let texts: Vec<&str> = match value {
        Some(HeaderValue::Text(one)) => vec![one],
        Some(HeaderValue::TextList(many)) => many.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    let clean = texts.into_iter().map(|id| one_line(id, LINE_CHARS_MAX));
    clean.filter(|id| !id.is_empty()).collect()
}
