//! By what a returned message is known, where no part of it says so: who sends it, what it is called, and what it says.
//! No single sign is enough, for people are called postmaster and write about mail, too.

use std::sync::LazyLock;

use regex::Regex;

use super::{classify, codes, letter::Letter, text};

fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?i){text}")).expect("a pattern that the tests compile")
}

static DAEMON: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:post[-_]?master|mail-?delivery|mailer|mailadmin|mdaemon|double-bounce|bounces?|mail-?system|system-?administrator|amavis|postoffice|smtp-?(?:daemon|gateway)?|mmdf|uucp|daemon|mailmaster|autoreply-bounce)(?:@|$|\+|[-._]\w+@)",
    )
});
/// Nobody is called so.
static MACHINE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:mailer-?daemon|mail-?daemon|mdaemon|double-bounce|mail-?delivery(?:-?(?:system|subsystem))?|mmdf)(?:@|$)",
    )
});
static DAEMON_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"mail(?:er)?[ -]?daemon|postmaster|(?:mail )?delivery (?:sub)?system|mail delivery|system administrator|mail administrator|mail system|mailmarshal|internet mail (?:service|delivery)|interscan|microsoft exchange|message (?:delivery|transfer)",
    )
});
static SUBJECT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"undeliver|returned (?:mail|to sender|message)|return(?:ing)? (?:message )?to sender|(?:delivery|mail|message) (?:status notification|(?:has )?fail|error|problem|delay|not |notification|report|could not|system error|warning|undeliv)|failure notice|fail(?:ed|ure) (?:delivery|notice|mail|to deliver)|non[- ]?(?:deliver|remis|recapi)|mail (?:could not|system error|not delivered)|could not (?:be )?deliver|not (?:be )?delivered|error sending your (?:mail|message)|bounced? (?:mail|message|e-?mail)|unzustellbar|zustellung|nicht (?:zugestellt|übermittelt)|échec|n'a pas pu|non remis|no (?:se )?(?:ha )?(?:podido|pudo)? ?entreg|devuelto|mancat[ao] (?:consegna|recapito)|niet (?:bezorgd|afgeleverd)|onbestelbaar|nie (?:dostarczon|można dostarczyć)|kunde inte levereras|недостав|не доставлен|возвра|배달|반송|エラー|配信(?:できま|不能|エラー|失敗|されません)|不達|送信(?:できま|エラー)|退信|退回|投递失败|無法傳遞|rejected mail|user unknown|unknown user|mailbox (?:full|quota|over)|^rejected: ",
    )
});
static ANSWER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:re|fwd?|aw|wg|tr|sv|rv|res|enc)\s*(?:\[\d+\])?\s*:"));
static AWAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"out of (?:the )?office|auto(?:matic|matische|mated)?[- ]?(?:reply|response|antwort|responder)|vacation|away (?:from|until)|abwesen|absence|respuesta automática|réponse automatique|risposta automatica|自動(?:返信|応答)|不在|on leave|holiday|thank you for (?:contacting|your)|ticket|read: |gelesen|lu :",
    )
});
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:could|can|was|were|is|has|have|did|been|be) ?(?:not|n.t) (?:yet )?(?:be |been )?(?:delivered|deliver|reach|sent|accepted)|cannot (?:be )?deliver|(?:unable|wasn.t able|was not able|failed|trouble|impossible|error) (?:to )?(?:be )?(?:deliver|send|reach)|delivery (?:to |of |attempt|has |error|fail|problem|status)|undeliver|permanent(?:ly)? (?:fatal )?(?:error|fail)|fatal errors?|fail(?:ed|ure)(?: permanently|ed)? ?(?:address|recipient|:|reason)|returned to (?:the )?sender|returning (?:it|message|your)|bounced|following (?:address|recipient|user|destination)|transcript of session|had delivery problems|giv(?:en|ing) up|rejected (?:by|recipient|your)|automatically rejected|unknown (?:user|recipient)|user unknown|unknown address|mailbox exceeds|no valid recipients|not listed in|nicht zugestellt|zugestellt werden|n'a pas pu être|no se (?:pudo|ha podido)|non è stato|送信できま|配信できま|送れません|届けられ|失敗|エラー|не может быть доставлено|не доставлено|message delayed|is delayed|has been delayed|group you tried to contact|il se peut que le groupe|not delivered",
    )
});
static WARNING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"warning message only|has been delayed|is delayed|been delayed|delayed for more than|do not need to re-?send|not (?:yet )?been delivered (?:yet|after|within)|not yet been delivered|will (?:be retried|keep trying|continue (?:to try|trying)|try again|be tried)|(?:still|temporary|temporarily) (?:being )?(?:retr|queued|undelivered|unable)|still in (?:the )?(?:mail )?queue|delivery is delayed|delivery (?:delay|warning)|only a temporary|could not be delivered for the past|attempts will (?:continue|be made)|verzögert|retard|retrasad|遅延|temporary fail",
    )
});
static GIVEN_UP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"giv(?:en|ing) up|permanent (?:fatal )?error|failed permanently|could not be delivered for \d+ (?:days|hours)|will be deleted from queue|not going to try again|returned to (?:the )?sender|permanent failure|no (?:further|more) (?:attempts|retries)",
    )
});

