//! A whole house: every part made, joined, listening, and in the end closed.

use std::sync::Arc;

use super::{
    StartError,
    bell_side::BellSide,
    data_dir::DataDir,
    keeper::{Addresses, KeeperLock},
    listeners::BusyDefault,
    resident::Resident,
    term::{Entry, Term},
    tokens::ShowOperatorToken,
};
use crate::{
    bell::upstream::Upstream,
    config::load::Loaded,
    domain::{clock::Clock, secret::Secret},
    ids::Entropy,
    mcp::Server,
};

/// What a house is made from.
pub struct Plan {
    /// Where everything is kept.
    pub dir: DataDir,
    /// Proves that this process keeps it.
    pub lock: KeeperLock,
    /// The settings.
    pub loaded: Loaded,
    /// Whether other processes may find it. One that stands for a single command is gone before they could use it.
    pub publish: bool,
    /// What to do about a busy default port.
    pub busy: BusyDefault,
    /// Where a first start shows the operator's token.
    pub operator: ShowOperatorToken,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// A running house.
pub struct House {
    resident: Resident,
    term: Term,
}

impl House {
    /// Makes a house and opens its doors. Returns the operator's token where this start made one for the terminal.
    pub async fn start(plan: Plan) -> Result<(Self, Option<Secret>), StartError> {
        let Plan { dir, lock, loaded, publish, busy, operator, clock, entropy } = plan;
        let resident = Resident::open(dir, loaded.clone(), Some(&lock), clock, entropy).await?;
        let entry = Entry { lock, loaded, publish, yields: false, busy, operator };
        let (term, operator_token) = Term::begin(&resident, entry).await?;
        resident.listen();
        Ok((Self { resident, term }, operator_token))
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        self.term.addresses()
    }

    /// What `serve` says on stdout, once.
    pub fn ready_line(&self) -> String {
        #[derive(serde::Serialize)]
        struct Ready<'a> {
            ready: bool,
            #[serde(flatten)]
            addresses: &'a Addresses,
        }
        let ready = Ready { ready: true, addresses: self.addresses() };
        serde_json::to_string(&ready).expect("addresses are plain texts")
    }

    /// Its bell wing.
    pub fn bell(&self) -> &BellSide {
        &self.resident.bell
    }

    /// Its client of the mail API.
    pub fn upstream(&self) -> Arc<Upstream> {
        self.resident.upstream.clone()
    }

    /// Its MCP server, to be put on stdin and stdout.
    pub fn server(&self) -> Server {
        self.resident.server.clone()
    }

    /// Resolves if the house must end by itself.
    pub async fn failed(&self) -> StartError {
        tokio::select! {
            fault = self.resident.failed() => fault,
            () = self.term.superseded() => StartError::Superseded,
        }
    }

    /// Closes the doors, lets what is in progress end, and gives the data directory back.
    pub async fn close(self) {
        self.resident.shutdown.cancel();
        self.term.close().await;
    }
}
