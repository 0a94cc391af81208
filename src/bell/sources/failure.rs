//! Why and for how long a message failed, from what a provider says of it: an enhanced status code first, then a reply
//! code, then the provider's own label.

use super::event::limited;
use crate::domain::{
    code::{Class, EnhancedStatusCode},
    event::{BounceType, Detail, Tied},
};

/// Characters of what a remote server said; several lines of 512 (RFC 5321 section 4.5.3.1.5).
const DIAGNOSTIC_CHARS_MAX: usize = 4_000;

/// What a provider's name for a failure says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// What it says where there is no code.
    pub bounce_type: BounceType,
    /// Whether the provider has given up.
    pub last: bool,
    /// Why, in our words, where the name says it.
    pub reason: Option<&'static str>,
    /// Whether the provider itself sends no more to the address.
    pub suppressed: bool,
}

impl Label {
    /// Refused for good.
    pub const HARD: Self = Self { bounce_type: BounceType::Hard, last: true, reason: None, suppressed: false };
    /// Given up, and yet another message may pass.
    pub const SOFT: Self = Self { bounce_type: BounceType::Soft, last: true, reason: None, suppressed: false };
    /// Not yet; the provider goes on.
    pub const DEFERRED: Self = Self { bounce_type: BounceType::Soft, last: false, reason: None, suppressed: false };
    /// Not even tried, for the address is on the provider's own list.
    pub const SUPPRESSED: Self =
        Self { bounce_type: BounceType::Hard, last: true, reason: Some("suppressed"), suppressed: true };

    /// The same, because of `reason`.
    #[must_use]
    pub const fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// A failure as a provider tells it.
#[derive(Debug, Default)]
pub(super) struct Failure<'a> {
    pub(super) recipient: Option<String>,
    /// Where the provider puts an enhanced status code, or any code.
    pub(super) status: Option<&'a str>,
    /// Where it puts a reply code.
    pub(super) reply: Option<&'a str>,
    /// What the remote server said.
    pub(super) diagnostic: Option<&'a str>,
}

impl Failure<'_> {
    /// The bounce that this is, given the provider's label.
    pub(super) fn bounce(self, label: Label) -> Detail {
        let texts = || [self.status, self.reply, self.diagnostic].into_iter().flatten();
        let status = texts().find_map(enhanced);
        let reply = [self.reply, self.status, self.diagnostic].into_iter().flatten().find_map(reply_code);
        let by_code = match (status, reply) {
            (Some(status), _) => Some((status.to_string(), status.class() == Class::Permanent)),
            (None, Some(reply)) => Some((reply.to_string(), reply >= 500)),
            (None, None) => None,
        };
        let (bounce_code, bounce_type, code_inferred) = match by_code {
            Some((code, permanent)) => (code, if permanent { BounceType::Hard } else { BounceType::Soft }, false),
            None => (inferred(label).to_owned(), label.bounce_type, true),
        };
        let reason = status.and_then(reason).or(label.reason);
        let dead = matches!(reason, Some("user_unknown" | "host_unknown" | "has_moved" | "not_accepting"));
        Detail::Bounce {
            recipient: self.recipient,
            bounce_code,
            code_inferred,
            bounce_type,
            reason: reason.map(str::to_owned),
            r#final: label.last,
            suppress_advised: label.suppressed || (dead && label.last && bounce_type == BounceType::Hard),
            suppressed: label.suppressed,
            diagnostic: self.diagnostic.map(|text| limited(text, DIAGNOSTIC_CHARS_MAX)),
            tied: Tied::None,
        }
    }
}

fn inferred(label: Label) -> &'static str {
    match (label.reason, label.bounce_type) {
        (Some("user_unknown"), BounceType::Hard) => "5.1.1",
        (_, BounceType::Hard) => "5.0.0",
        (_, BounceType::Soft) => "4.0.0",
    }
}

