//! Dialects of webhooks: bytes in, events out. No I/O, no clock: secrets and the time are passed in.
//!
//! One file a provider. Nothing here parses a body before its signature is checked: [`Dialect::normalise`] takes a
//! [`Verified`], and only code under this module can make one.

mod fields;
pub mod multimail;

use crate::domain::{
    clock::UnixMillis,
    event::{Auth, NewEvent},
    secret::Secret,
};

/// What was posted, before anybody believes it.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    /// Header names in lower case, with their values; those whose value is no text are left out.
    pub headers: Vec<(String, String)>,
    /// The body, to the byte.
    pub body: Vec<u8>,
}

impl RawRequest {
    /// The values of a header, in their order.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }
}

/// A request that a dialect has vouched for. Only code under `sources` can mint one.
#[derive(Debug)]
pub struct Verified<'a> {
    request: &'a RawRequest,
    auth: Auth,
    sent_now: bool,
}

impl<'a> Verified<'a> {
    pub(in crate::bell::sources) fn vouch(request: &'a RawRequest, auth: Auth, sent_now: bool) -> Self {
        Self { request, auth, sent_now }
    }

    /// How the source proved itself.
    pub fn auth(&self) -> Auth {
        self.auth
    }

    /// Whether the signature covers when the request was sent, and that was just now. Without that, anybody who once saw
    /// the request can send it again, and only its event's own `timestamp` tells how old it is.
    pub fn sent_now(&self) -> bool {
        self.sent_now
    }
}

/// Why a request is not its source's. For the log and the counters; whoever posted it is told none of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It carries no signature.
    #[error("the request carries no signature")]
    Missing,
    /// It carries none that a live secret of the source would make.
    #[error("no live secret of the source makes the request's signature")]
    Wrong,
}

/// Why a verified body was not understood: which field, and what is expected there. Never what the body said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// How one provider signs and spells its webhooks.
pub trait Dialect: Send + Sync {
    /// The name that a source is configured with.
    fn name(&self) -> &'static str;

    /// The largest body it takes, in bytes.
    fn body_bytes_max(&self) -> usize;

    /// Whether `request` was made by somebody who holds one of `secrets`.
    fn verify<'a>(
        &self,
        request: &'a RawRequest,
        secrets: &[Secret],
        now: UnixMillis,
    ) -> Result<Verified<'a>, Rejection>;

    /// What the request tells: a batch is understood as a whole or not at all.
    fn normalise(&self, verified: &Verified<'_>) -> Result<Vec<NewEvent>, Malformed>;
}

/// Every dialect.
static DIALECTS: [&dyn Dialect; 1] = [&multimail::MultiMail];

/// The dialect of that name, if there is one.
pub fn dialect(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.into_iter().find(|dialect| dialect.name() == name)
}

/// The names of every dialect, for whoever asks for another.
pub fn names() -> impl Iterator<Item = &'static str> {
    DIALECTS.into_iter().map(Dialect::name)
}
