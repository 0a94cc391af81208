//! Tells the lines that name a recipient from those that only mention an address.

use std::sync::LazyLock;

use regex::Regex;

use crate::mail::reports::{
    addresses::{self, ADDRESS, tidy},
    classify, codes,
};

/// A line that names a recipient.
pub(super) struct Head {
    pub(super) address: String,
    /// What the line says of it.
    pub(super) rest: String,
    pub(super) rank: Rank,
}

/// How surely a line names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// An address in a line that says why something was refused.
    Mentioned,
    /// An address of the returned header, repeated in the text.
    Repeated,
    /// A sentence about delivery with an address in it.
    Sentence,
    /// An address by itself, or with a refusal beside it.
    Plain,
}

fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?i){}", text.replace("ADDRESS", ADDRESS))).expect("a pattern that the tests compile")
}

/// Nothing but an address, with what mail systems put around one.
static ALONE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"^[\s>*•·\-|]*(?:(?:(?:final|original|failed|bad|e-?mail|mail|undeliverable|error|delivery)[ -])?(?:recipients?(?: address(?:es)?)?|address(?:es)?(?:ed to)?|addressee|user|error-for|宛先|あて先|受信者|收件人|受信人|받는 사람|수신자|получатель|empfänger|adressat|destinat[aá]i?r[eií]o?)(?:\(s\)|\(es\))?\s*[:：=]\s*)?(?:\[smtp:)?(?:rfc822;\s*)?["'<\[(「]*(ADDRESS)["'>\])」]*(?:\s*[<(\[](?:mailto:|smtp:)?ADDRESS[>)\]])?[\s:;,.]*$"#,
    )
});
/// A display name and an address.
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"^[\s>*•·-]*["'][^"'@]{1,60}["']?\s*[<(\[](ADDRESS)[>)\]][\s:;,.]*(.*)$"#));
/// A name without quotes and an address, which may as well be a line of a signature.
static SIGNED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*[\p{L}][\p{L} .,'-]{1,60}\s*[<(](ADDRESS)[>)][\s:;,.]*$"));
/// Exchange 5.5 and its X.400 addresses; a name before the address and the time behind it.
static X400: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:^|[:;=/\[\s])smtp=(ADDRESS)(?:;|\s|$)(.*)$"));
/// A name, an address, and when it was tried.
static DATED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*[\p{L}][\p{L} .,'-]{1,60}[\s<](ADDRESS)>? (on \w{3}, \d.*)$"));
/// An address, and something about it.
static LED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"^[\s*•·\-|]*["'<\[(]{0,2}(ADDRESS)["'>\])]{0,2}(?:\s*<(?:mailto:)?ADDRESS>)?\s*(?::|;|,|\.\.\.|-|–|\s|\(|\[|$)\s*(.*)$"#,
    )
});
/// A reply code, an address, and something about it: the transcripts of sendmail.
static CODED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[\s>]*[45]\d\d[ -](?:[45]\.\d{1,3}\.\d{1,3}\s+)?<?(ADDRESS)>?\s*(?:\.\.\.|:)\s*(.*)$"));
/// A sentence about delivery.
static SENTENCE: LazyLock<Regex> = LazyLock::new(|| {
    let latin = r"deliver(?:ed|ing|y)?(?: (?:your|the|this|of|a)(?: \w+){0,3})? (?:to|for)|reach(?:ed|ing)?|sent to|send(?:ing)? to|addressed to|rejected (?:the )?recipient|recipients?(?: address(?:es)?)?|unknown (?:user|recipient|address)|no such (?:user|address|recipient)|invalid (?:address|recipient|user)|rcpt to|(?:allowed|size|quota)|user|mailbox|account|address(?:es)?|failed|expanded from|generated (?:from|by)|list|article in|for|to|mailbox of";
    let others = r"destinato all'utente|destinatai?r[eií]o?|adres[se]*|an|à|a|al|para|aan|till|til|адрес[уа]?";
    let unspaced = "宛先|あて先|アドレス|邮件地址|收件人|邮箱|수신자|받는 사람";
    pattern(&format!(
        r#"(?:\b(?:{latin}|{others})|{unspaced})(?: address| \(s\)|\(s\)| is| was| of| name)?(?:[\s:=：]+["'<(\[「（]{{0,2}}|["'<(\[「（]{{1,2}})(?:mailto:|smtp:)?(ADDRESS)"#
    ))
});
/// Words, a colon, and an address that ends the line: `Invalid final delivery userid: a@b`.
static LABELLED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"^\s*[\p{L}][^@:：]{2,80}[:：]\s*(?:smtp )?["'<\[(]*(ADDRESS)["'>\])]*[\s.]*$"#));
/// Where an address in a sentence is somebody else's.
static ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"contact|support|help ?desk|e-?mail us|assistance|reply to|report this|abuse|questions?|mail from|envelope-from|return-path|message-?id\s*[:=<]|sender|https?://|mailto:|^\s*(?:from|cc|reply-to|received|by|with|id)\b|wrote:|do not reply|administrator|if you",
    )
});
/// The header of the returned message, repeated in the text.
static REPEATED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"^\s*(?:to|sent to)\s*:\s*(?:[^@<]{0,60}<)?["']?(ADDRESS)"#));

