//! One try: find the endpoint, sign, post, and say what came back.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use url::Url;

use super::{
    egress::{Egress, Fault, Posted},
    schedule::{self, Outcome},
    targets::{Asker, Targets},
};
use crate::{
    domain::{
        allow_hosts::connectable,
        clock::{Clock, UnixMillis},
        id::{DeliveryId, EventId},
        secret::Secret,
        webhook::{Endpoint, SignatureFormat},
    },
    reach::Reach,
    signing::{multimail, standard_webhooks},
    store::deliveries::{Answer, Attempt, Owed},
};

/// Names the event; the same at every attempt and for every webhook that is told of it.
pub const HEADER_EVENT_ID: HeaderName = HeaderName::from_static("x-multimail-event-id");
/// Which try this is, from 1.
pub const HEADER_ATTEMPT: HeaderName = HeaderName::from_static("x-multimail-attempt");
/// Names the delivery that this one repeats because somebody asked for it.
pub const HEADER_REPLAY_OF: HeaderName = HeaderName::from_static("x-multimail-replay-of");
/// The path of our own receiver for what the mail wing sends.
pub const OWN_PATH: &str = "/hooks/multimail";

/// The way of a webhook to its endpoint: found, signed, posted, timed. Says nothing on what follows from the answer.
pub struct Dispatch {
    egress: Egress,
    targets: Targets,
    own: watch::Receiver<Option<SocketAddr>>,
    clock: Arc<dyn Clock>,
}

/// What is sent.
pub(super) struct Parcel<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The live secrets, the newest first.
    pub(super) secrets: &'a [Secret],
    pub(super) signature_format: SignatureFormat,
    pub(super) event_id: &'a EventId,
    pub(super) body: Cow<'a, [u8]>,
    /// Which try this is, from 1.
    pub(super) attempt: u32,
    /// The delivery that it repeats on demand.
    pub(super) replay_of: Option<&'a DeliveryId>,
}

impl<'a> Parcel<'a> {
    pub(super) fn of(owed: &'a Owed) -> Self {
        Self {
            endpoint: &owed.endpoint,
            secrets: &owed.secrets,
            signature_format: owed.signature_format,
            event_id: &owed.event_id,
            body: body(owed),
            attempt: owed.attempt,
            replay_of: owed.replay_of.as_ref(),
        }
    }
}

/// One event's body as it is stored; several as a JSON array of theirs, which our own receiver takes.
fn body(owed: &Owed) -> Cow<'_, [u8]> {
    if owed.endpoint != Endpoint::Own || owed.followers.is_empty() {
        return Cow::Borrowed(&owed.body);
    }
    let bodies = std::iter::once(&owed.body).chain(owed.followers.iter().map(|follower| &follower.body));
    let mut array = b"[".to_vec();
    for (at, body) in bodies.enumerate() {
        array.extend_from_slice(if at == 0 { b"" } else { b"," });
        array.extend_from_slice(body);
    }
    array.push(b']');
    Cow::Owned(array)
}

impl Dispatch {
    /// A way out by `egress`, to what `targets` allow; `own` tells where our own receiver listens, while it does.
    pub fn new(
        egress: Egress,
        targets: Targets,
        own: watch::Receiver<Option<SocketAddr>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { egress, targets, own, clock }
    }

    /// Where our own receiver listens, while it does.
    pub(super) fn own(&self) -> &watch::Receiver<Option<SocketAddr>> {
        &self.own
    }

    /// One try, timed.
    pub(super) async fn attempt(&self, parcel: Parcel<'_>) -> (Attempt, Outcome) {
        let at = self.clock.now();
        let began = self.clock.boot_millis();
        let posted = match self.target(parcel.endpoint) {
            Ok((url, reach)) => match headers(&parcel, at) {
                Some(headers) => self.egress.post(&url, reach, headers, parcel.body.into_owned()).await,
                None => Posted::Failed(Fault::Unsendable),
            },
            Err(fault) => Posted::Failed(fault),
        };
        let (answer, outcome, response_bytes) = match posted {
            Posted::Responded { status, retry_after, bytes } => {
                let retry_after = retry_after.and_then(|header| schedule::retry_after(&header, self.clock.now()));
                (Answer::Status(status), Outcome::Responded { status, retry_after }, bytes)
            }
            Posted::Failed(fault) => (Answer::Fault(fault.as_str().to_owned()), Outcome::Failed, 0),
        };
        let duration_millis = self.clock.boot_millis().saturating_sub(began);
        (Attempt { number: parcel.attempt, at, answer, duration_millis, response_bytes }, outcome)
    }

