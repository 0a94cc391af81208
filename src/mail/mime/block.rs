//! The header block of an entity: where it ends, and its bytes as the parser wants them.

use mail_parser::{Message, MessageParser, MimeHeaders};

use super::{
    decode,
    limits::{HEADER_BYTES_MAX, HEADER_FIELDS_MAX},
};

/// Lines within a header that are no fields and are passed over.
const ODD_LINES_MAX: usize = 10;

/// A header block.
pub(super) struct Block {
    /// Its fields, a line or more each.
    fields: Vec<u8>,
    /// Where the body begins.
    pub(super) body: usize,
    /// It was over a limit, and what lies beyond is not in `fields`.
    pub(super) cut: bool,
}

impl Block {
    /// Finds the end of the header block: an empty line, or the first line that can be no field. A message of text
    /// alone is all body.
    pub(super) fn of(raw: &[u8]) -> Self {
        Self::within(raw, false)
    }

    /// The header block of a message itself. Whoever took it put a trace above it, so what its sender put first, an
    /// empty line or the first line of a mailbox file, stands below that.
    pub(super) fn of_root(raw: &[u8]) -> Self {
        Self::within(raw, true)
    }

    fn within(raw: &[u8], is_root: bool) -> Self {
        let mut block = Self { fields: Vec::new(), body: 0, cut: false };
        let (mut fields, mut odd, mut from_seen, mut only_trace) = (0, 0, false, true);
        let mut lines = raw.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let plain = line.trim_ascii_end();
            if plain.is_empty() {
                block.body += line.len();
                if is_root && only_trace && begins_with_field(&raw[block.body..]) {
                    continue;
                }
                break;
            }
            let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
            if !is_folded && !is_field(plain) {
                // A line that some mailbox format put in front is no field, but neither is it an end; nor is what
                // stands between two fields that everybody knows.
                let is_first = block.body == 0 || is_root && only_trace;
                let is_envelope = is_first && line.starts_with(b"From ") || line.starts_with(b">From ");
                // A second From is not looked for: what is shown must be the one that others checked.
                let may_follow = |next: &&[u8]| is_known_field(next) && !(from_seen && is_from(next));
                let is_between = fields > 0 && lines.peek().is_some_and(may_follow);
                odd += 1;
                if odd > ODD_LINES_MAX || !(is_envelope || is_between) {
                    break;
                }
                block.body += line.len();
                continue;
            }
            fields += usize::from(!is_folded);
            from_seen |= is_from(line);
            only_trace &= is_folded || is_trace(line);
            block.cut |= fields > HEADER_FIELDS_MAX || block.fields.len() + line.len() > HEADER_BYTES_MAX;
            if !block.cut {
                block.fields.extend_from_slice(line);
            }
            block.body += line.len();
        }
        block
    }

    /// Its fields, read; none if there are none. Fields in a charset that is not UTF-8 (RFC 5322 allows neither) are
    /// taken to be in that of the content.
    pub(super) fn read(mut self) -> Option<Message<'static>> {
        if self.fields.is_empty() {
            return None;
        }
        self.fields.retain(|byte| *byte != 0);
        // The parser wants an end of headers, which a part without a body lacks.
        self.fields.extend_from_slice(b"\r\n\r\n");
        let parse = |fields: &[u8]| MessageParser::default().parse_headers(fields).map(Message::into_owned);
        let read = parse(&self.fields)?;
        let is_japanese = decode::is_japanese(&self.fields);
        if !is_japanese && std::str::from_utf8(&self.fields).is_ok() {
            return Some(read);
        }
        let of_content = read.content_type().and_then(|said| said.attribute("charset"));
        let charset = if is_japanese { "iso-2022-jp" } else { of_content.unwrap_or("") };
        let is_useless = charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii");
        let decoder = Some(charset).filter(|_| !is_useless).and_then(decode::decoder);
        let decoder = decoder.or_else(|| decode::decoder("windows-1252"));
        // Line by line, for some hold UTF-8 beside others that do not.
        let mut lines = String::with_capacity(self.fields.len());
        for line in self.fields.split_inclusive(|byte| *byte == b'\n') {
            match (std::str::from_utf8(line), decoder) {
                (Ok(utf8), _) if !decode::is_japanese(line) => lines.push_str(utf8),
                (_, Some(decode)) => lines.push_str(&decode(line)),
                (_, None) => lines.push_str(&String::from_utf8_lossy(line)),
            }
        }
        lines.push_str("\r\n\r\n");
        parse(lines.as_bytes())
    }
}

