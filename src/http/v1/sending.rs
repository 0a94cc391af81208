//! `/v1/mailboxes/{mailbox}/send`, `/reply`, and what can still be done to what was sent.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    answer::Failure,
    auth::Caller,
    input::{ACCEPTED, At, JsonBody, LetterBody},
};
use crate::{
    domain::{clock::UnixMillis, id::MessageId, message::Status},
    mail::{
        api::Api,
        submission::{Change, GivenFile, Letter, Taken},
    },
};

/// A letter, in the service's words.
#[derive(Deserialize)]
pub(super) struct LetterWords {
    #[serde(default, deserialize_with = "people")]
    to: Option<Vec<String>>,
    #[serde(default, deserialize_with = "people")]
    cc: Option<Vec<String>>,
    #[serde(default, deserialize_with = "people")]
    bcc: Option<Vec<String>>,
    subject: Option<String>,
    markdown: Option<String>,
    #[serde(default)]
    attachments: Option<Vec<FileWords>>,
    idempotency_key: Option<String>,
    send_at: Option<UnixMillis>,
    track_opens: Option<bool>,
}

#[derive(Deserialize)]
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

impl LetterWords {
    fn letter(self) -> Letter {
        let file = |FileWords { name, content_base64, content_type }| GivenFile { name, content_type, content_base64 };
        Letter {
            to: self.to.unwrap_or_default(),
            cc: self.cc.unwrap_or_default(),
            bcc: self.bcc.unwrap_or_default(),
            subject: self.subject.unwrap_or_default(),
            markdown: self.markdown.unwrap_or_default(),
            files: self.attachments.unwrap_or_default().into_iter().map(file).collect(),
            idempotency_key: self.idempotency_key,
            send_at: self.send_at,
            track_opens: self.track_opens,
        }
    }
}

/// 202 for what was taken in now, 200 for what an earlier request of the same key had taken in.
fn taken(taken: &Taken) -> (StatusCode, Json<Value>) {
    let (code, status) = match (taken.again, taken.status) {
        (true, _) => (StatusCode::OK, "already_sent"),
        (false, Status::Scheduled) => (ACCEPTED, "scheduled"),
        // The service's word for what is on its way.
        (false, _) => (ACCEPTED, "pending_scan"),
    };
    let mut shape = json!({
        "id": taken.message,
        "message_id": taken.message,
        "email_id": taken.message,
        "thread_id": taken.thread,
        "status": status,
    });
    if taken.again {
        shape["idempotent"] = true.into();
    }
    (code, Json(shape))
}

pub(super) async fn send(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    if words.subject.is_none() {
        return Err(Failure::Malformed("`subject` is missing; it may be empty, but it must be said".into()));
    }
    Ok(taken(&api.send(&key, &mailbox, words.letter()).await?))
}

pub(super) async fn reply(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    Ok(taken(&api.reply(&key, &mailbox, &MessageId::new(email), words.letter()).await?))
}

/// Clients send it without a body.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let id = MessageId::new(email);
    api.cancel(&key, &mailbox, &id).await?;
    Ok(Json(json!({ "id": id, "message_id": id, "status": "cancelled" })))
}

pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Json<Value>, Failure> {
    if words.attachments.is_some() {
        return Err(Failure::Malformed(
            "attachments of a scheduled email cannot be changed; cancel it and send another".into(),
        ));
    }
    let LetterWords { to, cc, bcc, subject, markdown, send_at, .. } = words;
    let id = MessageId::new(email);
    let send_at = api.change(&key, &mailbox, &id, Change { to, cc, bcc, subject, markdown, send_at }).await?;
    Ok(Json(json!({ "id": id, "message_id": id, "status": "scheduled", "send_at": send_at })))
}

#[derive(Deserialize)]
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
) -> Result<(StatusCode, Json<Value>), Failure> {
    let id = MessageId::new(email);
    let delay = Duration::from_secs(words.delay_secs);
    let (at, again) = api.retry(&key, &mailbox, &id, &words.recipient, delay).await?;
    let shape = json!({
        "id": id,
        "message_id": id,
        "recipient": words.recipient,
        "status": if again { "retried_once" } else { "moved" },
        "next_attempt_at": at,
    });
    Ok((ACCEPTED, Json(shape)))
}
