//! MultiMail's webhooks, as the embedded service and the hosted one send them.
//!
//! Several spellings of the same thing are public: flat fields or a `data` envelope, and three vocabularies of event
//! names. All are taken and end in [`payload`]. The embedded service puts several events into an array where many are owed. The signature over the body alone has no time of its own; a
//! `webhook-signature` beside it (Standard Webhooks) gives it one.

mod payload;
#[cfg(test)]
mod tests;

use super::{
    Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Row, SAMPLE, Verified, failure::Label, is_near,
    manual::Manual, plain_seconds, settings::Settings, vocabulary::row,
};
use crate::{
    domain::{
        clock::UnixMillis,
        event::{Auth, NewEvent},
        secret::Secret,
    },
    signing::{multimail, standard_webhooks},
};

/// The dialect.
pub struct MultiMail;

impl Dialect for MultiMail {
    fn name(&self) -> &'static str {
        "multimail"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    /// Costs at most two HMACs of the body for each secret.
    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        let signatures = || request.header(multimail::HEADER).chain(request.header(multimail::HEADER_SHA256));
        let timed = Timed::read(request, keys.settings, now);
        if signatures().next().is_none() && timed.is_none() {
            return Err(Rejection::Missing);
        }
        for secret in keys.secrets {
            let sent_now = timed.as_ref().is_some_and(|timed| timed.verify(secret, &request.body));
            if sent_now || multimail::verify_any(secret, &request.body, signatures()) {
                return Ok(Verified::vouch(request, Auth::HmacSha256, sent_now, now));
            }
        }
        Err(Rejection::Wrong)
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        payload::events(verified.body())
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        let body = format!(r#"{{"event_type":"{SAMPLE}","event_id":"{SAMPLE}.{}","timestamp":"{now}"}}"#, now.0);
        let signature = multimail::sign(secret, body.as_bytes());
        Some(RawRequest {
            headers: vec![(multimail::HEADER.to_owned(), signature)],
            body: body.into_bytes(),
            ..RawRequest::default()
        })
    }
}

const MANUAL: Manual = Manual {
    title: "MultiMail",
    auth: "`X-MultiMail-Signature`, an HMAC-SHA256 of the body, or the Standard Webhooks headers; `hmac-sha256`",
    secret: Some("the webhook's signing secret, as it was shown once"),
    answers: "400 to a body that is not understood, which stays in quarantine",
    steps: &["Register a webhook with the `endpoint_url` {url}, and give its `signing_secret` here."],
    fields: &[
        ("event_id", "`event_id`, or a digest of name, message, recipient and time"),
        ("mailbox", "`mailbox`"),
        ("message_id", "`message_id` or `email_id`"),
        ("thread_id", "`thread_id`"),
        ("timestamp", "`timestamp`"),
        ("bounce_code", "`bounce_code`"),
    ],
    rows: &ROWS,
};

pub(super) const ROWS: [Row; 16] = [
    row("inbound", Meaning::Inbound),
    row("message.received", Meaning::Inbound),
    row("email.received", Meaning::Inbound),
    row("delivery", Meaning::Delivery),
    row("message.delivered", Meaning::Delivery),
    row("email.delivered", Meaning::Delivery),
    row("bounce", Meaning::Bounce(Label::HARD)),
    row("message.bounced", Meaning::Bounce(Label::HARD)),
    row("email.bounced", Meaning::Bounce(Label::HARD)),
    row("complaint", Meaning::Complaint),
    row("message.complained", Meaning::Complaint),
    row("email.complained", Meaning::Complaint),
    row("open", Meaning::Open),
    row("message.opened", Meaning::Open),
    row("email.opened", Meaning::Open),
    row("message.sent", Meaning::Other),
];

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
    fn read(request: &'a RawRequest, settings: &Settings, now: UnixMillis) -> Option<Self> {
        let header = |name| request.header(name).next();
        // Only what is spelled as we would spell it, because the signature is over the text.
        let timestamp_secs = plain_seconds(header(standard_webhooks::HEADER_TIMESTAMP)?)?;
        is_near(timestamp_secs, settings, now).then_some(Self {
            id: header(standard_webhooks::HEADER_ID)?,
            timestamp_secs,
            signatures: header(standard_webhooks::HEADER_SIGNATURE)?,
        })
    }

    fn verify(&self, secret: &Secret, body: &[u8]) -> bool {
        standard_webhooks::verify(secret, self.id, self.timestamp_secs, body, self.signatures)
    }
}
