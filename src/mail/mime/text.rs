//! Cleans text that strangers wrote: one line where one line is meant, no control characters anywhere.

use std::borrow::Cow;

/// Line feeds that a message may have and still be one whose lines end in carriage returns: those of a trace above it
/// and of the end below it.
const LINE_FEEDS_MAX: usize = 8;

/// `raw`, with line feeds where its lines end in carriage returns alone, as those of old Macintosh files do.
pub(super) fn with_line_feeds(raw: &[u8]) -> Cow<'_, [u8]> {
    let is_bare = |at: usize| raw[at] == b'\r' && raw.get(at + 1) != Some(&b'\n');
    let line_feeds = raw.iter().filter(|byte| **byte == b'\n').take(LINE_FEEDS_MAX + 1).count();
    let is_old = line_feeds <= LINE_FEEDS_MAX && (0..raw.len()).filter(|at| is_bare(*at)).count() > line_feeds;
    if !is_old {
        return Cow::Borrowed(raw);
    }
    Cow::Owned((0..raw.len()).map(|at| if is_bare(at) { b'\n' } else { raw[at] }).collect())
}

/// `text` on one line, trimmed, of at most `chars_max` characters: what decoded words smuggle in by way of line ends
/// and other control characters becomes a space.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let plain =
        text.trim().chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    plain.take(chars_max).collect()
}

/// `text` with plain line ends, and without control characters but those and tabs.
pub(super) fn many_lines(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    // Most of a text is copied as it stands.
    let mut rest = text;
    while let Some((at, odd)) = first_odd(rest) {
        plain.push_str(&rest[..at]);
        rest = &rest[at + odd.len_utf8()..];
        if odd == '\r' && !rest.starts_with('\n') {
            plain.push('\n');
        }
    }
    plain.push_str(rest);
    plain
}

/// The first character that cannot stand in plain text as it is, and where it begins.
fn first_odd(text: &str) -> Option<(usize, char)> {
    let mut from = 0;
    loop {
        // Few bytes begin one, and to look for those is faster than to read characters.
        let at = from + text.as_bytes()[from..].iter().position(|byte| MAY_BEGIN_ODD[usize::from(*byte)])?;
        let odd = text[at..].chars().next()?;
        if is_odd(odd) {
            return Some((at, odd));
        }
        from = at + odd.len_utf8();
    }
}

/// Whether a character that is [odd](is_odd) may begin with this byte of UTF-8: those of ASCII do, U+0080 to U+009F, and the mark U+FEFF.
const MAY_BEGIN_ODD: [bool; 256] = {
    let mut may = [false; 256];
    let mut byte = 0;
    while byte < may.len() {
        may[byte] = matches!(byte, 0..=8 | 11..=31 | 0x7f | 0xc2 | 0xef);
        byte += 1;
    }
    may
};

/// Whether a character cannot stand in plain text as it is.
fn is_odd(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{feff}'
}

/// The longest beginning of `text` that has at most `bytes_max` bytes and ends with a whole character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_cannot_hide_in_a_line() {
        assert_eq!(one_line(" a\r\nb\0c\u{2028}d ", 99), "a  b c d");
        assert_eq!(one_line("äöü", 2), "äö");
    }

    #[test]
    fn old_line_ends_are_seen_below_a_trace() {
        assert_eq!(*with_line_feeds(b"A: b\r\nC: d\rE: f\r\rbody\r\n"), *b"A: b\r\nC: d\nE: f\n\nbody\r\n");
        assert_eq!(*with_line_feeds(b"A: b\r\n\r\n50 %\r100 %\r\n"), *b"A: b\r\n\r\n50 %\r100 %\r\n");
    }

    #[test]
    fn lines_end_one_way_only() {
        assert_eq!(many_lines("a\r\nb\rc\nd\0\u{7}\te"), "a\nb\nc\nd\te");
        assert_eq!(cut("aä", 2), "a");
    }

    #[test]
    fn each_odd_character_is_found_wherever_it_stands() {
        for odd in (0..=0x1_0000).filter_map(char::from_u32) {
            let text = format!("£{odd}ﬀ{odd}");
            let found = is_odd(odd).then(|| ('£'.len_utf8(), odd));
            assert_eq!(first_odd(&text), found, "{odd:?}");
        }
    }
}
