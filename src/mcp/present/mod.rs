//! Results as a model sees them: one JSON object, the same as structured content and as text, with foreign text fenced
//! and no longer than a model should have to read.

mod alone;
mod attachment;
mod event;
mod fence;
mod mail;
mod prompt;
mod sentence;
mod shown;
mod suppression;
mod webhook;

use std::io;

use rmcp::model::{CallToolResult, ReadResourceResult, ResourceContents};
use serde_json::{Map, Value};

use crate::bell::oversight::Held;

pub use self::{
    alone::alone,
    fence::{Fence, Fenced, is_hidden},
};
pub(super) use self::{
    attachment::{ATTACHMENTS_SHOWN_MAX, AttachmentView, file, large_file, with_links},
    event::EventView,
    fence::{fence_rule, unfence},
    mail::{EmailHead, MailboxView, SummaryView},
    prompt::prompt,
    sentence::{Sentence, absent, broken, failure, invalid, sentence, spoken},
    shown::{Part, Shown, shown},
    suppression::SuppressionView,
    webhook::{DeliveriesView, WebhookView},
};

/// The media type of what we write.
pub(super) const JSON: &str = "application/json";
/// A result without a larger `max_chars` or `limit` is at most so many characters: about 2,500 tokens.
pub const RESULT_CHARS_MAX: usize = 8_000;
/// Kept free in a result for what stands beside its list or text: cursor, notes, fence, the next call.
const FRAME_CHARS: usize = 900;

/// How much of each long field is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clip {
    /// Characters of a free text.
    pub(super) text_chars: usize,
    /// Entries of a list, such as addresses.
    pub(super) list_items: usize,
}

impl Clip {
    /// What nearly every event and message needs.
    pub(super) const ROOMY: Self = Self { text_chars: 500, list_items: 20 };
    /// For one event on its own: a subject has at most 998 characters (RFC 5322 section 2.1.1), a diagnostic is rarely longer.
    pub(super) const WHOLE: Self = Self { text_chars: 1000, list_items: 50 };
    /// Where a result would be too long otherwise.
    pub(super) const TIGHT: Self = Self { text_chars: 120, list_items: 2 };
}

/// A list that fits into a result, and how many of its items do.
pub(super) struct Fitted {
    /// The items that fit.
    pub(super) items: Vec<Part>,
    /// How many were left out at the end.
    pub(super) left_out: usize,
}

/// Shows as many of `items` as fit, roomy where all do and tight otherwise; at least one, so that a reader gets on.
pub(super) fn fit<T>(fence: &Fence, items: &[T], view: impl Fn(&T, Clip) -> Part) -> Fitted {
    let room = RESULT_CHARS_MAX - FRAME_CHARS;
    let (mut shown, lengths) = measured(fence, items, view);
    let mut used = 0;
    let fitting = lengths
        .iter()
        .take_while(|chars| {
            used += **chars;
            used <= room
        })
        .count()
        .max(1)
        .min(shown.len());
    shown.truncate(fitting);
    Fitted { left_out: items.len() - fitting, items: shown }
}

/// Shows all of `items`, tight where they would be too long otherwise: for what cannot be asked for again.
pub(super) fn all<T>(fence: &Fence, items: &[T], view: impl Fn(&T, Clip) -> Part) -> Vec<Part> {
    measured(fence, items, view).0
}

/// The same, with the [`chars`] of each.
fn measured<T>(fence: &Fence, items: &[T], view: impl Fn(&T, Clip) -> Part) -> (Vec<Part>, Vec<usize>) {
    let hidden = fence.hidden();
    let shown = |clip| {
        let shown: Vec<Part> = items.iter().map(|item| view(item, clip)).collect();
        let lengths: Vec<usize> = shown.iter().map(chars).collect();
        (shown, lengths)
    };
    let roomy = shown(Clip::ROOMY);
    if roomy.1.iter().sum::<usize>() <= RESULT_CHARS_MAX - FRAME_CHARS {
        return roomy;
    }
    fence.forget_hidden_since(hidden);
    shown(Clip::TIGHT)
}

/// The longest beginning of `text` of at most `chars_max` characters that, written as JSON, takes at most `room`
/// characters.
pub(super) fn beginning(text: &str, chars_max: usize, room: usize) -> &str {
    let mut used = 0;
    for (count, (at, char)) in text.char_indices().enumerate() {
        used += match char {
            '"' | '\\' | '\n' | '\t' | '\r' => 2,
            _ => 1,
        };
        if count == chars_max || used > room {
            return &text[..at];
        }
    }
    text
}

/// The length of `part` as compact JSON with a comma, in characters.
pub(super) fn chars(part: &impl Shown) -> usize {
    let mut count = CharCount(0);
    serde_json::to_writer(&mut count, part).expect("views have text keys and no failing parts");
    count.0 + 1
}

