//! By what a returned message is known, where no part of it says so: who sends it, what it is called, and what it says.
//! No single sign is enough, for people are called postmaster and write about mail, too.

use std::sync::LazyLock;

use regex::{Regex, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use super::{classify, codes, letter::Letter, text};

/// The patterns of `signs.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signs<P> {
    daemon: P,
    machine: P,
    name: P,
    subject: P,
    away: P,
    failed: P,
    late: P,
    given_up: P,
    arrived: P,
    trouble: P,
    list_refusal: P,
}

static SIGNS: LazyLock<Signs<RegexSet>> = LazyLock::new(|| {
    let read: Signs<Vec<String>> = toml::from_str(include_str!("signs.toml")).expect("signs that the tests read");
    let set = |patterns: Vec<String>| {
        RegexSetBuilder::new(patterns).case_insensitive(true).build().expect("patterns that the tests compile")
    };
    Signs {
        daemon: set(read.daemon),
        machine: set(read.machine),
        name: set(read.name),
        subject: set(read.subject),
        away: set(read.away),
        failed: set(read.failed),
        late: set(read.late),
        given_up: set(read.given_up),
        arrived: set(read.arrived),
        trouble: set(read.trouble),
        list_refusal: set(read.list_refusal),
    }
});
static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\s*(?:re|fwd?|aw|wg|tr|sv|rv|res|enc)\s*(?:\[\d+\])?\s*:")
        .expect("a pattern that the tests compile")
});

/// Where a mail system is the likely sender: one sign that is sure, or two that are not.
const ORIGIN_MIN: i32 = 3;
/// What a returned message says of where a letter comes from.
const RETURNED_WEIGHT: i32 = 1;
/// Lines that are searched for words: what a report is about stands on its first pages.
const LINES_MAX: usize = 200;
/// Where failure is the likely subject: words for it, or codes.
const EVIDENCE_MIN: i32 = 2;

/// Whether it is a receipt of reading or of deletion (RFC 8098), which says nothing of delivery. Dovecot refuses mail
/// that way, and says so.
pub(super) fn is_receipt(letter: &Letter) -> bool {
    let refuses = || letter.text.contains("was automatically rejected") && is_from_daemon(letter);
    letter.report_type == "disposition-notification" && !refuses()
}

/// Whether a person passes on or answers what may be a report.
pub(super) fn is_passed_on(letter: &Letter) -> bool {
    letter.media_type != "multipart/report" && ANSWER.is_match(&letter.subject()) && !is_from_daemon(letter)
}

fn is_from_machine(letter: &Letter) -> bool {
    // Some write the null path into From, too.
    letter.field("From").is_some_and(|from| from.ends_with("<>")) || SIGNS.machine.is_match(letter.sender().1)
}

fn is_from_daemon(letter: &Letter) -> bool {
    is_from_machine(letter) || is_named_as_daemon(letter)
}

fn is_named_as_daemon(letter: &Letter) -> bool {
    let (name, address) = letter.sender();
    SIGNS.daemon.is_match(address) || SIGNS.name.is_match(name)
}

/// Whether the letter is mail returned by a mail system, as far as text can tell.
pub(super) fn is_returned_mail(letter: &Letter) -> bool {
    let origin = origin(letter);
    // The surer the sender, the fewer words it takes.
    let evidence_min = if origin > ORIGIN_MIN { 1 } else { EVIDENCE_MIN };
    !is_passed_on(letter) && origin >= ORIGIN_MIN && evidence(letter) >= evidence_min && !is_success(letter)
}

/// Whether it may be mail returned by a mail system, whatever its text says: a message found in that is a sign, too.
pub(super) fn may_be_returned_mail(letter: &Letter) -> bool {
    origin(letter) + RETURNED_WEIGHT >= ORIGIN_MIN
}

/// Whether it needs no recipient in its text to be believed: no person sends mail that way.
pub(super) fn is_surely_by_machine(letter: &Letter) -> bool {
    is_from_machine(letter)
        || has_null_path(letter) && SIGNS.subject.is_match(&letter.subject())
        || letter.report_type == "delivery-status"
        || letter.field("X-Failed-Recipients").is_some()
}

/// RFC 5321 section 4.5.5: what returns has no way to return.
fn has_null_path(letter: &Letter) -> bool {
    let path = letter.field("Return-Path").unwrap_or_default().to_ascii_lowercase();
    path == "<>" || path == "<#@[]>" || path.trim_start_matches('<').starts_with("mailer-daemon")
}

/// How much it comes from a mail system.
fn origin(letter: &Letter) -> i32 {
    let subject = letter.subject();
    let machine = is_from_machine(letter);
    let daemon = machine || is_named_as_daemon(letter);
    let null_path = has_null_path(letter);
    let said = |yes: bool, weight: i32| if yes { weight } else { 0 };
    let called_answer = ANSWER.is_match(&subject);
    let answers = called_answer || !letter.answers().is_empty();
    said(machine, 3)
        + said(daemon && !machine, 2)
        + said(letter.field("X-Failed-Recipients").is_some(), 3)
        + said(letter.report_type == "delivery-status", 3)
        + said(null_path, 2)
        + said(!called_answer && SIGNS.subject.is_match(&subject), 2)
        + said(!letter.returned.is_empty(), RETURNED_WEIGHT)
        + said(is_list_refusal(letter), 3)
        - said(SIGNS.away.is_match(&subject), 3)
        - said(letter.field("List-Id").is_some() && !daemon, 2)
        - said(answers && !daemon && !null_path, 1)
}

/// Whether a mailing list refuses an article. What it sends to its members has the same field.
fn is_list_refusal(letter: &Letter) -> bool {
    letter.field("X-MLServer").is_some() && SIGNS.list_refusal.is_match(&letter.subject())
}

/// Whether it tells of mail that arrived.
fn is_success(letter: &Letter) -> bool {
    SIGNS.arrived.is_match(&letter.text) && !SIGNS.trouble.is_match(&letter.text)
}

/// How much it speaks of mail that was not delivered.
fn evidence(letter: &Letter) -> i32 {
    let text = letter.text.as_str();
    let codes = codes::find(text);
    let said = |yes: bool, weight: i32| if yes { weight } else { 0 };
    said(SIGNS.failed.is_match(text), 2)
        + said(is_list_refusal(letter), 2)
        + said(letter.field("X-Failed-Recipients").is_some(), 2)
        + said(codes.status.is_some() && codes.reply.is_some() || text.contains("<<< "), 2)
        + said(codes.any(), 1)
        + said(text.lines().take(LINES_MAX).any(|line| classify::by_words(line).is_some()), 1)
        + said(text::names_somebody(letter), 1)
}

/// Whether the letter warns that a message is late, rather than that it failed.
pub(super) fn is_warning(letter: &Letter) -> bool {
    let subject = letter.subject();
    let text = letter.text.as_str();
    let late = subject.to_lowercase().contains("delay") || SIGNS.late.is_match(text) || SIGNS.late.is_match(&subject);
    late && !SIGNS.given_up.is_match(text)
}
