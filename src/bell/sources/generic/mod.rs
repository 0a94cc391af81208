//! Any other sender of JSON: how it signs and where it puts what is a setting of the source, its [`Mapping`].

pub(super) mod mapping;
#[cfg(test)]
mod tests;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use self::mapping::{Encoding, Hmac, Mapping, Pointers, Proof, Shared};
use super::{
    Dialect, Keys, Malformed, Meaning, RawRequest, Rejection, Row, SAMPLE, Verified,
    event::{Inbound, Told, derived_id, part_id},
    failure::Failure,
    is_near,
    json::{self, Json},
    manual::Manual,
    settings::Settings,
    shared,
};
use crate::{
    domain::{
        clock::UnixMillis,
        event::{Auth, NewEvent},
        secret::Secret,
    },
    signing::{
        keyed::{self, Digest},
        token::is_same,
    },
};

/// Signatures in a header at most: one for each secret that its sender still signs with.
const SIGNATURES_MAX: usize = 16;

/// The dialect.
pub(super) struct Generic;

impl Dialect for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn manual(&self) -> Manual {
        MANUAL
    }

    fn check(&self, settings: &Settings) -> Result<(), String> {
        let mapping = settings.mapping.as_ref();
        mapping.ok_or_else(|| NO_MAPPING.to_owned())?.check()
    }

    fn admits(&self, head: &RawRequest, keys: &Keys<'_>) -> Result<(), Rejection> {
        match keys.settings.mapping.as_ref().map(|mapping| &mapping.auth) {
            Some(Proof::SharedSecret(Shared { header: None })) => shared::admits(head, keys),
            Some(Proof::SharedSecret(Shared { header: Some(header) })) => {
                let header = header.to_ascii_lowercase();
                let offered = head.sole_header(&header).ok_or(Rejection::Missing)?;
                let known = keys.secrets.iter().any(|secret| is_same(secret.expose(), offered));
                if known { Ok(()) } else { Err(Rejection::Wrong) }
            }
            Some(Proof::Hmac(_)) | None => Ok(()),
        }
    }

    fn verify<'a>(&self, request: &'a RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<Verified<'a>, Rejection> {
        let mapping = keys.settings.mapping.as_ref().ok_or(Rejection::Missing)?;
        match &mapping.auth {
            Proof::SharedSecret(_) => {
                self.admits(request, keys)?;
                Ok(Verified::vouch(request, Auth::SharedSecret, true, now))
            }
            Proof::Hmac(hmac) => {
                let sent_now = hmac.verify(request, keys, now)?;
                Ok(Verified::vouch(request, hmac.auth(), sent_now, now))
            }
        }
    }

    fn normalise(&self, verified: &Verified<'_>, settings: &Settings) -> Result<Vec<NewEvent>, Malformed> {
        let mapping = settings.mapping.as_ref().ok_or_else(|| Malformed(NO_MAPPING.to_owned()))?;
        let body = json::body(verified)?;
        let body = Json::of(&body);
        let batch = if mapping.events.is_empty() { body } else { mapping.events.first(body) };
        let batch = batch.batch().map_err(|error| match mapping.events.place() {
            Some(place) if !place.is_empty() => Malformed(format!("at `{place}`: {error}")),
            _ => error,
        })?;
        let mut events = Vec::with_capacity(batch.len());
        for one in batch {
            events.extend(told(mapping, one, verified.now)?);
        }
        Ok(events)
    }

    fn sample(&self, secret: &Secret, settings: &Settings, now: UnixMillis) -> Option<RawRequest> {
        let mapping = settings.mapping.as_ref()?;
        let mut event = Value::Object(serde_json::Map::new());
        let id = format!("{SAMPLE}.{}", now.0);
        // The first places; an event whose id is made of others holds the moment at one of them.
        for (places, text) in [
            (&mapping.fields.id_from, &id),
            (&mapping.fields.timestamp, &now.to_string()),
            (&mapping.fields.event, &SAMPLE.to_owned()),
            (&mapping.fields.id, &id),
        ] {
            if let Some(place) = places.place() {
                put(&mut event, place, Value::from(text.as_str()))?;
            }
        }
        let body = match mapping.events.place() {
            Some("") => Value::from(vec![event]),
            Some(place) => {
                let mut body = Value::Object(serde_json::Map::new());
                put(&mut body, place, Value::from(vec![event]))?;
                body
            }
            None => event,
        };
        let mut request = RawRequest { body: body.to_string().into_bytes(), ..RawRequest::default() };
        match &mapping.auth {
            Proof::SharedSecret(Shared { header: None }) => request.token = Some(secret.clone()),
            Proof::SharedSecret(Shared { header: Some(header) }) => {
                request.headers.push((header.to_ascii_lowercase(), secret.expose().to_owned()));
            }
            Proof::Hmac(hmac) => {
                let at = now.0.div_euclid(1000).to_string();
                let signature = hmac.spelled(&hmac.sign(secret, &at, &request.body));
                request.headers.push((hmac.header.to_ascii_lowercase(), signature));
                request
                    .headers
                    .extend(hmac.timestamp_header.iter().map(|name| (name.to_ascii_lowercase(), at.clone())));
            }
        }
        Some(request)
    }
}

