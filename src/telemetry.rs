//! Logs: for people, on stderr, because stdout belongs to the MCP wire. No bodies, secrets or addresses.

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// What a server logs where nobody says otherwise. Below an error, rmcp logs what it answers: addresses, and whatever an agent
/// called things.
pub const OF_SERVERS: &str = "warn,rmcp=error,mailbell=info";
/// What any other command does.
pub const OF_COMMANDS: &str = "warn,rmcp=error";

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
#[error("`{filter}` is no log filter; write one such as `info` or `mailbell=debug,warn`")]
pub struct NotAFilter {
    filter: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging to stderr, as `filter` says, in this format; text has colours where they are wanted.
pub fn start(filter: &str, format: LogFormat, in_colour: bool) -> Result<(), NotAFilter> {
    let parsed: EnvFilter = filter.parse().map_err(|source| NotAFilter { filter: filter.to_owned(), source })?;
    let to = fmt().with_env_filter(parsed).with_writer(std::io::stderr).with_target(false);
    // A second start, as in a test, changes nothing.
    let _ = match format {
        LogFormat::Text => to.with_ansi(in_colour).try_init(),
        // The fields beside the message, and no spans: there are none.
        LogFormat::Json => to.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    Ok(())
}
