//! Cuts the body of a multipart at its boundary lines (RFC 2046 section 5.1.1).

/// The parts of `body`, at most `parts_max`; the text before the first boundary line and after the last is nobody's. A
/// multipart that was never closed ends with its last part; one without any boundary line has no parts.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &[u8], parts_max: usize) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut at, mut began) = (0, None);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if let Some(kind) = boundary_line(line, boundary) {
            if let Some(began) = began {
                parts.push(without_line_end(&body[began..at]));
            }
            // A closing line that closes nothing is no end.
            if kind == Line::Close && began.is_none() {
                at += line.len();
                continue;
            }
            if kind == Line::Close || parts.len() >= parts_max {
                return parts;
            }
            began = Some(at + line.len());
        }
        at += line.len();
    }
    parts.extend(began.map(|began| &body[began..]));
    parts
}

/// What the boundary of `body` may be, by its first line that looks like one: two hyphens and a word, above a field of
/// a part.
pub(super) fn likely_boundary(body: &[u8]) -> Option<&[u8]> {
    let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).peekable();
    while let Some(line) = lines.next() {
        let word = line.strip_prefix(b"--").filter(|word| (1..=BOUNDARY_BYTES_MAX).contains(&word.len()));
        let next = lines.peek().and_then(|next| next.get(..CONTENT.len()));
        if let Some(word) = word
            && !word.contains(&b' ')
            && next.is_some_and(|next| next.eq_ignore_ascii_case(CONTENT))
        {
            return Some(word);
        }
    }
    None
}

/// How the fields of a part begin (RFC 2045 section 3).
const CONTENT: &[u8] = b"Content-";
/// The longest boundary that is looked for, in bytes: RFC 2046 allows 70, senders more.
const BOUNDARY_BYTES_MAX: usize = 200;

#[derive(PartialEq, Eq)]
enum Line {
    Delimiter,
    Close,
}

fn boundary_line(line: &[u8], boundary: &[u8]) -> Option<Line> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?.trim_ascii_end();
    match rest {
        b"" => Some(Line::Delimiter),
        [b'-', b'-', ..] => Some(Line::Close),
        _ => None,
    }
}

/// The line end before a boundary line belongs to the boundary.
fn without_line_end(part: &[u8]) -> &[u8] {
    part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &str) -> Vec<String> {
        parts(body.as_bytes(), b"b", 9).into_iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }

    #[test]
    fn parts_lie_between_boundary_lines() {
        assert_eq!(
            cut("pre\r\n--b\r\none\r\n--b  \r\n\r\ntwo\r\n\r\n--b--\r\npost\r\n--b\r\nx"),
            ["one", "\r\ntwo\r\n"]
        );
        assert_eq!(cut("--b\none\n--b--"), ["one"]);
        assert_eq!(cut("--b\r\nnever closed\r\n"), ["never closed\r\n"]);
        assert_eq!(cut("--b\r\n--b\r\n--b--"), ["", ""]);
        assert_eq!(cut("--b--\r\n--b\r\nlate\r\n--b--"), ["late"]);
        assert_eq!(cut("--bb\r\nno --b\r\n"), Vec::<String>::new());
    }

    #[test]
    fn a_boundary_that_nobody_named_is_seen() {
        assert_eq!(likely_boundary(b"--\n-- \n--x\nno\n--b1\r\ncontent-type: a\r\n"), Some(&b"b1"[..]));
        assert_eq!(likely_boundary(b"-- \nContent-Type: a\n--a b\nContent-Type: a"), None);
    }

    #[test]
    fn no_more_parts_than_asked_for() {
        assert_eq!(parts(&b"--b\r\n".repeat(1000), b"b", 3).len(), 3);
    }
}
