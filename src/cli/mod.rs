//! The command line: `mailbell serve`, `mcp`, `demo` and what an operator does beside them.
//!
//! How a command ends is told in one table, [`exit`].

mod answer;
mod approvals;
mod audit;
mod backup;
mod client_config;
mod console;
mod consumers;
mod demo;
mod doctor;
mod events;
pub mod exit;
mod export;
mod mailbox;
mod manual;
mod mcp;
mod notify;
mod on;
mod operator;
mod progress;
mod reference;
mod serve;
mod source;
mod terminal;
mod token;
mod try_kind;
mod webhook;

use std::{error::Error, io, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::answer::{failed, say};

use crate::{
    app::{
        data_dir::{DataDir, DataDirError, default_config_file},
        house::Plan,
        keeper::KeeperLock,
        listeners::BusyDefault,
        system::{SystemClock, SystemEntropy, settle_in},
        tokens::ShowOperatorToken,
    },
    config::{
        LogFormat,
        load::{ConfigError, Loaded, Overrides, load},
    },
    domain::clock::Clock,
    ids::Ids,
    telemetry,
};

/// What a command fails with: a sentence, with its causes behind it.
type Failure = Box<dyn Error + Send + Sync>;

/// How long blocking work, such as a write to disk that nobody waits for any more, may still take when a command has ended.
const BLOCKING_WORK_MAX: Duration = Duration::from_millis(200);

/// Tells LLM agents what happened to their email the moment it happens.
#[derive(Parser)]
#[command(name = "mailbell", version, propagate_version = true, arg_required_else_help = true, after_long_help = exit::help())]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What to log on stderr, such as `info` or `mailbell=debug,warn`
    #[arg(long, global = true, env = "MAILBELL_LOG")]
    log: Option<String>,
    /// When to print in colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    color: terminal::Colour,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything: agents over HTTP, the receiver of webhooks, and the embedded mail service
    Serve(serve::Serve),
    /// Be an MCP server on stdin and stdout, alone or beside a running `serve`
    Mcp(mcp::Mcp),
    /// Show the whole path with real mail in a temporary directory
    Demo(demo::Demo),
    /// Show what fired
    Events(events::Events),
    /// Write the events as JSON lines, from where the last export ended
    Export(export::Export),
    /// Make something happen, to see an agent hear of it
    Try(try_kind::Try),
    /// Run a command for each event, to wake an agent that is not running
    On(on::On),
    /// Run a command for `on`, and end it when that process is gone
    #[command(hide = true)]
    Guard(on::guard::Guard),
    /// Connect a client: print the block for its settings, or write it there
    ClientConfig(client_config::ClientConfig),
    /// Who has which events, what is set aside, and to put it back
    Consumers(consumers::Consumers),
    /// Look over everything that mailbell stands on, and say what to do
    Doctor(doctor::Doctor),
    /// Copy everything, as it is at one moment, while it runs
    Backup(backup::Make),
    /// Make a data directory out of a backup; nothing goes out of it before `resume`
    Restore(backup::Restore),
    /// Who did what: read it, and check that nothing was changed
    Audit(audit::Audit),
    /// How far agents may go: show it, or set it with the operator token
    Mode(operator::Mode),
    /// Have everything but taking mail in stand still
    Pause(operator::Pause),
    /// Go on after a pause
    Resume(operator::Pause),
    /// Open the operator's pages: print a code for them, with the operator token
    Console(console::Console),
    /// What agents asked for and an operator decides
    Approvals(approvals::Approvals),
    /// Tell the operator something, to see that it arrives
    #[command(subcommand)]
    Notify(notify::Notify),
    /// Print a script that completes commands in a shell
    Completions(manual::Completions),
    /// Print the manual page, or write those of all commands
    Man(manual::Manual),
    /// Print a page of the reference
    #[command(subcommand, hide = true)]
    Reference(reference::Reference),
    /// Whose webhooks the receiver takes
    #[command(subcommand)]
    Source(source::Source),
    /// The embedded service's mailboxes
    #[command(subcommand)]
    Mailbox(mailbox::Mailbox),
    /// Webhooks of the mail service: their secrets, their deliveries
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// The tokens of agents, of clients and of the operator
    #[command(subcommand)]
    Token(token::Token),
}

impl Command {
    /// A server tells what it does; where somebody reads the answer of a command, only what is wrong belongs beside it.
    fn log_by_default(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Mcp(_) | Self::On(_) => telemetry::OF_SERVERS,
            _ => telemetry::OF_COMMANDS,
        }
    }
}

impl Command {
    /// How to write the log, as the settings say. What is wrong in them is told when the command loads them for itself.
    fn log_format(&self) -> LogFormat {
        let settings = match self {
            Self::Serve(serve) => &serve.settings,
            Self::Mcp(mcp) => &mcp.settings,
            Self::Demo(demo) => &demo.settings,
            Self::On(on) => &on.settings,
            _ => return LogFormat::Text,
        };
        let file = settings.config.clone();
        let loaded = load(Overrides { file, default_file: default_config_file(), values: Vec::new() });
        loaded.map_or(LogFormat::Text, |loaded| loaded.config.log.format)
    }
}

/// Where a command finds its data.
#[derive(Args)]
struct Where {
    /// Where everything is kept [default: `$XDG_DATA_HOME/mailbell`]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Where {
    fn open(&self) -> Result<DataDir, DataDirError> {
        DataDir::open(self.data_dir.clone())
    }

    /// The directory, without making anything in it.
    fn root(&self) -> Result<PathBuf, DataDirError> {
        self.data_dir.clone().map_or_else(DataDir::default_root, Ok)
    }
}

