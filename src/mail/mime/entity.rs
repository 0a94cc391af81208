//! One MIME entity (RFC 2045 section 2.4): its header fields, as mail-parser reads them, and its body.

use mail_parser::{ContentType, Message, MimeHeaders};

use super::block::Block;

/// A message, or a part of one.
pub(super) struct Entity<'a> {
    headers: Option<Message<'static>>,
    /// What follows the header block.
    pub(super) body: &'a [u8],
    /// The header block was over a limit, and fields beyond it are not in `headers`.
    pub(super) cut: bool,
}

impl<'a> Entity<'a> {
    pub(super) fn of(raw: &'a [u8]) -> Self {
        Self::with(raw, Block::of(raw))
    }

    /// The message itself.
    pub(super) fn root(raw: &'a [u8]) -> Self {
        Self::with(raw, Block::of_root(raw))
    }

    fn with(raw: &'a [u8], block: Block) -> Self {
        let (body, cut) = (&raw[block.body..], block.cut);
        Self { headers: block.read(), body, cut }
    }

    /// Its header fields; none if it has no header block.
    pub(super) fn headers(&self) -> Option<&Message<'static>> {
        self.headers.as_ref()
    }

    /// Its media type in lower case, such as `text/plain`; none if it does not say.
    pub(super) fn media_type(&self) -> Option<String> {
        // RFC 2045 section 5.2: half a type, such as `text`, is none.
        let said = self.content_type()?;
        let subtype = said.subtype().filter(|subtype| !subtype.is_empty())?;
        (!said.ctype().is_empty()).then(|| format!("{}/{subtype}", said.ctype()).to_ascii_lowercase())
    }

    /// A parameter of its Content-Type.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.content_type()?.attribute(name)
    }

    fn content_type(&self) -> Option<&ContentType<'_>> {
        self.headers.as_ref()?.content_type()
    }

    /// Its Content-Transfer-Encoding in lower case; empty if it does not say.
    pub(super) fn encoding(&self) -> String {
        let said = self.headers.as_ref().and_then(|headers| headers.content_transfer_encoding());
        // Comments and quotes are allowed nowhere and written by some.
        let words = said.unwrap_or("").split(|c: char| c.is_whitespace() || "\"';".contains(c));
        let word = words.filter(|word| !word.is_empty()).find(|word| !word.starts_with('('));
        word.unwrap_or("").to_ascii_lowercase()
    }

    /// Whether its Content-Disposition calls it an attachment (RFC 2183).
    pub(super) fn is_attachment(&self) -> bool {
        let said = self.headers.as_ref().and_then(|headers| headers.content_disposition());
        said.is_some_and(|disposition| disposition.ctype().eq_ignore_ascii_case("attachment"))
    }

    /// Its file name, decoded (RFC 2231, RFC 2047).
    pub(super) fn file_name(&self) -> Option<&str> {
        self.headers.as_ref()?.attachment_name()
    }
}
