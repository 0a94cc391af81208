//! Mailgun: events as JSON, routes (and the webhooks of old) as forms, both signed by a token that comes inside.
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks>
//!
//! The signature covers a time and a token, not the body: so a token counts once, for the events that it came with first.

#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::{
    Carried, CarriedFile, Dialect, INBOUND_BODY_BYTES_MAX, Keys, Malformed, Meaning, RawRequest, Rejection, Row,
    SAMPLE, Verified,
    carried::assembled,
    event::{Inbound, Told, derived_id, is_auto, part_id, plain_text, split},
    failure::{Failure, Label},
    fields::Field,
    form::Form,
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
        secret::Secret,
    },
    signing::token,
};

/// Bytes of a token; Mailgun's have 50.
const TOKEN_BYTES_MAX: usize = 100;

/// The dialect.
pub(super) struct Mailgun;

/// All that is read before the signature is checked.
struct Signed {
    timestamp: String,
    token: String,
    signatures: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    signature: Proof<'a>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[derive(Default)]
struct Proof<'a> {
    #[serde(borrow)]
    timestamp: Field<'a>,
    token: Field<'a>,
    signature: Field<'a>,
    /// Of an event of a subaccount, with the key of the account above it.
    parent_signature: Field<'a>,
}

fn is_json(request: &RawRequest) -> bool {
    request.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

impl Signed {
    fn read(request: &RawRequest) -> Option<Self> {
        if is_json(request) {
            let Envelope { signature } = serde_json::from_slice(&request.body).ok()?;
            let name = |field: &Field<'_>| field.name("signature", TOKEN_BYTES_MAX).ok().flatten().map(str::to_owned);
            return Some(Self {
                timestamp: name(&signature.timestamp)?,
                token: name(&signature.token)?,
                signatures: [&signature.signature, &signature.parent_signature].into_iter().filter_map(name).collect(),
            });
        }
        let form = Form::read(request).ok()?;
        let text = |name| form.text(name).map(str::to_owned);
        Some(Self {
            timestamp: text("timestamp")?,
            token: text("token")?,
            signatures: text("signature").into_iter().collect(),
        })
    }
}

impl Dialect for Mailgun {
    fn name(&self) -> &'static str {
        "mailgun"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn body_bytes_max(&self) -> usize {
        INBOUND_BODY_BYTES_MAX
    }

    fn unreadable_status(&self) -> u16 {
        406
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        let Signed { timestamp, token, signatures } = Signed::read(request).ok_or(Rejection::Missing)?;
        if signatures.is_empty() || token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(Rejection::Missing);
        }
        let timestamp_secs = plain_seconds(&timestamp).ok_or(Rejection::Stale)?;
        if !is_near(timestamp_secs, keys.settings, now) {
            return Err(Rejection::Stale);
        }
        let vouches = |secret: &Secret| signatures.iter().any(|one| token::verify(secret, &timestamp, &token, one));
        if !keys.secrets.iter().any(vouches) {
            return Err(Rejection::Wrong);
        }
        // Both, for they are signed as one text: the same text cut elsewhere has the same signature.
        let once = format!("{timestamp}{token}");
        Ok(Verified { once: Some(once), ..Verified::vouch(request, Auth::SignedToken, true, now) })
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        if !is_json(verified.request) {
            return from_form(&Form::read(verified.request)?, verified.now);
        }
        let body = json::body(verified)?;
        let data = Json::of(&body).at("event-data");
        if !data.is_object() {
            return Err(Malformed("`event-data` must be an object".into()));
        }
        Ok(vec![event(data, Json::of(&body).at("signature").at("token").owned(), verified.now)])
    }

    fn carried(&self, verified: &Verified<'_>) -> Option<Carried> {
        if is_json(verified.request) {
            return None;
        }
        let (form, files) = Form::with_files(verified.request).ok()?;
        let text = |name: &str| form.text(name);
        let reply = text("stripped-text").map(str::to_owned);
        if let Some(raw) = form.bytes("body-mime") {
            return Some(Carried { raw: raw.to_vec(), reply, ..Carried::default() });
        }
        let headers = message_headers(&form);
        let mut carried = Carried {
            raw: assembled(
                headers.iter().map(|(name, value)| (&**name, &**value)),
                text("body-plain"),
                text("body-html"),
            ),
            reply,
            files,
            ..Carried::default()
        };
        // A message that Mailgun stored is told with addresses of its files.
        if let Some(stored) = text("attachments").and_then(|text| json::read(text.as_bytes()).ok()) {
            carried.files = CarriedFile::list(Json::of(&stored), ["name", "content-type", "size", ""]);
            carried.notes.push("Mailgun stored the files and did not send them: only their names are here".to_owned());
        }
        Some(carried)
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        let (timestamp, token) = (now.0.div_euclid(1000).to_string(), format!("{SAMPLE}.{}", now.0));
        let signature = token::sign(secret, &timestamp, &token);
        let body = serde_json::json!({
            "signature": {"timestamp": timestamp, "token": token, "signature": signature},
            "event-data": {"event": SAMPLE, "id": token, "timestamp": now.0.div_euclid(1000)},
        });
        Some(RawRequest { body: body.to_string().into_bytes(), ..RawRequest::default() })
    }
}