/// Whether `line` begins with a field name and a colon (RFC 5322 section 2.2; blanks before the colon are obsolete but
/// seen).
fn is_field(line: &[u8]) -> bool {
    name(line).is_some()
}

fn name(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

fn is_from(line: &[u8]) -> bool {
    name(line).is_some_and(|name| name.eq_ignore_ascii_case(b"from"))
}

/// Whether it begins with the name of a field that no sentence begins with.
fn is_known_field(line: &[u8]) -> bool {
    let name = name(line).map(<[u8]>::to_ascii_lowercase).unwrap_or_default();
    let known: [&[u8]; 11] = [
        b"from",
        b"to",
        b"cc",
        b"subject",
        b"date",
        b"message-id",
        b"mime-version",
        b"received",
        b"reply-to",
        b"return-path",
        b"delivered-to",
    ];
    known.contains(&name.as_slice()) || name.starts_with(b"content-") || name.starts_with(b"x-")
}

fn is_trace(line: &[u8]) -> bool {
    name(line).is_some_and(|name| name.eq_ignore_ascii_case(b"return-path") || name.eq_ignore_ascii_case(b"received"))
}

/// Whether the first line of `raw` with anything in it is a field.
fn begins_with_field(raw: &[u8]) -> bool {
    let mut lines = raw.split(|byte| *byte == b'\n');
    lines.find(|line| !line.trim_ascii().is_empty()).is_some_and(is_field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(raw: &[u8]) -> Option<String> {
        Block::of(raw).read().and_then(|headers| headers.subject().map(str::to_owned))
    }

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
            (b"just text\r\nSubject: text", b"just text\r\nSubject: text"),
            (b"From ann Mon\nA: b\n\nbody", b"body"),
            (b"From ann Mon\n>From bob Mon 10:00\nA: b\n\nbody", b"body"),
            (b"A: b\nodd line\nSubject: c\n\nbody", b"body"),
            (b"A: b\nHello Bob,\nplease: note", b"Hello Bob,\nplease: note"),
        ] {
            assert_eq!(&raw[Block::of(raw).body..], body, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn what_a_sender_put_first_stands_below_the_trace() {
        for (raw, body) in [
            (&b"Return-Path: <>\r\nReceived: x\r\n\ty\r\n\r\n\r\nSubject: c\r\n\r\nbody"[..], &b"body"[..]),
            (b"Return-Path: <>\r\nFrom ann Mon 10:00\r\nSubject: c\r\n\r\nbody", b"body"),
            (b"Return-Path: <>\r\n\r\nHello,\r\nSubject: c", b"Hello,\r\nSubject: c"),
            (b"\r\n\r\nSubject: c\r\n\r\nbody", b"body"),
            (b"A: b\r\n\r\nSubject: c", b"Subject: c"),
        ] {
            assert_eq!(&raw[Block::of_root(raw).body..], body, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn fields_over_the_limit_are_cut_and_the_body_is_still_found() {
        let mut raw = b"X: y\r\n".repeat(HEADER_FIELDS_MAX);
        raw.extend_from_slice(b"Subject: late\r\n\r\nbody");
        let block = Block::of(&raw);
        assert!(block.cut);
        assert_eq!(&raw[block.body..], b"body");
        assert_eq!(block.read().and_then(|headers| headers.subject().map(str::to_owned)), None);
    }

    #[test]
    fn fields_in_other_charsets_are_read() {
        for (raw, read) in [
            (&b"Subject: caf\xe9\n"[..], "café"),
            ("Subject: café\n".as_bytes(), "café"),
            (b"Content-Type: text/plain; charset=koi8-r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\n", "Привет"),
            (b"Subject: \x1b$B$3$s$K$A$O\x1b(B\n", "こんにちは"),
            (b"Subject: a\0b\n", "ab"),
        ] {
            assert_eq!(subject(raw).as_deref(), Some(read), "{}", raw.escape_ascii());
        }
    }
}
