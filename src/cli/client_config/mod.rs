//! `mailbell client-config CLIENT`: the block that connects a client to mailbell, printed or written into its file.
//!
//! A block over HTTP names the variable `MAILBELL_TOKEN`, in that client's own syntax, and no token. Where a client cannot
//! name one (Claude Desktop speaks stdio alone), `--token-stdin` puts the token itself into the block; it is never written
//! into a git work tree, from which it would be pushed.

mod block;
mod file;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use url::Url;

use self::block::{Client, Connection};
use super::{
    Failure,
    answer::{Answer, tell},
};
use crate::domain::secret::Secret;

/// A token has some 60 characters; more on stdin is no token.
const TOKEN_BYTES_MAX: u64 = 1_024;

#[derive(Args)]
pub(super) struct ClientConfig {
    /// Which client
    #[arg(value_enum)]
    client: Client,
    /// Connect to a running `serve` at this URL instead of starting `mailbell mcp`
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    http: Option<Url>,
    /// The data directory that the client's `mailbell mcp` uses [default: the default one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Put the block into the client's file, beside everything else in it
    #[arg(long)]
    write: bool,
    /// That file [default: where the client looks]
    #[arg(long, value_name = "FILE", requires = "write")]
    file: Option<PathBuf>,
    /// Take the token from stdin and put it into the block, for a client that cannot take it from `MAILBELL_TOKEN`
    #[arg(long, requires = "http")]
    token_stdin: bool,
    #[command(flatten)]
    answer: Answer,
}

impl ClientConfig {
    pub(super) fn run(self) -> Result<(), Failure> {
        let connection = self.connection()?;
        let block = block::of(self.client, &connection)?;
        let mut hint = None;
        if let Connection::Http { token: None, .. } = connection {
            hint = Some(match self.client {
                Client::ClaudeDesktop => {
                    "Claude Desktop passes no variables on, so its file has to hold the token: pipe what `mailbell \
                     token show mcp` prints into this, with --token-stdin"
                }
                _ => "set MAILBELL_TOKEN where the client runs, to what `mailbell token show mcp` prints",
            });
        }
        if let (Some(hint), false) = (hint, self.answer.is_json()) {
            tell(format_args!("mailbell: {hint}"));
        }
        if !self.write {
            let place = default_file(self.client)?;
            let alone = block.alone();
            if !self.answer.is_json() {
                tell(format_args!("mailbell: this belongs into {}; --write puts it there", place.display()));
            }
            return self.answer.give(json!({ "file": place, "block": alone, "hint": hint }), alone.trim_end());
        }
        let path = match self.file {
            Some(path) => path,
            None => default_file(self.client)?,
        };
        let tells_a_token = matches!(&connection, Connection::Http { token: Some(_), .. });
        let written = file::merge(&path, &block, tells_a_token)?;
        let (said, changed, backup) = match written {
            file::Written::Same => (format!("{} says so already", path.display()), false, None),
            file::Written::New => (format!("{} is written", path.display()), true, None),
            file::Written::Merged { backup } => {
                let said = format!("{} is written; as it was before, it is in {}", path.display(), backup.display());
                (said, true, Some(backup))
            }
        };
        self.answer.give(json!({ "file": path, "changed": changed, "backup": backup, "hint": hint }), said)
    }

    fn connection(&self) -> Result<Connection, Failure> {
        let binary = std::env::current_exe()?;
        let Some(url) = &self.http else {
            let data_dir = self.data_dir.as_deref().map(std::path::absolute).transpose()?;
            return Ok(Connection::Stdio { binary, data_dir });
        };
        let bare = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        if !bare || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "--http takes the plain `mcp` address of a `mailbell serve`, such as http://127.0.0.1:7411/mcp; the \
                        token belongs into the variable MAILBELL_TOKEN, never into a URL"
                    .into(),
            );
        }
        let token = if self.token_stdin { Some(token_from_stdin()?) } else { None };
        Ok(Connection::Http { url: url.clone(), binary, token })
    }
}

fn token_from_stdin() -> Result<Secret, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    let token = text.trim();
    let fine = token.starts_with("mb_") && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !fine {
        return Err("stdin holds no token of mailbell; pipe in what `mailbell token show mcp` prints".into());
    }
    if token.starts_with("mb_operator_") {
        return Err(
            "that is the operator's token, which no agent may have; give what `mailbell token show mcp` prints".into(),
        );
    }
    Ok(Secret::new(token))
}

/// Where a client looks for servers: its user's own file, and for Claude Code the one of the directory it is started in.
fn default_file(client: Client) -> Result<PathBuf, Failure> {
    if client == Client::ClaudeCode {
        return Ok(PathBuf::from(".mcp.json"));
    }
    let home =
        etcetera::home_dir().map_err(|_| "there is no home directory; name the client's file with --file FILE")?;
    let desktop = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };
    Ok(home.join(match client {
        Client::ClaudeCode => Path::new(".mcp.json").to_owned(),
        Client::ClaudeDesktop => Path::new(desktop).join("Claude/claude_desktop_config.json"),
        Client::Vscode => Path::new(desktop).join("Code/User/mcp.json"),
        Client::Cursor => Path::new(".cursor/mcp.json").to_owned(),
        Client::Codex => Path::new(".codex/config.toml").to_owned(),
        Client::Gemini => Path::new(".gemini/settings.json").to_owned(),
    }))
}
