//! `mailbell token`: shows the tokens that clients need, makes more for agents, ends them, and makes the operator's.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{Failure, Where, answer::Answer, time_and_ids};
use crate::{
    app::{bell_side::open_bell_store, tokens},
    domain::{
        address::Address,
        clock::UnixMillis,
        grant::{Grant, Mailboxes, May},
        secret::Secret,
    },
    store::tokens::{TokenScope, Tokens as _},
};

#[derive(Subcommand)]
pub(super) enum Token {
    /// Print a client's token
    Show(Show),
    /// Make a token for an agent; it is printed this once
    Create(Create),
    /// Show every token, without its secret
    List(List),
    /// End a token: its waits, streams and sessions end at once, and its leases are given back
    Revoke(Revoke),
    /// Make the operator's token, or replace it; only on a terminal
    Operator(Operator),
}

#[derive(Args)]
pub(super) struct Show {
    /// Whose
    name: Name,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// For agents that connect by HTTP
    Mcp,
    /// For clients of the embedded service's API
    Api,
}

#[derive(Args)]
pub(super) struct Operator {
    #[command(flatten)]
    place: Where,
}

#[derive(Args)]
pub(super) struct Create {
    /// Names it in lists and in the audit record
    name: String,
    /// Whether its bearer may change anything
    #[arg(long, default_value = "act")]
    scope: Scope,
    /// Narrow it to this mailbox; may be given again
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Vec<Address>,
    /// A person sits before the bearer's program and may be asked to approve
    #[arg(long)]
    human_present: bool,
    /// When it ends by itself: so many hours or days from now, such as 12h or 30d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    expires: Option<i64>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scope {
    /// Only read: no sending, tagging, leasing, registering
    Read,
    /// All that agents may
    Act,
}

#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
pub(super) struct Revoke {
    /// Whose
    name: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
}

/// A span in milliseconds.
fn span(text: &str) -> Result<i64, String> {
    let wrong = || "is a whole number with h or d, such as 12h or 30d, of ten years at most".to_owned();
    let (number, hours) = match text.strip_suffix('h') {
        Some(number) => (number, 1),
        None => (text.strip_suffix('d').ok_or_else(wrong)?, 24),
    };
    let hours = number.parse::<i64>().map_err(|_| wrong())?.checked_mul(hours).ok_or_else(wrong)?;
    if (1..=10 * 366 * 24).contains(&hours) { Ok(hours * 3_600_000) } else { Err(wrong()) }
}

impl Token {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run(),
            Self::Create(create) => create.run().await,
            Self::List(list) => list.run().await,
            Self::Revoke(revoke) => revoke.run().await,
            Self::Operator(operator) => operator.run().await,
        }
    }
}

impl Show {
    fn run(self) -> Result<(), Failure> {
        let name = match self.name {
            Name::Mcp => tokens::MCP,
            Name::Api => tokens::API,
        };
        match self.place.open()?.token(name)? {
            Some(token) => self.answer.give(json!({ "name": name, "token": token }), &token),
            None => Err("there is no token yet; the first `mailbell serve` on this data directory makes it".into()),
        }
    }
}

impl Create {
    async fn run(self) -> Result<(), Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        let grant = Grant {
            may: match self.scope {
                Scope::Read => May::Read,
                Scope::Act => May::Act,
            },
            mailboxes: Mailboxes::only(self.mailbox.iter().map(ToString::to_string).collect()),
            human_present: self.human_present,
            expires_at: self.expires.map(|span| UnixMillis(clock.now().0 + span)),
        };
        let token = tokens::create(&self.name, &grant, &store, &*clock, &ids).await?;
        self.answer.give(json!({ "name": self.name, "grant": grant, "token": token.expose() }), token.expose())
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let store = open_bell_store(&self.place.open()?, &time_and_ids().1).await?;
        for token in store.tokens().await? {
            let Grant { may, mailboxes, human_present, expires_at } = &token.grant;
            let may = if token.scope == TokenScope::Operator { "operator" } else { may.as_str() };
            let of = mailboxes.named().map_or_else(|| "all mailboxes".to_owned(), |named| named.join(", "));
            let human = if *human_present { ", a person is present" } else { "" };
            let ends = expires_at.map(|at| format!(", ends {at}")).unwrap_or_default();
            let line = format!("{:<20} {may:<8} {of}{human}, made {}{ends}", token.name, token.created_at);
            self.answer.give(&token, line)?;
        }
        Ok(())
    }
}

impl Revoke {
    async fn run(self) -> Result<(), Failure> {
        if self.name == tokens::OPERATOR {
            return Err("the operator token is replaced, not revoked: `mailbell token operator`, on a terminal".into());
        }
        let (clock, ids) = time_and_ids();
        let dir = self.place.open()?;
        let store = open_bell_store(&dir, &ids).await?;
        if !tokens::revoke(&self.name, &dir, &store, &*clock).await? {
            return Err(format!("there is no token {:?}; `mailbell token list` shows all", self.name).into());
        }
        let more = if self.name == tokens::MCP { "; the next start of mailbell makes a new one" } else { "" };
        let said = format!("the token {} is revoked{more}", self.name);
        self.answer.give(json!({ "name": self.name, "revoked": true }), said)
    }
}

impl Operator {
    async fn run(self) -> Result<(), Failure> {
        let (terminal_in, mut terminal_out) = (std::io::stdin(), std::io::stderr());
        if !terminal_in.is_terminal() || !terminal_out.is_terminal() {
            return Err("the operator token is made on a terminal only; or name a file for the first start with `serve --operator-token-file FILE`".into());
        }
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        let present = if store.has_token(tokens::OPERATOR).await? {
            write!(terminal_out, "There is an operator token already. To replace it, give it: ")?;
            terminal_out.flush()?;
            let mut line = String::new();
            terminal_in.read_line(&mut line)?;
            Some(Secret::new(line.trim()))
        } else {
            None
        };
        let token = tokens::replace_operator(present.as_ref(), &store, &*clock, &ids).await?;
        writeln!(terminal_out, "The operator token, shown this once:\n{}", token.expose())?;
        Ok(())
    }
}
