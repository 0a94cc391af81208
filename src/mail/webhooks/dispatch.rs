//! Walks one line: sign its head, post it, judge the answer, write it down, go on with the next.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use url::Url;

use super::{
    egress::{Egress, Fault, Posted},
    schedule::{self, Outcome, Standing},
    targets::{Asker, Reach, Targets},
};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        webhook::{Endpoint, SignatureFormat},
    },
    ids::Entropy,
    signing::{multimail, standard_webhooks},
    store::deliveries::{Answer, Attempt, Deliveries, Owed, Recorded, Stay},
};

/// Names the event; the same at every attempt and for every webhook that is told of it.
pub const HEADER_EVENT_ID: HeaderName = HeaderName::from_static("x-multimail-event-id");
/// Which try this is, from 1.
pub const HEADER_ATTEMPT: HeaderName = HeaderName::from_static("x-multimail-attempt");
/// The path of our own receiver for what the mail wing sends.
pub const OWN_PATH: &str = "/hooks/multimail";
/// Deliveries of one line in a row; then others get their turn.
const RUN_MAX: u32 = 32;

/// What walking a line takes.
pub(super) struct Dispatch {
    pub(super) deliveries: Arc<dyn Deliveries>,
    pub(super) egress: Egress,
    pub(super) targets: Targets,
    /// Where our own receiver listens, while it does.
    pub(super) own: watch::Receiver<Option<SocketAddr>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) lease_millis: i64,
}

impl Dispatch {
    /// Delivers what heads the line, and what comes up behind it as long as all goes well. Ends with the line free, or, if
    /// the store fails, with a lease that runs out: then what was posted is posted again.
    pub(super) async fn walk(&self, mut owed: Owed) {
        for left in (0..RUN_MAX).rev() {
            let (attempt, outcome) = self.attempt(&owed).await;
            let standing =
                Standing { created_at: owed.created_at, failures: owed.failures, failing_since: owed.failing_since };
            let verdict = schedule::verdict(outcome, standing, self.clock.now(), self.chance());
            let stay = (left > 0).then(|| Stay { boot: self.clock.boot_time(), lease_millis: self.lease_millis });
            tracing::debug!(
                delivery.id = %owed.id,
                webhook.id = %owed.webhook,
                event.id = %owed.event_id,
                attempt = attempt.number,
                answer = ?attempt.answer,
                duration_ms = attempt.duration_millis,
                verdict = ?verdict,
                "tried a delivery"
            );
            match self.deliveries.record(&owed, &attempt, &verdict, stay.as_ref()).await {
                Ok(Recorded::Next(next)) => owed = *next,
                Ok(Recorded::Kept) => return,
                Ok(Recorded::Stale) => {
                    tracing::info!(delivery.id = %owed.id, "another worker has this line now; it posts again");
                    return;
                }
                Err(error) => {
                    tracing::error!(
                        delivery.id = %owed.id,
                        error = &error as &(dyn std::error::Error + 'static),
                        "could not record an attempt; it is made again when the lease is over"
                    );
                    return;
                }
            }
        }
    }

    /// One try, timed.
    async fn attempt(&self, owed: &Owed) -> (Attempt, Outcome) {
        let at = self.clock.now();
        let began = self.clock.boot_time();
        let posted = match self.target(&owed.endpoint) {
            Ok((url, reach)) => match headers(owed, at) {
                Some(headers) => self.egress.post(&url, reach, headers, owed.body.clone()).await,
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
        let duration_millis = self.clock.boot_time().millis.saturating_sub(began.millis);
        (Attempt { number: owed.attempt, at, answer, duration_millis, response_bytes }, outcome)
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

    fn chance(&self) -> u16 {
        let mut bytes = [0; 2];
        self.entropy.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }
}

/// Where to connect to reach a listener at this machine: one that listens everywhere is reached by loopback.
fn connectable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The headers of one try, signed now; none if something in them cannot stand in a header.
fn headers(owed: &Owed, at: UnixMillis) -> Option<HeaderMap> {
    let newest = owed.secrets.first()?;
    let digest = multimail::sign(newest, &owed.body);
    let prefixed = format!("{}{digest}", multimail::SPELLING_PREFIX);
    let signature = match owed.signature_format {
        SignatureFormat::Hex => digest,
        SignatureFormat::Sha256Prefixed => prefixed.clone(),
    };
    let timestamp_secs = at.0.div_euclid(1000);
    // Standard Webhooks lets a header carry one signature per live secret, so that a receiver may change over in peace.
    let each: Vec<_> = owed
        .secrets
        .iter()
        .map(|secret| standard_webhooks::sign(secret, owed.event_id.as_str(), timestamp_secs, &owed.body))
        .collect();
    let pairs = [
        (HeaderName::from_static(multimail::HEADER), signature),
        (HeaderName::from_static(multimail::HEADER_SHA256), prefixed),
        (HEADER_EVENT_ID, owed.event_id.to_string()),
        (HEADER_ATTEMPT, owed.attempt.to_string()),
        (HeaderName::from_static(standard_webhooks::HEADER_ID), owed.event_id.to_string()),
        (HeaderName::from_static(standard_webhooks::HEADER_TIMESTAMP), timestamp_secs.to_string()),
        (HeaderName::from_static(standard_webhooks::HEADER_SIGNATURE), each.join(" ")),
    ];
    let mut headers = HeaderMap::with_capacity(pairs.len() + 1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in pairs {
        headers.insert(name, HeaderValue::try_from(value).ok()?);
    }
    Some(headers)
}
