//! How much of a report is read. Reports put what they say first and the returned message last.

/// Of the whole message, in bytes: 1 MiB. A report with its returned header is under 100 KB.
pub(super) const REPORT_BYTES_MAX: usize = 1 << 20;
/// Of the header block of a part, in bytes: 256 KiB, as much as is read of any message.
pub(super) const HEADER_BYTES_MAX: usize = 256 * 1024;
/// Parts within parts. A report has two levels, mailing lists add one or two.
pub(super) const DEPTH_MAX: usize = 6;
/// Parts of a report, multiparts included.
pub(super) const PARTS_MAX: usize = 60;
/// Of the text, in bytes: 256 KiB, room for a thousand recipients with their diagnostics.
pub(super) const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Recipients of one report, as many as Postfix takes for one message.
pub(super) const RECIPIENTS_MAX: usize = 1_000;
/// Of a line of text, in bytes: more than SMTP carries, for HTML has no lines.
pub(super) const TEXT_LINE_BYTES_MAX: usize = 4_000;
/// Of a diagnostic, in bytes: 4 KiB, eight SMTP reply lines of the longest kind.
pub(super) const DIAGNOSTIC_BYTES_MAX: usize = 4 * 1024;
/// Of a header field of the report, in bytes: 64 KiB, room for a thousand recipients.
pub(super) const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Of a returned message's subject or id, in bytes: the longest line of RFC 5322.
pub(super) const LINE_BYTES_MAX: usize = 998;
/// Addresses that are kept of the returned message's To and Cc.
pub(super) const ADDRESSES_MAX: usize = 200;

/// `text`, cut at `bytes_max` or a little before it, between characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(super::cut("añb", 2), "a");
        assert_eq!(super::cut("añb", 3), "añ");
        assert_eq!(super::cut("añb", 9), "añb");
    }
}
