//! Cuts the body of a multipart at its boundary lines (RFC 2046 section 5.1.1).

/// The parts of `body`, at most `parts_max`; the text before the first boundary line and after the last is nobody's. A
/// multipart that was never closed ends with its last part; one without any boundary line has no parts.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str, parts_max: usize) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut at, mut began) = (0, None);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if let Some(kind) = boundary_line(line, boundary.as_bytes()) {
            if let Some(began) = began {
                parts.push(without_line_end(&body[began..at]));
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
        parts(body.as_bytes(), "b", 9).into_iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect()
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
        assert_eq!(cut("--bb\r\nno --b\r\n"), Vec::<String>::new());
    }

    #[test]
    fn no_more_parts_than_asked_for() {
        assert_eq!(parts(&b"--b\r\n".repeat(1000), "b", 3).len(), 3);
    }
}
