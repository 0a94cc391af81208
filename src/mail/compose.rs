//! Builds a message to be handed over: a text, and files beside it (RFC 5322, MIME).

use mail_builder::{
    MessageBuilder,
    headers::{address::Address as Written, date::Date, message_id::MessageId, raw::Raw},
};

use crate::domain::{address::Address, clock::UnixMillis};

/// The header by which a message says that an AI wrote it.
pub const AI_DISCLOSURE: &str = "X-AI-Disclosure";

/// A message to be built. Its texts need no escaping: what a header cannot carry is encoded.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The sender.
    pub from: &'a Address,
    /// The sender's name.
    pub from_name: Option<&'a str>,
    /// The recipients in `To`.
    pub to: &'a [Address],
    /// The recipients in `Cc`.
    pub cc: &'a [Address],
    /// The subject.
    pub subject: &'a str,
    /// The text.
    pub text: &'a str,
    /// The same as HTML.
    pub html: Option<&'a str>,
    /// What it says of a program that wrote it.
    pub auto: Automatic,
    /// Whether it says that an AI wrote it.
    pub ai_disclosure: bool,
    /// When it is written.
    pub date: UnixMillis,
    /// Its Message-ID, without angle brackets.
    pub internet_id: &'a str,
    /// The Message-ID that it answers.
    pub in_reply_to: Option<&'a str>,
    /// The Message-IDs of its thread, the oldest first.
    pub references: &'a [String],
    /// What goes along as files.
    pub files: &'a [File<'a>],
}

/// What a message says of a program that wrote it (RFC 3834 section 5), which no program should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Automatic {
    /// Nothing.
    #[default]
    No,
    /// A program's answer to a message.
    Replied,
    /// A program wrote it of its own accord.
    Generated,
}

/// A file that goes along with a message.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its media type.
    pub content_type: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// The bytes of the message, with CRLF line ends.
pub fn compose(draft: &Draft<'_>) -> Vec<u8> {
    let people = |addresses: &'_ [Address]| {
        let written = addresses.iter().map(|address| Written::new_address(None::<String>, address.to_string()));
        Written::new_list(written.collect())
    };
    let mut builder = MessageBuilder::new()
        .from(Written::new_address(draft.from_name, draft.from.as_str()))
        .to(people(draft.to))
        .subject(draft.subject)
        .date(Date::new(draft.date.0.div_euclid(1000)))
        .message_id(draft.internet_id)
        .text_body(draft.text);
    if !draft.cc.is_empty() {
        builder = builder.cc(people(draft.cc));
    }
    if let Some(html) = draft.html {
        builder = builder.html_body(html);
    }
    match draft.auto {
        Automatic::No => {}
        Automatic::Replied => builder = builder.header("Auto-Submitted", Raw::new("auto-replied")),
        Automatic::Generated => builder = builder.header("Auto-Submitted", Raw::new("auto-generated")),
    }
    if draft.ai_disclosure {
        builder = builder.header(AI_DISCLOSURE, Raw::new("ai-generated"));
    }
    if let Some(answered) = draft.in_reply_to {
        builder = builder.in_reply_to(answered);
    }
    if !draft.references.is_empty() {
        builder = builder.references(MessageId::new_list(draft.references.iter().map(String::as_str)));
    }
    for file in draft.files {
        builder = builder.attachment(file.content_type, file.name, file.bytes);
    }
    let mut raw = Vec::new();
    builder.serialize(&mut raw);
    raw
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mime;

    #[test]
    fn what_is_composed_reads_back() {
        let [from, to] = ["ann@a.test", "agent@b.test"].map(|text| text.parse::<Address>().expect("an address"));
        let references = vec!["1@a.test".to_owned(), "2@b.test".to_owned()];
        let raw = compose(&Draft {
            from: &from,
            from_name: Some("Ännchen, von Tharau"),
            to: &[to],
            cc: &[],
            html: None,
            auto: Automatic::No,
            ai_disclosure: true,
            subject: "Größe – 見積もり, with a text that is long enough to be folded over more than one line of it",
            text: "Grüße\n.\nfrom me",
            date: UnixMillis(1_795_514_400_000),
            internet_id: "3@a.test",
            in_reply_to: Some("2@b.test"),
            references: &references,
            files: &[File { name: "Maß.pdf", content_type: "application/pdf", bytes: b"%PDF" }],
        });
        let read = mime::read(&raw);
        assert_eq!(read.from.as_deref(), Some("ann@a.test"));
        assert_eq!(read.from_name.as_deref(), Some("Ännchen, von Tharau"));
        assert_eq!(read.to, ["agent@b.test"]);
        assert!(read.subject.starts_with("Größe – 見積もり, with") && read.subject.ends_with("one line of it"));
        assert_eq!(read.text, "Grüße\n.\nfrom me");
        assert_eq!(read.internet_id.as_deref(), Some("3@a.test"));
        assert_eq!((read.in_reply_to, read.references), (vec!["2@b.test".to_owned()], references));
        assert_eq!(read.attachments.len(), 1);
        assert_eq!((read.attachments[0].name.as_str(), read.attachments[0].size_bytes), ("Maß.pdf", 4));
        let text = String::from_utf8_lossy(&raw);
        assert!(text.contains("Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n"), "{text}");
        assert!(text.contains("Message-ID: <3@a.test>\r\n"), "{text}");
        assert!(text.contains("X-AI-Disclosure: ai-generated\r\n"), "{text}");
    }
}
