//! Who a report is about, where its text holds no address: the returned header and local parts without a domain tell.

use super::words;
use crate::mail::reports::{
    Original,
    letter::Letter,
    limits::{TEXT_LINE_BYTES_MAX, cut},
    original,
};

/// Lines that are searched for local parts: what a report is about stands on its first page.
const LINES_MAX: usize = 40;
/// Of a local part (RFC 5321 section 4.5.3.1.1), in bytes.
const LOCAL_BYTES_MAX: usize = 64;

/// The recipients: the only one that the returned message was to, or those of several whose local part the text names,
/// or else local parts in a list, at the domain of the mail system that writes.
pub(super) fn recipients(letter: &Letter, about: &Original) -> Vec<String> {
    let to = original::recipients(letter, about);
    if to.len() == 1 {
        return to;
    }
    let named = named_in(&letter.text, to);
    if !named.is_empty() {
        return named;
    }
    let (_, sender) = letter.sender();
    let Some((_, domain)) = sender.rsplit_once('@') else { return Vec::new() };
    local_parts(&letter.text).map(|local| format!("{local}@{domain}")).collect()
}

fn named_in(text: &str, mut to: Vec<String>) -> Vec<String> {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "<>()[]\"',;:".contains(c)).collect();
    to.retain(|to| {
        let to = to.to_lowercase();
        to.rsplit_once('@').is_some_and(|(local, _)| words.contains(&local))
    });
    to
}

/// Single words below a line that announces them: `could not be delivered to the following recipients:`.
fn local_parts(text: &str) -> impl Iterator<Item = &str> {
    let (mut announced, mut listed) = (false, false);
    text.lines().take(LINES_MAX).filter_map(move |line| {
        let line = cut(line, TEXT_LINE_BYTES_MAX).trim();
        if line.is_empty() {
            announced &= !listed;
            return None;
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let word = word.trim_matches(['<', '>', '"', '\'', ':', ',', ';']);
        let is_local = word.len() <= LOCAL_BYTES_MAX
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
            && word.bytes().any(|byte| byte.is_ascii_alphanumeric());
        let found = announced && is_local && (rest.trim().is_empty() || words::weight(rest) > 0);
        let says = line.to_lowercase();
        let is_list_head =
            ["following", "recipient", "addresses", "do not exist"].iter().any(|word| says.contains(word));
        announced = found || line.ends_with(':') && is_list_head;
        listed = found;
        found.then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts_are_found_where_a_list_of_them_is_announced() {
        let text =
            "It was not delivered to the following:\n\n   ann  No matches to nameserver query\n   bob\n\nSorry\n";
        assert_eq!(local_parts(text).collect::<Vec<_>>(), ["ann", "bob"]);
        assert_eq!(local_parts("The reason was:\n\n  sorry\n").count(), 0);
        assert_eq!(local_parts("The following happened:\n\n  sorry about that\n").count(), 0);
    }

    #[test]
    fn of_several_recipients_those_named_are_meant() {
        let to = || vec!["ann@there.test".to_owned(), "bob@there.test".to_owned()];
        assert_eq!(named_in("User bob (unknown)", to()), ["bob@there.test"]);
        assert!(named_in("User bobby", to()).is_empty());
    }
}
