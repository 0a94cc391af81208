//! Finds e-mail addresses in lines of text, written the ways that mail systems write them.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::address::ADDRESS_BYTES_MAX;

/// What an address looks like in running text: RFC 5321's, quoted local parts and RFC 6531's letters included.
pub(super) const ADDRESS: &str = r#"(?:"[^"\s@]{1,64}"|[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{1,64})@(?:[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*|\[[0-9A-Fa-f.:IPv]+\])"#;

static ANY: LazyLock<Regex> = LazyLock::new(|| Regex::new(ADDRESS).expect("a pattern that the tests compile"));
static TYPED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\\x\{([0-9A-Fa-f]{2,6})\}").expect("a pattern that the tests compile"));

/// The address in a text that should be one, such as `rfc822; <a@b>` once its type is off. A local part alone counts
/// where `lone` says so.
pub(super) fn clean(text: &str, lone: bool) -> Option<String> {
    // RFC 6533 section 3: utf-8 addresses in ASCII reports write letters as `\x{hex}`.
    let text = TYPED.replace_all(text, |found: &regex::Captures<'_>| {
        u32::from_str_radix(&found[1], 16).ok().and_then(char::from_u32).map(String::from).unwrap_or_default()
    });
    if let Some(found) = ANY.find(&text) {
        return tidy(found.as_str());
    }
    let word = text.trim().trim_matches(['<', '>', '"', '\'']).trim();
    let plain = !word.is_empty() && word.len() <= ADDRESS_BYTES_MAX && !word.contains(char::is_whitespace);
    (lone && plain && !word.contains('@')).then(|| word.to_owned())
}

/// Every address in `text`.
pub(super) fn all(text: &str) -> impl Iterator<Item = String> {
    ANY.find_iter(text).filter_map(|found| tidy(found.as_str()))
}

/// What punctuation of a sentence, or `mailto:`, left on an address is taken off.
pub(super) fn tidy(address: &str) -> Option<String> {
    let address = address.trim_start_matches(['\'', '`', '.', '=', '*', '-']).trim_end_matches(['.', '\'', '-', '_']);
    let (local, domain) = address.rsplit_once('@')?;
    let good = !local.is_empty() && !domain.is_empty() && address.len() <= ADDRESS_BYTES_MAX;
    good.then(|| address.to_owned())
}

/// Whether two texts name the same address.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || !one.is_ascii() && one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cleaned() {
        for (text, clean_one) in [
            ("<a@b.test>", Some("a@b.test")),
            ("'a.o'neil@b.test'", Some("a.o'neil@b.test")),
            (r"p\x{E9}p\x{e9}@b.test", Some("pépé@b.test")),
            ("用户@例え.jp", Some("用户@例え.jp")),
            ("a@[192.0.2.1]", Some("a@[192.0.2.1]")),
            ("kijitora", Some("kijitora")),
            ("two words", None),
            ("", None),
        ] {
            assert_eq!(clean(text, true).as_deref(), clean_one, "{text}");
        }
        assert_eq!(clean("kijitora", false), None);
        assert_eq!(all("mail <a@b.test>, c@d.test.").collect::<Vec<_>>(), ["a@b.test", "c@d.test"]);
    }
}
