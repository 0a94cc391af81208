//! `/v1/mailboxes/{mailbox}/send`, `/reply`, and what can still be done to what was sent.

use std::{sync::Arc, time::Duration};

use axum::{Extension, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    answer::{Accepted, Answer, Done, Either, Failure},
    auth::Caller,
    input::{At, JsonBody, LetterBody},
    oversight::take_back,
    shapes::Moment,
};
use crate::{
    bell::oversight::Oversight,
    domain::{clock::UnixMillis, id::MessageId, key::ApiKey, message::Status, office::GateTiming},
    mail::{
        api::{Api, ApiError},
        submission::{Change, GivenFile, Letter, RECIPIENTS_MAX, Shown, Taken},
    },
};

/// A letter, in the service's words.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LetterWords {
    #[serde(default, deserialize_with = "people")]
    #[schemars(schema_with = "people_schema")]
    to: Option<Vec<String>>,
    #[serde(default, deserialize_with = "people")]
    #[schemars(schema_with = "people_schema")]
    cc: Option<Vec<String>>,
    #[serde(default, deserialize_with = "people")]
    #[schemars(schema_with = "people_schema")]
    bcc: Option<Vec<String>>,
    subject: Option<String>,
    markdown: Option<String>,
    /// The same, in another client's word.
    body: Option<String>,
    /// Where the path names none: the address or id of the mailbox to send from.
    mailbox: Option<String>,
    #[serde(default)]
    attachments: Option<Vec<FileWords>>,
    idempotency_key: Option<String>,
    #[schemars(with = "Option<Moment>")]
    send_at: Option<UnixMillis>,
    /// Where an operator's approval is needed for what is sent later, what comes first: `gate_first` the approval, after which
    /// it waits for its moment, or `schedule_first` the moment, at which the operator is asked. As the mailbox has it
    /// otherwise, or `gate_first`.
    #[schemars(with = "Option<String>")]
    #[serde(default, deserialize_with = "gate_timing")]
    gate_timing: Option<GateTiming>,
    track_opens: Option<bool>,
    /// Of what an operator was shown: the SHA-256 of its HTML. Only whoever does what was approved says it.
    #[schemars(skip)]
    shown_html_sha256: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct FileWords {
    name: String,
    content_base64: String,
    content_type: String,
}

/// A list of addresses, or one.
fn people<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let read = |value: Value| match value {
        Value::String(address) => Some(address),
        _ => None,
    };
    let list = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Array(items) => items.into_iter().map(read).collect(),
        one => read(one).map(|address| vec![address]),
    };
    list.map(Some).ok_or_else(|| serde::de::Error::custom("to, cc and bcc are lists of addresses"))
}

fn gate_timing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GateTiming>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?.filter(|word| !word.is_empty());
    word.map(|word| word.parse()).transpose().map_err(serde::de::Error::custom)
}

fn people_schema(_: &mut SchemaGenerator) -> Schema {
    let address = json_schema!({ "type": "string" });
    json_schema!({ "anyOf": [address, { "type": "array", "items": address, "maxItems": RECIPIENTS_MAX }, { "type": "null" }] })
}

impl LetterWords {
    /// The mailbox that it is to be sent from, where the path names none.
    pub(super) fn mailbox(&self) -> Option<&str> {
        self.mailbox.as_deref()
    }

    /// What to say so that exactly `letter` is sent.
    pub(super) fn as_shown(letter: &Letter, html_sha256: &str) -> Value {
        let file = |file: &GivenFile| {
            serde_json::json!({
                "name": file.name, "content_type": file.content_type, "content_base64": file.content_base64,
            })
        };
        serde_json::json!({
            "to": letter.to, "cc": letter.cc, "bcc": letter.bcc, "subject": letter.subject, "markdown": letter.markdown,
            "attachments": letter.files.iter().map(file).collect::<Vec<_>>(), "send_at": letter.send_at,
            "track_opens": letter.track_opens, "shown_html_sha256": html_sha256,
        })
    }

    /// The letter, as `key` may have it sent.
    pub(super) fn letter(self, key: &ApiKey) -> Letter {
        let shown = self.shown_html_sha256.filter(|_| key.does_approved());
        let file = |FileWords { name, content_base64, content_type }| GivenFile { name, content_type, content_base64 };
        Letter {
            to: self.to.unwrap_or_default(),
            cc: self.cc.unwrap_or_default(),
            bcc: self.bcc.unwrap_or_default(),
            subject: self.subject.unwrap_or_default(),
            markdown: self.markdown.or(self.body).unwrap_or_default(),
            files: self.attachments.unwrap_or_default().into_iter().map(file).collect(),
            idempotency_key: self.idempotency_key,
            send_at: self.send_at,
            gate_timing: self.gate_timing,
            track_opens: self.track_opens,
            shown: shown.map(|html_sha256| Shown { html_sha256 }),
            ai_disclosure: false,
        }
    }
}

