//! Dialects of webhooks: bytes in, events out. No I/O, no clock: secrets and the time are passed in.
//!
//! One file a provider. Nothing here parses a body before its signature is checked: [`Dialect::normalise`] takes a
//! [`Verified`], and only code under this module can make one. Where a provider puts the signature inside the body, its
//! dialect reads just those fields before.

mod carried;
mod certificate;
#[cfg(test)]
mod documented;
mod event;
mod failure;
mod fields;
mod form;
mod generic;
mod json;
mod mailgun;
pub mod manual;
pub mod multimail;
mod postmark;
mod rewritten;
#[cfg(test)]
mod samples;
mod sendgrid;
mod ses;
pub mod settings;
mod shared;
mod svix;
mod vocabulary;

pub(super) use self::rewritten::is_rewritten;
pub use self::{
    carried::{Carried, CarriedFile, Remainder},
    certificate::Certificate,
    failure::Label,
    vocabulary::{Meaning, Row},
};

use url::Url;

use self::{manual::Manual, settings::Settings};
use crate::domain::{
    clock::UnixMillis,
    event::{Auth, NewEvent},
    secret::Secret,
};

/// A webhook holds one event of a few KiB, or a batch of them; more is a mistake or an attack.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Messages that come in with attachments of 40 MB, which JSON carries in base64: a third more.
const INBOUND_BODY_BYTES_MAX: usize = 64 << 20;

/// What was posted, before anybody believes it.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    /// Header names in lower case, with their values; those whose value is no text are left out.
    pub headers: Vec<(String, String)>,
    /// What follows the source's name in the path, where something does: for providers that sign nothing.
    pub token: Option<Secret>,
    /// The body, to the byte.
    pub body: Vec<u8>,
}

impl RawRequest {
    /// The values of a header, in their order.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The value of a header that must be there once: of two, nobody can say which was signed.
    fn sole_header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.header(name);
        values.next().filter(|_| values.next().is_none())
    }
}

/// What a source is checked with.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// Its live secrets: any of them vouches.
    pub secrets: &'a [Secret],
    /// How it is set up.
    pub settings: &'a Settings,
    /// What was fetched from where [`Dialect::certificate`] says.
    pub certificate: Option<&'a Certificate>,
}

/// A request that a dialect has vouched for. Only code under `sources` can mint one.
#[derive(Debug)]
pub struct Verified<'a> {
    request: &'a RawRequest,
    auth: Auth,
    sent_now: bool,
    now: UnixMillis,
    once: Option<String>,
}

impl<'a> Verified<'a> {
    pub(in crate::bell::sources) fn vouch(
        request: &'a RawRequest,
        auth: Auth,
        sent_now: bool,
        now: UnixMillis,
    ) -> Self {
        Self { request, auth, sent_now, now, once: None }
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

    /// A token that may come with these events and with no others: for schemes whose signature does not cover the body.
    pub fn once(&self) -> Option<&str> {
        self.once.as_deref()
    }

    fn body(&self) -> &'a [u8] {
        &self.request.body
    }
}

/// Why a request is not its source's. For the log and the counters; whoever posted it is told none of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It carries no signature, or not all that belongs to one.
    Missing,
    /// It carries none that a live secret of the source would make.
    Wrong,
    /// It carries one that fits the body only if its blanks or line ends are put back.
    Rewritten,
    /// It was signed too long ago, or in the future.
    Stale,
    /// It lists more signatures than anybody needs.
    TooMany,
    /// Its single-use token came before, with other events.
    Replayed,
    /// It comes from a topic that the source is not set to.
    Topic,
    /// It names a certificate that is none of its provider's, or that is not valid now.
    Certificate,
    /// It came without the envelope that carries the signature.
    Raw,
}

impl Rejection {
    /// The same sentence, for counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "the request carries no signature",
            Self::Wrong => "no live secret of the source makes the request's signature",
            Self::Rewritten => {
                "the body is not as it was signed: something on the way wrote it anew, with other blanks or line ends"
            }
            Self::Stale => "the signature's timestamp is too far from this machine's clock",
            Self::TooMany => "the request lists too many signatures",
            Self::Replayed => "the request's single-use token was used before",
            Self::Topic => {
                "the request comes from a topic that this source is not set to; remove it, and add it again with --topic"
            }
            Self::Certificate => "the request names a certificate that is none of its provider's, or not valid now",
            Self::Raw => {
                "the request came without its envelope and its signature; turn raw message delivery off in the subscription"
            }
        }
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Rejection {}