/// Settings that flags can say; each is also a key of config.toml and a variable `MAILBELL_SECTION__KEY`.
#[derive(Args, Default)]
struct Settings {
    /// The settings' file [default: `$XDG_CONFIG_HOME/mailbell/config.toml`, where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Under which URL the world reaches the receiver of webhooks
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where agents connect by HTTP; :0 picks a free port [default: 127.0.0.1:7411]
    #[arg(long, value_name = "ADDR")]
    mcp_addr: Option<String>,
    /// Which tools agents have, with commas between: events, mail, suppression, webhooks; and read-only [default: all four]
    #[arg(long, value_name = "SETS")]
    toolsets: Option<String>,
    /// Where webhooks are received [default: 127.0.0.1:7412]
    #[arg(long, value_name = "ADDR")]
    hooks_addr: Option<String>,
    /// Where the embedded service's API answers [default: 127.0.0.1:7413]
    #[arg(long, value_name = "ADDR")]
    api_addr: Option<String>,
    /// Where the embedded service takes mail by SMTP [default: 127.0.0.1:7425]
    #[arg(long, value_name = "ADDR")]
    smtp_addr: Option<String>,
    /// Where the embedded service takes mail by LMTP [default: 127.0.0.1:7424]
    #[arg(long, value_name = "ADDR")]
    lmtp_addr: Option<String>,
    /// Where the operator's pages and health are served [default: 127.0.0.1:7414]
    #[arg(long, value_name = "ADDR")]
    console_addr: Option<String>,
}

impl Settings {
    /// The settings, with `beside` for those that a flag did not say.
    fn load(self, beside: &[(&'static str, &str)]) -> Result<Loaded, ConfigError> {
        let said = [
            ("hooks.public_url", self.public_url),
            ("mcp.addr", self.mcp_addr),
            ("mcp.toolsets", self.toolsets),
            ("hooks.addr", self.hooks_addr),
            ("api.addr", self.api_addr),
            ("smtp.addr", self.smtp_addr),
            ("lmtp.addr", self.lmtp_addr),
            ("console.addr", self.console_addr),
        ];
        let said = said.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let values = beside.iter().map(|(key, value)| (*key, (*value).to_owned())).chain(said).collect();
        load(Overrides { file: self.config, default_file: default_config_file(), values })
    }
}

/// Runs the command line that the process was started with.
pub fn main() -> ExitCode {
    let parsed = Cli::command().try_get_matches();
    let parsed = parsed.and_then(|matches| Ok((answer::is_json(&matches), Cli::from_arg_matches(&matches)?)));
    let (json, cli) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return answer::misspelt(&error),
    };
    cli.color.choose();
    let filter = cli.log.as_deref().unwrap_or(cli.command.log_by_default());
    if let Err(error) = telemetry::start(filter, cli.command.log_format(), terminal::stderr_in_colour()) {
        return failed(&error, json);
    }
    settle_in();
    // The one place that chooses the cryptography behind TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, json),
    };
    let ended = runtime.block_on(run(cli.command));
    // Not by dropping it, which waits for blocking work: a read of stdin lasts as long as the client keeps that open.
    runtime.shutdown_timeout(BLOCKING_WORK_MAX);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the answer has enough, as in `mailbell events | head`.
        Err(failure) if is_broken_pipe(&*failure) => ExitCode::SUCCESS,
        Err(failure) => failed(&*failure, json),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve.run().await,
        Command::Mcp(mcp) => Box::pin(mcp.run()).await,
        Command::Demo(demo) => demo.run().await,
        Command::Events(events) => events.run().await,
        Command::Export(export) => export.run().await,
        Command::Try(try_kind) => try_kind.run().await,
        Command::On(on) => on.run().await,
        Command::Guard(guard) => guard.run().await,
        Command::ClientConfig(config) => config.run(),
        Command::Consumers(consumers) => consumers.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Backup(backup) => backup.run().await,
        Command::Restore(restore) => restore.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Mode(mode) => mode.run().await,
        Command::Pause(pause) => pause.run(true).await,
        Command::Resume(resume) => resume.run(false).await,
        Command::Console(console) => console.run().await,
        Command::Approvals(approvals) => approvals.run().await,
        Command::Notify(notify) => notify.run().await,
        Command::Completions(completions) => completions.run(),
        Command::Man(manual) => manual.run(),
        Command::Reference(reference) => reference.run(),
        Command::Source(source) => source.run().await,
        Command::Mailbox(mailbox) => mailbox.run().await,
        Command::Webhook(webhook) => webhook.run().await,
        Command::Token(token) => token.run().await,
    }
}

fn is_broken_pipe(failure: &(dyn Error + 'static)) -> bool {
    failure.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The machine's clock and a maker of ids from it.
fn time_and_ids() -> (Arc<dyn Clock>, Arc<Ids>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids = Arc::new(Ids::new(clock.clone(), Arc::new(SystemEntropy)));
    (clock, ids)
}

/// Settings for a house that nobody connects to from outside: free ports on loopback.
const FREE_PORTS: [(&str, &str); 6] = [
    ("mcp.addr", ":0"),
    ("hooks.addr", ":0"),
    ("api.addr", ":0"),
    ("smtp.addr", ":0"),
    ("lmtp.addr", ":0"),
    ("console.addr", ":0"),
];

/// A plan for a house whose operator is not shown a token.
fn plan(dir: DataDir, lock: KeeperLock, loaded: Loaded) -> Plan {
    Plan {
        dir,
        lock,
        loaded,
        publish: true,
        busy: BusyDefault::GiveWay,
        operator: ShowOperatorToken::Nowhere,
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    }
}
