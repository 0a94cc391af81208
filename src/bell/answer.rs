//! What a request to the receiver comes to.

use super::{
    fetch::FetchError,
    sources::{Malformed, Rejection},
};
use crate::{domain::id::SourceName, store::StoreError};

/// What became of a request that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Events that are new in the log.
    pub received: usize,
    /// Events that the log had already.
    pub duplicates: usize,
    /// Why events were put into quarantine instead, where some were. They need not be sent again.
    pub quarantined: Option<&'static str>,
}

/// Why a request was not taken: each is one answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such source.
    #[error("there is no source `{0}`; `mailbell source list` shows those there are")]
    UnknownSource(SourceName),
    /// The source speaks a dialect that this version does not know.
    #[error("the source `{0}` speaks a dialect that this version of mailbell does not know")]
    UnknownDialect(SourceName),
    /// Its source did not make it. Whoever posted it is not told why.
    #[error("the signature is missing or wrong")]
    Unauthenticated(#[source] Rejection),
    /// Its source made it, and it is not understood; it is in quarantine.
    #[error("the body was not understood: {malformed}")]
    Unreadable {
        /// What was not understood.
        malformed: Malformed,
        /// The status that keeps its provider from sending it again, for it will be understood no better then.
        status: u16,
    },
    /// The source is set up in a way that this version cannot read.
    #[error("the source `{0}` is set up in a way that this version of mailbell cannot read")]
    Unset(SourceName),
    /// The certificate that it names could not be fetched; it may work later.
    #[error("the certificate of the signature could not be fetched; send it again later")]
    NoCertificate(#[source] FetchError),
    /// More certificates are asked for than anybody signs with.
    #[error("too many certificates were named within a minute; send it again later")]
    TooManyCertificates,
    /// What it asks to confirm could not be confirmed; it may work later.
    #[error("the subscription could not be confirmed; send it again later")]
    Unconfirmed(#[source] FetchError),
    /// It could not be stored; it may work later.
    #[error("the events could not be stored; send them again later")]
    NotStored(#[from] StoreError),
}
