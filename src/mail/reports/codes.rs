//! Finds the two SMTP codes in what mail systems write, and tells them from versions, addresses and other numbers.

use std::sync::LazyLock;

use regex::Regex;

use super::limits::cut;
use crate::domain::code::{Class, EnhancedStatusCode};

static ENHANCED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[245]\.\d{1,3}\.\d{1,3}").expect("a pattern that the tests compile"));
static REPLY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[45][0-57]\d").expect("a pattern that the tests compile"));

/// The codes of a failure or a delay, and where the first of them stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Codes {
    pub(super) status: Option<EnhancedStatusCode>,
    pub(super) reply: Option<u16>,
    /// Where the remote's own words begin, if that can be seen.
    pub(super) at: Option<usize>,
}

impl Codes {
    pub(super) fn any(self) -> bool {
        self.status.is_some() || self.reply.is_some()
    }
}

/// The codes in `text`: of several, those that stand where a server puts them.
pub(super) fn find(text: &str) -> Codes {
    let (mut status, mut status_rank, mut at) = (None, 0, None);
    for found in ENHANCED.find_iter(text) {
        let (before, after) = (end_of(&text[..found.start()]), cut(&text[found.end()..], NEIGHBOURHOOD_BYTES));
        let rank = enhanced_rank(before, after);
        let code = found.as_str().parse::<EnhancedStatusCode>().ok().filter(|code| code.class() != Class::Success);
        if rank > status_rank && code.is_some() {
            (status, status_rank, at) = (code, rank, Some(found.start()));
        }
    }
    let (mut reply, mut reply_rank) = (None, 0);
    for found in REPLY.find_iter(text) {
        let rank = reply_rank_at(end_of(&text[..found.start()]), cut(&text[found.end()..], NEIGHBOURHOOD_BYTES));
        if rank > reply_rank {
            (reply, reply_rank) = (found.as_str().parse().ok(), rank);
            if at.is_none_or(|at| found.start() < at) {
                at = Some(found.start());
            }
        }
    }
    Codes { status, reply, at }
}

/// How much before and after a number is looked at, in bytes: the longest phrase that announces a code.
const NEIGHBOURHOOD_BYTES: usize = 40;

fn end_of(before: &str) -> &str {
    let mut start = before.len().saturating_sub(NEIGHBOURHOOD_BYTES);
    while !before.is_char_boundary(start) {
        start += 1;
    }
    &before[start..]
}

/// How likely this is a code: 0 not at all, 3 beside a reply code.
fn enhanced_rank(before: &str, after: &str) -> u8 {
    let mut next = after.chars();
    let (next, over_next) = (next.next(), next.next());
    if next.is_some_and(|c| c.is_ascii_digit())
        || (matches!(next, Some('.' | '-' | '/')) && over_next.is_some_and(char::is_alphanumeric))
    {
        return 0;
    }
    if before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '/')) {
        return 0;
    }
    // In an address in brackets, or the number of a version.
    let trimmed = before.trim_end_matches([' ', '-', '#', '(', '\'', '"', ':', ';', ',']);
    let word = trimmed.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or("").to_ascii_lowercase();
    if before.ends_with('[') && next == Some(']')
        || ["version", "exim", "sendmail", "postfix", "ver", "build"].contains(&&*word)
    {
        return 0;
    }
    let digits = trimmed.len() >= 3 && trimmed.as_bytes()[trimmed.len() - 3..].iter().all(u8::is_ascii_digit);
    if digits {
        3
    } else if before.ends_with('#') || before.trim().is_empty() {
        2
    } else {
        1
    }
}

fn reply_rank_at(before: &str, after: &str) -> u8 {
    let next = after.chars().next();
    let ends = match next {
        None => true,
        Some('.') => !after[1..].starts_with(|c: char| c.is_alphanumeric()),
        Some(c) => c.is_whitespace() || matches!(c, '-' | ':' | ']' | ')' | '\'' | '"' | ',' | ';' | '<' | '#'),
    };
    if !ends || before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '=' | '@' | '$'))
    {
        return 0;
    }
    let rest = after.trim_start_matches([' ', '-', '#', '(', ':']);
    let code_follows = rest.len() >= 5 && ENHANCED.find(rest).is_some_and(|found| found.start() == 0);
    if before.ends_with('#') && !code_follows {
        return 0;
    }
    let line_start =
        before.is_empty() || before.ends_with('\n') || before.trim_end_matches([' ', '\t', '>']).ends_with('\n');
    let trimmed = before.trim_end();
    let said = ["<<<", "<--", ">>>"].iter().any(|arrow| trimmed.ends_with(arrow))
        || [
            "said:",
            "reason:",
            "was:",
            "returned",
            "responded:",
            "error:",
            "code:",
            "error",
            "code",
            "response:",
            "reply:",
            "with:",
            "error_code :",
        ]
        .iter()
        .any(|word| trimmed.to_ascii_lowercase().ends_with(word));
    let punctuated = (trimmed.ends_with([':', ']', ')', '>', '\'', '"', '[', '(', ';'])
        || trimmed.ends_with("],")
        || trimmed.ends_with("),"))
        && after.starts_with([' ', '-', ':', ']', '\n', '\'', '"']);
    if code_follows {
        4
    } else if said {
        3
    } else if line_start || trimmed.is_empty() {
        2
    } else {
        u8::from(punctuated)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> (Option<String>, Option<u16>) {
        let codes = find(text);
        (codes.status.map(|status| status.to_string()), codes.reply)
    }

    #[test]
    fn codes_are_found_where_servers_put_them() {
        for (text, status, reply) in [
            ("550 5.1.1 <a@b>... User unknown", Some("5.1.1"), Some(550)),
            ("550-5.7.26 This mail", Some("5.7.26"), Some(550)),
            ("Remote host said: 501 5.1.8 Sender", Some("5.1.8"), Some(501)),
            ("Sorry, no mailbox here. (#5.1.1)", Some("5.1.1"), None),
            ("host mx [192.0.2.25]: 550 no such user", None, Some(550)),
            ("ERROR_CODE :550, ERROR_CODE :5.2.1 <a@b>", Some("5.2.1"), Some(550)),
            ("5.1.0 - Unknown address error 550-'5.2.2 <a@b> Mailbox Full'", Some("5.2.2"), Some(550)),
            ("It responded as follows: [550 5.1.1 User unknown]", Some("5.1.1"), Some(550)),
            ("#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##", Some("5.1.1"), Some(550)),
            ("<mx.b.test #5.2.1 smtp;550 5.2.1 no>", Some("5.2.1"), Some(550)),
            ("421 4.7.650 rate limited (S3113)", Some("4.7.650"), Some(421)),
        ] {
            assert_eq!(found(text), (status.map(str::to_owned), reply), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_no_codes() {
        for text in [
            "by mx (Exim 4.92.1) with esmtp",
            "from 5.1.1.7 to 4.2.2.1",
            "[5.101.2.3]:25 refused",
            "sendmail 8.14.4/8.14.4",
            "tried for 432000 seconds, 500 times on port 587",
            "http://example.test/550/4.4.1/x",
            "order 5.1.1-rc2",
        ] {
            assert_eq!(found(text), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = find(&text);
        }
    }
}
