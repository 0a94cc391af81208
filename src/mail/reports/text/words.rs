//! Chooses, of what stands beside a recipient, the words of the server that refused it.

use crate::mail::reports::{
    classify, codes,
    letter::Letter,
    limits::{DIAGNOSTIC_BYTES_MAX, TEXT_LINE_BYTES_MAX, cut},
};

/// Lines that a diagnostic may go on for. SMTP replies of ten lines are rare.
const LINES_MAX: usize = 12;
/// How far above a reply the mail system says after which command it came.
const STAGE_LINES_ABOVE: usize = 3;
/// Lines that are looked at for one recipient: the report of one fills a page at most.
const BLOCK_LINES_MAX: usize = 120;
/// How much words tell: 2 if they hold a code, 1 if a rule knows them, or else 0.
pub(in crate::mail::reports) fn weight(words: &str) -> u8 {
    if codes::find(words).any() { 2 } else { u8::from(classify::by_words(words).is_some()) }
}

/// The words of a block of lines that tell most; `first` is what stands on the line of the recipient.
pub(super) fn choose(first: &str, block: &[&str]) -> String {
    let lines: Vec<&str> = std::iter::once(first)
        .chain(block.iter().copied().take(BLOCK_LINES_MAX))
        .map(|line| cut(line.trim(), TEXT_LINE_BYTES_MAX))
        .collect();
    if let Some(at) = lines.iter().position(|line| codes::find(line).any()) {
        // Exim says what was refused, the sender or the recipient, above the words that refuse it.
        let above = lines[at.saturating_sub(STAGE_LINES_ABOVE)..at].iter();
        let stage = above.copied().find(|line| line.to_lowercase().contains("after mail from"));
        let said = with_code(&lines, at);
        return stage.map_or(said.clone(), |stage| cut(&format!("{stage} {said}"), DIAGNOSTIC_BYTES_MAX).to_owned());
    }
    // `Rejected for the following reason:` is what the reason follows.
    let is_known = |line: &&str| classify::by_words(line).is_some();
    let known = lines.iter().position(|line| !line.ends_with([':', '：']) && is_known(line));
    let known = known.or_else(|| lines.iter().position(is_known));
    let start = known.or_else(|| lines.iter().position(|line| !line.is_empty()));
    start.map(|at| paragraph(&lines, at)).unwrap_or_default()
}

/// The words above a line, where nothing below it tells anything: what is right above, and telling.
pub(super) fn before(lines: &[&str], at: usize) -> Option<String> {
    let above = &lines[at.saturating_sub(LINES_MAX)..at];
    let said = choose("", above);
    (weight(&said) > 0).then_some(said)
}

/// What a report says as a whole.
pub(in crate::mail::reports) fn whole(letter: &Letter) -> Option<String> {
    let lines: Vec<&str> = letter.text.lines().collect();
    let said = choose("", &lines);
    (weight(&said) > 0).then_some(said)
}

/// The reply that has its code on line `at`, with the lines that go on with it.
fn with_code(lines: &[&str], at: usize) -> String {
    let line = lines[at];
    let codes = codes::find(line);
    // What a mail system says of the conversation is not what the server said.
    let start = if codes.reply.is_some() { codes.at.unwrap_or(0) } else { 0 };
    let mut said = line[start..].trim().trim_start_matches('<').trim().to_owned();
    for next in &lines[at + 1..lines.len().min(at + LINES_MAX)] {
        let next = next.strip_prefix("<<<").map_or(*next, str::trim);
        if next.is_empty() || ends_words(next) || is_another_reply(line, next) {
            break;
        }
        join(&mut said, next);
    }
    closed(said)
}

/// Whether `next` begins a reply of its own. `550-` goes on with `550-` or `550 `.
fn is_another_reply(line: &str, next: &str) -> bool {
    let is_reply = |line: &str| {
        let bytes = line.as_bytes();
        bytes.len() > 3
            && matches!(bytes[0], b'2' | b'4' | b'5')
            && bytes[1..3].iter().all(u8::is_ascii_digit)
            && bytes[3] == b' '
    };
    let goes_on = next.get(..3).is_some_and(|code| line.contains(&format!("{code}-")));
    is_reply(next) && !goes_on
}

fn paragraph(lines: &[&str], at: usize) -> String {
    let mut said = String::new();
    for line in lines[at..lines.len().min(at + LINES_MAX)].iter().take_while(|line| !line.is_empty()) {
        if !said.is_empty() && ends_words(line) {
            break;
        }
        join(&mut said, line);
    }
    closed(said)
}

fn join(said: &mut String, line: &str) {
    if !said.is_empty() {
        said.push(' ');
    }
    let room = DIAGNOSTIC_BYTES_MAX.saturating_sub(said.len());
    said.push_str(cut(line, room));
}

/// What no server said: the mail system goes on.
fn ends_words(line: &str) -> bool {
    const STARTS: [&str; 13] = [
        "giving up on",
        "--",
        "==",
        "**",
        ">>>",
        "...",
        "for further",
        "[rcpt_to]",
        "[mail_from]",
        "[data]",
        "reporting-mta",
        "i'm not going",
        "the message subject",
    ];
    let lower = line.to_lowercase();
    STARTS.iter().any(|start| lower.starts_with(start))
}

/// Without the bracket that closes what was opened before the words.
fn closed(said: String) -> String {
    for (open, close) in [('(', ')'), ('[', ']'), ('\'', '\'')] {
        let opened = said.matches(open).count();
        let odd = if open == close { opened % 2 == 1 } else { said.matches(close).count() > opened };
        if odd && said.ends_with(close) {
            return said[..said.len() - 1].trim_end().to_owned();
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_server_are_chosen() {
        for (first, block, words) in [
            ("", &["Remote host said: 550 5.7.1 denied", "Giving up on 192.0.2.1."][..], "550 5.7.1 denied"),
            ("", &["(reason: 550 5.1.1 <a@b>... User unknown)"], "550 5.1.1 <a@b>... User unknown"),
            (
                "",
                &["SMTP error after RCPT TO:", "host mx [192.0.2.1]: 550 no", "such user", "", "x"],
                "550 no such user",
            ),
            ("550 <a@b>... no", &["550 c.test (smtp)... Host unknown"], "550 <a@b>... no"),
            ("", &["<<< 550-one", "<<< 550 two", ">>> QUIT"], "550-one 550 two"),
            ("mailbox is full", &["later"], "mailbox is full later"),
            (
                "",
                &["", "Sorry, no mailbox here by that name. (#5.1.1)"],
                "Sorry, no mailbox here by that name. (#5.1.1)",
            ),
            ("", &[], ""),
        ] {
            assert_eq!(choose(first, block), words);
        }
    }
}
