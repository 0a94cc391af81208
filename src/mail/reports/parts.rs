//! Takes a report apart into its MIME parts, within limits and without recursion deeper than [`DEPTH_MAX`].

use std::{borrow::Cow, rc::Rc};

use mail_parser::{
    ContentType, Message, MessageParser, MimeHeaders,
    decoders::{base64::base64_decode, charsets::map::charset_decoder, quoted_printable::quoted_printable_decode},
};

use super::limits::{DEPTH_MAX, HEADER_BYTES_MAX, PARTS_MAX, TEXT_BYTES_MAX, cut};

/// A part that is no multipart, or the message itself.
pub(super) struct Part<'a> {
    pub(super) headers: Option<Rc<Message<'static>>>,
    body: &'a [u8],
}

impl<'a> Part<'a> {
    pub(super) fn of(raw: &'a [u8]) -> Self {
        let (header, body) = split(raw);
        let kept = &header[..header.len().min(HEADER_BYTES_MAX)];
        let mut block = Vec::with_capacity(kept.len() + 4);
        for line in kept.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_envelope(line)) {
            block.extend_from_slice(line);
        }
        // The parser wants an end of headers, which a part without a body lacks.
        block.extend_from_slice(b"\r\n\r\n");
        let headers = if header.is_empty() { None } else { MessageParser::default().parse_headers(&block) };
        Self { headers: headers.map(Message::into_owned).map(Rc::new), body }
    }

    fn content_type(&self) -> Option<&ContentType<'_>> {
        self.headers.as_ref()?.content_type()
    }

    /// Its media type in lower case; `text/plain` if it does not say.
    pub(super) fn media_type(&self) -> String {
        match self.content_type() {
            Some(said) => format!("{}/{}", said.ctype(), said.subtype().unwrap_or("plain")).to_ascii_lowercase(),
            None => "text/plain".into(),
        }
    }

    /// A parameter of its Content-Type.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.content_type()?.attribute(name)
    }

    /// Its content, decoded. What is no good base64 or quoted-printable is taken as it stands.
    pub(super) fn bytes(&self) -> Cow<'a, [u8]> {
        let said = self.headers.as_ref().and_then(|headers| headers.content_transfer_encoding());
        let decoded = match said.unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "base64" => base64_decode(self.body),
            "quoted-printable" => quoted_printable_decode(self.body),
            _ => None,
        };
        decoded.map_or(Cow::Borrowed(self.body), Cow::Owned)
    }

    /// Its content as text, at most [`TEXT_BYTES_MAX`] of it.
    pub(super) fn text(&self) -> String {
        let bytes = self.bytes();
        let named = self.parameter("charset").map(|charset| charset.trim().to_ascii_lowercase());
        // Japanese mail systems write ISO-2022-JP and do not always say so; nothing else has this escape.
        let japanese = bytes.contains(&b'\x1b') && bytes.windows(3).any(|three| matches!(three, b"\x1b$B" | b"\x1b$@"));
        let named = if japanese { Some("iso-2022-jp".to_owned()) } else { named };
        let decoder = named.as_deref().and_then(|charset| charset_decoder(charset.as_bytes()));
        let text = match (decoder, std::str::from_utf8(&bytes)) {
            (None, Ok(utf8)) => Cow::Borrowed(utf8),
            (Some(_), Ok(utf8)) if named.as_deref() == Some("us-ascii") => Cow::Borrowed(utf8),
            (Some(decode), _) => Cow::Owned(decode(&bytes)),
            (None, Err(_)) => match charset_decoder(b"windows-1252") {
                Some(decode) => Cow::Owned(decode(&bytes)),
                None => String::from_utf8_lossy(&bytes),
            },
        };
        with_line_feeds(cut(&text, TEXT_BYTES_MAX))
    }
}

