//! Why mail was refused, by the words and codes of whoever refused it; for live SMTP replies and for reports.
//!
//! The rules are data, in `rules.toml`: the first that matches wins, so particular ones stand before general ones, and
//! words before codes, for servers choose their words with more care than their codes.

use std::sync::LazyLock;

use regex::{Regex, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use super::{
    Reason,
    addresses::ADDRESS,
    limits::{DIAGNOSTIC_BYTES_MAX, cut},
};
use crate::domain::code::{Class, EnhancedStatusCode};

/// The rules, compiled once, in bytes: 64 MiB, some ten times what they take.
const COMPILED_BYTES_MAX: usize = 64 << 20;

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classified {
    /// Why.
    pub reason: Reason,
    /// Whether the address is dead, so that sending to it again would do harm.
    pub suppress_advised: bool,
}

/// What a refusal means, by its enhanced status code, its reply code and its words, as far as each is known.
pub fn classify(status: Option<EnhancedStatusCode>, reply_code: Option<u16>, diagnostic: &str) -> Classified {
    let text = status.map(|status| status.to_string()).unwrap_or_default();
    let Some(rule) = rule_of_words(diagnostic).or_else(|| rule_of_codes(&text, reply_code)) else {
        return Classified { reason: Reason::Other, suppress_advised: false };
    };
    let permanent = match (status, reply_code) {
        (Some(status), _) => status.class() == Class::Permanent,
        (None, Some(reply_code)) => (500..600).contains(&reply_code),
        // Without any code the words alone decide, and those of the dead are plain.
        (None, None) => true,
    };
    // Where words leave a doubt, a code for bad addresses removes it (RFC 3463 section 3.2).
    let sure = rule.sure || text == "5.1.1" || text == "5.1.10";
    Classified { reason: rule.reason, suppress_advised: permanent && sure && rule.reason.is_death() }
}

/// What the words alone mean; none where no rule knows them.
pub(super) fn by_words(words: &str) -> Option<Reason> {
    rule_of_words(words).map(|rule| rule.reason)
}

fn rule_of_words(words: &str) -> Option<&'static Rule> {
    let rules = &*RULES;
    // The lowest pattern that matches is of the first rule that does.
    let words = NAMES.replace_all(cut(words, DIAGNOSTIC_BYTES_MAX), "@");
    let first = rules.words.matches(&words).iter().next()?;
    Some(&rules.in_order[rules.owners[first]])
}

