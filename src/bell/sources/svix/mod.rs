//! The Standard Webhooks specification, and Svix, where it came from: one way to sign, under two names of headers.
//!
//! Providers that use it differ only in what their bodies say: a profile a file.

pub(super) mod agentmail;
pub(super) mod resend;
#[cfg(test)]
mod tests;

use super::{
    Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Row, SAMPLE, Verified,
    event::{Inbound, Told, part_id},
    failure::{Failure, Label},
    is_near,
    json::{self, Json},
    manual::Manual,
    plain_seconds,
    settings::Settings,
    vocabulary::meaning,
};
use crate::{
    domain::{
        clock::UnixMillis,
        event::{Auth, NewEvent},
        secret::Secret,
    },
    signing::standard_webhooks,
};

/// The headers' names: of the specification, and of Svix from before there was one.
const HEADERS: [[&str; 3]; 2] = [
    [standard_webhooks::HEADER_ID, standard_webhooks::HEADER_TIMESTAMP, standard_webhooks::HEADER_SIGNATURE],
    ["svix-id", "svix-timestamp", "svix-signature"],
];
/// Bytes of an id; those in use have about 35.
const ID_BYTES_MAX: usize = 256;

/// What is signed beside the body.
struct Signed<'a> {
    id: &'a str,
    timestamp_secs: i64,
    signatures: &'a str,
}

impl<'a> Signed<'a> {
    /// The headers, all three from one family.
    fn read(request: &'a RawRequest) -> Result<Self, Rejection> {
        for [id, timestamp, signature] in HEADERS {
            if request.header(signature).next().is_none() {
                continue;
            }
            let header = |name| request.sole_header(name).ok_or(Rejection::Missing);
            let id = header(id)?;
            if id.is_empty() || id.len() > ID_BYTES_MAX {
                return Err(Rejection::Missing);
            }
            let timestamp_secs = plain_seconds(header(timestamp)?).ok_or(Rejection::Stale)?;
            return Ok(Self { id, timestamp_secs, signatures: header(signature)? });
        }
        Err(Rejection::Missing)
    }
}

/// Costs one HMAC of the body for each secret, however many signatures are listed.
fn verify<'a>(request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
    let Signed { id, timestamp_secs, signatures } = Signed::read(request)?;
    if signatures.split_ascii_whitespace().nth(standard_webhooks::SIGNATURES_MAX).is_some() {
        return Err(Rejection::TooMany);
    }
    if !is_near(timestamp_secs, keys.settings, now) {
        return Err(Rejection::Stale);
    }
    for secret in keys.secrets {
        if standard_webhooks::verify(secret, id, timestamp_secs, &request.body, signatures) {
            let asymmetric = standard_webhooks::is_public_key(secret);
            let auth = if asymmetric { Auth::Ed25519 } else { Auth::HmacSha256 };
            return Ok(Verified::vouch(request, auth, true, now));
        }
    }
    Err(Rejection::Wrong)
}

/// The id of the webhook: the same at each of its attempts.
fn webhook_id(verified: &Verified<'_>) -> String {
    Signed::read(verified.request).map(|signed| signed.id.to_owned()).unwrap_or_default()
}

/// A request with `body`, signed now.
fn sample(secret: &Secret, body: String, now: UnixMillis) -> Option<RawRequest> {
    if standard_webhooks::is_public_key(secret) {
        return None;
    }
    let (id, secs) = (format!("{SAMPLE}.{}", now.0), now.0.div_euclid(1000));
    let signature = standard_webhooks::sign(secret, &id, secs, body.as_bytes());
    let [[id_name, timestamp, signatures], _] = HEADERS.map(|names| names.map(str::to_owned));
    let headers = vec![(id_name, id), (timestamp, secs.to_string()), (signatures, signature)];
    Some(RawRequest { headers, body: body.into_bytes(), ..RawRequest::default() })
}