/// The head in `line`, `before` being the line above it.
pub(super) fn in_line(line: &str, before: &str) -> Option<Head> {
    if !line.contains('@') {
        return None;
    }
    let head =
        |address: &str, rest: &str, rank| Some(Head { address: tidy(address)?, rest: rest.trim().to_owned(), rank });
    if let Some(found) = NAMED.captures(line)
        && !found[2].is_empty()
    {
        return head(&found[1], &found[2], if says_why(&found[2]) { Rank::Plain } else { Rank::Repeated });
    }
    if let Some(found) = X400.captures(line).or_else(|| DATED.captures(line)) {
        return head(&found[1], "", Rank::Plain);
    }
    if let Some(found) = ALONE.captures(line).or_else(|| NAMED.captures(line)) {
        let before = before.to_lowercase();
        let elsewhere = ["contact", "e-mail us at", "support"].iter().any(|word| before.contains(word));
        return head(&found[1], "", if elsewhere { Rank::Repeated } else { Rank::Plain });
    }
    if let Some(found) = CODED.captures(line) {
        // The line as a whole is the reply.
        let reply = line.trim_start_matches([' ', '\t', '>']);
        return head(&found[1], reply, Rank::Plain);
    }
    if let Some(found) = LED.captures(line)
        && !line.to_lowercase().contains("wrote:")
    {
        let rest = found[2].trim();
        if rest.is_empty() || says_why(rest) || is_time(rest) || is_expansion(rest) {
            let whole = rest;
            let rest = match rest.split_once(')') {
                Some((_, rest)) if is_expansion(whole) => rest.trim_start_matches([':', ' ']),
                _ if is_time(rest) || is_expansion(rest) => "",
                _ => rest,
            };
            return head(&found[1], rest, Rank::Plain);
        }
        return head(&found[1], rest, Rank::Repeated);
    }
    if let Some(found) = REPEATED.captures(line) {
        return head(&found[1], "", Rank::Repeated);
    }
    if ELSEWHERE.is_match(line) && !line.to_lowercase().contains("rcpt to") {
        return None;
    }
    if let Some(found) = SIGNED.captures(line) {
        return head(&found[1], "", Rank::Sentence);
    }
    let Some(found) = SENTENCE.captures(line).or_else(|| LABELLED.captures(line)) else {
        return addresses::all(line)
            .next()
            .filter(|_| says_why(line))
            .and_then(|found| head(found.as_str(), line, Rank::Mentioned));
    };
    let whole = found.get(0)?;
    let rest = if says_why(line) { line } else { &line[whole.end()..] };
    head(&found[1], rest.trim_start_matches(['>', '"', '\'', ')', '.', ' ']), Rank::Sentence)
}

fn says_why(text: &str) -> bool {
    codes::find(text).any() || classify::by_words(text).is_some()
}

/// Exchange says when, in the language of its owner.
fn is_time(rest: &str) -> bool {
    if DATE.is_match(rest) {
        return true;
    }
    let mut words = rest.split([' ', ',', '.']);
    let on = words.next().is_some_and(|word| word.eq_ignore_ascii_case("on"));
    let day = words.next().unwrap_or("");
    on && (["mon", "tue", "wed", "thu", "fri", "sat", "sun"].contains(&&*day.to_lowercase())
        || day.starts_with(|c: char| c.is_ascii_digit()))
}

/// A date in figures, with a short word before it.
static DATE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\p{L}{1,5} )?\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b"));

/// Exim and sendmail say where an address comes from.
fn is_expansion(rest: &str) -> bool {
    let rest = rest.trim_start_matches(['(', ' ']);
    ["expanded from", "ultimately generated", "generated from", "originally", "alias"]
        .iter()
        .any(|word| rest.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(line: &str) -> Option<(String, Rank)> {
        in_line(line, "").map(|head| (head.address, head.rank))
    }

    #[test]
    fn lines_that_name_a_recipient_are_known() {
        for line in [
            "<a@b.test>:",
            "  a@b.test",
            "\"a@b.test\":",
            "    Recipient: <a@b.test>",
            "a@b.test<mailto:a@b.test>",
            "a@b.test on Thu, 29 Apr 2005 23:34:45 +0000",
            "<a@b.test>: host mx.b.test said: 550 5.1.1 unknown",
            " a@b.test ... unknown host",
            "550 5.1.1 <a@b.test>... User unknown",
            ">>> a@b.test <a@b.test>",
            "a@b.test [User unknown]",
            "    Recipient address: a@b.test",
            "a@b.test Invalid Address, ERROR_CODE :550",
            "'Ann B' <a@b.test>",
        ] {
            assert_eq!(head(line), Some(("a@b.test".into(), Rank::Plain)), "{line}");
        }
    }

    #[test]
    fn sentences_name_one_less_surely() {
        for line in [
            "There was an error delivering your mail to <a@b.test>.",
            "Unknown user: a@b.test",
            "Delivery failed 20 attempts: a@b.test",
            "Invalid final delivery userid: a@b.test",
            "User mailbox exceeds allowed size: a@b.test",
            "     Could not be delivered to: <a@b.test> ",
            ">>> RCPT To:<a@b.test>",
            "SMTP Server <mx.b.test> rejected recipient <a@b.test> (Error following RCPT command).",
        ] {
            assert_eq!(head(line), Some(("a@b.test".into(), Rank::Sentence)), "{line}");
        }
    }

    #[test]
    fn addresses_of_others_are_left_alone() {
        for line in [
            "For further assistance, please contact <a@b.test>",
            ">>> MAIL From:<a@b.test> SIZE=378",
            "Message-ID: <a@b.test>",
            "On Monday, a@b.test wrote:",
            "no address here",
        ] {
            assert_eq!(head(line), None, "{line}");
        }
    }
}
