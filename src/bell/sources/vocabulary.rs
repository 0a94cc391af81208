//! What each provider calls what happened, and what we call it: the dialects read by these tables, and the table in
//! `docs/providers.md` is made from them.

use super::failure::Label;

/// A provider's name for what happened, with our word for it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name; where another field decides too, with its value after a slash.
    pub name: &'static str,
    /// What it means.
    pub meaning: Meaning,
}

/// What a name means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A message came in.
    Inbound,
    /// A message was accepted for its recipient.
    Delivery,
    /// A message failed, for now or for good.
    Bounce(Label),
    /// A recipient called it spam.
    Complaint,
    /// It was opened.
    Open,
    /// None of these; the event carries the name.
    Other,
}

/// What is said where no table knows the name.
static UNKNOWN: Row = Row { name: "", meaning: Meaning::Other };

/// A row of a table.
pub(super) const fn row(name: &'static str, meaning: Meaning) -> Row {
    Row { name, meaning }
}

/// The row of `name` in `rows`; of a name with a slash whose whole is not there, that of the longest part
/// before one that is.
pub(super) fn meaning(rows: &'static [Row], name: &str) -> &'static Row {
    longest(name, |name| rows.iter().find(|row| row.name.eq_ignore_ascii_case(name))).unwrap_or(&UNKNOWN)
}

/// What `find` has for `name`, or else for the longest part of it before a slash.
pub(super) fn longest<T>(name: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut rest = name;
    loop {
        match (find(rest), rest.rsplit_once('/')) {
            (Some(found), _) => return Some(found),
            (None, Some((general, _))) => rest = general,
            (None, None) => return None,
        }
    }
}