/// Why, as the code alone tells it (RFC 3463 section 3 and the IANA registry).
fn reason(status: EnhancedStatusCode) -> Option<&'static str> {
    let text = status.to_string();
    Some(match &text[2..] {
        "1.1" | "1.3" => "user_unknown",
        "1.2" => "host_unknown",
        "1.6" => "has_moved",
        "1.10" => "not_accepting",
        "2.1" => "mailbox_disabled",
        "2.2" => "mailbox_full",
        "2.3" | "3.4" => "too_large",
        "4.1" | "4.2" => "network",
        "4.6" => "loop",
        "4.7" => "timeout",
        "7.8" | "7.20" | "7.21" | "7.22" | "7.23" | "7.24" | "7.25" | "7.26" => "auth_failure",
        "7.28" => "rate_limited",
        _ => return None,
    })
}

/// The words of a diagnostic, split at everything that no code contains.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '@' || c == '/' || c == '_'))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
}

/// The first enhanced status code of a failure; the numbers of versions are none.
fn enhanced(text: &str) -> Option<EnhancedStatusCode> {
    let mut before = "";
    words(text).find_map(|word| {
        let version = ["exim", "sendmail", "postfix", "version", "ver", "build"];
        let counts = !version.iter().any(|word| before.eq_ignore_ascii_case(word));
        before = word;
        word.parse::<EnhancedStatusCode>().ok().filter(|code| counts && code.class() != Class::Success)
    })
}

/// The reply code of a failure, where a server puts it: first, after a colon or a protocol's name, or before an enhanced
/// status code. Their second digit is at most 5 (RFC 5321 section 4.2.1).
fn reply_code(text: &str) -> Option<u16> {
    let plain = |word: &str| match word.as_bytes() {
        [b'4' | b'5', b'0'..=b'5', b'0'..=b'9'] => word.parse::<u16>().ok(),
        _ => None,
    };
    let mut first = true;
    let mut before = "";
    let mut rest = words(text).peekable();
    while let Some(word) = rest.next() {
        let place = word.as_ptr() as usize - text.as_ptr() as usize;
        let announced = text[..place].trim_end().ends_with([':', '[', '(']) || before.eq_ignore_ascii_case("smtp");
        let followed = rest.peek().is_some_and(|next| next.parse::<EnhancedStatusCode>().is_ok());
        if let Some(code) = plain(word).filter(|_| first || announced || followed) {
            return Some(code);
        }
        (first, before) = (false, word);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes(text: &str) -> (Option<String>, Option<u16>) {
        (enhanced(text).map(|code| code.to_string()), reply_code(text))
    }

    #[test]
    fn codes_are_found_where_servers_put_them() {
        for (text, status, reply) in [
            ("smtp; 550 5.1.1 <a@b.test>... User unknown", Some("5.1.1"), Some(550)),
            ("smtp;550-5.7.26 This mail", Some("5.7.26"), Some(550)),
            ("550 no such user", None, Some(550)),
            ("host mx.b.test said: 452 4.2.2 over quota", Some("4.2.2"), Some(452)),
            ("Sorry, no mailbox here. (#5.1.1)", Some("5.1.1"), None),
            ("421", None, Some(421)),
            ("605", None, None),
            ("498", None, None),
            ("by mx (Exim 4.92.1) with esmtp from 5.1.1.7", None, None),
            ("tried for 450 minutes", None, None),
            ("250 2.0.0 OK", None, None),
            ("", None, None),
        ] {
            assert_eq!(codes(text), (status.map(str::to_owned), reply), "{text}");
        }
    }

    #[test]
    fn a_code_outweighs_the_label_and_the_label_says_whether_it_is_over() {
        let failure = Failure { diagnostic: Some("452 4.2.2 full"), ..Failure::default() };
        let Detail::Bounce { bounce_code, bounce_type, r#final, reason, code_inferred, .. } =
            failure.bounce(Label::HARD)
        else {
            panic!("a bounce")
        };
        assert_eq!((bounce_code.as_str(), bounce_type), ("4.2.2", BounceType::Soft));
        assert_eq!((r#final, reason.as_deref(), code_inferred), (true, Some("mailbox_full"), false));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = codes(&text);
        }
    }
}
