//! `AgentMail`: Svix's signatures, one event a webhook, in an envelope named by its kind.
//! <https://docs.agentmail.to/webhooks/webhooks-events>

use super::{
    super::{
        Carried, CarriedFile, Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Row, SAMPLE, Verified,
        carried::assembled,
        event::{Inbound, Told, part_id},
        failure::{Failure, Label},
        json::{self, Json},
        manual::Manual,
        settings::Settings,
        vocabulary::{meaning, row},
    },
    sample, verify, webhook_id,
};
use crate::domain::{clock::UnixMillis, event::NewEvent, secret::Secret};

/// The envelopes, one of which an event has.
const ENVELOPES: [&str; 6] = ["message", "send", "delivery", "bounce", "complaint", "reject"];
/// The text of a message comes along: `AgentMail` caps a payload at 1 MB, and JSON writes some characters in six bytes.
const BODY_BYTES_MAX: usize = 8 << 20;

/// The dialect.
pub(in super::super) struct AgentMail;

impl Dialect for AgentMail {
    fn name(&self) -> &'static str {
        "agentmail"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        verify(request, keys, now)
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        let body = json::body(verified)?;
        let body = Json::of(&body);
        let name = body.at("event_type").owned().ok_or_else(|| Malformed("`event_type` must name the event".into()))?;
        let id = body.at("event_id").owned().unwrap_or_else(|| webhook_id(verified));
        let about = ENVELOPES.iter().map(|name| body.at(name)).find(|one| one.is_object()).unwrap_or(body);
        let key = match about.at("type").text() {
            Some(class) if name == "message.bounced" => format!("{name}/{class}"),
            _ => name.clone(),
        };
        let row = meaning(&ROWS, &key);
        let class = [about.at("type").owned(), about.at("sub_type").owned(), about.at("reason").owned()];
        let diagnostic = class.into_iter().flatten().collect::<Vec<_>>().join(": ");
        let recipients: Vec<_> = match row.meaning {
            Meaning::Inbound | Meaning::Other => vec![(None, None)],
            _ => about.at("recipients").list().into_iter().map(recipient).collect(),
        };
        let recipients = if recipients.is_empty() { vec![(None, None)] } else { recipients };
        let parts = recipients.len();
        let feedback = about.at("sub_type").or(about.at("type")).owned();
        let events = recipients.into_iter().map(|(recipient, status)| {
            let told = Told {
                id: part_id(&id, recipient.as_deref(), parts),
                at: about.at("timestamp").or(about.at("created_at")).or(body.at("timestamp")).moment(),
                mailbox: about.at("inbox_id").owned(),
                message: about.at("message_id").owned(),
                thread: about.at("thread_id").owned(),
                name: name.clone(),
                recipient,
                failure: Failure {
                    status: status.as_deref(),
                    diagnostic: Some(diagnostic.as_str()).filter(|text| !text.is_empty()),
                    ..Failure::default()
                },
                feedback: feedback.as_deref(),
                inbound: Inbound {
                    from: about
                        .at("from")
                        .or(about.at("from_"))
                        .list()
                        .into_iter()
                        .find_map(Json::owned)
                        .unwrap_or_default(),
                    to: about.at("to").texts(),
                    subject: about.at("subject").owned().unwrap_or_default(),
                    text: about
                        .at("extracted_text")
                        .or(about.at("text"))
                        .or(about.at("preview"))
                        .owned()
                        .unwrap_or_default(),
                    auto: false,
                },
                ..Told::default()
            };
            told.event(row, verified.now)
        });
        Ok(events.collect())
    }

    fn carried(&self, verified: &Verified<'_>) -> Option<Carried> {
        let body = json::body(verified).ok()?;
        let about = Json::of(&body).at("message");
        let text = |name: &str| about.at(name).owned();
        let list = |name: &str, between: &str| about.at(name).texts().join(between);
        let headers = [
            ("In-Reply-To", list("in_reply_to", " ")),
            ("References", list("references", " ")),
            ("Cc", list("cc", ", ")),
        ];
        let id = text("message_id").filter(|id| id.contains('@')).unwrap_or_default();
        let headers = headers.iter().map(|(name, value)| (*name, &**value)).chain([("Message-ID", &*id)]);
        let headers = headers.filter(|(_, value)| !value.is_empty());
        let files = CarriedFile::list(about.at("attachments"), ["filename", "content_type", "size", ""]);
        let mut notes = Vec::new();
        let (plain, html) = (text("text"), text("html").or_else(|| text("extracted_html")));
        if plain.is_none() && html.is_none() {
            notes.push(
                "AgentMail left the text out of its webhook, as it does where it is long: this is its beginning"
                    .to_owned(),
            );
        }
        if !files.is_empty() {
            notes.push("AgentMail's webhook names the files and does not carry them".to_owned());
        }
        let plain =
            plain.or_else(|| if html.is_none() { text("extracted_text").or_else(|| text("preview")) } else { None });
        Some(Carried {
            raw: assembled(headers, plain.as_deref(), html.as_deref()),
            reply: text("extracted_text"),
            files,
            notes,
            ..Carried::default()
        })
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        let id = now.0;
        sample(
            secret,
            format!(r#"{{"type":"event","event_type":"{SAMPLE}","event_id":"{SAMPLE}.{id}","timestamp":"{now}"}}"#),
            now,
        )
    }
}

/// An address with its status, or the address alone.
fn recipient(one: Json<'_>) -> (Option<String>, Option<String>) {
    (one.at("address").or(one.at("email")).or(one).owned(), one.at("status").owned())
}

const ROWS: [Row; 14] = [
    row("message.received", Meaning::Inbound),
    row("message.received.spam", Meaning::Inbound),
    row("message.received.blocked", Meaning::Inbound),
    row("message.received.unauthenticated", Meaning::Inbound),
    row("message.delivered", Meaning::Delivery),
    row("message.bounced", Meaning::Bounce(Label::HARD)),
    row("message.bounced/Permanent", Meaning::Bounce(Label::HARD)),
    row("message.bounced/Transient", Meaning::Bounce(Label::SOFT)),
    row("message.bounced/Undetermined", Meaning::Bounce(Label::SOFT.because("undetermined"))),
    row("message.rejected", Meaning::Bounce(Label::HARD.because("rejected"))),
    row("message.complained", Meaning::Complaint),
    row("message.sent", Meaning::Other),
    row("domain.verified", Meaning::Other),
    row("message.opened", Meaning::Open),
];

const MANUAL: Manual = Manual {
    title: "AgentMail",
    auth: super::AUTH,
    secret: Some("the webhook's secret (`whsec_…`)"),
    answers: "400 to a body that is not understood, which stays in quarantine",
    steps: &[
        "In the AgentMail console open Webhooks and choose Create Webhook.",
        "Set the endpoint URL to {url} and choose all `message.*` events.",
        "Copy the webhook's secret, `whsec_…`.",
    ],
    fields: &[
        ("event_id", "`event_id`; with several recipients a digest of it and the recipient"),
        ("timestamp", "`timestamp` of the envelope"),
        ("mailbox", "`inbox_id`"),
        ("message_id", "`message_id`"),
        ("thread_id", "`thread_id`"),
        ("recipient", "each of `recipients`, or of their `address`"),
        ("bounce_code", "`bounce.recipients[].status`"),
        ("snippet", "`message.extracted_text`, `message.text` or `message.preview`"),
    ],
    rows: &ROWS,
};
