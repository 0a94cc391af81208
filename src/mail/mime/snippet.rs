//! The beginning of a text, short enough for a list.

use unicode_segmentation::GraphemeCursor;

/// The longest snippet, in characters.
pub(super) const SNIPPET_CHARS_MAX: usize = 200;

/// The first characters of `text`, at most 200, each run of blanks as one space; it ends with a whole
/// character as a reader sees one (a grapheme), so that no family emoji is torn apart.
pub(super) fn snippet(text: &str) -> String {
    let (mut snippet, mut chars, mut gap) = (String::new(), 0, false);
    for grapheme in graphemes(text) {
        if grapheme.chars().all(|c| c.is_whitespace() || c.is_control()) {
            gap = !snippet.is_empty();
            continue;
        }
        let length = grapheme.chars().count() + usize::from(gap);
        if chars + length > SNIPPET_CHARS_MAX {
            break;
        }
        if gap {
            snippet.push(' ');
        }
        snippet.push_str(grapheme);
        chars += length;
        gap = false;
    }
    snippet
}

/// The graphemes of `text`, except that a carriage return and its line feed are two. A character of ASCII joins nothing
/// that follows within ASCII, so that only the others need the tables of Unicode.
fn graphemes(text: &str) -> impl Iterator<Item = &str> {
    let (mut cursor, mut at) = (GraphemeCursor::new(0, text.len(), true), 0);
    std::iter::from_fn(move || {
        let (first, rest) = text.as_bytes()[at..].split_first()?;
        let end = if first.is_ascii() && rest.first().is_none_or(u8::is_ascii) {
            at + 1
        } else {
            cursor.set_cursor(at);
            cursor.next_boundary(text, 0).ok().flatten()?
        };
        let grapheme = &text[at..end];
        at = end;
        Some(grapheme)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation as _;

    use super::*;

    /// Characters that join others, that others join, and that do neither: of each rule of UAX 29.
    const CHARS: [char; 24] = [
        'a', '1', '#', ' ', '\t', '\r', '\n', '\u{7f}', '\u{a0}', 'é', '©', '\u{301}', '\u{200d}', '\u{fe0f}',
        '\u{20e3}', '👩', '🏽', '🇩', 'क', '\u{94d}', '\u{93e}', '\u{600}', '한', '\u{11a8}',
    ];

    #[test]
    fn blanks_collapse_and_graphemes_stay_whole() {
        assert_eq!(snippet("  Hi\r\n\r\n\tthere \u{a0} you "), "Hi there you");
        let family = "👨‍👩‍👧‍👦";
        let shown = snippet(&family.repeat(40));
        assert_eq!(shown, family.repeat(28), "28 families of 7 characters fit into 200, a 29th would be cut");
    }

    proptest! {
        #[test]
        fn a_snippet_is_short_and_begins_the_text(text in any::<String>()) {
            let shown = snippet(&text);
            prop_assert!(shown.chars().count() <= SNIPPET_CHARS_MAX);
            let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect::<String>();
            prop_assert!(visible(&text).starts_with(&visible(&shown)));
        }

        #[test]
        fn graphemes_are_those_of_unicode(
            text in prop::collection::vec(prop_oneof![prop::sample::select(&CHARS[..]), any::<char>()], 0..60),
        ) {
            let text = String::from_iter(text);
            let whole = text.graphemes(true);
            let parted = whole.flat_map(|whole| if whole == "\r\n" { vec!["\r", "\n"] } else { vec![whole] });
            prop_assert_eq!(graphemes(&text).collect::<Vec<_>>(), parted.collect::<Vec<_>>());
        }
    }
}
