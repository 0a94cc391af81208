//! The small parts that pages are made of: a stranger's words, moments, fields of a form.

use maud::{Markup, html};
use serde_json::Value;

use crate::{domain::clock::UnixMillis, mcp::present::is_hidden};

/// What stands where a stranger put a character that nobody sees.
const HIDDEN: char = '\u{FFFD}';

/// A stranger's words, to be read and nothing else: escaped, kept from turning the line around, with nothing hidden in them.
pub(super) fn foreign(text: &str) -> Markup {
    html! { bdi.foreign { (visible(text)) } }
}

/// The first `chars_max` characters of a stranger's words.
pub(super) fn foreign_up_to(text: &str, chars_max: usize) -> Markup {
    foreign(&short(text, chars_max))
}

/// The first `chars_max` characters, and a sign where there are more.
pub(super) fn short(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text with nothing hidden in it.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(|char| if is_hidden(char) { HIDDEN } else { char }).collect()
}

/// A long text, called `name` on its page alone, from its byte `from` on, as much as takes `bytes_max` bytes of a page; and where the next part begins.
pub(super) fn part(name: &str, text: &str, from: usize, bytes_max: usize) -> (Markup, Option<usize>) {
    let from = (0..=from.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (mut shown, mut bytes, mut next) = (String::new(), 0, None);
    for (at, char) in text[from..].char_indices() {
        let char = if is_hidden(char) { HIDDEN } else { char };
        bytes += match char {
            '&' | '<' | '>' | '"' => 6,
            char => char.len_utf8(),
        };
        if bytes > bytes_max {
            next = Some(from + at);
            break;
        }
        shown.push(char);
    }
    (html! { pre.foreign dir="auto" tabindex="0" role="region" aria-label=(visible(name)) { (shown) } }, next)
}

/// A moment. The script adds how long ago that is.
pub(super) fn at(moment: UnixMillis) -> Markup {
    let whole = moment.to_string();
    let shown = whole.get(..19).unwrap_or(&whole).replace('T', " ");
    html! { time datetime=(whole) title=(whole) { (shown) "Z" } }
}

/// A moment that may not have come.
pub(super) fn at_or_none(moment: Option<UnixMillis>) -> Markup {
    moment.map_or_else(|| html! { "–" }, at)
}

/// A span in the unit that a person would use.
pub(super) fn span(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

/// A word of ours for a state, which its colour repeats.
pub(super) fn state(word: &str, good: Option<bool>) -> Markup {
    let class = match good {
        Some(true) => "good",
        Some(false) => "bad",
        None => "open",
    };
    html! { span.state.(class) { (word) } }
}

/// JSON as a person reads it. Of a string that is long only the beginning stands here.
pub(super) fn json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A path segment.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
