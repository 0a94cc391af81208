//! Complaints: RFC 5965 with its extensions (RFC 6591, 6650), and those that come in other forms: Hotmail's, which
//! only attaches the message, and Apple's, which answers a `List-Unsubscribe` address.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Complaint, Original, Report, Says, addresses, fields,
    letter::Letter,
    limits::{LINE_BYTES_MAX, RECIPIENTS_MAX, cut},
    original,
};

static SUBJECT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)complaint about message from|(email )?(feedback|abuse|spam|complaint)[- ](loop )?report|\bfbl\b|client ?tos notification|junk mail report")
        .expect("a pattern that the tests compile")
});
static SENDER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(staff@(hotmail|outlook|live|msn)\.|scomp@|.*(fbl|feedback|complaint|abuse|arf|spamreport).*@)")
        .expect("a pattern that the tests compile")
});

/// Where complainers' addresses stand in the returned header, the surest first.
const HEADERS_OF_COMPLAINERS: [&str; 4] =
    ["X-HmXmrOriginalRecipient", "X-Original-Recipient", "X-Rcpt-To", "X-Envelope-To"];

/// What a letter complains of.
pub(super) fn read(letter: &Letter) -> Option<Report> {
    if !letter.feedback.is_empty() {
        return Some(from_fields(letter));
    }
    if is_unasked(letter) {
        let (_, sender) = letter.sender();
        let recipients = Some(sender.to_owned()).filter(|sender| sender.contains('@')).into_iter().collect();
        return Some(report(letter, Original::default(), recipients, "opt-out"));
    }
    let called_report = letter.report_type == "feedback-report";
    let attached = !letter.returned.is_empty();
    if !(called_report || attached && looks_like_complaint(letter)) {
        return None;
    }
    let about = original::of(letter);
    let recipients = complainers(letter, &about);
    Some(report(letter, about, recipients, "abuse"))
}

/// Whether a letter that is not called a report and has no part of one may be a complaint by its header.
pub(super) fn may_be_complaint(letter: &Letter) -> bool {
    is_unasked(letter) || looks_like_complaint(letter)
}

/// Whether Apple says that somebody wishes to hear no more.
fn is_unasked(letter: &Letter) -> bool {
    letter.field("X-Apple-Unsubscribe").is_some_and(|said| said.eq_ignore_ascii_case("true"))
}

/// Whether a letter that returns a message complains of it.
fn looks_like_complaint(letter: &Letter) -> bool {
    letter.media_type.starts_with("multipart/")
        && SUBJECT.is_match(&letter.subject())
        && SENDER.is_match(letter.sender().1)
}

fn from_fields(letter: &Letter) -> Report {
    let fields: Vec<_> = letter.feedback.iter().flat_map(|part| fields::read(part)).flatten().collect();
    let value = |name| fields::value(&fields, name);
    let all = |name: &str| -> Vec<String> {
        let said = fields.iter().filter(|field| field.name == name);
        said.filter_map(|field| addresses::clean(fields::untyped(&field.value), false)).take(RECIPIENTS_MAX).collect()
    };
    let mut about = original::of(letter);
    about.envelope_id = value("original-envelope-id").map(|id| cut(id, LINE_BYTES_MAX).to_owned());
    if about.from.is_none() {
        about.from = value("original-mail-from").and_then(|from| addresses::clean(from, false));
    }
    let named = ["original-rcpt-to", "removal-recipient", "redacted-address"].into_iter().map(all);
    let mut recipients = named.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    if recipients.is_empty() {
        recipients = complainers(letter, &about);
    }
    let kind = value("feedback-type").unwrap_or("abuse").to_ascii_lowercase();
    report(letter, about, recipients, cut(&kind, LINE_BYTES_MAX))
}

/// Who may have complained, by the header of the message: one who is named for it, or the only one it was to.
fn complainers(letter: &Letter, about: &Original) -> Vec<String> {
    let mut named = HEADERS_OF_COMPLAINERS.into_iter().filter_map(|name| original::field(letter, name));
    if let Some(complainer) = named.find_map(|value| addresses::clean(&value, false)) {
        return vec![complainer];
    }
    let to = original::recipients(letter, about);
    if to.len() == 1 { to } else { Vec::new() }
}

fn report(letter: &Letter, about: Original, mut recipients: Vec<String>, kind: &str) -> Report {
    recipients.dedup();
    let (_, sender) = letter.sender();
    let reporting_domain = sender.rsplit_once('@').map(|(_, domain)| domain.to_owned());
    let complaint = Complaint { recipients, feedback_type: kind.to_owned(), reporting_domain };
    Report { about, says: Says::Complaint(complaint) }
}
