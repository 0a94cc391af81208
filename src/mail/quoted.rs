//! The words of a reply without what it quotes: no "On … wrote:", no "> ", no forwarded header block, no signature.
//!
//! It is a guess about a text that people and programs wrote for people, in several languages, and it errs towards
//! keeping: what is cut is only what a known mark begins. Where nothing would be left, all of it is left.
//!
//! The marks: an attribution line (`On Mon, Bob wrote:`) before a quotation or the end; a line that announces the original
//! message (`-----Original Message-----`); a block of header lines (`From:`, `Sent:`, `To:`), as Outlook puts before what
//! it quotes; lines that begin with `>`; and a signature after `-- `, or one that a phone wrote.

/// The longest attribution that is recognised, in lines: programs wrap it at 70 characters.
const ATTRIBUTION_LINES_MAX: usize = 3;
/// The longest one, in bytes; a longer paragraph is somebody's own words.
const ATTRIBUTION_BYTES_MAX: usize = 400;
/// Lines of a header block that are looked at.
const HEADER_LINES_MAX: usize = 8;
/// The shortest line that is drawn, in characters; two dashes are a signature's.
const RULE_CHARS_MIN: usize = 5;
/// Lines below a signature's mark; more is text that somebody put under a line of dashes.
const SIGNATURE_LINES_MAX: usize = 20;

/// How an attribution ends, in lower case, before its colon: English, German, French, Spanish, Italian, Portuguese,
/// Dutch, Danish and Norwegian, Swedish, Polish, Finnish, Czech, Russian, Turkish.
const WROTE: [&str; 21] = [
    "wrote",
    "writes",
    "schrieb",
    "a écrit",
    "écrit",
    "escribió",
    "ha scritto",
    "escreveu",
    "schreef",
    "skrev",
    "napisał",
    "napisał(a)",
    "napisała",
    "pisze",
    "kirjoitti",
    "napsal",
    "napsal(a)",
    "написал",
    "пишет",
    "yazdı",
    "şunu yazdı",
];
/// Verbs that stand amid an attribution, before a date, in lower case.
const WROTE_AMID: [&str; 7] =
    [" schrieb am ", " schrieb ", " schreef op ", " schreef ", " skrev den ", " skrev følgende ", " a écrit le "];
/// Ends of attributions in scripts that need no blank.
const WROTE_EAST: [&str; 6] = ["写道", "寫道", "のメッセージ", "さんは書きました", "님이 작성", "作成"];
/// What stands between the dashes above an original message, in lower case.
const ORIGINAL: [&str; 13] = [
    "original message",
    "forwarded message",
    "original appointment",
    "ursprüngliche nachricht",
    "weitergeleitete nachricht",
    "message d'origine",
    "message original",
    "mensaje original",
    "messaggio originale",
    "mensagem original",
    "oorspronkelijk bericht",
    "ursprungligt meddelande",
    "原始邮件",
];
/// Names of the sender in a header block, in lower case.
const FROM: [&str; 13] =
    ["from", "von", "de", "da", "van", "fra", "från", "od", "от", "gönderen", "发件人", "差出人", "lähettäjä"];
/// Names of the other lines of one.
const OTHER_FIELDS: [&str; 38] = [
    "sent",
    "date",
    "to",
    "cc",
    "subject",
    "gesendet",
    "datum",
    "an",
    "betreff",
    "envoyé",
    "à",
    "objet",
    "enviado",
    "enviado el",
    "para",
    "asunto",
    "assunto",
    "fecha",
    "inviato",
    "a",
    "oggetto",
    "verzonden",
    "aan",
    "onderwerp",
    "sendt",
    "til",
    "emne",
    "skickat",
    "till",
    "ämne",
    "wysłano",
    "do",
    "temat",
    "дата",
    "кому",
    "тема",
    "收件人",
    "主题",
];
/// How the signature of a phone or a web mailer begins, in lower case.
const SENT_FROM: [&str; 14] = [
    "sent from my ",
    "sent from outlook",
    "sent from mail for",
    "sent from yahoo",
    "get outlook for ",
    "sent via ",
    "von meinem ",
    "gesendet von ",
    "envoyé de mon ",
    "envoyé depuis ",
    "enviado desde mi ",
    "enviado do meu ",
    "inviato da ",
    "verstuurd vanaf mijn ",
];

/// What `text` says beyond what it quotes.
pub fn reply_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let end = quotation_start(&lines).unwrap_or(lines.len());
    let mut kept = Vec::new();
    let mut at = 0;
    while at < end {
        if is_quoted(lines[at]) {
            at += 1;
            continue;
        }
        // An attribution in the middle: what it introduces falls away with it, what follows is the sender's again.
        match attribution(&lines[at..end]) {
            Some(length) if next_words(&lines, at + length).is_some_and(|next| is_quoted(lines[next])) => at += length,
            _ => {
                kept.push(lines[at]);
                at += 1;
            }
        }
    }
    let mut kept = &kept[..signature_start(&kept).unwrap_or(kept.len())];
    // Some programs draw a line above what they quote.
    while let Some((_, before)) = kept.split_last().filter(|(last, _)| last.is_empty() || is_rule(last)) {
        kept = before;
    }
    let reply = collapse(kept);
    if reply.is_empty() { text.trim().to_owned() } else { reply }
}