/// What became of a letter.
#[derive(Serialize, JsonSchema)]
pub(super) struct Sending {
    id: String,
    message_id: String,
    email_id: String,
    thread_id: String,
    /// `pending_scan` (the service's word for what is on its way), `scheduled` or `already_sent`.
    status: &'static str,
    /// True where an earlier request with the same idempotency key had it taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotent: Option<bool>,
}

/// 202 for what was taken in now, 200 for what an earlier request of the same key had taken in.
pub(super) type Posted = Either<Accepted<Sending>, Done<Sending>>;

fn taken(taken: &Taken) -> Posted {
    let sending = |status, idempotent| Sending {
        id: taken.message.to_string(),
        message_id: taken.message.to_string(),
        email_id: taken.message.to_string(),
        thread_id: taken.thread.to_string(),
        status,
        idempotent,
    };
    match (taken.again, taken.status) {
        (true, _) => Either::Other(Answer(sending("already_sent", Some(true)))),
        (false, Status::Scheduled) => Either::One(Answer(sending("scheduled", None))),
        (false, _) => Either::One(Answer(sending("pending_scan", None))),
    }
}

/// What became of an email that waited.
#[derive(Serialize, JsonSchema)]
pub(super) struct Waiting {
    id: String,
    message_id: String,
    /// `cancelled` or `scheduled`.
    status: &'static str,
    /// When it is sent now.
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<Moment>,
}

/// When a recipient is tried again.
#[derive(Serialize, JsonSchema)]
pub(super) struct Retrying {
    id: String,
    message_id: String,
    recipient: String,
    /// `moved` where it was queued anyway, `retried_once` where it had been given up.
    status: &'static str,
    next_attempt_at: Moment,
}

pub(super) async fn send(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Posted, Failure> {
    if words.subject.is_none() {
        return Err(Failure::Malformed("`subject` is missing; it may be empty, but it must be said".into()));
    }
    Ok(taken(&api.send(&key, &mailbox, words.letter(&key)).await?))
}

pub(super) async fn reply(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Posted, Failure> {
    Ok(taken(&api.reply(&key, &mailbox, &MessageId::new(email), words.letter(&key)).await?))
}

/// Clients send it without a body. What waits for an operator is taken back by the id of its action.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
) -> Result<Done<Waiting>, Failure> {
    let id = MessageId::new(email);
    match api.cancel(&key, &mailbox, &id).await {
        Err(unknown @ ApiError::NotFound(_)) => {
            let mailbox = api.find(&mailbox).await?;
            if !take_back(&oversight, &key, &mailbox, id.as_str()).await? {
                return Err(unknown.into());
            }
        }
        cancelled => cancelled?,
    }
    Ok(Answer(Waiting { id: id.to_string(), message_id: id.to_string(), status: "cancelled", send_at: None }))
}

pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Done<Waiting>, Failure> {
    if words.attachments.is_some() {
        return Err(Failure::Malformed(
            "attachments of a scheduled email cannot be changed; cancel it and send another".into(),
        ));
    }
    let LetterWords { to, cc, bcc, subject, markdown, send_at, .. } = words;
    let id = MessageId::new(email);
    let send_at = api
        .change(&key, &mailbox, &id, Change { to, cc, bcc, subject, markdown, send_at, ..Change::default() })
        .await?;
    let send_at = Some(send_at.into());
    Ok(Answer(Waiting { id: id.to_string(), message_id: id.to_string(), status: "scheduled", send_at }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct RetryWords {
    recipient: String,
    #[serde(default)]
    delay_secs: u64,
}

/// Ours; the service documents none.
pub(super) async fn retry(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    JsonBody(words): JsonBody<RetryWords>,
) -> Result<Accepted<Retrying>, Failure> {
    let id = MessageId::new(email);
    let delay = Duration::from_secs(words.delay_secs);
    let (at, again) = api.retry(&key, &mailbox, &id, &words.recipient, delay).await?;
    Ok(Answer(Retrying {
        id: id.to_string(),
        message_id: id.to_string(),
        recipient: words.recipient,
        status: if again { "retried_once" } else { "moved" },
        next_attempt_at: at.into(),
    }))
}
