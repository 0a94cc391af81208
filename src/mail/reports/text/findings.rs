//! Walks the lines of a report: from each that names a recipient to the next, what stands between is said of it.

use super::{
    heads::{self, Head, Rank},
    words,
};
use crate::mail::reports::{
    addresses,
    letter::Letter,
    limits::{RECIPIENTS_MAX, TEXT_LINE_BYTES_MAX, cut},
};

/// How far above a line of a transcript the reply that it speaks of may stand.
const REPLY_LINES_ABOVE: usize = 4;

/// The recipients of the text with what is said of each; one may come several times.
pub(super) fn in_text(letter: &Letter) -> Vec<(String, String)> {
    let lines: Vec<&str> = letter.text.lines().map(|line| cut(line, TEXT_LINE_BYTES_MAX)).collect();
    let mut heads: Vec<(usize, Head)> = Vec::new();
    let mut before = "";
    let mut in_paragraph = false;
    for (at, line) in lines.iter().enumerate() {
        if let Some(head) = heads::in_line(line, before) {
            // What is said of a recipient may name it again.
            let again = heads.last().is_some_and(|(_, last)| {
                in_paragraph && head.rank <= last.rank && addresses::same(&last.address, &head.address)
            });
            if !again {
                heads.push((at, head));
            }
            in_paragraph = true;
            // A recipient comes in up to three lines of a transcript.
            if heads.len() >= 3 * RECIPIENTS_MAX {
                break;
            }
        }
        if line.trim().is_empty() {
            in_paragraph = false;
        } else {
            before = line;
        }
    }
    let (_, daemon) = letter.sender();
    let own = letter.addressees();
    let is_own = |head: &Head| {
        addresses::same(&head.address, daemon) || own.iter().any(|own| addresses::same(own, &head.address))
    };
    // The report speaks to its addressee, who is named for that, unless nobody else is.
    let surest = |heads: &[(usize, Head)]| heads.iter().map(|(_, head)| head.rank).max();
    let mut kept: Vec<(usize, Head)> = Vec::new();
    let mut of_others: Vec<(usize, Head)> = Vec::new();
    for head in heads {
        if is_own(&head.1) { kept.push(head) } else { of_others.push(head) }
    }
    let mut heads = if surest(&of_others) >= surest(&kept).filter(|rank| *rank > Rank::Repeated) {
        of_others
    } else {
        kept.append(&mut of_others);
        kept.sort_by_key(|(at, _)| *at);
        kept
    };
    let Some(best) = surest(&heads) else { return Vec::new() };
    heads.retain(|(_, head)| head.rank == best);
    if best == Rank::Repeated && heads.len() > 1 {
        heads.dedup_by(|one, other| addresses::same(&one.1.address, &other.1.address));
    }
    spoken_of(&lines, heads)
}

fn spoken_of(lines: &[&str], heads: Vec<(usize, Head)>) -> Vec<(String, String)> {
    let ends: Vec<usize> = heads.iter().skip(1).map(|(at, _)| *at).chain([lines.len()]).collect();
    let mut said: Vec<(String, String)> = Vec::with_capacity(heads.len());
    let mut shared = String::new();
    for ((at, head), end) in heads.into_iter().zip(ends).rev() {
        let block = &lines[(at + 1).min(end)..end];
        let mut words = words::choose(&head.rest, block);
        // Old sendmail says what it makes of a reply, below the reply.
        let rest = head.rest.to_lowercase();
        if rest.contains("remote protocol error") || rest.contains("service unavailable") {
            let above = lines[at.saturating_sub(REPLY_LINES_ABOVE)..at].iter().rev();
            let reply =
                above.take_while(|line| !line.trim().is_empty()).find(|line| line.trim_start().starts_with("<<<"));
            words = reply.map_or(words, |reply| words::choose(reply, &[]));
        }
        if words::weight(&words) == 0 {
            words = words::before(lines, at).unwrap_or(words);
        }
        // Recipients that are listed one below the other share what follows the last of them.
        if words.is_empty() && block.iter().all(|line| line.trim().is_empty()) {
            words.clone_from(&shared);
        }
        shared.clone_from(&words);
        said.push((head.address, words));
    }
    said.reverse();
    said
}
