//! SMTP's two kinds of code: the reply code (RFC 5321 section 4.2) and the enhanced status code (RFC 3463).

use std::{fmt, str::FromStr};

/// An enhanced status code, such as `5.1.1`. Its second and third parts go up to 999 (RFC 3463 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedStatusCode {
    class: Class,
    subject: u16,
    detail: u16,
}

/// The first digit of an enhanced status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `2`: it worked.
    Success,
    /// `4`: it may work later.
    Transient,
    /// `5`: it will not work as it stands.
    Permanent,
}

impl EnhancedStatusCode {
    /// What the first digit says.
    pub fn class(self) -> Class {
        self.class
    }
}

impl fmt::Display for EnhancedStatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Success => 2,
            Class::Transient => 4,
            Class::Permanent => 5,
        };
        write!(f, "{class}.{}.{}", self.subject, self.detail)
    }
}

/// A text that is no enhanced status code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an enhanced status code is 2, 4 or 5 and two numbers of up to three digits, such as 5.1.1")]
pub struct NotAStatusCode;

impl FromStr for EnhancedStatusCode {
    type Err = NotAStatusCode;

    fn from_str(text: &str) -> Result<Self, NotAStatusCode> {
        let mut parts = text.split('.');
        let class = match parts.next() {
            Some("2") => Class::Success,
            Some("4") => Class::Transient,
            Some("5") => Class::Permanent,
            _ => return Err(NotAStatusCode),
        };
        let mut number = || {
            let part = parts.next().ok_or(NotAStatusCode)?;
            let plain = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            if plain { part.parse().map_err(|_| NotAStatusCode) } else { Err(NotAStatusCode) }
        };
        let (subject, detail) = (number()?, number()?);
        if parts.next().is_some() {
            return Err(NotAStatusCode);
        }
        Ok(Self { class, subject, detail })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_is_read_back(class in "[245]", subject in 0u16..1000, detail in 0u16..1000) {
            let text = format!("{class}.{subject}.{detail}");
            prop_assert_eq!(text.parse::<EnhancedStatusCode>().map(|code| code.to_string()), Ok(text));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<EnhancedStatusCode>();
        }
    }

    #[test]
    fn three_digits_hold_and_more_do_not() {
        assert_eq!("5.1.351".parse::<EnhancedStatusCode>().map(EnhancedStatusCode::class), Ok(Class::Permanent));
        for wrong in ["3.1.1", "5.1", "5.1.1.1", "5.1000.1", "5.+1.1", "5..1", ""] {
            assert_eq!(wrong.parse::<EnhancedStatusCode>(), Err(NotAStatusCode), "{wrong}");
        }
    }
}
