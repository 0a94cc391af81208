//! Names of folders on the wire: quoted, and in the UTF-7 of RFC 3501 section 5.1.3.

use base64::{
    Engine as _,
    alphabet::IMAP_MUTF7,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};

const MODIFIED: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// The folder `name` as a quoted string. A name in ASCII is taken as the server spells it, also with its `&`; any other is
/// encoded. Control characters are no part of a name.
pub(super) fn quoted(name: &str) -> String {
    let encoded = spelled(name);
    let mut text = String::with_capacity(encoded.len() + 2);
    text.push('"');
    for c in encoded.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// The folder `name` as the server spells it.
pub(super) fn spelled(name: &str) -> String {
    if name.is_ascii() { name.to_owned() } else { encoded(name) }
}

fn encoded(name: &str) -> String {
    let mut text = String::new();
    let mut wide: Vec<u8> = Vec::new();
    let flush = |wide: &mut Vec<u8>, text: &mut String| {
        if !wide.is_empty() {
            text.push('&');
            text.push_str(&MODIFIED.encode(&*wide));
            text.push('-');
            wide.clear();
        }
    };
    for c in name.chars() {
        if c.is_ascii() {
            flush(&mut wide, &mut text);
            text.push(c);
            if c == '&' {
                text.push('-');
            }
        } else {
            wide.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut wide, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_as_the_rfc_spells_them() {
        // RFC 3501 section 5.1.3 has the second.
        assert_eq!(quoted("INBOX"), r#""INBOX""#);
        assert_eq!(quoted("~peter/mail/台北/日本語"), r#""~peter/mail/&U,BTFw-/&ZeVnLIqe-""#);
        assert_eq!(quoted("Entwürfe & mehr"), r#""Entw&APw-rfe &- mehr""#);
        assert_eq!(quoted("Entw&APw-rfe"), r#""Entw&APw-rfe""#);
        assert_eq!(quoted("a\"b\\c\r\nd"), r#""a\"b\\cd""#);
    }
}
