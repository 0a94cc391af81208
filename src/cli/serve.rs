//! `mailbell serve`: the whole house, until a signal ends it.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Settings, Where, plan, say};
use crate::app::{
    house::{House, Plan},
    listeners::BusyDefault,
    tokens::ShowOperatorToken,
};

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    settings: Settings,
    /// Write the operator's token to this new file at the first start, where there is no terminal to show it on
    #[arg(long, value_name = "FILE")]
    operator_token_file: Option<PathBuf>,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let loaded = self.settings.load(&[])?;
        let dir = self.place.open()?;
        let lock = dir.keep()?;
        let operator = match self.operator_token_file {
            Some(file) => ShowOperatorToken::InFile(file),
            None if std::io::stderr().is_terminal() => ShowOperatorToken::OnTerminal,
            None => ShowOperatorToken::Nowhere,
        };
        let plan = Plan { busy: BusyDefault::Fail, operator, ..plan(dir, lock, loaded) };
        let (house, operator_token) = House::start(plan).await?;
        if let Some(token) = operator_token {
            // On the terminal, never on stdout: a program that reads the ready line is no operator.
            writeln!(
                std::io::stderr(),
                "The operator token, shown this once; keep it where no agent can read it:\n{}",
                token.expose()
            )?;
        }
        say(house.ready_line())?;
        let ended = until_ended(&house).await;
        house.close().await;
        ended
    }
}

/// Resolves at SIGTERM or SIGINT, or with what made the house end by itself.
pub(super) async fn until_ended(house: &House) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        fault = house.failed() => Err(fault.into()),
    }
}