fn event(data: Json<'_>, token: Option<String>, now: UnixMillis) -> NewEvent {
    let text = |name: &str| data.at(name).owned();
    let (name, reason) = (text("event").unwrap_or_default(), text("reason").unwrap_or_default());
    let key = match text("severity") {
        _ if name == "failed" && reason.starts_with("suppress-") => format!("{name}/{reason}"),
        Some(severity) if name == "failed" => format!("{name}/{severity}"),
        _ => name.clone(),
    };
    let (status, headers) = (data.at("delivery-status"), data.at("message").at("headers"));
    let said = |name: &str| status.at(name).owned();
    let rejected = data.at("reject").at("description").or(data.at("reject").at("reason")).owned();
    let diagnostic = said("message").or_else(|| said("description")).or(rejected);
    let (code, reply) = (said("enhanced-code"), said("code"));
    let message = headers.at("message-id").owned();
    let told = Told {
        // Without an id of its own the webhook is known by its token.
        id: text("id").or(token).unwrap_or_else(|| derived_id(&[&name, message.as_deref().unwrap_or_default()])),
        at: data.at("timestamp").moment(),
        mailbox: data.at("envelope").at("sender").or(headers.at("from")).owned(),
        message,
        recipient: text("recipient").or_else(|| headers.at("to").owned()),
        response: diagnostic.as_deref(),
        failure: Failure {
            status: code.as_deref(),
            reply: reply.as_deref(),
            diagnostic: diagnostic.as_deref(),
            ..Failure::default()
        },
        machine: data.at("client-info").at("bot").text().map(|_| true),
        name,
        ..Told::default()
    };
    told.event(meaning(&ROWS, &key), now)
}

