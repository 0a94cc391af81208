//! E-mail addresses as this house compares them: whole, lower-cased, their domain in ASCII, of bounded length.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest address that SMTP can carry in a path, without its angle brackets (RFC 5321 section 4.5.3.1.3).
pub const ADDRESS_BYTES_MAX: usize = 254;
/// The longest local part (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_BYTES_MAX: usize = 64;

/// The address of a mailbox here or elsewhere, lower-cased, with an internationalised domain in its A-labels.
///
/// `bücher.example` and `xn--bcher-kva.example` are one domain (RFC 5890 section 2.3.2.1), and servers report whichever
/// they like; one spelling inside makes them one address in every comparison and every row.
///
/// RFC 5321 leaves the case of a local part to its owner; like nearly every mail system we do not tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address is a local part of at most 64 bytes, an @ and a domain, such as agent@example.com")]
pub struct NotAnAddress;

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        // Lower-casing can lengthen a text, so it comes before the limits.
        let text = text.to_lowercase();
        let at = text.rfind('@').ok_or(NotAnAddress)?;
        let text = match ascii_domain(&text[at + 1..]) {
            Cow::Owned(domain) => format!("{}@{domain}", &text[..at]),
            Cow::Borrowed(_) => text,
        };
        let (local, domain) = (&text[..at], &text[at + 1..]);
        let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
        let local_ok = !local.is_empty()
            && local.len() <= LOCAL_PART_BYTES_MAX
            && local.chars().all(|c| !c.is_control())
            && (quoted || local.chars().all(|c| !c.is_whitespace() && !r#""(),:;<>@[\]"#.contains(c)));
        let domain_ok = is_domain(domain) || (domain.starts_with('[') && domain.ends_with(']') && domain.len() > 2);
        let domain_ok = domain_ok && domain.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if !local_ok || !domain_ok || text.len() > ADDRESS_BYTES_MAX {
            return Err(NotAnAddress);
        }
        Ok(Self { text, at })
    }
}

/// A domain as addresses here have it: lower-cased, its labels as A-labels. A text that is no domain is only lower-cased.
pub fn ascii_domain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    Cow::Owned(idna::domain_to_ascii(text).unwrap_or_else(|_| text.to_lowercase()))
}

/// An address or a domain as the log has it, from any spelling of it: for filters, which need not hold either.
pub fn as_logged(text: &str) -> String {
    match text.parse::<Address>() {
        Ok(address) => address.text,
        Err(_) => ascii_domain(&text.to_lowercase()).into_owned(),
    }
}

/// Whether `text` can be a domain: dot-separated labels of letters, digits and hyphens (RFC 5321 section 2.3.5), or
/// of any other letters where it is internationalised (RFC 6531).
pub fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_compared_in_lower_case() {
        let address: Address = "Agent@MailBell.Test".parse().expect("an address");
        assert_eq!(address.as_str(), "agent@mailbell.test");
        assert_eq!((address.local(), address.domain()), ("agent", "mailbell.test"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in ["", "@", "a@", "@b", "a b@c", "a@b c", "a@-b", "a@b..c", "a\r\n@b", "a<@b"] {
            assert_eq!(wrong.parse::<Address>(), Err(NotAnAddress), "{wrong:?}");
        }
    }

    #[test]
    fn an_internationalised_domain_is_one_in_every_spelling() {
        for (spelling, address) in [
            ("Info@BÜCHER.example", "info@xn--bcher-kva.example"),
            ("info@XN--BCHER-KVA.example", "info@xn--bcher-kva.example"),
            ("info@bu\u{308}cher.example", "info@xn--bcher-kva.example"),
            ("用户@例え。テスト", "用户@xn--r8jz45g.xn--zckzah"),
            ("a@faß.de", "a@xn--fa-hia.de"),
        ] {
            assert_eq!(spelling.parse::<Address>().expect(spelling).as_str(), address);
        }
        assert_eq!(as_logged("Bücher.example"), "xn--bcher-kva.example");
        assert_eq!(as_logged("A@Bücher.example"), "a@xn--bcher-kva.example");
        assert_eq!(as_logged("MBX_1"), "mbx_1");
        // Fullwidth signs become the signs that no domain has.
        assert_eq!("a@b＠c.test".parse::<Address>(), Err(NotAnAddress));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_good_one_is_read_back(text in ".{0,300}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>().map(|a| a.to_string()), Ok(address.to_string()));
            }
        }
    }
}