/// Where a mail system is the likely sender: one sign that is sure, or two that are not.
const ORIGIN_MIN: i32 = 3;
/// Lines that are searched for words: what a report is about stands on its first pages.
const LINES_MAX: usize = 200;
/// Where failure is the likely subject: words for it, or codes.
const EVIDENCE_MIN: i32 = 2;

static SUCCESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:was|were|been|is|are) (?:successfully )?(?:delivered|relayed)|success(?:ful)?(?:ly)?(?: mail)? (?:deliver|relay|sent)|delivery.{0,20}success",
    )
});
static FAILURE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"fail|undeliver|could ?n.t|could not|was not|were not|not been|not be |unable|error|reject|unknown|refused|delay",
    )
});

/// Whether it is a receipt of reading or of deletion (RFC 8098), which says nothing of delivery.
pub(super) fn is_receipt(letter: &Letter) -> bool {
    letter.report_type == "disposition-notification"
}

/// Whether a person passes on or answers what may be a report.
pub(super) fn is_passed_on(letter: &Letter) -> bool {
    letter.media_type != "multipart/report" && ANSWER.is_match(&letter.subject()) && !is_from_daemon(letter)
}

fn is_from_machine(letter: &Letter) -> bool {
    // Some write the null path into From, too.
    letter.field("From").is_some_and(|from| from.ends_with("<>")) || MACHINE.is_match(&letter.sender().1)
}

fn is_from_daemon(letter: &Letter) -> bool {
    let (name, address) = letter.sender();
    is_from_machine(letter) || DAEMON.is_match(&address) || DAEMON_NAME.is_match(&name)
}

/// Whether the letter is mail returned by a mail system, as far as text can tell.
pub(super) fn is_returned_mail(letter: &Letter) -> bool {
    let origin = origin(letter);
    // The surer the sender, the fewer words it takes.
    let evidence_min = if origin > ORIGIN_MIN { 1 } else { EVIDENCE_MIN };
    !is_passed_on(letter) && origin >= ORIGIN_MIN && evidence(letter) >= evidence_min && !is_success(letter)
}

/// Whether it needs no recipient in its text to be believed: no person sends mail that way.
pub(super) fn is_surely_by_machine(letter: &Letter) -> bool {
    is_from_machine(letter)
        || has_null_path(letter)
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
    let daemon = is_from_daemon(letter);
    let machine = is_from_machine(letter);
    let said = |yes: bool, weight: i32| if yes { weight } else { 0 };
    let answers = ANSWER.is_match(&subject) || !letter.answers().is_empty();
    said(machine, 3)
        + said(daemon && !machine, 2)
        + said(letter.field("X-Failed-Recipients").is_some(), 3)
        + said(letter.report_type == "delivery-status", 3)
        + said(has_null_path(letter), 2)
        + said(SUBJECT.is_match(&subject) && !ANSWER.is_match(&subject), 2)
        + said(!letter.returned.is_empty(), 1)
        - said(AWAY.is_match(&subject), 3)
        - said(letter.field("List-Id").is_some() && !daemon, 2)
        - said(answers && !daemon && !has_null_path(letter), 1)
}

/// Whether it tells of mail that arrived.
fn is_success(letter: &Letter) -> bool {
    SUCCESS.is_match(&letter.text) && !FAILURE.is_match(&letter.text)
}

/// How much it speaks of mail that was not delivered.
fn evidence(letter: &Letter) -> i32 {
    let text = letter.text.as_str();
    let codes = codes::find(text);
    let said = |yes: bool, weight: i32| if yes { weight } else { 0 };
    said(WORDS.is_match(text), 2)
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
    let late = subject.to_lowercase().contains("delay") || WARNING.is_match(text) || WARNING.is_match(&subject);
    late && !GIVEN_UP.is_match(text)
}