fn message_headers(form: &Form) -> Vec<(String, String)> {
    form.text("message-headers").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A message that a route forwards, or a webhook of old.
fn from_form(form: &Form, now: UnixMillis) -> Result<Vec<NewEvent>, Malformed> {
    let text = |name: &str| form.text(name).map(str::to_owned);
    let at = form.text("timestamp").and_then(json::moment);
    // By RFC 5322 it has a domain; what has none could be taken for an id of ours.
    let message = text("Message-Id").filter(|id| id.contains('@'));
    let token = text("token").unwrap_or_default();
    if let Some(name) = text("event").filter(|_| form.text("from").is_none()) {
        let (code, diagnostic) =
            (text("code"), text("error").or_else(|| text("description")).or_else(|| text("notification")));
        let told = Told {
            id: token,
            at,
            message,
            recipient: text("recipient"),
            failure: Failure { reply: code.as_deref(), diagnostic: diagnostic.as_deref(), ..Failure::default() },
            name: name.clone(),
            ..Told::default()
        };
        return Ok(vec![told.event(meaning(&ROWS, &name), now)]);
    }
    let recipients = text("recipient").map(|list| split(&list)).unwrap_or_default();
    if recipients.is_empty() {
        return Err(Malformed("the form must be a route's, with `recipient`, `sender`, `from` and `subject`".into()));
    }
    let headers = message_headers(form);
    let inbound = Inbound {
        from: text("from").or_else(|| text("sender")).unwrap_or_default(),
        to: text("To").map_or_else(|| recipients.clone(), |to| vec![to]),
        subject: text("subject").unwrap_or_default(),
        text: text("stripped-text")
            .or_else(|| text("body-plain"))
            .or_else(|| text("body-mime").map(|raw| plain_text(raw.as_bytes())))
            .unwrap_or_default(),
        auto: is_auto(headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    };
    // The message, not the token: a route that forwards a message again makes another token for it.
    let id = match &message {
        Some(message) => derived_id(&["route", message, &recipients.join(",").to_lowercase()]),
        None => token,
    };
    let told = recipients.iter().map(|recipient| {
        let told = Told {
            id: part_id(&id, Some(recipient), recipients.len()),
            at,
            mailbox: Some(recipient.clone()),
            message: message.clone(),
            name: "route".to_owned(),
            inbound: inbound.clone(),
            ..Told::default()
        };
        told.event(meaning(&ROWS, "route"), now)
    });
    Ok(told.collect())
}

const ROWS: [Row; 23] = [
    row("route", Meaning::Inbound),
    row("delivered", Meaning::Delivery),
    row("failed", Meaning::Bounce(Label::HARD)),
    row("failed/permanent", Meaning::Bounce(Label::HARD)),
    row("failed/temporary", Meaning::Bounce(Label::DEFERRED)),
    row("failed/suppress-bounce", Meaning::Bounce(Label::SUPPRESSED)),
    row("failed/suppress-complaint", Meaning::Bounce(Label::SUPPRESSED)),
    row("failed/suppress-unsubscribe", Meaning::Bounce(Label::SUPPRESSED)),
    row("rejected", Meaning::Bounce(Label::HARD.because("rejected"))),
    row("bounced", Meaning::Bounce(Label::HARD)),
    row("dropped", Meaning::Bounce(Label::HARD.because("dropped"))),
    row("complained", Meaning::Complaint),
    row("opened", Meaning::Open),
    row("accepted", Meaning::Other),
    row("clicked", Meaning::Other),
    row("unsubscribed", Meaning::Other),
    row("stored", Meaning::Other),
    row("email_validation", Meaning::Other),
    row("list_member_uploaded", Meaning::Other),
    row("list_member_upload_error", Meaning::Other),
    row("list_uploaded", Meaning::Other),
    row("permanent_fail", Meaning::Bounce(Label::HARD)),
    row("temporary_fail", Meaning::Bounce(Label::DEFERRED)),
];

const MANUAL: Manual = Manual {
    title: "Mailgun, events and routes",
    auth: "`signature` in the body: HMAC-SHA256 of timestamp and token, within 300 s; it does not cover the events, so a token counts \
           once, for those that it came with first; `signed-token`",
    secret: Some("the HTTP webhook signing key (for events of subaccounts also the account's)"),
    answers: "406, which keeps Mailgun from trying again, to a body that is not understood and stays in quarantine. Mailgun \
              does not send `delivered` again: one that was missed is lost",
    steps: &[
        "In Mailgun open Sending, Webhooks, choose the domain, and add {url} for every event.",
        "For incoming mail open Receiving, and create a route with the action forward(\"{url}\").",
        "Copy the HTTP webhook signing key from Settings, API security.",
    ],
    fields: &[
        ("event_id", "`event-data.id`, or the token; of a route a digest of Message-Id and recipient"),
        ("timestamp", "`event-data.timestamp`; of a route `timestamp`"),
        ("mailbox", "`event-data.envelope.sender`, or `from`; of a route each of `recipient`"),
        ("message_id", "`event-data.message.headers.message-id`; of a route `Message-Id`"),
        ("recipient", "`event-data.recipient`"),
        (
            "bounce_code",
            "`delivery-status.enhanced-code`, a code in its `message`, or `delivery-status.code` from 400 to 559",
        ),
        ("diagnostic", "`delivery-status.message` or `delivery-status.description`"),
        ("machine", "true where `client-info.bot` names one"),
        ("snippet", "`stripped-text` or `body-plain`"),
    ],
    rows: &ROWS,
};
