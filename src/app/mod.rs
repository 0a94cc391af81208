//! The roof: where concrete parts meet and become a running house.
//!
//! [`house::House`] is a whole one, in the process that keeps the data directory; [`follower::Follower`] is a process
//! beside it. Both have a [`bell_side::BellSide`] and an agent's side; only a house has the embedded mail service.

mod agent_side;
pub mod bell_side;
pub mod data_dir;
pub mod follower;
pub mod house;
pub mod listeners;
mod mail_side;
pub mod system;
pub mod tokens;

use std::io;

use self::{bell_side::BellSideError, data_dir::DataDirError, listeners::ListenError, tokens::TokenError};
use crate::{
    bell::upstream::UpstreamError,
    mail::{
        mailroom::NotAdded,
        verdict::NoResolver,
        webhooks::{egress::EgressError, registry::RegisterError, worker::LeaseTooShort},
    },
    store::{StoreError, sources::SourceError, sqlite::OpenError},
};

/// Why a house or a follower did not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each passes on what the part of its name says")]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    BellSide(#[from] BellSideError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("could not set up the receiver's own source")]
    Source(#[from] SourceError),
    #[error("could not make the first mailbox")]
    Mailbox(#[from] NotAdded),
    #[error("could not register the webhook to our own receiver")]
    Webhook(#[from] RegisterError),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error(transparent)]
    Resolver(#[from] NoResolver),
    #[error(transparent)]
    Lease(#[from] LeaseTooShort),
    #[error("could not find out where a socket listens")]
    Socket(#[source] io::Error),
    #[error("could not open the directory of raw messages")]
    Blobs(#[source] io::Error),
    #[error("could not read the certificate authority that mail.relay.ca_file names")]
    RelayCa(#[source] io::Error),
    #[error("there is no token for the mail API on this data directory; start `mailbell serve` on it once")]
    NoApiToken,
    #[error(
        "the disk failed while events were written, so what is on it is no longer certain; look at the log above and at the disk, then start again"
    )]
    DiskFailed,
}
