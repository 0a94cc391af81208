//! What an answer means: the whole of the retry rule, and of what is told, without a socket or a row.

use std::time::Duration;

use super::attempt::suppression;
use crate::{
    domain::{
        clock::UnixMillis,
        code::EnhancedStatusCode,
        event::{AcceptedBy, BounceType, Detail, NewEvent, Tied},
        id::EventId,
    },
    ids::Ids,
    mail::{
        relay::{Answer, RelaySaid},
        reports::classify::classify,
        simulator,
    },
    store::outbox::{DueRecipient, Ending, Outcome, Sent, Tell},
};

/// The first wait is between this and twice as long: greylisting and a restart of the relay take no longer.
const FIRST_WAIT: Duration = Duration::from_mins(1);
/// Waits double until they lie between this and twice as long, that is, until an hour at most.
const LAST_WAIT: Duration = Duration::from_mins(30);
/// What nobody has taken for so long is given up. RFC 5321 section 4.5.4.1 speaks of 4 to 5 days, which was for people; an
/// agent should hear of it while its task is warm.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_hours(48);
/// Of a remote server's words, in bytes: eight reply lines of the longest kind.
const WORDS_BYTES_MAX: usize = 4096;

/// What was heard of a recipient.
pub(super) struct Heard {
    /// What was said.
    pub(super) said: RelaySaid,
    /// Who took it, if a yes is the last word.
    pub(super) last_word: Option<AcceptedBy>,
}

/// How things stand with the recipient, before this try is counted.
pub(super) struct Standing<'a> {
    pub(super) sent: &'a Sent,
    pub(super) recipient: &'a DueRecipient,
    pub(super) now: UnixMillis,
    /// Spreads the waits of messages that failed together.
    pub(super) chance: u16,
}

/// A no in the words of a bounce.
struct No {
    code: String,
    inferred: bool,
    permanent: bool,
    /// Whether it is about the recipient, and not about the message or the connection.
    of_recipient: bool,
    status: Option<EnhancedStatusCode>,
    reply_code: Option<u16>,
    words: String,
    /// The words on one line, for the rules that read them.
    line: String,
}

/// What `heard` leads to.
pub(super) fn outcome(standing: &Standing<'_>, heard: &Heard, ids: &Ids) -> Outcome {
    let Heard { said, last_word } = heard;
    let (answer, of_recipient, of_session) = match said {
        RelaySaid::OfRecipient(answer) => (answer, true, false),
        RelaySaid::OfMessage(answer) => (answer, false, false),
        RelaySaid::OfSession(answer) => (answer, false, true),
        RelaySaid::Nothing(broken) => {
            // RFC 3463 section 3.5: X.4.1 no answer from host, X.4.2 bad connection.
            let code = if broken.connected { "4.4.2" } else { "4.4.1" };
            let no = No {
                code: code.to_owned(),
                inferred: true,
                permanent: false,
                of_recipient: false,
                status: code.parse().ok(),
                reply_code: None,
                words: cut(&broken.words),
                line: cut(&broken.words),
            };
            return refused(standing, no, ids);
        }
    };
    if answer.is_yes() {
        return accepted(standing, answer, *last_word, ids);
    }
    let status: Option<EnhancedStatusCode> =
        answer.text.split(|c: char| c.is_whitespace()).next().and_then(|word| word.parse().ok());
    let no = No {
        code: status.map_or_else(|| answer.code.to_string(), |status| status.to_string()),
        inferred: false,
        // A no before the message was named is about us (a wrong password, a blocked address): it may be mended, and
        // throwing queued mail away would not mend it.
        permanent: (500..600).contains(&answer.code) && !of_session,
        of_recipient,
        status,
        reply_code: Some(answer.code),
        words: cut(&format!("{} {}", answer.code, answer.text)),
        line: cut(&format!("{} {}", answer.code, answer.in_one_line())),
    };
    refused(standing, no, ids)
}

fn accepted(standing: &Standing<'_>, answer: &Answer, last_word: Option<AcceptedBy>, ids: &Ids) -> Outcome {
    let words = cut(&format!("{} {}", answer.code, answer.text));
    let told = last_word.map(|accepted_by| {
        let recipient = standing.recipient.address.to_string();
        let detail = Detail::Delivery { recipient, smtp_response: Some(words.clone()), accepted_by: Some(accepted_by) };
        tell(standing, detail, String::new(), ids)
    });
    Outcome {
        recipient: standing.recipient.seq,
        ending: Ending::Accepted,
        reply: Some(words),
        tells: told.into_iter().collect(),
    }
}

fn refused(standing: &Standing<'_>, no: No, ids: &Ids) -> Outcome {
    let Standing { recipient, now, chance, .. } = standing;
    // One more try is one.
    let over = recipient.round > 0 || now.minus(GIVE_UP_AFTER) >= recipient.since.unwrap_or(*now);
    let ending = if no.permanent || over {
        Ending::Failed
    } else {
        Ending::RetryAt(now.plus(wait(recipient.attempts, *chance)))
    };
    let classified = classify(no.status, no.reply_code, &no.line);
    let dead = no.permanent && no.of_recipient && classified.suppress_advised;
    // The simulator's addresses are there to be tried again and again.
    let suppress = (dead && recipient.address.domain() != simulator::DOMAIN)
        .then(|| suppression(standing, ids.next("sup_"), &no.words));
    let last = ending == Ending::Failed;
    let detail = Detail::Bounce {
        recipient: Some(recipient.address.to_string()),
        bounce_code: no.code,
        code_inferred: no.inferred,
        bounce_type: if no.permanent { BounceType::Hard } else { BounceType::Soft },
        reason: Some(classified.reason.as_str().to_owned()),
        r#final: last,
        suppress_advised: dead,
        suppressed: suppress.is_some(),
        diagnostic: Some(no.words.clone()),
        tied: Tied::Session,
    };
    let mut told = tell(standing, detail, if last { "final" } else { "first" }.to_owned(), ids);
    told.suppress = suppress;
    Outcome { recipient: recipient.seq, ending, reply: Some(no.words), tells: vec![told] }
}

fn tell(standing: &Standing<'_>, detail: Detail, part: String, ids: &Ids) -> Tell {
    let sent = standing.sent;
    let event = NewEvent {
        event_id: EventId::new(ids.next("evt_")),
        mailbox: Some(sent.mailbox.to_string()),
        message_id: Some(sent.message.clone()),
        thread_id: Some(sent.thread.clone()),
        timestamp: standing.now,
        provider_kind: None,
        detail,
    };
    Tell { event, part: Some(part), proves: None, suppress: None }
}

/// 1 to 2 min after the first try, twice as much after each further one, 30 to 60 min from the sixth on. Where in that
/// span, `chance` says.
fn wait(attempts: u32, chance: u16) -> Duration {
    let base = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(LAST_WAIT);
    base + base * u32::from(chance) / u32::from(u16::MAX)
}

/// The longest beginning that is kept.
fn cut(words: &str) -> String {
    let mut end = words.len().min(WORDS_BYTES_MAX);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words[..end].to_owned()
}
