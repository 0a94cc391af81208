//! `SendGrid`'s Event Webhook: a batch of events, signed over its raw bytes, which may end in a CRLF that counts.
//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>
//!
//! Inbound Parse, which signs nothing, is a dialect of its own ([`inbound`]): who knows the public key must not be able to pass
//! it off as a shared secret.

pub(super) mod inbound;
#[cfg(test)]
mod tests;

use super::{
    Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Row, Verified,
    event::{Told, derived_id},
    failure::{Failure, Label},
    is_near,
    json::{self, Json},
    manual::Manual,
    plain_seconds,
    settings::Settings,
    vocabulary::{meaning, row},
};
use crate::{
    domain::{
        clock::UnixMillis,
        event::{Auth, NewEvent},
    },
    signing::ecdsa,
};

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";
/// `SendGrid` posts a batch when it has 768 KB of events, or after a second.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The dialect.
pub(super) struct SendGrid;

impl Dialect for SendGrid {
    fn name(&self) -> &'static str {
        "sendgrid"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        let signature = request.sole_header(SIGNATURE).ok_or(Rejection::Missing)?;
        let timestamp = request.sole_header(TIMESTAMP).ok_or(Rejection::Missing)?;
        let timestamp_secs = plain_seconds(timestamp).ok_or(Rejection::Stale)?;
        if !is_near(timestamp_secs, keys.settings, now) {
            return Err(Rejection::Stale);
        }
        let points = keys.secrets.iter().filter_map(ecdsa::public_key);
        let signed = [timestamp.as_bytes(), &request.body];
        let vouched = points.into_iter().any(|point| ecdsa::verify(&point, &signed, signature));
        if vouched { Ok(Verified::vouch(request, Auth::EcdsaP256, true, now)) } else { Err(Rejection::Wrong) }
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        let body = json::body(verified)?;
        Ok(Json::of(&body).batch()?.into_iter().map(|one| event(one, verified.now)).collect())
    }
}

fn event(one: Json<'_>, now: UnixMillis) -> NewEvent {
    let text = |name: &str| one.at(name).owned();
    let name = text("event").unwrap_or_default();
    let key = match text("type").or_else(|| text("reason")) {
        Some(detail) if name == "bounce" || name == "dropped" => format!("{name}/{detail}"),
        _ => name.clone(),
    };
    let (email, at) = (text("email"), text("timestamp"));
    // What stands before the first dot is the message's; the rest names a server and a recipient.
    let message = text("sg_message_id").map(|id| id.split('.').next().unwrap_or_default().to_owned());
    let message = message.filter(|id| !id.is_empty()).or_else(|| text("smtp-id"));
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let id = text("sg_event_id")
        .unwrap_or_else(|| derived_id(&[&name, &part(&email), &part(&message), &part(&at), &part(&text("url"))]));
    let said = text("reason").or_else(|| text("response"));
    let (status, response) = (text("status"), text("response"));
    let told = Told {
        id,
        at: one.at("timestamp").moment(),
        message,
        recipient: email,
        response: response.as_deref(),
        failure: Failure { status: status.as_deref(), diagnostic: said.as_deref(), ..Failure::default() },
        machine: one.at("sg_machine_open").flag(),
        name,
        ..Told::default()
    };
    told.event(meaning(&ROWS, &key), now)
}

const ROWS: [Row; 22] = [
    row("delivered", Meaning::Delivery),
    row("bounce", Meaning::Bounce(Label::HARD)),
    row("bounce/bounce", Meaning::Bounce(Label::HARD)),
    row("bounce/expired", Meaning::Bounce(Label::SOFT.because("timeout"))),
    row("bounce/blocked", Meaning::Bounce(Label::SOFT.because("blocked"))),
    row("blocked", Meaning::Bounce(Label::SOFT.because("blocked"))),
    row("deferred", Meaning::Bounce(Label::DEFERRED)),
    row("dropped", Meaning::Bounce(Label::HARD.because("dropped"))),
    row("dropped/Bounced Address", Meaning::Bounce(Label::SUPPRESSED)),
    row("dropped/Unsubscribed Address", Meaning::Bounce(Label::SUPPRESSED)),
    row("dropped/Spam Reporting Address", Meaning::Bounce(Label::SUPPRESSED)),
    row("dropped/Invalid", Meaning::Bounce(Label::SUPPRESSED)),
    row("dropped/Spam Content (if Spam Checker app is enabled)", Meaning::Bounce(Label::HARD.because("content"))),
    row("spamreport", Meaning::Complaint),
    row("open", Meaning::Open),
    row("processed", Meaning::Other),
    row("click", Meaning::Other),
    row("unsubscribe", Meaning::Other),
    row("group_unsubscribe", Meaning::Other),
    row("group_resubscribe", Meaning::Other),
    row("account_status_change", Meaning::Other),
    row("machine_opened", Meaning::Open),
];

const MANUAL: Manual = Manual {
    title: "SendGrid, Event Webhook",
    auth: "`X-Twilio-Email-Event-Webhook-Signature`: ECDSA on P-256 over timestamp and body, within 300 s; `ecdsa-p256`",
    secret: Some("the webhook's verification key (a public key in base64)"),
    answers: "400 to a body that is not understood, which stays in quarantine; SendGrid tries for 24 hours",
    steps: &[
        "In SendGrid open Settings, Mail Settings, Event Webhooks, and create a webhook.",
        "Set the post URL to {url} and choose all deliverability and engagement events.",
        "Under Security features enable Signed Event Webhook, save, and copy the verification key.",
    ],
    fields: &[
        ("event_id", "`sg_event_id`, or a digest of event, email, message, time and url"),
        ("timestamp", "`timestamp`"),
        ("message_id", "`sg_message_id` up to its first dot, or `smtp-id`"),
        ("recipient", "`email`"),
        ("bounce_code", "`status`, or a code in `reason` or `response`"),
        ("diagnostic", "`reason` or `response`"),
        ("machine", "`sg_machine_open`"),
        ("smtp_response", "`response`"),
    ],
    rows: &ROWS,
};
