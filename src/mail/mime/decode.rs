//! From the bytes of a part to what they mean: transfer encodings (RFC 2045 section 6) and charsets.

use std::borrow::Cow;

use mail_parser::decoders::{
    base64::base64_decode,
    charsets::{DecoderFnc, map::charset_decoder},
    quoted_printable::quoted_printable_decode,
};

use super::{entity::Entity, uuencode};

/// The content of a part, decoded. What is no good base64 or quoted-printable is taken as far as it goes.
pub(super) fn bytes<'a>(entity: &Entity<'a>) -> Cow<'a, [u8]> {
    match entity.encoding().as_str() {
        "base64" => base64(entity.body),
        "quoted-printable" => {
            Cow::Owned(quoted_printable_decode(entity.body).unwrap_or_else(|| broken_quoted_printable(entity.body)))
        }
        "x-uuencode" | "uuencode" | "x-uue" | "uue" => {
            let text = String::from_utf8_lossy(entity.body).into_owned();
            match uuencode::take_out(text).1.into_iter().next() {
                Some((_, content)) => Cow::Owned(content),
                None => Cow::Borrowed(entity.body),
            }
        }
        _ => Cow::Borrowed(entity.body),
    }
}

fn base64(encoded: &[u8]) -> Cow<'_, [u8]> {
    // Mailing lists write a footer under it, and some call what is plain base64: words with blanks between are neither.
    let is_prose = |line: &[u8]| line.trim_ascii().iter().any(|byte| matches!(byte, b' ' | b'\t'));
    let lines = encoded.split_inclusive(|byte| *byte == b'\n');
    let length: usize = lines.take_while(|line| !is_prose(line)).map(<[u8]>::len).sum();
    let (coded, prose) = encoded.split_at(length);
    if coded.trim_ascii().is_empty() && !prose.is_empty() {
        return Cow::Borrowed(encoded);
    }
    // RFC 2045 section 6.8: characters outside the alphabet must be ignored.
    Cow::Owned(base64_decode(coded).unwrap_or_else(|| {
        let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let clean: Vec<u8> = coded.iter().copied().filter(alphabet).collect();
        base64_decode(&clean).unwrap_or_default()
    }))
}

/// RFC 2045 section 6.7, note 3: what is no code stands for itself.
fn broken_quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut decoded, mut rest) = (Vec::with_capacity(encoded.len()), encoded);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match after {
            [b'\r', b'\n', left @ ..] | [b'\n', left @ ..] if *first == b'=' => rest = left,
            [high, low, left @ ..] if *first == b'=' && hex(*high).is_some() && hex(*low).is_some() => {
                decoded.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = left;
            }
            _ => decoded.push(*first),
        }
    }
    decoded
}

/// The content of a text part as text. Without a charset that is known here, UTF-8 if it can be, or else windows-1252,
/// which has a character for nearly every byte.
pub(super) fn text(entity: &Entity<'_>) -> String {
    let bytes = bytes(entity);
    let named = if is_japanese(&bytes) {
        charset_decoder(b"iso-2022-jp")
    } else {
        entity.parameter("charset").and_then(decoder)
    };
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

/// The decoder of a charset, by its name or the name that it had before it was registered, such as `x-big5`.
pub(super) fn decoder(charset: &str) -> Option<DecoderFnc> {
    let charset = charset.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    charset_decoder(charset.as_bytes()).or_else(|| charset_decoder(charset.strip_prefix("x-")?.as_bytes()))
}

/// Japanese mail is written in ISO-2022-JP and does not always say so; nothing else has these escapes.
pub(super) fn is_japanese(bytes: &[u8]) -> bool {
    // Nearly no text has an escape, and to look for one byte is faster than for three.
    bytes.contains(&b'\x1b') && bytes.windows(3).any(|three| matches!(three, b"\x1b$B" | b"\x1b$@"))
}

fn is_ascii_label(entity: &Entity<'_>) -> bool {
    entity.parameter("charset").is_some_and(|charset| charset.trim().eq_ignore_ascii_case("us-ascii"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        assert_eq!(decoded(&charset("x-big5"), b"\xa7\x41\xa6\x6e"), "你好");
        assert_eq!(decoded("A: b", b"\x1b$B$3$s$K$A$O\x1b(B"), "こんにちは");
        assert_eq!(decoded(&charset("no-such-thing"), b"caf\xe9"), "café");
    }

    #[test]
    fn transfer_encodings_are_read_and_broken_ones_as_far_as_they_go() {
        assert_eq!(decoded("Content-Transfer-Encoding: BASE64", b"aGVs\r\nbG8="), "hello");
        assert_eq!(decoded("Content-Transfer-Encoding: base64", b"aG*Vs!bG8="), "hello");
        let quoted = "Content-Transfer-Encoding: quoted-printable";
        assert_eq!(decoded(quoted, b"a=\r\nb =C3=A9\r\nc"), "ab é\r\nc");
        assert_eq!(decoded(quoted, b"100=% sure"), "100=% sure");
        assert_eq!(decoded(quoted, b"caf=C3=A9 =zz =\r\nok="), "café =zz ok=");
        let base64 = "Content-Transfer-Encoding: base64";
        assert_eq!(decoded(base64, b"aGVsbG8=\r\n\r\nThis list is run by ann\r\n"), "hello");
        assert_eq!(decoded(base64, b"This is plain"), "This is plain");
    }

    proptest! {
        #[test]
        fn escapes_are_seen_wherever_they_stand(
            bytes in prop::collection::vec(prop::sample::select(&b"\x1b$B@a"[..]), 0..40),
        ) {
            let is_japanese_by_three = bytes.windows(3).any(|three| matches!(three, b"\x1b$B" | b"\x1b$@"));
            prop_assert_eq!(is_japanese(&bytes), is_japanese_by_three);
        }
    }
}
