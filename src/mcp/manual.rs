//! The tools as a person reads of them: the table in README.md is made from the tools themselves.

use std::fmt::Write as _;

use super::tools;

/// A table in Markdown: each tool with its toolset, what it does, and its arguments, those in bold that it needs.
pub fn tool_table() -> String {
    let mut table = String::from("| tool | toolset | what it does | arguments |\n|---|---|---|---|\n");
    for tool in tools::ALL {
        let arguments = tool.parameters().iter().map(|parameter| {
            let mark = if parameter.required { "**" } else { "" };
            format!("{mark}`{}`{mark}", parameter.name)
        });
        let arguments = arguments.collect::<Vec<_>>().join(" ");
        // Writing to a text never fails.
        let _ = writeln!(table, "| `{}` | {} | {} | {arguments} |", tool.name(), tool.toolset(), tool.title());
    }
    table
}
