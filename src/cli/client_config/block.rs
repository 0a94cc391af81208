//! What each client wants to read: the same server in six spellings.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Map, Value, json};
use url::Url;

use super::Failure;
use crate::domain::secret::Secret;

/// What the server is called in every client.
pub(super) const NAME: &str = "mailbell";

/// The clients whose files we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Vscode,
    Cursor,
    Codex,
    Gemini,
}

/// How the client reaches mailbell.
pub(super) enum Connection {
    /// It starts a process of its own.
    Stdio { binary: PathBuf, data_dir: Option<PathBuf> },
    /// It connects to a `serve`, or has `binary` do so, where it cannot itself.
    Http { url: Url, binary: PathBuf, token: Option<Secret> },
}

/// A client's block: the fields of the server, and the key that all servers stand under.
pub(super) struct Block {
    pub(super) syntax: Syntax,
    /// The key of the object (JSON) or table (TOML) of all servers.
    pub(super) under: &'static str,
    pub(super) server: Map<String, Value>,
}

/// How the client's file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Toml,
}

impl Block {
    /// A whole file with the block in it and nothing else.
    pub(super) fn alone(&self) -> String {
        match self.syntax {
            Syntax::Json => {
                let whole = json!({ self.under: { NAME: self.server } });
                serde_json::to_string_pretty(&whole).expect("JSON values are written") + "\n"
            }
            Syntax::Toml => super::file::toml_with(toml_edit::DocumentMut::new(), self)
                .expect("an empty file has nothing in the way")
                .to_string(),
        }
    }
}

/// The block for `client`.
pub(super) fn of(client: Client, connection: &Connection) -> Result<Block, Failure> {
    let (syntax, under) = match client {
        Client::ClaudeCode | Client::ClaudeDesktop | Client::Cursor | Client::Gemini => (Syntax::Json, "mcpServers"),
        Client::Vscode => (Syntax::Json, "servers"),
        Client::Codex => (Syntax::Toml, "mcp_servers"),
    };
    let server = match connection {
        Connection::Stdio { binary, data_dir } => {
            let mut args = vec!["mcp".to_owned()];
            if let Some(dir) = data_dir {
                args.extend(["--data-dir".to_owned(), text(dir)?]);
            }
            let mut server = json!({ "command": text(binary)?, "args": args });
            if matches!(client, Client::ClaudeCode | Client::Vscode) {
                server["type"] = "stdio".into();
            }
            server
        }
        Connection::Http { url, binary, token } => over_http(client, url, &text(binary)?, token.as_ref()),
    };
    let Value::Object(server) = server else { unreachable!("each is written as an object above") };
    Ok(Block { syntax, under, server })
}

fn over_http(client: Client, url: &Url, binary: &str, token: Option<&Secret>) -> Value {
    let token = token.map(Secret::expose);
    let authorization = |variable: &str| format!("Bearer {}", token.unwrap_or(variable));
    match client {
        Client::ClaudeCode => {
            json!({ "type": "http", "url": url, "headers": { "Authorization": authorization("${MAILBELL_TOKEN}") } })
        }
        Client::Vscode => {
            json!({ "type": "http", "url": url, "headers": { "Authorization": authorization("${env:MAILBELL_TOKEN}") } })
        }
        Client::Cursor => {
            json!({ "url": url, "headers": { "Authorization": authorization("${env:MAILBELL_TOKEN}") } })
        }
        Client::Gemini => {
            json!({ "httpUrl": url, "headers": { "Authorization": authorization("${MAILBELL_TOKEN}") } })
        }
        Client::Codex => match token {
            None => json!({ "url": url, "bearer_token_env_var": "MAILBELL_TOKEN" }),
            Some(_) => json!({ "url": url, "http_headers": { "Authorization": authorization("") } }),
        },
        // Its file knows local servers alone, and passes on no variables but those that it names.
        Client::ClaudeDesktop => {
            let mut server = json!({ "command": binary, "args": ["mcp", "--connect", url] });
            if let Some(token) = token {
                server["env"] = json!({ "MAILBELL_TOKEN": token });
            }
            server
        }
    }
}

fn text(path: &std::path::Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or("the path is not UTF-8, which the client's file must be; move it elsewhere")?;
    Ok(text.to_owned())
}