fn rule_of_codes(status: &str, reply_code: Option<u16>) -> Option<&'static Rule> {
    let any_class = status.get(1..).unwrap_or("");
    RULES.in_order.iter().find(|rule| {
        let by_status = !status.is_empty() && rule.status.iter().any(|said| said == status || said == any_class);
        by_status || reply_code.is_some_and(|code| rule.reply.contains(&code))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    reason: Reason,
    /// Whether an address that was refused so, for good, is dead; only for the reasons that are deaths.
    #[serde(default = "sure")]
    sure: bool,
    /// Patterns for the words, in any case.
    #[serde(default)]
    says: Vec<String>,
    /// Enhanced status codes, such as `5.7.26`, or without their class, such as `.2.2`. Only where no words matched.
    #[serde(default)]
    status: Vec<String>,
    /// Reply codes. Only where no words matched.
    #[serde(default)]
    reply: Vec<u16>,
}

fn sure() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

struct Rules {
    in_order: Vec<Rule>,
    words: RegexSet,
    /// The rule that each pattern is of.
    owners: Vec<usize>,
}

/// Addresses and links, which are made of words that mean nothing here: `this-user-is-unknown@spam.test`.
static NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"https?://\S+|{ADDRESS}")).expect("a pattern that the tests compile"));

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let File { rule: rules } = toml::from_str(include_str!("rules.toml")).expect("rules that the tests read");
    let owned = || rules.iter().enumerate().flat_map(|(owner, rule)| rule.says.iter().map(move |says| (owner, says)));
    let words = RegexSetBuilder::new(owned().map(|(_, says)| says))
        .case_insensitive(true)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .expect("patterns that the tests compile");
    let owners = owned().map(|(owner, _)| owner).collect();
    Rules { in_order: rules, words, owners }
});

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rules_are_sound() {
        let mut seen = HashSet::new();
        for rule in &RULES.in_order {
            assert!(!(rule.says.is_empty() && rule.status.is_empty() && rule.reply.is_empty()), "{}", rule.reason);
            assert_ne!(rule.reason, Reason::Other, "other is what no rule names");
            for pattern in &rule.says {
                assert!(seen.insert(pattern.clone()), "twice: {pattern}");
            }
            for status in &rule.status {
                let whole = if status.starts_with('.') { format!("5{status}") } else { status.clone() };
                assert!(whole.parse::<EnhancedStatusCode>().is_ok(), "{status}");
                assert!(seen.insert(status.clone()), "twice: {status}");
            }
        }
        assert!(!RULES.words.is_match("hello"), "a pattern matches anything");
    }

    #[test]
    fn refusals_are_told_apart() {
        for (status, reply, words, reason, dead) in [
            ("5.1.1", 550, "<a@b.test>: Recipient address rejected: User unknown", Reason::UserUnknown, true),
            ("4.1.1", 450, "User unknown, try again", Reason::UserUnknown, false),
            ("5.2.2", 552, "Mailbox full", Reason::MailboxFull, false),
            ("5.7.1", 550, "blocked using zen.spamhaus.org", Reason::Reputation, false),
            ("5.7.26", 550, "This mail is unauthenticated", Reason::AuthFailure, false),
            ("4.7.1", 451, "Greylisted, please try again", Reason::Greylisted, false),
            ("5.7.1", 554, "Relay access denied", Reason::RelayingDenied, false),
            ("5.3.4", 552, "Message size exceeds fixed maximum message size", Reason::TooLarge, false),
            ("5.4.6", 554, "Too many hops", Reason::Loop, false),
            ("5.1.2", 550, "Host unknown", Reason::HostUnknown, true),
            ("5.1.10", 556, "returned Null MX", Reason::NotAccepting, true),
            ("5.2.1", 550, "This account has been disabled", Reason::MailboxDisabled, false),
            ("4.4.2", 421, "lost connection while sending end of data", Reason::Network, false),
            ("5.0.0", 550, "no", Reason::Other, false),
            ("5.7.1", 550, "<user-unknown@no-such-host.test> says http://spamhaus.test", Reason::Policy, false),
            ("5.7.1", 550, "Recipient address rejected: not today", Reason::UserUnknown, false),
            ("5.1.8", 550, "Domain of sender does not exist", Reason::Policy, false),
            ("5.2.0", 550, "From: Domain is invalid", Reason::Policy, false),
            ("5.1.0", 553, "after MAIL FROM:<a@b.test>: 553 5.1.0 b.test does not exist", Reason::Policy, false),
            ("4.4.1", 450, "connect to b.test[192.0.2.1]:25: Connection timed out", Reason::Network, false),
        ] {
            let said = classify(status.parse().ok(), Some(reply), words);
            assert_eq!((said.reason, said.suppress_advised), (reason, dead), "{words}");
        }
    }

    #[test]
    fn codes_decide_where_words_do_not() {
        assert_eq!(classify("5.2.2".parse().ok(), None, "").reason, Reason::MailboxFull);
        assert_eq!(classify(None, Some(552), "").reason, Reason::MailboxFull);
        assert_eq!(classify(None, None, ""), Classified { reason: Reason::Other, suppress_advised: false });
    }

    proptest! {
        #[test]
        fn no_words_panic(words in ".{0,300}", reply in 0u16..999) {
            let _ = classify(None, Some(reply), &words);
        }
    }
}
