//! `mailbell serve`: the whole house, until a signal ends it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    pub(super) settings: Settings,
    /// Write the operator's token to this new file at the first start, where there is no terminal to show it on
    #[arg(long, value_name = "FILE")]
    operator_token_file: Option<PathBuf>,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let loaded = self.settings.load(&[])?;
        let dir = self.place.open()?;
        let lock = dir.keep_for_serve().await?;
        let operator = match self.operator_token_file {
            Some(file) => ShowOperatorToken::InFile(file),
            None if std::io::stderr().is_terminal() => ShowOperatorToken::OnTerminal,
            None => ShowOperatorToken::Nowhere,
        };
        // Before anybody can know that it runs: from here on a signal ends it cleanly.
        let signals = Signals::listen()?;
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
        tell_manager(NotifyState::Ready);
        let ended = signals.or_fault(&house).await;
        tell_manager(NotifyState::Stopping);
        house.close().await;
        ended
    }
}

/// Tells the service manager that started this process, such as systemd with `Type=notify`. Where none did, nobody is told.
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "could not tell the service manager at NOTIFY_SOCKET");
    }
}

/// The signals that end a process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes hold of them.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at SIGTERM or SIGINT.
    pub(super) async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Resolves at a signal, or with what made the house end by itself.
    pub(super) async fn or_fault(self, house: &House) -> Result<(), Failure> {
        tokio::select! {
            () = self.received() => Ok(()),
            fault = house.failed() => Err(fault.into()),
        }
    }
}
