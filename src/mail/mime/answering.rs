//! What matters to whoever wants to answer a message: where answers go, and whether it may be answered by a program.

use mail_parser::{Address, Message};

use super::{
    auto,
    entity::Entity,
    limits::LINE_CHARS_MAX,
    text::{one_line, with_line_feeds},
};

/// How a message can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answering {
    /// The addresses in `Reply-To`, or else the one in `From`.
    pub to: Vec<String>,
    /// Whether a program sent it (RFC 3834).
    pub auto: bool,
    /// Whether it went to many: a list's or bulk mail, by `List-Id`, `List-Unsubscribe`, `List-Post` or `Precedence`.
    pub bulk: bool,
}

/// Reads how `raw` can be answered.
pub fn answering(raw: &[u8]) -> Answering {
    let raw = with_line_feeds(raw);
    let root = Entity::root(&raw);
    let Some(headers) = root.headers() else { return Answering::default() };
    let people = |address: &Address<'_>| -> Vec<String> {
        address
            .iter()
            .filter_map(|person| person.address())
            .map(|address| one_line(address, LINE_CHARS_MAX))
            .filter(|address| !address.is_empty())
            .collect()
    };
    let mut to = headers.reply_to().map(people).unwrap_or_default();
    if to.is_empty() {
        to = headers.from().or_else(|| headers.sender()).map(people).unwrap_or_default();
        to.truncate(1);
    }
    Answering { to, auto: auto::is_automatic_reply(headers), bulk: is_bulk(headers) }
}

fn is_bulk(headers: &Message<'_>) -> bool {
    let list = ["List-Id", "List-Unsubscribe", "List-Post"].iter().any(|name| headers.header_raw(*name).is_some());
    let precedence = headers.header_raw("Precedence").map(|value| value.trim().to_ascii_lowercase());
    list || precedence.is_some_and(|value| ["bulk", "list", "junk"].contains(&value.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_go_to_reply_to_and_programs_and_lists_are_known() {
        let read = |header: &str| answering(format!("From: Ann <ann@a.test>\r\n{header}\r\n\r\nx").as_bytes());
        assert_eq!(read("Subject: x"), Answering { to: vec!["ann@a.test".into()], auto: false, bulk: false });
        assert_eq!(read("Reply-To: b@b.test, c@c.test").to, ["b@b.test", "c@c.test"]);
        assert!(read("Auto-Submitted: auto-replied").auto && !read("Auto-Submitted: no").auto);
        for bulk in ["List-Id: <x.y>", "Precedence: Bulk", "List-Unsubscribe: <mailto:x@y>"] {
            assert!(read(bulk).bulk, "{bulk}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = answering(&raw);
        }
    }
}
