//! How a command answers: in lines for people or, with `--json`, for programs. And how it tells what went wrong.

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::{ArgMatches, Args, error::ErrorKind};
use serde::Serialize;
use serde_json::json;

use super::{
    Failure,
    exit::Ending,
    terminal::{escaped, tame},
};

/// The name of the flag, and of what clap keeps of it.
const JSON: &str = "json";

/// In which words a command answers.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Answer {
    /// Answer in JSON, one object a line, and tell in JSON too what goes wrong
    #[arg(long)]
    json: bool,
}

impl Answer {
    /// Whether a program reads the answer.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Gives one answer, or one line of it.
    pub(super) fn give(self, for_programs: impl Serialize, for_people: impl Display) -> Result<(), Failure> {
        if self.json { say_json(for_programs) } else { say(for_people) }
    }
}

/// Whether the command that was asked for is to answer in JSON.
pub(super) fn is_json(mut matches: &ArgMatches) -> bool {
    while let Some((_, within)) = matches.subcommand() {
        matches = within;
    }
    matches.try_get_one::<bool>(JSON).ok().flatten().copied().unwrap_or(false)
}

/// A line for the person who ran the command.
pub(super) fn say(line: impl Display) -> Result<(), Failure> {
    print(&tame(&line.to_string()))
}

/// A line for the program that ran the command.
pub(super) fn say_json(value: impl Serialize) -> Result<(), Failure> {
    print(&escaped(&serde_json::to_string(&value)?))
}

/// A line for a person, with one word of it in colour where the terminal shows colours.
pub(super) fn say_marked(
    before: impl Display,
    style: Style,
    mark: impl Display,
    after: impl Display,
) -> Result<(), Failure> {
    let [before, mark, after] = [before.to_string(), mark.to_string(), after.to_string()].map(|text| tame(&text));
    let mut out = anstream::stdout().lock();
    writeln!(out, "{before}{style}{mark}{style:#}{after}")?;
    Ok(out.flush()?)
}

fn print(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A line beside the answer, for a person: the answer alone stands on stdout.
pub(super) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "{}", tame(&line.to_string()));
}

/// Tells a failure and its causes on stderr, each once.
pub(super) fn failed(failure: &(dyn Error + 'static), json: bool) -> ExitCode {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    tell_failure(&text, Ending::of(failure), json)
}

fn tell_failure(text: &str, ending: Ending, json: bool) -> ExitCode {
    if json {
        let told = json!({ "error": text, "exit_code": ending.code() }).to_string();
        let _ = writeln!(io::stderr(), "{}", escaped(&told));
    } else {
        let style = if ending == Ending::Uneasy { AnsiColor::Yellow } else { AnsiColor::Red }.on_default();
        let _ = writeln!(anstream::stderr(), "{style}mailbell:{style:#} {}", tame(text));
    }
    ending.into()
}

/// Tells what is wrong with a command line, or the help that it asked for.
pub(super) fn misspelt(error: &clap::Error) -> ExitCode {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let flag = format!("--{JSON}");
    if is_help {
        error.exit();
    }
    let text = error.render().to_string();
    let json = std::env::args_os().take_while(|argument| argument != "--").any(|argument| *argument == *flag);
    tell_failure(text.trim().trim_start_matches("error: "), Ending::Misspelt, json)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{super::Cli, *};

    /// Commands without `--json`, and why.
    const WITHOUT: &[(&str, &str)] = &[
        ("serve", "the line that says it is ready is JSON"),
        ("mcp", "its stdout is the wire of MCP"),
        ("demo", "a show for people, which fails where a step does not hold"),
        ("on", "what its command prints is its answer"),
        ("guard", "is run by `on` alone"),
        ("completions", "prints a script for a shell"),
        ("man", "prints a page for man"),
        ("reference tools", "prints a page of the documentation"),
        ("reference resources", "prints a page of the documentation"),
        ("reference configuration", "prints a page of the documentation"),
        ("reference command-line", "prints a page of the documentation"),
        ("reference rest", "prints a page of the documentation"),
        ("reference metrics", "prints a page of the documentation"),
        ("reference exit-codes", "prints a page of the documentation"),
        ("token operator", "is for a person on a terminal alone"),
    ];

    fn walk(command: &clap::Command, path: &str, seen: &mut Vec<(String, bool)>) {
        for within in command.get_subcommands().filter(|within| within.get_name() != "help") {
            let path = format!("{path} {}", within.get_name()).trim().to_owned();
            walk(within, &path, seen);
            // One that only holds others is never run itself.
            if !within.is_subcommand_required_set() {
                seen.push((path, within.get_arguments().any(|argument| argument.get_id() == JSON)));
            }
        }
    }

    #[test]
    fn every_command_answers_in_json_too() {
        let mut seen = Vec::new();
        walk(&Cli::command(), "", &mut seen);
        assert!(seen.len() > 40, "{seen:?}");
        for (path, has) in &seen {
            let listed = WITHOUT.iter().any(|(without, _)| without == path);
            assert_ne!(*has, listed, "`mailbell {path}`: has --json, or is in the list with why not, and never both");
        }
        for (without, _) in WITHOUT {
            assert!(seen.iter().any(|(path, _)| path == without), "there is no `mailbell {without}`");
        }
    }
}
