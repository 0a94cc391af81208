//! Reports in words for people: qmail, Exim, old sendmail, Exchange, Domino, Gmail, Yahoo, the Japanese carriers and
//! whatever else writes them. No dialect is known by name; all of them put an address where it can be seen and say
//! beside it what was wrong.

mod findings;
mod guesses;
mod heads;
mod words;

use std::collections::HashMap;

use super::{
    Original, Report, Says, dsn,
    letter::Letter,
    limits::RECIPIENTS_MAX,
    original, signs,
    verdict::{self, Told},
};

pub(super) use words::{weight, whole};

/// Lines that are searched for a first recipient.
const LINES_MAX: usize = 100;

/// A recipient, and what is said of it.
pub(super) struct Finding {
    pub(super) recipient: Option<String>,
    pub(super) words: String,
}

/// What a letter says in words.
pub(super) fn read(letter: &Letter) -> Option<Report> {
    if !signs::is_returned_mail(letter) {
        return None;
    }
    let about = original::of(letter);
    let is_warning = signs::is_warning(letter);
    let seen = findings::in_text(letter);
    if seen.is_empty() && failed_recipients(letter).is_empty() {
        // A gateway may have wrapped a report that it let through.
        let inner = letter.returned.iter().map(|returned| Letter::open(returned.as_bytes()));
        if let Some(report) = inner.filter(|inner| !inner.status.is_empty()).find_map(|inner| dsn::read(&inner)) {
            return Some(report);
        }
    }
    let mut found = weigh(letter, &about, seen);
    if found.is_empty() {
        if !signs::is_surely_by_machine(letter) {
            return None;
        }
        found.push(Finding { recipient: None, words: words::whole(letter).unwrap_or_default() });
    }
    let statuses = found.into_iter().map(|finding| {
        let (recipient, diagnostic) = (finding.recipient, Some(finding.words));
        verdict::conclude(Told { recipient, diagnostic, is_warning, ..Told::default() })
    });
    Some(Report { about, says: Says::Status(statuses.collect()) })
}

/// The recipients that a letter names in words, each with what is said of it; those that are named but not spoken of
/// share what is said at all.
pub(super) fn findings(letter: &Letter, about: &Original) -> Vec<Finding> {
    weigh(letter, about, findings::in_text(letter))
}

fn weigh(letter: &Letter, about: &Original, seen: Vec<(String, String)>) -> Vec<Finding> {
    let mut by_address: HashMap<String, String> = HashMap::new();
    let mut order: Vec<String> = Vec::new();
    for (address, words) in seen {
        match by_address.get_mut(&address.to_lowercase()) {
            Some(kept) if words::weight(&words) > words::weight(kept) => *kept = words,
            Some(_) => {}
            None => {
                by_address.insert(address.to_lowercase(), words);
                order.push(address);
            }
        }
    }
    let failed = failed_recipients(letter);
    if !failed.is_empty() {
        order = failed;
    } else if order.is_empty() {
        order = guesses::recipients(letter, about);
    }
    let shared = words::whole(letter).unwrap_or_default();
    let words_of = |address: &str| {
        let own = by_address.get(&address.to_lowercase()).filter(|words| words::weight(words) > 0 || shared.is_empty());
        own.cloned().unwrap_or_else(|| shared.clone())
    };
    let finding = |address: String| Finding { words: words_of(&address), recipient: Some(address) };
    order.into_iter().take(RECIPIENTS_MAX).map(finding).collect()
}

/// Whether the text names a recipient on its first pages.
pub(super) fn names_somebody(letter: &Letter) -> bool {
    letter
        .text
        .lines()
        .take(LINES_MAX)
        .any(|line| heads::in_line(line, "").is_some_and(|head| head.rank > heads::Rank::Repeated))
}

/// Exim and Gmail name the recipients in a field of their own.
fn failed_recipients(letter: &Letter) -> Vec<String> {
    let field = letter.field("X-Failed-Recipients").unwrap_or_default();
    let mut failed: Vec<String> = Vec::new();
    for address in super::addresses::all(&field) {
        if !failed.contains(&address) {
            failed.push(address);
        }
    }
    failed
}
