//! Delivery status notifications (RFC 3464, and RFC 6533 for addresses beyond ASCII), with the fields that are missing
//! taken from the text beside them.

use super::{
    Action, Original, Report, Says, addresses,
    fields::{self, Field},
    letter::Letter,
    limits::RECIPIENTS_MAX,
    original, signs, text,
    verdict::{self, Told},
};

/// What a letter says in a status part, or in the same fields written into its text.
pub(super) fn read(letter: &Letter) -> Option<Report> {
    if signs::is_passed_on(letter) {
        return None;
    }
    let groups: Vec<Vec<Field>> = if !letter.status.is_empty() {
        letter.status.iter().flat_map(|part| fields::read(part)).collect()
    } else if signs::is_returned_mail(letter) {
        fields::read(&letter.text)
    } else {
        return None;
    };
    let mut told: Vec<Told> =
        groups.iter().flat_map(|group| recipients_of(group)).filter_map(told).take(RECIPIENTS_MAX).collect();
    let named = told.iter().any(|told| told.recipient.is_some());
    if told.is_empty() || (!named && letter.status.is_empty()) {
        return None;
    }
    // A group that names nobody says nothing more where others do.
    if named {
        told.retain(|told| told.recipient.is_some());
    }
    let about = about(letter, &groups);
    complete(letter, &about, &mut told);
    let statuses = told.into_iter().map(verdict::conclude).collect();
    Some(Report { about, says: Says::Status(statuses) })
}

fn about(letter: &Letter, groups: &[Vec<Field>]) -> Original {
    let anywhere = |name| groups.iter().find_map(|group| fields::value(group, name));
    let mut about = original::of(letter);
    about.envelope_id = anywhere("original-envelope-id").map(str::to_owned);
    if about.message_id.is_none() || letter.returned.is_empty() {
        let id = anywhere("x-original-message-id").or_else(|| anywhere("original-message-id"));
        let id = id.map(|id| id.trim_matches(['<', '>', ' ']).to_owned()).filter(|id| !id.is_empty());
        about.message_id = id.or(about.message_id);
    }
    about
}

/// The recipients of a group. Some write all of them into one, without blank lines: a field that comes again begins the
/// next.
fn recipients_of(group: &[Field]) -> Vec<&[Field]> {
    let mut starts = vec![0];
    let mut seen: Vec<&str> = Vec::new();
    for (at, field) in group.iter().enumerate() {
        let name = field.name.as_str();
        if matches!(name, "final-recipient" | "action" | "status") {
            if seen.contains(&name) {
                // The original recipient stands before the final one.
                let before = at > 0 && group[at - 1].name == "original-recipient" && name == "final-recipient";
                starts.push(if before { at - 1 } else { at });
                seen.clear();
            }
            seen.push(name);
        }
    }
    starts.push(group.len());
    starts.windows(2).map(|pair| &group[pair[0]..pair[1]]).filter(|group| !group.is_empty()).collect()
}

fn told(group: &[Field]) -> Option<Told> {
    let recipient = |name| {
        let value = fields::value(group, name)?;
        addresses::clean(fields::untyped(value), true)
    };
    let original_recipient = recipient("original-recipient");
    let recipient = recipient("final-recipient")
        .filter(|last| last.contains('@') || original_recipient.is_none())
        .or_else(|| original_recipient.clone())
        .or_else(|| recipient("x-actual-recipient"))
        .or_else(|| recipient("recipient"));
    let action = fields::value(group, "action").and_then(action);
    let status_word = fields::value(group, "status").map(|status| status.trim_start_matches(['"', '\'']));
    let status = status_word
        .and_then(|status| status.split(|c: char| c != '.' && !c.is_ascii_digit()).next())
        .and_then(|status| status.trim_end_matches('.').parse().ok());
    let diagnostic = fields::value(group, "diagnostic-code").map(|code| fields::untyped(code).to_owned());
    let remote_mta = fields::value(group, "remote-mta").map(|mta| fields::untyped(mta).to_owned());
    let says_something = action.is_some() || status.is_some() || diagnostic.is_some();
    says_something.then_some(Told {
        recipient,
        original_recipient,
        action,
        status,
        diagnostic,
        remote_mta,
        is_warning: false,
    })
}

fn action(value: &str) -> Option<Action> {
    let word: String = value.trim().chars().take_while(char::is_ascii_alphabetic).collect();
    match word.to_ascii_lowercase().as_str() {
        "failed" | "failure" | "fail" | "expired" | "bounced" | "error" => Some(Action::Failed),
        "delayed" | "delay" | "deferred" => Some(Action::Delayed),
        "delivered" => Some(Action::Delivered),
        "relayed" => Some(Action::Relayed),
        "expanded" => Some(Action::Expanded),
        _ => None,
    }
}

/// Takes from the text what the fields leave out: the diagnostic, the recipient, the domain of a recipient.
fn complete(letter: &Letter, about: &Original, told: &mut [Told]) {
    let is_warning = signs::is_warning(letter);
    // `x-unix; 255` is a diagnostic by form only.
    let tells = |told: &Told| {
        let silent = told.status.is_none_or(|status| status.to_string().ends_with(".0.0"));
        told.diagnostic.as_ref().is_some_and(|words| !silent || text::weight(words) > 0)
    };
    let whole = |told: &Told| tells(told) && told.recipient.as_ref().is_some_and(|recipient| recipient.contains('@'));
    if told.iter().all(whole) {
        for told in told {
            told.is_warning = is_warning;
        }
        return;
    }
    let mut findings = text::findings(letter, about);
    let count = told.len();
    for told in told {
        told.is_warning = is_warning;
        let worked = matches!(told.action, Some(Action::Delivered | Action::Relayed | Action::Expanded));
        let same = findings.iter().position(|finding| match (&told.recipient, &finding.recipient) {
            (Some(told), Some(found)) if told.contains('@') => addresses::same(told, found),
            (Some(told), Some(found)) => found.rsplit_once('@').is_some_and(|(local, _)| addresses::same(told, local)),
            (None, _) => true,
            (_, None) => false,
        });
        match same {
            Some(at) => {
                let found = findings.remove(at);
                if told.recipient.as_ref().is_none_or(|recipient| !recipient.contains('@')) {
                    told.recipient = found.recipient;
                }
                let says_more = told.diagnostic.is_none() || !tells(told) && text::weight(&found.words) == 2;
                if says_more && !worked {
                    told.diagnostic = Some(found.words);
                }
            }
            None if !tells(told) && !worked && count == 1 => {
                told.diagnostic = text::whole(letter).or(told.diagnostic.take());
            }
            None => {}
        }
    }
}
