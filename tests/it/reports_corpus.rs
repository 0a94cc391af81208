//! Real returned mail, where the folder of it is: who failed, with which code, and what is no bounce at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mailbell::{
    domain::code::{Class, EnhancedStatusCode},
    mail::reports::{self, Action, RecipientStatus, Report, Says},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Mail {
    file: String,
    kind: String,
    recipients: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    recipient: Option<String>,
    status: String,
    status_is_sisimai_pseudo: bool,
    action: Option<String>,
    code_class: Option<String>,
    original_message_id: Option<String>,
    reason: String,
    feedback_type: Option<String>,
}

/// Where the corpora are: beside the project, unless the environment says otherwise. None if they are not there.
fn corpus(name: &str) -> Option<(PathBuf, Vec<Mail>)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    #[expect(clippy::disallowed_methods, reason = "where test data lies is no setting of the service")]
    let folder = std::env::var("MAILBELL_CORPORA").map_or_else(|_| beside(), PathBuf::from).join(name);
    let Ok(expected) = fs::read_to_string(folder.join("expected.json")) else {
        eprintln!("skipped: no corpus at {}", folder.display());
        return None;
    };
    Some((folder.join("raw"), serde_json::from_str(&expected).unwrap()))
}

fn statuses(report: Option<&Report>) -> &[RecipientStatus] {
    match report.map(|report| &report.says) {
        Some(Says::Status(statuses)) => statuses,
        _ => &[],
    }
}

/// The code that an event would carry.
fn class(said: &RecipientStatus) -> Option<&'static str> {
    let by_reply = said.reply_code.map(|code| if code >= 500 { Class::Permanent } else { Class::Transient });
    Some(match said.status.map(EnhancedStatusCode::class).or(by_reply)? {
        Class::Permanent => "permanent",
        Class::Transient => "transient",
        Class::Success => "success",
    })
}

#[derive(Default)]
struct Rate {
    right: usize,
    of: usize,
    misses: Vec<String>,
}

impl Rate {
    fn count(&mut self, right: bool, miss: impl FnOnce() -> String) {
        self.of += 1;
        if right {
            self.right += 1;
        } else {
            self.misses.push(miss());
        }
    }

    fn at_least(&self, name: &str, percent: usize) {
        eprintln!("{name}: {} of {}\n  {}", self.right, self.of, self.misses.join("\n  "));
        assert!(self.right * 100 >= self.of * percent, "{name}: under {percent} %");
    }
}

#[test]
fn bounces_say_who_failed_and_with_which_code() {
    let Some((raw, mails)) = corpus("bounces-dev") else { return };
    let (mut found, mut classes, mut codes, mut ids) = <(Rate, Rate, Rate, Rate)>::default();
    let mut reasons = Rate::default();
    for mail in mails.iter().filter(|mail| mail.kind == "bounce") {
        let bytes = fs::read(raw.join(&mail.file)).unwrap();
        let report = reports::read(&bytes);
        let said = statuses(report.as_ref());
        let expected = || mail.recipients.iter().filter_map(|row| Some((row, row.recipient.as_deref()?)));
        let counted = expected().any(|(row, _)| row.action.as_deref() != Some("delayed"));
        if !counted {
            continue;
        }
        let find = |address: &str| {
            said.iter().find(|said| said.recipient.as_deref().is_some_and(|told| told.eq_ignore_ascii_case(address)))
        };
        let missing: Vec<_> =
            expected().filter(|(_, address)| find(address).is_none()).map(|(_, address)| address).collect();
        found.count(missing.is_empty(), || format!("{}: {missing:?} not in {said:?}", mail.file));
        for (row, address) in expected() {
            let Some(said) = find(address) else { continue };
            if row.action.as_deref() == Some("delayed") || said.action == Action::Delayed {
                continue;
            }
            classes.count(class(said) == row.code_class.as_deref(), || {
                format!("{}: {:?}, expected {} of {said:?}", mail.file, class(said), row.status)
            });
            if !row.status_is_sisimai_pseudo {
                let status = said.status.map(|status| status.to_string()).unwrap_or_default();
                codes.count(status == row.status, || {
                    format!("{}: {status}, expected {} of {said:?}", mail.file, row.status)
                });
            }
            reasons.count(said.reason.as_str() == ours(&row.reason), || {
                format!("{}: {} for {} {:?}", mail.file, said.reason, row.reason, said.diagnostic)
            });
            if let Some(id) = &row.original_message_id {
                let told = report.as_ref().and_then(|report| report.about.message_id.as_deref());
                ids.count(told == Some(id), || format!("{}: {told:?}, expected {id}", mail.file));
            }
        }
    }
    eprintln!("reasons: {} of {}\n  {}", reasons.right, reasons.of, reasons.misses.join("\n  "));
    found.at_least("recipients", 95);
    classes.at_least("code classes", 97);
    codes.at_least("exact codes", 95);
    ids.at_least("message ids", 95);
}

/// The nearest of our reasons. Theirs cut the field up otherwise, so agreement is shown, not asserted.
fn ours(theirs: &str) -> &str {
    match theirs {
        "userunknown" | "filtered" => "user_unknown",
        "mailboxfull" => "mailbox_full",
        "blocked" | "requireptr" | "badreputation" => "reputation",
        "rejected" | "policyviolation" | "securityerror" => "policy",
        "expired" => "timeout",
        "hostunknown" => "host_unknown",
        "suspend" | "onhold" => "mailbox_disabled",
        "authfailure" => "auth_failure",
        "systemerror" | "mailererror" => "system",
        "notaccept" => "not_accepting",
        "mesgtoobig" | "exceedlimit" => "too_large",
        "networkerror" => "network",
        "notcompliantrfc" | "virusdetected" => "content",
        "toomanyconn" | "speeding" => "rate_limited",
        "spamdetected" => "spam_block",
        "hasmoved" => "has_moved",
        "norelaying" => "relaying_denied",
        other => other,
    }
}

#[test]
fn what_is_no_bounce_becomes_none() {
    let Some((raw, mails)) = corpus("bounces-dev") else { return };
    for mail in mails.iter().filter(|mail| mail.kind != "bounce") {
        let report = reports::read(&fs::read(raw.join(&mail.file)).unwrap());
        let failed =
            statuses(report.as_ref()).iter().any(|said| matches!(said.action, Action::Failed | Action::Delayed));
        assert!(!failed, "{} ({}): {report:?}", mail.file, mail.kind);
    }
}

#[test]
fn complaints_say_of_what_kind_they_are() {
    let Some((raw, mails)) = corpus("arf-dev") else { return };
    let mut found = Rate::default();
    for mail in &mails {
        let report = reports::read(&fs::read(raw.join(&mail.file)).unwrap());
        let Some(Says::Complaint(complaint)) = report.as_ref().map(|report| &report.says) else {
            panic!("{}: no complaint but {report:?}", mail.file);
        };
        assert_eq!(Some(&complaint.feedback_type), mail.recipients[0].feedback_type.as_ref(), "{}", mail.file);
        for row in &mail.recipients {
            // A pseudo-address stands for one that the report hides.
            let Some(address) = row.recipient.as_ref().filter(|address| !address.ends_with(".invalid")) else {
                continue;
            };
            found.count(complaint.recipients.contains(address), || format!("{}: {complaint:?}", mail.file));
        }
    }
    found.at_least("complainers", 95);
}
