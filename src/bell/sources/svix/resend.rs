//! Resend: Svix's signatures, one event a webhook. <https://resend.com/docs/dashboard/webhooks/event-types>

use super::{
    super::{
        Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Row, SAMPLE, Verified,
        event::{Inbound, Told, is_auto, part_id},
        failure::{Failure, Label},
        json::{self, Json},
        manual::Manual,
        settings::Settings,
        vocabulary::{meaning, row},
    },
    sample, verify, webhook_id,
};
use crate::domain::{clock::UnixMillis, event::NewEvent, secret::Secret};

/// The dialect.
pub(in super::super) struct Resend;

impl Dialect for Resend {
    fn name(&self) -> &'static str {
        "resend"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        verify(request, keys, now)
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        let body = json::body(verified)?;
        let (body, id) = (Json::of(&body), webhook_id(verified));
        let name = body.at("type").owned().ok_or_else(|| Malformed("`type` must name the event".into()))?;
        let data = body.at("data");
        let bounce = data.at("bounce");
        let key = match bounce.at("type").text() {
            Some(class) if name == "email.bounced" => format!("{name}/{class}"),
            _ => name.clone(),
        };
        let row = meaning(&ROWS, &key);
        let inbound = row.meaning == Meaning::Inbound;
        // Whom the message came for where Resend says so; else the first of those that it is addressed to.
        let to = data.at("to").texts();
        let addressed = if inbound { data.at("received_for").texts() } else { to.clone() };
        let addressed = if inbound && addressed.is_empty() { to.iter().take(1).cloned().collect() } else { addressed };
        let failed = data.at("failed").at("reason").or(data.at("suppressed").at("message"));
        let diagnostic = bounce.at("message").or(failed).owned();
        let response = bounce.at("diagnosticCode").list().into_iter().find_map(Json::owned).or(diagnostic);
        let headers = data.at("headers").list();
        let headers: Vec<_> =
            headers.iter().filter_map(|one| Some((one.at("name").owned()?, one.at("value").owned()?))).collect();
        let told = |addressee: Option<String>| {
            let told = Told {
                id: part_id(&id, addressee.as_deref(), addressed.len()),
                at: moment(name.as_str(), data).or(body.at("created_at")).or(data.at("created_at")).moment(),
                mailbox: if inbound { addressee.clone() } else { data.at("from").owned() },
                message: data.at("email_id").or(data.at("id")).owned(),
                name: name.clone(),
                recipient: addressee,
                failure: Failure { diagnostic: response.as_deref(), ..Failure::default() },
                inbound: Inbound {
                    from: data.at("from").owned().unwrap_or_default(),
                    to: to.clone(),
                    subject: data.at("subject").owned().unwrap_or_default(),
                    text: data.at("text").owned().unwrap_or_default(),
                    auto: is_auto(headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
                },
                ..Told::default()
            };
            told.event(row, verified.now)
        };
        let whom = addressed.iter().cloned().map(Some);
        let whom: Vec<_> =
            if addressed.is_empty() || row.meaning == Meaning::Other { vec![None] } else { whom.collect() };
        Ok(whom.into_iter().map(told).collect())
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        sample(secret, format!(r#"{{"type":"{SAMPLE}","created_at":"{now}","data":{{}}}}"#), now)
    }
}

/// When it happened, for the names that tell it apart from when the webhook was made.
fn moment<'a>(name: &str, data: Json<'a>) -> Json<'a> {
    match name {
        "email.opened" => data.at("open").at("timestamp"),
        "email.clicked" => data.at("click").at("timestamp"),
        _ => data.at("bounced_at"),
    }
}

const ROWS: [Row; 22] = [
    row("email.received", Meaning::Inbound),
    row("email.delivered", Meaning::Delivery),
    // Resend tells of bounces only where the message was refused for good; a type, where there is one, is Amazon's.
    row("email.bounced", Meaning::Bounce(Label::HARD)),
    row("email.bounced/Permanent", Meaning::Bounce(Label::HARD)),
    row("email.bounced/Transient", Meaning::Bounce(Label::SOFT)),
    row("email.bounced/Undetermined", Meaning::Bounce(Label::SOFT.because("undetermined"))),
    row("email.delivery_delayed", Meaning::Bounce(Label::DEFERRED)),
    row("email.suppressed", Meaning::Bounce(Label::SUPPRESSED)),
    row("email.failed", Meaning::Bounce(Label::HARD.because("failed"))),
    row("email.complained", Meaning::Complaint),
    row("email.opened", Meaning::Open),
    row("email.sent", Meaning::Other),
    row("email.scheduled", Meaning::Other),
    row("email.canceled", Meaning::Other),
    row("email.clicked", Meaning::Other),
    row("contact.created", Meaning::Other),
    row("contact.updated", Meaning::Other),
    row("contact.deleted", Meaning::Other),
    row("domain.created", Meaning::Other),
    row("domain.updated", Meaning::Other),
    row("domain.deleted", Meaning::Other),
    row("suppression.created", Meaning::Other),
];

const MANUAL: Manual = Manual {
    title: "Resend",
    auth: super::AUTH,
    secret: Some("the webhook's signing secret (`whsec_…`)"),
    answers: "400 to a body that is not understood, which stays in quarantine",
    steps: &[
        "In the Resend dashboard open Webhooks and choose Add Webhook.",
        "Set the endpoint URL to {url} and choose all `email.*` events.",
        "Open the webhook and copy its signing secret, `whsec_…`.",
    ],
    fields: &[
        ("event_id", "`svix-id`; with several recipients a digest of it and the recipient"),
        ("timestamp", "`data.open.timestamp` or `created_at`"),
        ("mailbox", "`data.from`; of `inbound` each of `data.received_for`, or the first of `data.to`"),
        ("message_id", "`data.email_id`"),
        ("recipient", "each of `data.to`"),
        ("bounce_code", "a code in `data.bounce.diagnosticCode` or `data.bounce.message`"),
        (
            "diagnostic",
            "`data.bounce.diagnosticCode`, `data.bounce.message`, `data.failed.reason` or `data.suppressed.message`",
        ),
        ("snippet", "nothing: Resend's webhook does not carry the text"),
    ],
    rows: &ROWS,
};
