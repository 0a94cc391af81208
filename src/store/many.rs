//! Statements of many rows: a text for each number of rows that is used, so that each stays prepared.
//!
//! Why some say `INSERT OR FAIL`: where a statement of several rows may fail at a later one, SQLite copies each page that it changes
//! first, to undo the rows before. Nobody here goes on after a statement that failed; the writer undoes the whole transaction.
//! `OR FAIL` says so, and spares the copies. It does nothing for a table with a foreign key.

use std::sync::LazyLock;

use serde::Serialize;

/// Rows per statement: so many, or a multiple of it, or what is left below it. So two statements take any batch, and
/// their texts are few.
pub(super) const CHUNK: usize = 16;

/// Rows that one statement takes at most; what has more takes several.
pub(super) const ROWS_MAX: usize = 256;

/// The texts of one statement.
pub(super) struct Many {
    texts: LazyLock<Vec<String>>,
}

impl Many {
    /// A statement whose text for a number of rows `text` writes.
    pub(super) const fn new(text: fn() -> Vec<String>) -> Self {
        Self { texts: LazyLock::new(text) }
    }

    /// All texts; a test prepares each.
    #[cfg(test)]
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    /// Parts `rows` into those that the next statement takes, with its text, and those that are left.
    pub(super) fn next<'r, R>(&self, rows: &'r [R]) -> Option<(&str, &'r [R], &'r [R])> {
        let whole = rows.len().min(ROWS_MAX) / CHUNK;
        let (len, place) = match (whole, rows.len()) {
            (_, 0) => return None,
            (0, len) => (len, len - 1),
            (whole, _) => (whole * CHUNK, CHUNK + whole - 2),
        };
        let (now, later) = rows.split_at(len);
        Some((&self.texts[place], now, later))
    }
}

/// The numbers of rows that have a text: 1 to 16, then 32, 48 and so on.
pub(super) fn sizes() -> impl Iterator<Item = usize> {
    (1..=CHUNK).chain((CHUNK * 2..=ROWS_MAX).step_by(CHUNK))
}

/// `row`, such as `(?, ?)`, so many times, for `VALUES`.
pub(super) fn rows(row: &str, count: usize) -> String {
    vec![row; count].join(", ")
}

/// A list that a statement reads by `json_each`: one parameter for any number of rows, for those that are narrow or few.
pub(super) fn to_json<T: Serialize + ?Sized>(list: &T) -> String {
    serde_json::to_string(list).expect("texts and numbers are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    static NUMBERS: Many = Many::new(|| sizes().map(|size| rows("(?)", size)).collect());

    #[test]
    fn every_row_is_taken_once_by_a_text_that_has_a_place_for_it() {
        for count in [0, 1, 15, 16, 17, 31, 32, 47, 255, 256, 257, 600] {
            let all: Vec<usize> = (0..count).collect();
            let (mut taken, mut statements, mut rest) = (Vec::new(), 0, all.as_slice());
            while let Some((text, now, later)) = NUMBERS.next(rest) {
                assert_eq!(text.matches('?').count(), now.len(), "of {count}");
                taken.extend_from_slice(now);
                (statements, rest) = (statements + 1, later);
            }
            assert_eq!(taken, all);
            assert!(statements <= count.div_ceil(ROWS_MAX) + 1, "{statements} statements for {count}");
        }
    }
}
