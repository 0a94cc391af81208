//! An action in few words, for lists and for the record.

use serde_json::Value;

use crate::domain::oversight::Change;

/// Characters of the line that a list shows.
const SUMMARY_CHARS_MAX: usize = 160;

/// The texts of a list in what is shown.
pub(super) fn texts<'a>(shown: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    shown.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// An action in a line, for a list.
pub(super) fn summary(change: &Change, shown: &Value) -> String {
    let line = match change.letter() {
        Some((_, answered)) => {
            let verb = if answered.is_some() { "reply" } else { "send" };
            let subject = shown.get("subject").and_then(Value::as_str).unwrap_or_default();
            format!("{verb} to {}: {subject}", texts(shown, "to").collect::<Vec<_>>().join(", "))
        }
        None => format!("{} /{}", change.method, change.path.join("/")),
    };
    line.chars().filter(|char| !char.is_control()).take(SUMMARY_CHARS_MAX).collect()
}
