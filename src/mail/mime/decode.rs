//! From the bytes of a part to what they mean: transfer encodings (RFC 2045 section 6) and charsets.

use std::borrow::Cow;

use mail_parser::decoders::{
    base64::base64_decode, charsets::map::charset_decoder, quoted_printable::quoted_printable_decode,
};

use super::entity::Entity;

/// The content of a part, decoded. What is no good base64 or quoted-printable is taken as far as it goes.
pub(super) fn bytes<'a>(entity: &Entity<'a>) -> Cow<'a, [u8]> {
    match entity.encoding().as_str() {
        "base64" => Cow::Owned(base64(entity.body)),
        "quoted-printable" => match quoted_printable_decode(entity.body) {
            Some(decoded) => Cow::Owned(decoded),
            None => Cow::Borrowed(entity.body),
        },
        _ => Cow::Borrowed(entity.body),
    }
}

fn base64(encoded: &[u8]) -> Vec<u8> {
    // RFC 2045 section 6.8: characters outside the alphabet must be ignored.
    base64_decode(encoded).unwrap_or_else(|| {
        let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let clean: Vec<u8> = encoded.iter().copied().filter(alphabet).collect();
        base64_decode(&clean).unwrap_or_default()
    })
}

/// The content of a text part as text. Without a charset that is known here, UTF-8 if it can be, or else windows-1252,
/// which has a character for nearly every byte.
pub(super) fn text(entity: &Entity<'_>) -> String {
    let bytes = bytes(entity);
    let named = entity.parameter("charset").and_then(|charset| charset_decoder(charset.trim().as_bytes()));
    match (named, std::str::from_utf8(&bytes)) {
        // US-ASCII that holds more than ASCII is mostly UTF-8 that nobody labelled.
        (Some(_), Ok(utf8)) if is_ascii_label(entity) => utf8.to_owned(),
        (Some(decode), _) => decode(&bytes),
        (None, Ok(utf8)) => utf8.to_owned(),
        (None, Err(_)) => match charset_decoder(b"windows-1252") {
            Some(decode) => decode(&bytes),
            None => String::from_utf8_lossy(&bytes).into_owned(),
        },
    }
}

fn is_ascii_label(entity: &Entity<'_>) -> bool {
    entity.parameter("charset").is_some_and(|charset| charset.trim().eq_ignore_ascii_case("us-ascii"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(header: &str, body: &[u8]) -> String {
        let raw = [header.as_bytes(), b"\r\n\r\n", body].concat();
        text(&Entity::of(&raw))
    }

    #[test]
    fn charsets_of_the_world_are_read() {
        let charset = |name: &str| format!("Content-Type: text/plain; charset={name}");
        assert_eq!(decoded(&charset("ISO-2022-JP"), b"\x1b$B$3$s$K$A$O\x1b(B"), "こんにちは");
        assert_eq!(decoded(&charset("Shift_JIS"), b"\x83\x65\x83\x58\x83\x67"), "テスト");
        assert_eq!(decoded(&charset("GB18030"), b"\xc4\xe3\xba\xc3"), "你好");
        assert_eq!(decoded(&charset("windows-1251"), b"\xcf\xf0\xe8\xe2\xe5\xf2"), "Привет");
        assert_eq!(decoded(&charset("\"windows-1252\""), b"\x93caf\xe9\x94"), "“café”");
        assert_eq!(decoded(&charset("us-ascii"), "naïve".as_bytes()), "naïve");
        assert_eq!(decoded(&charset("no-such-thing"), b"caf\xe9"), "café");
    }

    #[test]
    fn transfer_encodings_are_read_and_broken_ones_as_far_as_they_go() {
        assert_eq!(decoded("Content-Transfer-Encoding: BASE64", b"aGVs\r\nbG8="), "hello");
        assert_eq!(decoded("Content-Transfer-Encoding: base64", b"aG*Vs!bG8="), "hello");
        let quoted = "Content-Transfer-Encoding: quoted-printable";
        assert_eq!(decoded(quoted, b"a=\r\nb =C3=A9\r\nc"), "ab é\r\nc");
        assert_eq!(decoded(quoted, b"100=% sure"), "100=% sure");
    }
}