/// The line from which on all is another message.
fn quotation_start(lines: &[&str]) -> Option<usize> {
    (0..lines.len()).find(|&at| {
        let line = lines[at];
        if is_original_mark(line) || is_header_block(&lines[at..]) {
            return true;
        }
        let Some(length) = attribution(&lines[at..]) else { return false };
        match next_words(lines, at + length) {
            // Nothing but quoted lines to the end, or none at all: some programs do not mark them.
            None => true,
            Some(next) => {
                !is_quoted(lines[next]) && at > 0 || lines[next..].iter().all(|line| is_quoted(line) || line.is_empty())
            }
        }
    })
}

fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

/// The first line from `at` on that is not empty.
fn next_words(lines: &[&str], at: usize) -> Option<usize> {
    (at..lines.len()).find(|&index| !lines[index].is_empty())
}

/// How many lines of an attribution `lines` begin with.
fn attribution(lines: &[&str]) -> Option<usize> {
    let mut whole = String::new();
    for (index, line) in lines.iter().take(ATTRIBUTION_LINES_MAX).enumerate() {
        if line.is_empty() || is_quoted(line) || whole.len() + line.len() > ATTRIBUTION_BYTES_MAX {
            return None;
        }
        whole.push_str(line.trim());
        if let Some(said) = whole.strip_suffix([':', '：']) {
            return is_attribution(&said.trim_end().to_lowercase()).then_some(index + 1);
        }
        whole.push(' ');
    }
    None
}

/// Whether a text, in lower case and without its colon, says who wrote: a verb of writing, and a date or an address.
fn is_attribution(said: &str) -> bool {
    let dated = said.bytes().any(|byte| byte.is_ascii_digit());
    let verb = WROTE.iter().any(|verb| said.strip_suffix(verb).is_some_and(|rest| rest.ends_with([' ', ','])))
        || dated && WROTE_AMID.iter().any(|verb| said.contains(verb))
        || WROTE_EAST.iter().any(|verb| said.ends_with(verb));
    verb && (dated || said.contains('@'))
}

/// `-----Original Message-----`, or a line that some programs draw above a quotation.
fn is_original_mark(line: &str) -> bool {
    let bare = line.trim().trim_matches(['-', '_', '=', '*', ' ']);
    let dashes = line.trim().len() - bare.len();
    dashes >= 4 && ORIGINAL.contains(&bare.to_lowercase().replace('’', "'").as_str())
}

/// A line drawn of underscores or dashes.
fn is_rule(line: &str) -> bool {
    line.len() >= RULE_CHARS_MIN && line.bytes().all(|byte| matches!(byte, b'_' | b'-'))
}

/// Whether `lines` begin with a sender's line and two more lines of a header, as Outlook writes them above a quotation.
fn is_header_block(lines: &[&str]) -> bool {
    let name = |line: &&str| -> Option<String> {
        let line = line.trim_start_matches(['*', ' ', '>']);
        let (name, _) = line.split_once([':', '：'])?;
        Some(name.trim_matches(['*', ' ', '\u{a0}']).to_lowercase())
    };
    let Some(first) = lines.first().and_then(name) else { return false };
    if !FROM.contains(&first.as_str()) {
        return false;
    }
    let others = lines.iter().skip(1).take(HEADER_LINES_MAX).take_while(|line| !line.is_empty());
    others.filter_map(name).filter(|name| OTHER_FIELDS.contains(&name.as_str())).count() >= 2
}

/// The line where a signature begins.
fn signature_start(lines: &[&str]) -> Option<usize> {
    // RFC 3676 section 4.3; the blank at its end is lost on the way more often than not.
    let dashes = lines.iter().rposition(|line| matches!(line.trim(), "--" | "—" | "– –"));
    let dashes = dashes.filter(|at| lines.len() - at <= SIGNATURE_LINES_MAX);
    let last = lines.iter().rposition(|line| !line.is_empty())?;
    let phone = lines[last].trim().to_lowercase();
    let phone = SENT_FROM.iter().any(|start| phone.starts_with(start)).then_some(last);
    match (dashes, phone) {
        (Some(dashes), Some(phone)) => Some(dashes.min(phone)),
        (dashes, phone) => dashes.or(phone),
    }
}

/// The lines, without empty ones at the ends and without more than one between.
fn collapse(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        if !(line.is_empty() && (text.is_empty() || text.ends_with("\n\n"))) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests;
