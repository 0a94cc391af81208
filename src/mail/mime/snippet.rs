//! The beginning of a text, short enough for a list.

use unicode_segmentation::UnicodeSegmentation as _;

/// The longest snippet, in characters.
pub(super) const SNIPPET_CHARS_MAX: usize = 200;

/// The first characters of `text`, at most 200, each run of blanks as one space; it ends with a whole
/// character as a reader sees one (a grapheme), so that no family emoji is torn apart.
pub(super) fn snippet(text: &str) -> String {
    let (mut snippet, mut chars, mut gap) = (String::new(), 0, false);
    for grapheme in text.graphemes(true) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    }
}