impl Hmac {
    /// Whether a live secret signed the request; and then whether that covers when.
    fn verify(&self, request: &RawRequest, keys: &Keys<'_>, now: UnixMillis) -> Result<bool, Rejection> {
        let header = self.header.to_ascii_lowercase();
        let offered = request.sole_header(&header).ok_or(Rejection::Missing)?;
        let offered: Vec<&str> = offered.split([',', ' ']).filter(|one| !one.is_empty()).collect();
        if offered.len() > SIGNATURES_MAX {
            return Err(Rejection::TooMany);
        }
        let offered: Vec<Vec<u8>> = offered.into_iter().filter_map(|one| self.read(one)).collect();
        let at = match &self.timestamp_header {
            Some(name) => {
                let name = name.to_ascii_lowercase();
                let at = request.sole_header(&name).ok_or(Rejection::Missing)?.to_owned();
                let moment = json::moment(&at).ok_or(Rejection::Stale)?;
                if !is_near(moment.0.div_euclid(1000), keys.settings, now) {
                    return Err(Rejection::Stale);
                }
                at
            }
            None => String::new(),
        };
        let signs = |secret: &Secret| {
            let tag = self.sign(secret, &at, &request.body);
            offered.iter().any(|one| keyed::is_same(&tag, one))
        };
        if offered.is_empty() {
            return Err(Rejection::Missing);
        }
        if keys.secrets.iter().any(signs) { Ok(self.timestamp_header.is_some()) } else { Err(Rejection::Wrong) }
    }

    fn sign(&self, secret: &Secret, at: &str, body: &[u8]) -> Vec<u8> {
        let (before, behind) = self.signed.split_once("{body}").unwrap_or(("", ""));
        let [before, behind] = [before, behind].map(|text| text.replace("{timestamp}", at));
        keyed::sign(self.algorithm, secret, &[before.as_bytes(), body, behind.as_bytes()])
    }

    fn read(&self, text: &str) -> Option<Vec<u8>> {
        let text = text.strip_prefix(self.prefix.as_str())?;
        match self.encoding {
            Encoding::Hex => hex::decode(text).ok(),
            Encoding::Base64 => STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok(),
            Encoding::Base64url => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok(),
        }
    }

    fn spelled(&self, tag: &[u8]) -> String {
        let text = match self.encoding {
            Encoding::Hex => hex::encode(tag),
            Encoding::Base64 => STANDARD_NO_PAD.encode(tag),
            Encoding::Base64url => URL_SAFE_NO_PAD.encode(tag),
        };
        format!("{}{text}", self.prefix)
    }

    fn auth(&self) -> Auth {
        match self.algorithm {
            Digest::Sha1 => Auth::HmacSha1,
            Digest::Sha256 => Auth::HmacSha256,
            Digest::Sha512 => Auth::HmacSha512,
        }
    }
}

