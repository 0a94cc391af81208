//! Checks an export of the audit record without mailbell: the chain, by its key, and that no event was in two hands at once,
//! settled by somebody who did not have it, or acked twice.
//!
//! ```text
//! mailbell audit export record.jsonl
//! cargo run --example audit_check -- record.jsonl [--key AUDIT_KEY] [CONSUMER…]
//! ```
//!
//! Each consumer that is named must have acked every event. It shares no code with what wrote the record. An export whose
//! beginning retention has removed shows as one whose first entries are missing.

mod check;

use std::{env, error::Error, fs, io::Write as _, process::ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let mut key = None;
    if let Some(at) = arguments.iter().position(|argument| argument == "--key") {
        arguments.remove(at);
        key = Some(fs::read_to_string(arguments.remove(at))?);
    }
    let (export, consumers) = arguments.split_first().ok_or("name the export, as a file")?;
    let consumers: Vec<&str> = consumers.iter().map(String::as_str).collect();
    let found = check::check(&fs::read_to_string(export)?, key.as_deref(), &consumers);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} entries, {} events, {} leases, {} of them after one that had run out; acked: {:?}",
        found.entries, found.events, found.leases, found.run_out, found.acked
    )?;
    for fault in &found.faults {
        writeln!(out, "{fault}")?;
    }
    Ok(if found.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
