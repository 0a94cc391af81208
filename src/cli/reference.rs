//! The pages of `docs/reference`, each made of the code that it tells of.

use std::{fmt::Write as _, io::Write as _};

use clap::{Arg, Command, CommandFactory as _, Subcommand};

use super::{Cli, Failure, exit};
use crate::{config, http::v1, mcp, measures};

/// `mailbell reference`
#[derive(Subcommand)]
pub(super) enum Reference {
    /// docs/reference/tools.md
    Tools,
    /// docs/reference/resources.md
    Resources,
    /// docs/reference/configuration.md
    Configuration,
    /// docs/reference/command-line.md
    CommandLine,
    /// docs/reference/rest.md
    Rest,
    /// docs/reference/metrics.md
    Metrics,
    /// docs/reference/exit-codes.md
    ExitCodes,
}

impl Reference {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let page = match self {
            Self::Tools => mcp::tools_page(),
            Self::Resources => mcp::resources_page(),
            Self::Configuration => config::manual::page(flag),
            Self::CommandLine => commands(),
            Self::Rest => v1::manual::page(),
            Self::Metrics => measures::table::page(),
            Self::ExitCodes => exit::page(),
        };
        Ok(std::io::stdout().write_all(page.as_bytes())?)
    }
}

/// The flag of `serve` that says the setting `key`, such as `--mcp-addr` for `mcp.addr`.
fn flag(key: &str) -> Option<String> {
    let (section, name) = key.rsplit_once('.')?;
    let command = Cli::command();
    let serve = command.find_subcommand("serve")?;
    let has = |flag: &String| serve.get_arguments().any(|arg| arg.get_long() == Some(flag));
    let names = [format!("{section}-{name}"), name.to_owned()].map(|name| name.replace('_', "-"));
    names.into_iter().find(has).map(|flag| format!("--{flag}"))
}

fn commands() -> String {
    let mut page = String::from(
        "# Command line\n\nMade by `mailbell reference command-line`; a test holds it to the code.\n\n\
         Each command also takes `--help`, `--color auto|always|never`, and `--log WHAT` (or `MAILBELL_LOG`): what to log on\n\
         stderr, such as `info` or `mailbell=debug,warn`. [How a command ends](exit-codes.md) is the same for all.\n",
    );
    let mut command = Cli::command();
    // Fills in what is shared and the usage lines.
    command.build();
    for command in command.get_subcommands() {
        tell(&mut page, command, "mailbell");
    }
    page
}

fn tell(page: &mut String, command: &Command, above: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{above} {}", command.get_name());
    // Writing to a text never fails.
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n## `{name}`\n\n{}\n", sentence(&about));
    let shown: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let _ = write!(page, "\n```text\n{usage}\n```\n");
    let arguments: Vec<_> = command.get_arguments().filter(|argument| is_of_its_own(argument)).collect();
    if !arguments.is_empty() {
        page.push_str("\n| | |\n|---|---|\n");
    }
    for argument in arguments {
        let _ = writeln!(page, "| {} | {} |", spelling(argument), about_argument(argument));
    }
    for inner in shown {
        tell(page, inner, &name);
    }
}

fn is_of_its_own(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version", "log", "color"].contains(&argument.get_id().as_str())
}

fn spelling(argument: &Arg) -> String {
    let values: Vec<_> = argument.get_value_names().into_iter().flatten().map(ToString::to_string).collect();
    let value = if argument.get_action().takes_values() { values.join(" ") } else { String::new() };
    match argument.get_long() {
        Some(flag) => format!("`{}`", format!("--{flag} {value}").trim_end()),
        None => format!("`{value}`"),
    }
}

fn about_argument(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut about = help.replace('|', "\\|").replace('\n', " ");
    let words = argument.get_possible_values();
    let words: Vec<_> =
        words.iter().filter(|word| !word.is_hide_set()).map(|word| format!("`{}`", word.get_name())).collect();
    if argument.get_action().takes_values() && !words.is_empty() {
        let _ = write!(about, ": {}", words.join(", "));
    }
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(about, " [default: {}]", defaults.join(" "));
    }
    about
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}
