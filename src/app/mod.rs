//! The roof: where concrete parts meet and become a running house.
//!
//! Every process of a data directory is a [`resident::Resident`]: it has a [`bell_side::BellSide`] and an agent's side. The
//! one that keeps the directory has a [`term::Term`] besides: the listeners, the embedded mail service and its workers.
//! [`house::House`] is a `serve`, which keeps it from start to end; [`succession::Neighbour`] is a `mailbell mcp`, which keeps
//! it whenever nobody else does. [`keeper`] says who does, [`local_socket`] connects them.

mod agent_side;
pub mod audit_key;
pub mod backup;
pub mod bell_side;
mod console;
pub mod data_dir;
pub mod house;
pub mod keeper;
pub mod letters;
pub mod listeners;
pub mod local_socket;
mod mail_side;
pub mod notices;
mod own_secrets;
pub mod resident;
mod retention;
mod roll;
pub mod succession;
pub mod system;
mod term;
pub mod tokens;
mod vitals;

use std::io;

use self::{
    audit_key::AuditKeyError, bell_side::BellSideError, data_dir::DataDirError, listeners::ListenError,
    tokens::TokenError,
};
use crate::{
    bell::upstream::UpstreamError,
    mail::{
        mailroom::NotAdded,
        verdict::NoResolver,
        webhooks::{registry::RegisterError, worker::LeaseTooShort},
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
    AuditKey(#[from] AuditKeyError),
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
        "another process has begun to keep this data directory, so this one has stopped; look at which of them should run, and start that one again"
    )]
    Superseded,
    #[error(
        "the disk failed while events were written, so what is on it is no longer certain; look at the log above and at the disk, then start again"
    )]
    DiskFailed,
}