/// Counts the characters of the UTF-8 that is written to it.
struct CharCount(usize);

impl io::Write for CharCount {
    fn write(&mut self, utf8: &[u8]) -> io::Result<usize> {
        // Each has one byte that does not go on from another (RFC 3629 section 3).
        self.0 += utf8.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count();
        Ok(utf8.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part of a result as JSON.
pub(super) fn json(part: &impl Shown) -> Part {
    Part::new(value(part))
}

fn value(part: &impl Shown) -> Value {
    serde_json::to_value(part).expect("views have text keys and no failing parts")
}

/// A whole result as JSON: its fields, without those that are null, and the fence's name where there is one.
pub(super) fn object(fence: &Fence, body: impl Shown) -> Part {
    let mut fields = match body.into_value() {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    fields.retain(|_, value| !value.is_null());
    if let Some(name) = fence.name() {
        fields.insert("fence".into(), name.into());
    }
    if fence.hidden() > 0 {
        fields.insert("hidden_chars_removed".into(), fence.hidden().into());
    }
    Part::new(Value::Object(fields))
}

/// A result: structured, and word for word the same as text.
pub(super) fn result(fence: &Fence, body: impl Shown) -> CallToolResult {
    CallToolResult::structured(object(fence, body).into_value())
}

/// A resource at `uri`: a result like any other, as text.
pub(super) fn resource(fence: &Fence, uri: &str, body: impl Shown) -> ReadResourceResult {
    let text = object(fence, body).into_value().to_string();
    ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(JSON)])
}

shown! {
    struct Pending {
        status: &'static str,
        action_id: Fenced,
        cursor: Fenced,
        note: &'static str,
    }
}

const PENDING: &str = "an operator decides. To hear of it, wait_for_event with this `action_id` and `cursor` as `after`; the \
                       event `approval` tells the outcome. Asking again changes nothing. Your lease goes on as it was";

/// A change that waits for an operator.
pub(super) fn pending(fence: &Fence, held: &Held, cursor: &str) -> CallToolResult {
    let later = held.asked_at.is_some();
    let pending = Pending {
        status: if later { "scheduled" } else { "pending_approval" },
        action_id: fence.code(held.action.as_str()),
        cursor: fence.code(cursor),
        note: if later {
            "an operator decides, and is asked when its moment has come. To hear of it, wait_for_event with this `action_id` \
             and `cursor` as `after` then. Asking again changes nothing. Your lease goes on as it was"
        } else {
            PENDING
        },
    };
    result(fence, pending)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_beginning_fits_as_json(text in ".{0,200}", chars_max in 0usize..200, room in 0usize..200) {
            let text: String = text.chars().filter(|char| !char.is_control() || *char == '\n').collect();
            let begin = beginning(&text, chars_max, room);
            prop_assert!(text.starts_with(begin) && begin.chars().count() <= chars_max);
            prop_assert!(Value::from(begin).to_string().chars().count() <= room + 2);
        }
    }

    proptest! {
        #[test]
        fn the_chars_of_a_part_are_those_of_its_json(text in ".*") {
            let part = json(&fence::tests::fence().text(&text));
            prop_assert_eq!(chars(&part), part.into_value().to_string().chars().count() + 1);
        }
    }

    shown! {
        /// As answers are.
        struct Answer {
            parts: Vec<Part>,
            next: BTreeMap<&'static str, Part>,
            absent: Option<Fenced>,
            /// Of how many.
            count: Option<u64>,
        }
    }

    #[test]
    fn what_hands_its_parts_on_is_as_serde_writes_it() {
        let fence = fence::tests::fence();
        let part = |text| json(&fence.text(text));
        let next = BTreeMap::from([("after", part("c")), ("a", Part::of(&None::<u32>))]);
        let answer = Answer { parts: vec![part("a"), part("b")], next, absent: None, count: Some(u64::MAX) };
        let written = value(&answer);
        assert_eq!(answer.into_value(), written);
    }

    #[test]
    fn a_list_shows_what_fits_and_at_least_one() {
        let fence = fence::tests::fence();
        let text = |length: usize| json(&fence.code(&"x".repeat(length)));
        let view = |length: &usize, clip: Clip| text((*length).min(clip.text_chars));
        assert_eq!(fit(&fence, &[100; 20], view).left_out, 0);
        let many = fit(&fence, &[1000; 500], view);
        assert!(many.items.iter().map(chars).sum::<usize>() <= RESULT_CHARS_MAX && many.left_out > 0);
        let huge = fit(&fence, &[()], |(), _| text(20_000));
        assert_eq!((huge.items.len(), huge.left_out), (1, 0));
    }
}
