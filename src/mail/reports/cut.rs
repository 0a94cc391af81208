//! Where a report for people ends and the message that it returns begins.

use std::sync::LazyLock;

use regex::Regex;

/// A line that announces the returned message.
static MARKER: LazyLock<Regex> = LazyLock::new(|| {
    let patterns = [
        r"[\s>|*=_-]*[-=_*|]{2,}.*\b(original (message|mail|text)|copy of (the|your)|returned message|unsent message|undelivered (message|mail)|message (text|header|body|contents?)s? follows?|header of|original headers?|below this line|copy of the message|forwarded message|returned mail|message headers?)\b.*",
        r"\s*(this|below|following|here|attached|included|enclosed) (this line )?is (a|the) (copy|header|first|original|text).*",
        r"\s*the (header|body|text|first \d+ lines|headers) of (the|your) (original )?(message|mail).{0,60}",
        r"\s*(message headers?|the original message|original message|original mail|returned message|returned mail|undelivered message|your (original )?message|original headers?|message header|unsent message)( (is|are))?( (follows?|below|as follows|body|included|attached|text|headers?))+\W*",
        r"\s*(a copy of (the|your) (original )?message|the (first part|contents) of (the|your) message).{0,80}(below|follow|attached).{0,20}",
        r"[\s=-]*(元のメール|オリジナルメッセージ|原文).{0,20}",
    ];
    Regex::new(&format!("(?i)^(?:{})$", patterns.join("|"))).expect("a pattern that the tests compile")
});

/// A field of a returned header.
static FIELD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^[\s>|]{0,8}(received|return-path|delivered-to|message-id|dkim-signature|domainkey-signature|mime-version|date|from|to|cc|subject|reply-to|sender|x-[a-z0-9-]+|content-(type|transfer-encoding)|user-agent|arc-[a-z-]+|authentication-results|received-spf|in-reply-to|references|list-[a-z]+|precedence|importance) ?:",
    )
    .expect("a pattern that the tests compile")
});

/// Fields that no sentence for people begins with.
static SURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^[>|]{0,2} ?(received ?: ?(from|by|\()|return-path ?:|message-id ?:|dkim-signature:|mime-version:|x-[a-z0-9-]+:)")
        .expect("a pattern that the tests compile")
});

/// Fields of a report that runs on as text (RFC 3464).
static OF_REPORT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(reporting-mta|final-recipient|original-recipient|arrival-date|action|status|diagnostic-code|remote-mta|last-attempt-date|x-postfix-[a-z-]+|received-from-mta) ?:")
        .expect("a pattern that the tests compile")
});

/// Fields in a row that make a header.
const FIELDS_IN_A_ROW: usize = 3;

/// The text before the returned message, and that message if there is one.
pub(super) fn at_original(text: &str) -> (&str, Option<&str>) {
    let (mut at, mut row, mut row_at, mut row_sure) = (0, 0, 0, false);
    let mut seen_words = false;
    for line in text.split_inclusive('\n') {
        let plain = line.trim_end();
        if seen_words && plain.len() < 200 && MARKER.is_match(plain) {
            return (&text[..at], Some(&text[at + line.len()..]));
        }
        if FIELD.is_match(plain) && !OF_REPORT.is_match(plain) {
            if row == 0 {
                (row_at, row_sure) = (at, false);
            }
            row += 1;
            row_sure |= SURE.is_match(plain);
            if row >= FIELDS_IN_A_ROW && row_sure && seen_words {
                return (&text[..row_at], Some(&text[row_at..]));
            }
        } else if !(row > 0 && plain.starts_with([' ', '\t'])) {
            row = 0;
            seen_words |= plain.chars().any(char::is_alphabetic);
        }
        at += line.len();
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::at_original;

    #[test]
    fn returned_messages_are_cut_off() {
        for marker in [
            "--- Below this line is a copy of the message.",
            "------ This is a copy of the message, including all the headers. ------",
            "----- Original message -----",
            "   ----- Unsent message follows -----",
            "--- The header of the original message is following. ---",
            "Message headers follow.",
            "Original message follows.",
            "-------original message",
            "Included is a copy of the message header:",
            "    Below is a copy of the original message:",
            "|------------------------- Message text follows: ------------------------|",
        ] {
            let text = format!("It failed.\n{marker}\nFrom: a@b.test\n");
            assert_eq!(at_original(&text), ("It failed.\n", Some("From: a@b.test\n")), "{marker}");
        }
        let bare = "It failed.\n\nReceived: from a\n\tby b\nTo: c\nSubject: d\n";
        assert_eq!(at_original(bare).0, "It failed.\n\n");
    }

    #[test]
    fn sentences_are_not_cut_off() {
        for text in [
            "The original message was received at Thu\nfrom a.test\n",
            "   ----- Transcript of session follows -----\n<<< 550 no\n",
            "  ----- Non-delivered information -----\nfull\n",
            "Your message\n  To: a@b.test\n  Subject: x\n  Sent: now\nwas not delivered\n",
            "This is about\n  Message-id: <1@a.test>\n  Date: now\n  From: a@b.test\n\nnot delivered\n",
            "Text\nReporting-MTA: dns; a\nArrival-Date: now\nFinal-Recipient: rfc822; a@b.test\n",
        ] {
            assert_eq!(at_original(text), (text, None));
        }
    }
}
