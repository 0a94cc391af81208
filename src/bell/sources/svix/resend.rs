//! Resend: Svix's signatures, one event a webhook. <https://resend.com/docs/dashboard/webhooks/event-types>

use super::{
    super::{
        Carried, CarriedFile, Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Remainder, Row, SAMPLE,
        Verified,
        carried::assembled,
        event::{Inbound, Told, is_auto, part_id},
        failure::{Failure, Label},
        json::{self, Json},
        manual::Manual,
        settings::Settings,
        vocabulary::{meaning, row},
    },
    sample, verify, webhook_id,
};
use url::Url;

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

    fn carried(&self, verified: &Verified<'_>) -> Option<Carried> {
        let body = json::body(verified).ok()?;
        let data = Json::of(&body).at("data");
        let with_id = data.at("email_id").or(data.at("id")).owned();
        Some(Carried { textless: with_id.is_some(), with_id, ..message(data) })
    }

    fn remainder(&self) -> Option<&'static dyn Remainder> {
        Some(&Receiving)
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        sample(secret, format!(r#"{{"type":"{SAMPLE}","created_at":"{now}","data":{{}}}}"#), now)
    }
}

/// What Resend tells of a message, in a webhook or by its API, which says the same in the same names and the text beside.
fn message(data: Json<'_>) -> Carried {
    let text = |name: &str| data.at(name).owned();
    let told = headers(data.at("headers"));
    let cc = data.at("cc").texts().join(", ");
    let id = text("message_id").unwrap_or_default();
    let placed = [("Message-ID", &*id), ("Cc", &*cc)].into_iter().filter(|(_, value)| !value.is_empty());
    let placed = placed.chain(told.iter().map(|(name, value)| (&**name, &**value)));
    let (plain, html) = (text("text"), text("html"));
    Carried {
        raw: assembled(placed, plain.as_deref(), html.as_deref()),
        files: CarriedFile::list(data.at("attachments"), ["filename", "content_type", "size", ""]),
        ..Carried::default()
    }
}

/// Headers as a list of names and values, or as an object.
fn headers(told: Json<'_>) -> Vec<(String, String)> {
    let listed = told.list();
    let listed = listed.iter().filter_map(|one| Some((one.at("name").owned()?, one.at("value").owned()?)));
    let named = ["message-id", "in-reply-to", "references", "cc"];
    let named = told.entries().filter(|(name, _)| named.iter().any(|one| one.eq_ignore_ascii_case(name)));
    listed.chain(named.filter_map(|(name, value)| Some((name.to_owned(), value.owned()?)))).collect()
}

/// Resend's API of messages that came in. <https://resend.com/docs/api-reference/emails/retrieve-received-email>
struct Receiving;

impl Receiving {
    fn at(path: &[&str]) -> Url {
        let mut url = Url::parse("https://api.resend.com/emails/receiving").expect("an address");
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url
    }
}

impl Remainder for Receiving {
    fn provider(&self) -> &'static str {
        "Resend"
    }

    fn message_url(&self, id: &str) -> Url {
        Self::at(&[id])
    }

    fn message(&self, answer: &[u8]) -> Result<Carried, Malformed> {
        let answer = json::read(answer)?;
        let data = Json::of(&answer);
        if !data.is_object() || data.at("id").text().is_none() {
            return Err(Malformed("the answer must be a message with an `id`".into()));
        }
        Ok(message(data))
    }

    fn files_url(&self, id: &str) -> Url {
        Self::at(&[id, "attachments"])
    }

    fn file_url(&self, answer: &[u8], place: usize, name: &str) -> Result<Option<Url>, Malformed> {
        let answer = json::read(answer)?;
        let files = Json::of(&answer).at("data").list();
        let is_called = |one: &&Json<'_>| one.at("filename").text().is_none_or(|other| other == name);
        let found = files.get(place).filter(is_called).or_else(|| files.iter().find(is_called));
        let Some(url) = found.and_then(|one| one.at("download_url").text()) else { return Ok(None) };
        url.parse().map(Some).map_err(|_| Malformed("`download_url` must be a URL".into()))
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
        (
            "snippet",
            "nothing: Resend's webhook does not carry the text; `read_email` fetches it with the source's API key",
        ),
    ],
    rows: &ROWS,
};
