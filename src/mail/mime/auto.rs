//! Tells an automatic reply by its header, so that no agent answers an answering machine (RFC 3834).

use mail_parser::Message;

/// Whether the message is an automatic reply or notice: `Auto-Submitted` with anything but `no` (RFC 3834 section 5),
/// `X-Autoreply` or `X-Autorespond` with anything but `no`, or `Precedence: auto_reply`.
///
/// Lists and bulk mail (`List-*`, `Precedence: bulk` or `list`) are not automatic for that alone: newsletters and
/// people on lists come the same way, and a person on a list can be answered.
pub(super) fn is_automatic_reply(headers: &Message<'_>) -> bool {
    let word = |name: &'static str| {
        let value = headers.header_raw(name)?;
        // What follows a semicolon or a comment are parameters.
        let word = value.split([';', '(']).next().unwrap_or("").trim();
        Some(word.to_ascii_lowercase())
    };
    let said = |name| word(name).is_some_and(|word| !word.is_empty() && word != "no");
    said("Auto-Submitted")
        || said("X-Autoreply")
        || said("X-Autorespond")
        || word("Precedence").is_some_and(|word| word == "auto_reply")
}