    /// Posts a notice to the operator or to whoever oversees a mailbox: signed by `secret`, and known by `id` at every try.
    /// Answers with the status, or the word for why there is none.
    pub async fn notice(
        &self,
        endpoint: &Endpoint,
        secret: &Secret,
        id: &str,
        body: &[u8],
        attempt: u32,
    ) -> Result<u16, String> {
        let parcel = Parcel {
            endpoint,
            secrets: std::slice::from_ref(secret),
            signature_format: SignatureFormat::Hex,
            event_id: &EventId::new(id),
            body: body.into(),
            attempt,
            replay_of: None,
        };
        match self.attempt(parcel).await.0.answer {
            Answer::Status(status) => Ok(status),
            Answer::Fault(fault) => Err(fault),
        }
    }

    /// Where an endpoint is now, if it may still be reached.
    fn target(&self, endpoint: &Endpoint) -> Result<(Url, Reach), Fault> {
        match endpoint {
            Endpoint::Own => {
                let address = self.own.borrow().ok_or(Fault::Connect)?;
                let url = format!("http://{}{OWN_PATH}", connectable(address));
                let url = url.parse().map_err(|_| Fault::Unsendable)?;
                // Our own receiver is at this machine, though it may listen on an address that others reach too.
                let reach = if connectable(address).ip().is_loopback() { Reach::Loopback } else { Reach::Own };
                Ok((url, reach))
            }
            // Registration has asked who asks; what remains is whether the settings still allow the target.
            Endpoint::Url(url) => {
                self.targets.admit(url, Asker::House).map(|reach| (url.clone(), reach)).map_err(|_| Fault::NotAllowed)
            }
        }
    }
}

/// The headers of one try, signed now; none if something in them cannot stand in a header. A MultiMail signature is one, so it
/// is the newest secret's: whoever rotates has the new one to put into the receiver, and what is refused until then is
/// tried again.
fn headers(parcel: &Parcel<'_>, at: UnixMillis) -> Option<HeaderMap> {
    let newest = parcel.secrets.first()?;
    let digest = multimail::sign(newest, &parcel.body);
    let prefixed = format!("{}{digest}", multimail::SPELLING_PREFIX);
    let signature = match parcel.signature_format {
        SignatureFormat::Hex => digest,
        SignatureFormat::Sha256Prefixed => prefixed.clone(),
    };
    let timestamp_secs = at.0.div_euclid(1000);
    // Standard Webhooks lets a header carry one signature per live secret, so that a receiver may change over in peace.
    let each: Vec<_> = parcel
        .secrets
        .iter()
        .map(|secret| standard_webhooks::sign(secret, parcel.event_id.as_str(), timestamp_secs, &parcel.body))
        .collect();
    let pairs = [
        (HeaderName::from_static(multimail::HEADER), signature),
        (HeaderName::from_static(multimail::HEADER_SHA256), prefixed),
        (HEADER_EVENT_ID, parcel.event_id.to_string()),
        (HEADER_ATTEMPT, parcel.attempt.to_string()),
        (HeaderName::from_static(standard_webhooks::HEADER_ID), parcel.event_id.to_string()),
        (HeaderName::from_static(standard_webhooks::HEADER_TIMESTAMP), timestamp_secs.to_string()),
        (HeaderName::from_static(standard_webhooks::HEADER_SIGNATURE), each.join(" ")),
    ];
    let mut headers = HeaderMap::with_capacity(pairs.len() + 2);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in pairs {
        headers.insert(name, HeaderValue::try_from(value).ok()?);
    }
    if let Some(original) = parcel.replay_of {
        headers.insert(HEADER_REPLAY_OF, HeaderValue::try_from(original.as_str()).ok()?);
    }
    Some(headers)
}