/// A sender that signs by the specification and spells its bodies as that recommends: `type`, `timestamp`, `data`.
pub(super) struct StandardWebhooks;

impl Dialect for StandardWebhooks {
    fn name(&self) -> &'static str {
        "standard-webhooks"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        verify(request, keys, now)
    }

    fn normalise(&self, verified: &Verified<'_>, _: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        let body = json::body(verified)?;
        let body = Json::of(&body);
        if !body.is_object() {
            return Err(Malformed("the body must be a JSON object with `type`, `timestamp` and `data`".into()));
        }
        let data = body.at("data");
        let either = |name| data.at(name).or(body.at(name));
        let name = body.at("type").or(body.at("event_type")).or(body.at("event")).owned().unwrap_or_default();
        let recipients = either("recipients").or(either("recipient")).texts();
        let (id, parts) = (webhook_id(verified), recipients.len());
        let row = meaning(MANUAL.rows, &name);
        let many = if recipients.is_empty() { vec![None] } else { recipients.into_iter().map(Some).collect() };
        let (code, diagnostic) = (either("bounce_code").or(either("code")).owned(), either("diagnostic").owned());
        let label = match (row.meaning, either("bounce_type").owned().as_deref()) {
            (Meaning::Bounce(_), Some("soft" | "transient")) => Meaning::Bounce(Label::SOFT),
            (meaning, _) => meaning,
        };
        let events = many.into_iter().map(|recipient| {
            let told = Told {
                id: part_id(&id, recipient.as_deref(), parts),
                at: body.at("timestamp").or(body.at("created_at")).or(data.at("timestamp")).moment(),
                mailbox: either("mailbox").owned(),
                message: either("message_id").or(either("email_id")).owned(),
                thread: either("thread_id").owned(),
                name: name.clone(),
                recipient,
                failure: Failure { status: code.as_deref(), diagnostic: diagnostic.as_deref(), ..Failure::default() },
                machine: either("machine").flag(),
                inbound: Inbound {
                    from: either("from").owned().unwrap_or_default(),
                    to: either("to").texts(),
                    subject: either("subject").owned().unwrap_or_default(),
                    text: either("snippet").or(either("text")).owned().unwrap_or_default(),
                    auto: either("auto").flag().unwrap_or(false),
                },
                ..Told::default()
            };
            told.event(&Row { meaning: label, ..*row }, verified.now)
        });
        Ok(events.collect())
    }

    fn sample(&self, secret: &Secret, _: &Settings, now: UnixMillis) -> Option<RawRequest> {
        sample(secret, format!(r#"{{"type":"{SAMPLE}","timestamp":"{now}","data":{{}}}}"#), now)
    }
}

const AUTH: &str = "the headers `webhook-*` or `svix-*`: HMAC-SHA256 (`v1`, a secret `whsec_…`; `hmac-sha256`) or Ed25519 (`v1a`, a \
     key `whpk_…`; `ed25519`) of id, timestamp and body, within 300 s";

const MANUAL: Manual = Manual {
    title: "Standard Webhooks, Svix",
    auth: AUTH,
    secret: Some("the endpoint's signing secret (`whsec_…`), or public key (`whpk_…`)"),
    answers: "400 to a body that is not understood, which stays in quarantine",
    steps: &["Add an endpoint with the URL {url}.", "Copy its signing secret, `whsec_…`."],
    fields: &[
        ("event_id", "`webhook-id` or `svix-id`; with several recipients a digest of it and the recipient"),
        ("timestamp", "`timestamp` or `created_at`"),
        ("mailbox", "`data.mailbox`"),
        ("message_id", "`data.message_id` or `data.email_id`"),
        ("thread_id", "`data.thread_id`"),
        ("recipient", "`data.recipient`, or each of `data.recipients`"),
        ("bounce_code", "`data.bounce_code`, `data.code` or `data.diagnostic`"),
    ],
    rows: &super::multimail::ROWS,
};
