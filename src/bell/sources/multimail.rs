//! MultiMail's webhooks, as the embedded service and the hosted one send them.
//!
//! Several spellings of the same thing are public: flat fields or a `data` envelope, and three vocabularies of event
//! names. All are taken and end in [`payload`]. The signature over the body alone has no time of its own; a
//! `webhook-signature` beside it (Standard Webhooks) gives it one.

mod payload;
#[cfg(test)]
mod tests;

use super::{Dialect, Malformed, RawRequest, Rejection, Verified};
use crate::{
    domain::{
        clock::UnixMillis,
        event::{Auth, NewEvent},
        secret::Secret,
    },
    signing::{multimail, standard_webhooks},
};

/// A webhook holds one event of a few KiB; more is a mistake or an attack.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The dialect.
pub struct MultiMail;

impl Dialect for MultiMail {
    fn name(&self) -> &'static str {
        "multimail"
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    /// Costs at most two HMACs of the body for each secret.
    fn verify<'a>(
        &self,
        request: &'a RawRequest,
        secrets: &[Secret],
        now: UnixMillis,
    ) -> Result<Verified<'a>, Rejection> {
        let signatures = || request.header(multimail::HEADER).chain(request.header(multimail::HEADER_SHA256));
        let timed = Timed::read(request, now);
        if signatures().next().is_none() && timed.is_none() {
            return Err(Rejection::Missing);
        }
        for secret in secrets {
            let sent_now = timed.as_ref().is_some_and(|timed| timed.verify(secret, &request.body));
            if sent_now || multimail::verify_any(secret, &request.body, signatures()) {
                return Ok(Verified::vouch(request, Auth::HmacSha256, sent_now));
            }
        }
        Err(Rejection::Wrong)
    }

    fn normalise(&self, verified: &Verified<'_>) -> Result<Vec<NewEvent>, Malformed> {
        payload::event(&verified.request.body).map(|event| vec![event])
    }
}

/// The event that a message in the API's list tells of, spelled as a webhook's flat body. Its id is made of the
/// message's and of its moment.
pub fn listed(body: &serde_json::Value) -> Result<NewEvent, Malformed> {
    payload::event(body.to_string().as_bytes())
}

/// A `webhook-signature` whose timestamp is near our clock.
struct Timed<'a> {
    id: &'a str,
    timestamp_secs: i64,
    signatures: &'a str,
}

impl<'a> Timed<'a> {
    fn read(request: &'a RawRequest, now: UnixMillis) -> Option<Self> {
        let header = |name| request.header(name).next();
        let timestamp = header(standard_webhooks::HEADER_TIMESTAMP)?;
        // Only what is spelled as we would spell it, because the signature is over the text.
        let timestamp_secs = timestamp.parse().ok().filter(|secs: &i64| secs.to_string() == timestamp)?;
        let age_secs = now.0.div_euclid(1000).saturating_sub(timestamp_secs);
        let near = age_secs.unsigned_abs() <= standard_webhooks::TOLERANCE_SECS.unsigned_abs();
        near.then_some(Self {
            id: header(standard_webhooks::HEADER_ID)?,
            timestamp_secs,
            signatures: header(standard_webhooks::HEADER_SIGNATURE)?,
        })
    }

    fn verify(&self, secret: &Secret, body: &[u8]) -> bool {
        standard_webhooks::verify(secret, self.id, self.timestamp_secs, body, self.signatures)
    }
}