/// What one event of the batch tells: an event for each of its recipients.
fn told(mapping: &Mapping, one: Json<'_>, now: UnixMillis) -> Result<Vec<NewEvent>, Malformed> {
    let fields = &mapping.fields;
    let text = |places: &Pointers| places.first(one).owned();
    let name = fields.event.each(one).into_iter().flatten().collect::<Vec<_>>().join("/");
    let id = match naming("id", &fields.id, one)? {
        Some(id) => id,
        None => named_by(mapping, one)?,
    };
    let recipients = fields.recipients.texts(one);
    let parts = recipients.len();
    let meaning = mapping.meaning(&name);
    let (message, thread) =
        (naming("message_id", &fields.message_id, one)?, naming("thread_id", &fields.thread_id, one)?);
    let (code, diagnostic, feedback) =
        (text(&fields.bounce_code), text(&fields.diagnostic), text(&fields.feedback_type));
    let response = text(&fields.smtp_response);
    let to = fields.to.texts(one);
    // Of a message that came in the recipients are the mailboxes, unless they are named apart.
    let mailbox = text(&fields.mailbox);
    let inbound = meaning == Meaning::Inbound;
    let whom: Vec<Option<String>> =
        if recipients.is_empty() { vec![None] } else { recipients.into_iter().map(Some).collect() };
    let told = whom.into_iter().map(|recipient| {
        let told = Told {
            id: part_id(&id, recipient.as_deref(), parts),
            at: fields.timestamp.first(one).moment(),
            mailbox: mailbox.clone().or_else(|| recipient.clone().filter(|_| inbound)),
            message: message.clone(),
            thread: thread.clone(),
            name: name.clone(),
            recipient,
            response: response.as_deref(),
            failure: Failure { status: code.as_deref(), diagnostic: diagnostic.as_deref(), ..Failure::default() },
            feedback: feedback.as_deref(),
            machine: fields.machine.first(one).flag(),
            inbound: Inbound {
                from: text(&fields.from).unwrap_or_default(),
                to: to.clone(),
                subject: text(&fields.subject).unwrap_or_default(),
                text: text(&fields.text).unwrap_or_default(),
                auto: fields.auto.first(one).flag().unwrap_or(false),
            },
        };
        told.event(&Row { name: "", meaning }, now)
    });
    Ok(told.collect())
}

/// The id of an event that has none: a digest of what the mapping names, of which something must be there.
fn named_by(mapping: &Mapping, one: Json<'_>) -> Result<String, Malformed> {
    let fields = &mapping.fields;
    let parts: Vec<Option<String>> = fields.id_from.each(one);
    if parts.iter().all(Option::is_none) {
        let place = fields.id.place().or(fields.id_from.place()).unwrap_or_default();
        return Err(Malformed(format!("each event must have an id, at `{place}`")));
    }
    // What is absent is not the same as what is empty.
    let parts: Vec<String> =
        parts.into_iter().map(|part| part.map_or_else(String::new, |part| format!("={part}"))).collect();
    Ok(derived_id(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// A text that names something. A number that is not whole, or beyond 64 bits, has lost digits: two names could become one.
fn naming(field: &str, places: &Pointers, one: Json<'_>) -> Result<Option<String>, Malformed> {
    let found = places.first(one);
    if found.is_inexact() {
        return Err(Malformed(format!("`{field}` must be a text, or a whole number of 64 bits")));
    }
    Ok(found.owned())
}

/// Puts `value` where `pointer` leads in a tree of objects; none where something else is in the way.
fn put(tree: &mut Value, pointer: &str, value: Value) -> Option<()> {
    let mut place = tree;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        place = place.as_object_mut()?.entry(name).or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    *place = value;
    Some(())
}

const NO_MAPPING: &str = "a generic source needs a mapping: --mapping FILE, JSON that says how its webhooks are signed and where \
     in them is what; docs/providers.md shows one";

const MANUAL: Manual = Manual {
    title: "Any other sender of JSON",
    auth: "what the mapping says: an HMAC in a header, by SHA-256, SHA-512 or SHA-1, in hex or base64, of the body or of a \
           template with the body and a timestamp in it (within 300 s; `hmac-sha256`, `hmac-sha512`, `hmac-sha1`); or a secret that \
           comes along in a header, in the path, or as the password of basic authentication (`shared-secret`)",
    secret: Some("what it signs with, or what it brings along"),
    answers: "400 to a body that is not understood, which stays in quarantine",
    steps: &[
        "Set the sender's webhook URL to {url}. If it signs nothing, to {url}/SECRET, or with basic authentication and the \
         secret as its password.",
        "Have it send one, and look at `mailbell source show` and `mailbell source quarantine`.",
    ],
    fields: &[
        (
            "event_id",
            "`fields.id`, else a digest of what is at `fields.id_from`; with several recipients one of it and the recipient",
        ),
        ("timestamp", "`fields.timestamp`: RFC 3339, RFC 2822, Unix seconds or milliseconds"),
        ("mailbox", "`fields.mailbox`; of `inbound` else each of `fields.recipients`"),
        ("recipient", "each of `fields.recipients`"),
        ("bounce_code", "`fields.bounce_code`, or a code in `fields.diagnostic`"),
        (
            "the others",
            "`fields` of the same name: `message_id`, `thread_id`, `diagnostic`, `smtp_response`, `feedback_type`, `machine`, \
             `from`, `to`, `subject`, `auto`, and `text` for the snippet",
        ),
    ],
    rows: &[],
};
