//! `SendGrid`'s Inbound Parse: a message as a multipart form, parsed or raw, with no signature.
//! <https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook>

use super::super::{
    Carried, Dialect, INBOUND_BODY_BYTES_MAX, Keys, Malformed, Meaning, RawRequest, Rejection, Row, SAMPLE, Verified,
    carried::assembled,
    event::{Inbound, Told, derived_id, is_auto, part_id, plain_text},
    form::{self, Form},
    json::{self, Json},
    manual::Manual,
    settings::Settings,
    shared,
    vocabulary::row,
};
use crate::{
    domain::{clock::UnixMillis, event::NewEvent, secret::Secret},
    signing::digest::sha256_hex,
};

/// The dialect.
pub(in super::super) struct InboundParse;

impl Dialect for InboundParse {
    fn name(&self) -> &'static str {
        "sendgrid-inbound"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn body_bytes_max(&self) -> usize {
        INBOUND_BODY_BYTES_MAX
    }

    fn admits(&self, head: &RawRequest, keys: &Keys<'_>) -> Result<(), Rejection> {
        shared::admits(head, keys)
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        shared::verify(request, keys, now)
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        let form = Form::read(verified.request)?;
        // Raw, the message itself is in `email`; its head ends at the first empty line.
        let raw = form.text("email").unwrap_or_default();
        let head = raw.split_once("\r\n\r\n").or_else(|| raw.split_once("\n\n")).map_or(raw, |(head, _)| head);
        let headers = form::headers(form.text("headers").unwrap_or(head));
        let header =
            |name: &str| headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| &**value);
        let envelope = form.text("envelope").map(|text| json::read(text.as_bytes())).transpose()?.unwrap_or_default();
        let envelope = Json::of(&envelope);
        let from = form.text("from").or(header("from")).map(str::to_owned).or_else(|| envelope.at("from").owned());
        let from = from.filter(|from| !from.is_empty());
        let to = form.text("to").or(header("to")).map(str::to_owned);
        if from.is_none() && to.is_none() && headers.is_empty() {
            return Err(Malformed("the form must be Inbound Parse's, with `headers`, `from`, `to` or `email`".into()));
        }
        // The topmost trace is that of SendGrid's own server (RFC 5321 section 4.4); the sender wrote the date.
        let received = header("received").and_then(|trace| trace.rsplit_once(';')).map(|(_, date)| date);
        let at = received.and_then(date).or_else(|| header("date").and_then(date));
        let whom = envelope.at("to").texts();
        let whom = if whom.is_empty() { to.iter().cloned().collect() } else { whom };
        let text = form.text("text").map_or_else(|| plain_text(raw.as_bytes()), str::to_owned);
        // By RFC 5322 it has a domain; what has none could be taken for an id of ours.
        let message = header("message-id").filter(|id| id.contains('@')).map(str::to_owned);
        let id = derived_id(&[
            "inbound",
            header("message-id").unwrap_or_default(),
            from.as_deref().unwrap_or_default(),
            received.unwrap_or_default(),
            &sha256_hex(text.as_bytes()),
        ]);
        let auto = is_auto(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let inbound = Inbound {
            from: from.unwrap_or_default(),
            to: to.into_iter().collect(),
            subject: form.text("subject").or(header("subject")).unwrap_or_default().to_owned(),
            text,
            auto,
        };
        let parts = whom.len();
        let told = |recipient: Option<String>| {
            let told = Told {
                id: part_id(&id, recipient.as_deref(), parts),
                at,
                mailbox: recipient,
                message: message.clone(),
                name: "inbound-parse".to_owned(),
                inbound: inbound.clone(),
                ..Told::default()
            };
            told.event(&ROWS[0], verified.now)
        };
        Ok(if whom.is_empty() { vec![told(None)] } else { whom.into_iter().map(|one| told(Some(one))).collect() })
    }

    fn carried(&self, verified: &Verified<'_>) -> Option<Carried> {
        let (form, files) = Form::with_files(verified.request).ok()?;
        if let Some(raw) = form.bytes("email") {
            return Some(Carried { raw: raw.to_vec(), ..Carried::default() });
        }
        let headers = form::headers(form.text("headers").unwrap_or_default());
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        Some(Carried { raw: assembled(headers, form.text("text"), form.text("html")), files, ..Carried::default() })
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        let body = [
            ("from", SAMPLE.to_owned()),
            ("to", SAMPLE.to_owned()),
            ("headers", format!("Message-ID: <{}@{SAMPLE}>", now.0)),
            ("subject", "A test by mailbell".to_owned()),
        ]
        .iter()
        .map(|(name, value)| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .collect::<Vec<_>>()
        .concat();
        Some(RawRequest {
            headers: vec![("content-type".into(), "multipart/form-data; boundary=x".into())],
            token: Some(secret.clone()),
            body: format!("{body}--x--\r\n").into_bytes(),
        })
    }
}

/// A moment as mail writes it, which may have a comment behind it.
fn date(text: &str) -> Option<UnixMillis> {
    json::moment(text.split('(').next().unwrap_or_default().trim())
}

const ROWS: [Row; 1] = [row("inbound-parse", Meaning::Inbound)];

const MANUAL: Manual = Manual {
    title: "SendGrid, Inbound Parse",
    auth: "a secret in the path or as the password of basic authentication, for SendGrid's form carries no signature; `shared-secret`",
    secret: Some("a secret of your own making"),
    answers: "400 to a form that is not understood, which stays in quarantine",
    steps: &[
        "Point the MX record of a subdomain to mx.sendgrid.net.",
        "In SendGrid open Settings, Inbound Parse, and add that host with the URL {url}/SECRET.",
    ],
    fields: &[
        (
            "event_id",
            "a digest of Message-ID, sender, first trace and text, and of the recipient where there are several",
        ),
        ("timestamp", "the date of the topmost `Received` in `headers`, or `Date`"),
        ("mailbox", "each of `envelope.to`"),
        ("message_id", "`Message-ID` in `headers`"),
        ("from", "`from`"),
        ("snippet", "`text`"),
        ("auto", "`Auto-Submitted` in `headers`"),
    ],
    rows: &ROWS,
};
