//! From what a report tells of one recipient to what it means: which of several codes holds, and why it failed.

use super::{
    Action, Reason, RecipientStatus, classify, codes,
    limits::{DIAGNOSTIC_BYTES_MAX, cut},
};
use crate::domain::code::{Class, EnhancedStatusCode};

/// What a report tells of one recipient, before it is weighed.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) recipient: Option<String>,
    pub(super) original_recipient: Option<String>,
    pub(super) action: Option<Action>,
    pub(super) status: Option<EnhancedStatusCode>,
    pub(super) diagnostic: Option<String>,
    pub(super) remote_mta: Option<String>,
    /// The report is a warning that the message is late.
    pub(super) is_warning: bool,
}

/// Weighs it. Not told at all is never a code: then one is concluded from the words, and marked so.
pub(super) fn conclude(told: Told) -> RecipientStatus {
    let diagnostic = told.diagnostic.map(|words| cut(words.trim(), DIAGNOSTIC_BYTES_MAX).to_owned());
    let diagnostic = diagnostic.filter(|words| !words.is_empty());
    let words = diagnostic.as_deref().unwrap_or("");
    let found = codes::find(words);
    // What was refused for good is not late, whatever a mail system calls it.
    let refused = told.status.is_none() && found.reply.is_some_and(|code| code >= 500);
    let action = told.action.unwrap_or_else(|| match told.status.map(EnhancedStatusCode::class) {
        Some(Class::Success) => Action::Delivered,
        Some(Class::Transient) | None if told.is_warning && !refused => Action::Delayed,
        _ => Action::Failed,
    });
    let mut said = RecipientStatus {
        recipient: told.recipient,
        original_recipient: told.original_recipient,
        action,
        status: told.status,
        reply_code: None,
        code_inferred: false,
        reason: Reason::Other,
        suppress_advised: false,
        diagnostic: diagnostic.clone(),
        remote_mta: told.remote_mta,
    };
    if matches!(action, Action::Delivered | Action::Relayed | Action::Expanded) {
        return said;
    }
    let told_status = told.status.filter(|status| status.class() != Class::Success);
    said.reply_code = found.reply;
    said.status = match (told_status, found.status) {
        (Some(told), Some(remote)) if remote_knows_better(told, remote, found.reply) => Some(remote),
        (told, remote) => told.or(remote),
    };
    let meant = classify::classify(said.status, said.reply_code, words);
    (said.reason, said.suppress_advised) = (meant.reason, meant.suppress_advised);
    if said.status.is_none() && said.reply_code.is_none() {
        said.code_inferred = true;
        said.status = usual_code(said.reason, action, words);
        said.suppress_advised &= said.status.is_some_and(|status| status.class() == Class::Permanent);
    }
    said
}

/// A server that gives up writes a status of its own, and the code that the remote server gave into the diagnostic.
/// The remote's says more, unless it says nothing; one of another class must agree with the remote's reply code.
fn remote_knows_better(told: EnhancedStatusCode, remote: EnhancedStatusCode, reply: Option<u16>) -> bool {
    let says_nothing = |status: EnhancedStatusCode| status.to_string().ends_with(".0.0");
    let reply_class = reply.map(|code| if code >= 500 { Class::Permanent } else { Class::Transient });
    let class_agrees = told.class() == remote.class() || says_nothing(told) || reply_class == Some(remote.class());
    class_agrees && (says_nothing(told) || !says_nothing(remote))
}

fn usual_code(reason: Reason, action: Action, words: &str) -> Option<EnhancedStatusCode> {
    let code = reason.usual_code();
    // What was tried until time ran out was refused for the time being.
    let tried = words.to_ascii_lowercase().contains("retry timeout");
    let transient = action == Action::Delayed || tried;
    let code = if transient { format!("4{}", &code[1..]) } else { code.to_owned() };
    code.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(action: Option<Action>, status: &str, words: &str) -> RecipientStatus {
        let diagnostic = Some(words.to_owned());
        conclude(Told { action, status: status.parse().ok(), diagnostic, ..Told::default() })
    }

    fn code(said: &RecipientStatus) -> String {
        said.status.map(|status| status.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_code_that_says_most_holds() {
        for (status, words, holds) in [
            ("5.0.0", "smtp; 550 5.7.1 no", "5.7.1"),
            ("5.1.1", "smtp; 550 5.1.10 no", "5.1.10"),
            ("5.1.1", "smtp; 550 5.0.0 no", "5.1.1"),
            ("4.4.7", "smtp; 450 4.7.1 later", "4.7.1"),
            ("4.4.7", "tried 5.1.2 for days", "4.4.7"),
            ("4.5.0", "smtp; 550 5.5.0 no", "5.5.0"),
            ("4.0.0", "smtp; 550 no", "4.0.0"),
            ("4.4.7", "tried for days", "4.4.7"),
            ("", "smtp; 550 5.1.1 no", "5.1.1"),
        ] {
            assert_eq!(code(&told(Some(Action::Failed), status, words)), holds, "{status} {words}");
        }
    }

    #[test]
    fn a_code_is_concluded_only_where_none_is_told() {
        let said = told(Some(Action::Failed), "", "no such user here");
        assert_eq!((code(&said).as_str(), said.code_inferred, said.suppress_advised), ("5.1.1", true, true));
        let said = told(Some(Action::Delayed), "", "no such user here");
        assert_eq!((code(&said).as_str(), said.code_inferred, said.suppress_advised), ("4.1.1", true, false));
        let said = told(None, "", "smtp; 550 no such user here");
        assert_eq!((said.status, said.reply_code, said.code_inferred), (None, Some(550), false));
        let said = told(None, "", "mailbox is full: retry timeout exceeded");
        assert_eq!((code(&said).as_str(), said.reason), ("4.2.2", Reason::MailboxFull));
    }

    #[test]
    fn what_worked_has_no_reason() {
        let said = told(None, "2.0.0", "smtp; 250 2.0.0 queued, spam score 0");
        assert_eq!((said.action, said.reason, said.reply_code), (Action::Delivered, Reason::Other, None));
    }
}
