//! What a terminal may be shown: foreign text without what could command it, and colours where it has some.

use std::fmt::Write as _;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

use crate::domain::event::EventKind;

/// Lines for people hold no more than this of a foreign text.
const TEXT_CHARS_MAX: usize = 80;

/// When to print in colour.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set; elsewhere too where `CLICOLOR_FORCE` is
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    /// Has everything that is printed from now on be so.
    pub(super) fn choose(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Whether what goes to stderr has colours.
pub(super) fn stderr_in_colour() -> bool {
    AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// All is well.
pub(super) fn good() -> Style {
    AnsiColor::Green.on_default()
}

/// Somebody has to look.
pub(super) fn uneasy() -> Style {
    AnsiColor::Yellow.on_default()
}

/// Something went wrong.
pub(super) fn bad() -> Style {
    AnsiColor::Red.on_default().bold()
}

/// How an event of this kind looks.
pub(super) fn of_kind(kind: EventKind) -> Style {
    match kind {
        EventKind::Inbound => AnsiColor::Cyan.on_default().bold(),
        EventKind::Delivery => good(),
        EventKind::Bounce => bad(),
        EventKind::Complaint => AnsiColor::Magenta.on_default().bold(),
        EventKind::Open => AnsiColor::Blue.on_default(),
        EventKind::Approval => uneasy(),
        EventKind::Other => Style::new().dimmed(),
    }
}

/// What a terminal obeys instead of showing it: control characters, and marks that have the rest of a line shown from right to
/// left, our own part of it included, or in another line.
fn commands(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Foreign text as a part of a line.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if commands(c) { ' ' } else { c }).collect()
}

/// The beginning of a foreign text, as a part of a line among many.
pub(super) fn short(text: &str) -> String {
    plain(&text.chars().take(TEXT_CHARS_MAX).collect::<String>())
}

/// Lines of ours as they may be printed: whatever a part of them was that nobody made [`plain`], it commands nothing.
pub(super) fn tame(lines: &str) -> String {
    lines.chars().map(|c| if commands(c) && !matches!(c, '\n' | '\t') { ' ' } else { c }).collect()
}

/// JSON that says the same, in which what a terminal obeys is escaped.
pub(super) fn escaped(json: &str) -> String {
    escaped_where(json, |c| commands(c) && c != '\n')
}

/// JSON in which every character that is not plain ASCII is escaped, so that nothing in it looks like something else.
pub(super) fn ascii(json: &str) -> String {
    escaped_where(json, |c| !c.is_ascii() || (commands(c) && c != '\n'))
}

/// Characters outside of a JSON text's strings are ASCII and no control characters but line breaks.
fn escaped_where(json: &str, which: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if which(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}c\u{202E}d\re\u{7f}\u{2028}";

    #[test]
    fn foreign_text_cannot_move_the_terminal() {
        assert_eq!(plain(HOSTILE), "a [2Jb c d e  ");
        assert_eq!(tame(&format!("{HOSTILE}\n\tz")), "a [2Jb c d e  \n\tz");
        assert_eq!(short(&"é".repeat(100)).chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn json_says_the_same_without_what_a_terminal_obeys() {
        let json = serde_json::to_string(&format!("{HOSTILE}é\u{1F514}")).unwrap_or_default();
        for shown in [escaped(&json), ascii(&json)] {
            assert!(!shown.chars().any(commands), "{shown:?}");
            assert_eq!(serde_json::from_str::<String>(&shown).ok().as_deref(), Some(&*format!("{HOSTILE}é\u{1F514}")));
        }
        assert!(ascii(&json).is_ascii());
    }
}