/// `text`, whose lines may end in carriage returns with line feeds or without, with line feeds alone.
fn with_line_feeds(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\r') {
        plain.push_str(line);
        plain.push('\n');
        rest = after.strip_prefix('\n').unwrap_or(after);
    }
    plain.push_str(rest);
    plain
}

/// The parts of `root` that are no multiparts, in order; at least one, for a multipart without parts is text.
pub(super) fn leaves(root: Part<'_>) -> Vec<Part<'_>> {
    let mut leaves = Vec::new();
    let mut seen = 0;
    walk(root, 0, &mut seen, &mut leaves);
    leaves
}

fn walk<'a>(part: Part<'a>, depth: usize, seen: &mut usize, leaves: &mut Vec<Part<'a>>) {
    *seen += 1;
    if depth < DEPTH_MAX
        && part.media_type().starts_with("multipart/")
        && let Some(boundary) = part.parameter("boundary")
    {
        let within = between(part.body, boundary.as_bytes(), PARTS_MAX.saturating_sub(*seen));
        if !within.is_empty() {
            for part in within {
                if *seen < PARTS_MAX {
                    walk(Part::of(part), depth + 1, seen, leaves);
                }
            }
            return;
        }
    }
    leaves.push(part);
}

/// The parts between the boundary lines (RFC 2046 section 5.1.1). One that was never closed ends with its last part.
fn between<'a>(body: &'a [u8], boundary: &[u8], parts_max: usize) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut at, mut began) = (0, None::<usize>);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let rest = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary)).map(<[u8]>::trim_ascii_end);
        let closing = rest.is_some_and(|rest| rest.starts_with(b"--"));
        if rest.is_some_and(<[u8]>::is_empty) || closing {
            parts.extend(began.map(|began| &body[began..at]));
            if closing || parts.len() >= parts_max {
                return parts;
            }
            began = Some(at + line.len());
        }
        at += line.len();
    }
    parts.extend(began.map(|began| &body[began..]));
    parts
}

/// The header block and the body: they part at an empty line, or at the first line that can be no field.
pub(super) fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii_end().is_empty() {
            return (&raw[..at], &raw[at + line.len()..]);
        }
        let folded = matches!(line.first(), Some(b' ' | b'\t')) && at > 0;
        if !folded && !is_envelope(line) && !is_field(line) {
            break;
        }
        at += line.len();
    }
    (&raw[..at], &raw[at..])
}

/// The first line of a mailbox file, which may stand below the trace of whoever took the message.
fn is_envelope(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

fn is_field(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leaves_are_found_in_order_and_decoded() {
        let raw = b"Content-Type: multipart/report; boundary=b\r\n\r\npre\r\n--b\r\n\
            Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\none\r\n--c--\r\n--b\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nw6l0w6k=\r\n--b--\r\n";
        let texts: Vec<_> = leaves(Part::of(raw)).iter().map(|part| part.text().trim().to_owned()).collect();
        assert_eq!(texts, ["one", "été"]);
    }

    #[test]
    fn iso_2022_jp_is_read_even_where_nobody_says_so() {
        let part = Part::of(b"A: b\r\n\r\n\x1b$B$3$s$K$A$O\x1b(B");
        assert_eq!(part.text(), "こんにちは");
    }

    #[test]
    fn nesting_and_numbers_are_bounded() {
        let mut deep = Vec::new();
        for n in 0..10_000 {
            deep.extend_from_slice(
                format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n").as_bytes(),
            );
        }
        assert_eq!(leaves(Part::of(&deep)).len(), 1);
        let wide = [&b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"[..], &b"--b\r\n\r\n".repeat(10_000)].concat();
        assert!(leaves(Part::of(&wide)).len() <= PARTS_MAX);
    }

    proptest! {
        #[test]
        fn lines_end_in_line_feeds(text in "(\r|\n|\r\n|é|a){0,20}") {
            prop_assert_eq!(with_line_feeds(&text), text.replace("\r\n", "\n").replace('\r', "\n"));
        }
    }
}
