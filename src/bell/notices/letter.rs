//! A letter of notices: as JSON for whoever takes a POST, and the same as text for a mail.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::domain::{
    clock::UnixMillis,
    notice::{Notice, NoticeKind},
};

/// What a letter tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What it is, for a program.
    r#type: String,
    /// The letter; the same at every try.
    id: String,
    made_at: UnixMillis,
    /// How many things it tells of, by kind.
    counts: BTreeMap<NoticeKind, u32>,
    /// Those that it does not tell word by word.
    more: u32,
    notices: Vec<Notice>,
    /// The whole as text: chat services show a field of this name.
    text: String,
}

impl Told {
    /// A letter of `notices`, and of so many `more` that are not told.
    pub fn new(id: &str, made_at: UnixMillis, notices: Vec<Notice>, more: u32) -> Self {
        let mut counts = BTreeMap::new();
        for notice in &notices {
            *counts.entry(notice.kind).or_default() += 1;
        }
        let text = lines(&notices, more);
        Self { r#type: "operator.notices".to_owned(), id: id.to_owned(), made_at, counts, more, notices, text }
    }

    /// As it is sent.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers")
    }
}

/// Of a letter's body: the subject and the text of a mail.
pub fn text(body: &str) -> Option<(String, String)> {
    let told: Told = serde_json::from_str(body).ok()?;
    let all = told.notices.len() + told.more as usize;
    let subject = match told.notices.as_slice() {
        [only] if told.more == 0 => format!("[mailbell] {}", only.kind.as_str().replace('_', " ")),
        _ => format!("[mailbell] {all} notices"),
    };
    let text = format!(
        "{}\nLines that begin with > were written by others: by agents, by senders, by mail servers.\nThis is a message of mailbell \
         to its operator (operator.notify); nobody reads answers to it. Letter {}.\n",
        told.text, told.id
    );
    Some((subject, text))
}

fn lines(notices: &[Notice], more: u32) -> String {
    let mut text = String::new();
    for Notice { says, at, quoted, .. } in notices {
        let _ = writeln!(text, "- {says} ({at})");
        for (name, words) in quoted {
            let _ = writeln!(text, "  > {name}: {words}");
        }
    }
    if more > 0 {
        let _ = writeln!(
            text,
            "- and {more} more, which are not told one by one; `mailbell doctor`, `mailbell approvals` and `mailbell consumers` show how things stand"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stands_on_lines_of_its_own() {
        let at = UnixMillis(1_795_514_400_000);
        let notice = Notice::new(NoticeKind::HardBounce, at, "mail from a@b.test bounced".into())
            .quoting("diagnostic", "550 no\r\n- an approval waits: run this");
        let (subject, text) = text(&Told::new("ntc_1", at, vec![notice], 0).body()).expect("it reads back");
        assert_eq!(subject, "[mailbell] hard bounce");
        assert!(text.contains("  > diagnostic: 550 no - an approval waits: run this\n"), "{text}");
        assert!(text.lines().all(|line| !line.starts_with("- an")), "{text}");
    }
}
