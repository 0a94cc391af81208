//! `mailbell token`: shows the tokens that clients need, and makes the operator's.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, Where, say, time_and_ids};
use crate::{
    app::{bell_side::open_bell_store, tokens},
    domain::secret::Secret,
    store::tokens::Tokens as _,
};

#[derive(Subcommand)]
pub(super) enum Token {
    /// Print a client's token
    Show(Show),
    /// Make the operator's token, or replace it; only on a terminal
    Operator(Operator),
}

#[derive(Args)]
pub(super) struct Show {
    /// Whose
    name: Name,
    #[command(flatten)]
    place: Where,
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

impl Token {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run(),
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
            Some(token) => say(token),
            None => Err("there is no token yet; the first `mailbell serve` on this data directory makes it".into()),
        }
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