/// Why a verified body was not understood: which field, and what is expected there. Never what the body said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// How one provider signs and spells its webhooks.
pub trait Dialect: Send + Sync {
    /// The name that a source is configured with.
    fn name(&self) -> &'static str;

    /// What people are told of it.
    fn manual(&self) -> Manual;

    /// The largest body it takes, in bytes.
    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    /// What a body is answered that is signed and not understood: the status with which its provider stops sending it.
    fn unreadable_status(&self) -> u16 {
        400
    }

    /// Whether a request whose body is not here yet may be one: where the head alone proves who sends it, a stranger's
    /// large body is not read.
    fn admits(&self, _head: &RawRequest, _keys: &Keys<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    /// What is wrong with how a source is set up, in a sentence.
    fn check(&self, _settings: &Settings) -> Result<(), String> {
        Ok(())
    }

    /// Where the certificate lies that `request` is checked with, where its scheme has it name one: an address of its
    /// provider's own, and only for a request that may yet be this source's.
    fn certificate(
        &self,
        _request: &RawRequest,
        _settings: &Settings,
        _now: UnixMillis,
    ) -> Result<Option<Url>, Rejection> {
        Ok(None)
    }

    /// What has to be asked for before the provider sends more: an address of its own, that came signed.
    fn confirmation(&self, _verified: &Verified<'_>) -> Result<Option<Url>, Malformed> {
        Ok(None)
    }

    /// Whether `request` was made by somebody who holds one of the keys.
    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection>;

    /// What the request tells: a batch is understood as a whole or not at all.
    fn normalise(&self, verified: &Verified<'_>, settings: &Settings) -> Result<Vec<NewEvent>, Malformed>;

    /// What the request carries of the message that it tells of, where it tells that one came in.
    fn carried(&self, _verified: &Verified<'_>) -> Option<Carried> {
        None
    }

    /// The provider's API, where that has more of a message than its webhooks carry.
    fn remainder(&self) -> Option<&'static dyn Remainder> {
        None
    }

    /// A request that `secret` would make now, to see that it comes through; none where no secret of ours makes one.
    fn sample(&self, _secret: &Secret, _settings: &Settings, _now: UnixMillis) -> Option<RawRequest> {
        None
    }
}

/// The name of what a sample tells: none that anything can happen as.
pub const SAMPLE: &str = "mailbell.test";

/// Every dialect.
static DIALECTS: [&dyn Dialect; 10] = [
    &multimail::MultiMail,
    &svix::StandardWebhooks,
    &svix::resend::Resend,
    &svix::agentmail::AgentMail,
    &sendgrid::SendGrid,
    &sendgrid::inbound::InboundParse,
    &mailgun::Mailgun,
    &postmark::Postmark,
    &ses::Ses,
    &generic::Generic,
];

/// The dialect of that name, if there is one.
pub fn dialect(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.into_iter().find(|dialect| dialect.name() == name)
}

/// The names of every dialect, for whoever asks for another.
pub fn names() -> impl Iterator<Item = &'static str> {
    DIALECTS.into_iter().map(Dialect::name)
}

/// What is wrong with how a source is set up, in a sentence: its dialect's name, and its settings as they are stored.
pub fn check(name: &str, stored: &str) -> Result<(), String> {
    let dialect =
        dialect(name).ok_or_else(|| format!("this version of mailbell does not know the dialect `{name}`"))?;
    dialect.check(&Settings::read(stored).map_err(|error| format!("{error}; remove it and add it again"))?)
}

/// Whether a signed time lies within what the source tolerates, either way.
fn is_near(timestamp_secs: i64, settings: &Settings, now: UnixMillis) -> bool {
    let age_secs = now.0.div_euclid(1000).saturating_sub(timestamp_secs);
    age_secs.unsigned_abs() <= settings.tolerance().as_secs()
}

/// A timestamp as schemes sign it: whole seconds, spelled in the one way that has no sign and no leading zero.
fn plain_seconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|secs: &i64| *secs >= 0 && secs.to_string() == text)
}
