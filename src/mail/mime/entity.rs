//! One MIME entity (RFC 2045 section 2.4): its header fields, as mail-parser reads them, and its body.

use mail_parser::{ContentType, Message, MessageParser, MimeHeaders};

use super::limits::{HEADER_BYTES_MAX, HEADER_FIELDS_MAX};

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
        let Split { kept, body, cut } = split(raw);
        // The parser wants an end of headers, which a part without a body lacks.
        let mut block = Vec::with_capacity(kept + 4);
        block.extend_from_slice(&raw[..kept]);
        block.extend_from_slice(b"\r\n\r\n");
        let headers = if kept == 0 { None } else { MessageParser::default().parse_headers(&block) };
        Self { headers: headers.map(Message::into_owned), body: &raw[body..], cut }
    }

    /// Its header fields; none if it has no header block.
    pub(super) fn headers(&self) -> Option<&Message<'static>> {
        self.headers.as_ref()
    }

    /// Its media type in lower case, such as `text/plain`; none if it does not say.
    pub(super) fn media_type(&self) -> Option<String> {
        let said = self.content_type()?;
        let subtype = said.subtype().unwrap_or("");
        Some(format!("{}/{subtype}", said.ctype()).to_ascii_lowercase())
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
        said.unwrap_or("").trim().to_ascii_lowercase()
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

struct Split {
    /// The length of the header block that is read.
    kept: usize,
    /// Where the body begins.
    body: usize,
    cut: bool,
}

/// Finds the end of the header block: an empty line, or the first line that can be no field. A message of text alone is
/// all body.
fn split(raw: &[u8]) -> Split {
    let (mut at, mut fields, mut kept) = (0, 0, None);
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        let plain = line.trim_ascii_end();
        if plain.is_empty() {
            return Split { kept: kept.unwrap_or(at), body: at + line.len(), cut: kept.is_some() };
        }
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        if !folded {
            // A line that some mailbox format put in front is no field, but neither is it an end.
            let envelope_line = at == 0 && line.starts_with(b"From ");
            if !envelope_line && !is_field(plain) {
                break;
            }
            fields += 1;
        }
        if kept.is_none() && (fields > HEADER_FIELDS_MAX || at + line.len() > HEADER_BYTES_MAX) {
            kept = Some(at);
        }
        at += line.len();
    }
    Split { kept: kept.unwrap_or(at), body: at, cut: kept.is_some() }
}

/// Whether `line` begins with a field name and a colon (RFC 5322 section 2.2; blanks before the colon are obsolete but
/// seen).
fn is_field(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_begins_after_the_empty_line_or_where_fields_end() {
        for (raw, body) in [
            (&b"A: b\r\n\r\nbody"[..], &b"body"[..]),
            (b"A: b\n\nbody", b"body"),
            (b"A: b\r\n c\r\n\r\n\r\nbody", b"\r\nbody"),
            (b"A: b", b""),
            (b"", b""),
            (b"\r\nbody", b"body"),
            (b"just text\r\nmore: text", b"just text\r\nmore: text"),
            (b"From ann Mon\nA: b\n\nbody", b"body"),
        ] {
            assert_eq!(Entity::of(raw).body, body, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn fields_over_the_limit_are_cut_and_the_body_is_still_found() {
        let mut raw = b"X: y\r\n".repeat(HEADER_FIELDS_MAX);
        raw.extend_from_slice(b"Subject: late\r\n\r\nbody");
        let entity = Entity::of(&raw);
        assert!(entity.cut);
        assert_eq!(entity.body, b"body");
        assert_eq!(entity.headers().and_then(Message::subject), None);
    }
}
