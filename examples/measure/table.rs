//! What a measurement found: a table for people, or JSON.

use std::{
    fmt::Write as _,
    io::{Write as _, stdout},
};

use serde_json::{Value, json};

use crate::{Failure, How};

/// Whether what was found is what was aimed at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    /// At least this.
    Least(f64),
    /// At most this.
    Most(f64),
}

impl Aim {
    fn is_met(self, found: f64) -> bool {
        match self {
            Self::Least(least) => found >= least,
            Self::Most(most) => found <= most,
        }
    }
}

/// A table, and below it what was aimed at.
pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    aims: Vec<(String, f64, Aim)>,
    notes: Vec<String>,
}

impl Table {
    /// One without rows; the first column names what a row is about.
    pub(crate) fn new(title: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(ToString::to_string).collect();
        Self { title: title.to_owned(), columns, rows: Vec::new(), aims: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Says whether `found` is what was aimed at. What could not be found is not a number, and misses every aim.
    pub(crate) fn aim(&mut self, what: impl Into<String>, found: f64, aim: Aim) {
        self.aims.push((what.into(), found, aim));
    }

    /// Adds a sentence below.
    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// Prints it to stdout, as `how` says.
    pub(crate) fn print(&self, how: &How) -> Result<(), Failure> {
        let text = if how.json { format!("{}\n", self.json()) } else { self.text() };
        Ok(stdout().write_all(text.as_bytes())?)
    }

    fn json(&self) -> Value {
        let row = |row: &Vec<String>| {
            let cells = self.columns.iter().cloned().zip(row.iter().map(|cell| json!(cell)));
            Value::Object(cells.collect())
        };
        let aim = |(what, found, aim): &(String, f64, Aim)| {
            let (bound, value) = match aim {
                Aim::Least(least) => ("at_least", least),
                Aim::Most(most) => ("at_most", most),
            };
            json!({ "what": what, "found": found, bound: value, "met": aim.is_met(*found) })
        };
        json!({
            "title": self.title,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "aims": self.aims.iter().map(aim).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    /// A table as Markdown has them, so that it goes into the documentation as it is.
    fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).chain([&self.columns[column]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &[String]| {
            let pad = |(at, width): (usize, &usize)| {
                let cell = cells.get(at).map_or("", String::as_str);
                if at == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") }
            };
            format!("|{}\n", widths.iter().enumerate().map(pad).collect::<String>())
        };
        let rule =
            |(at, width): (usize, &usize)| format!("{}{}|", "-".repeat(width + 1), if at == 0 { "-" } else { ":" });
        let mut text = format!("{}\n\n{}|", self.title, line(&self.columns));
        text.extend(widths.iter().enumerate().map(rule));
        text.push('\n');
        text.extend(self.rows.iter().map(|row| line(row)));
        text.push('\n');
        for (what, found, aim) in &self.aims {
            let (bound, value) = match aim {
                Aim::Least(least) => ("at least", least),
                Aim::Most(most) => ("at most", most),
            };
            let met = if aim.is_met(*found) { "met" } else { "MISSED" };
            let _ = writeln!(text, "- {what}: {found:.2} (aim: {bound} {value}): {met}");
        }
        text.extend(self.notes.iter().map(|note| format!("- {note}\n")));
        text
    }
}

/// A number in few digits: `31.4k`, `1.23`.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 1e6 => format!("{:.2}M", number / 1e6),
        n if n >= 1e3 => format!("{:.1}k", number / 1e3),
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
