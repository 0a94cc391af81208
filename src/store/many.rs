//! Statements of many rows: a text for each number of rows that is used, so that each stays prepared.

use std::sync::LazyLock;

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

/// So many rows for `VALUES` whose parameters have numbers: each row has `parameters` of its own, of which those in `columns`
/// (from 1) stand here. So several statements of one text can share what is bound.
///
/// They are written `$1`: of `?9`, SQLite takes the 8 before it for parameters, too, and sqlx then may bind none of them.
pub(super) fn numbered_rows(count: usize, parameters: usize, columns: &[usize]) -> String {
    let row = |row: usize| {
        let columns = columns.iter().map(|column| format!("${}", row * parameters + column));
        format!("({})", columns.collect::<Vec<_>>().join(", "))
    };
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_what_is_bound() {
        assert_eq!(numbered_rows(2, 3, &[1, 3]), "($1, $3), ($4, $6)");
        assert_eq!(numbered_rows(1, 3, &[1, 2]), "($1, $2)");
    }

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
