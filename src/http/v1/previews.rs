//! `/v1/mailboxes/{mailbox}/preview`: a letter as it would be sent; nothing is kept of it. An operator is shown this.

use std::sync::Arc;

use axum::extract::State;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    answer::{Answer, Done, Failure},
    auth::Caller,
    input::{At, LetterBody},
    sending::LetterWords,
};
use crate::{
    domain::{id::MessageId, key::ApiKey, office::GateTiming, oversight::Change},
    mail::{
        api::{Api, ApiError},
        submission::{GivenFile, Preview},
    },
    signing::digest::sha256_hex,
};

/// A letter as it would be sent.
#[derive(Serialize, JsonSchema)]
pub(super) struct Previewed {
    from: String,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    subject: String,
    /// Its text.
    markdown: String,
    /// The same as HTML; a tracking image, where there is one, is added to it.
    html: String,
    attachments: Vec<PreviewedFile>,
    send_at: Option<String>,
    /// Of a letter that is sent later: `schedule_first` where its moment comes before the operator is asked.
    gate_timing: Option<&'static str>,
    track_opens: bool,
    /// Why a reply is not sent without an operator, where that is so.
    not_answerable: Option<&'static str>,
    /// What to send so that exactly this is sent.
    send: Value,
}

/// A file that goes along.
#[derive(Serialize, JsonSchema)]
struct PreviewedFile {
    name: String,
    content_type: String,
    size_bytes: usize,
    /// Of its bytes, in hexadecimal.
    sha256: String,
}

pub(super) async fn of_send(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Done<Previewed>, Failure> {
    previewed(&api, &key, &mailbox, None, words).await.map(Answer)
}

pub(super) async fn of_reply(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Done<Previewed>, Failure> {
    previewed(&api, &key, &mailbox, Some(&MessageId::new(email)), words).await.map(Answer)
}

async fn previewed(
    api: &Api,
    key: &ApiKey,
    mailbox: &str,
    answered: Option<&MessageId>,
    words: LetterWords,
) -> Result<Previewed, Failure> {
    let (mailbox, preview) = api.preview(key, mailbox, answered, words.letter(key)).await?;
    let Preview { letter, html, not_answerable } = preview;
    let attachments = letter.files.iter().map(file).collect::<Result<_, Failure>>()?;
    let send_at = letter.send_at.map(|at| at.to_string());
    let gate_timing = letter.send_at.map(|_| letter.gate_timing.unwrap_or(GateTiming::GateFirst).as_str());
    let send = LetterWords::as_shown(&letter, &sha256_hex(html.as_bytes()));
    Ok(Previewed {
        from: mailbox.address.to_string(),
        to: letter.to,
        cc: letter.cc,
        bcc: letter.bcc,
        subject: letter.subject,
        markdown: letter.markdown,
        html,
        attachments,
        send_at,
        gate_timing,
        track_opens: letter.track_opens.unwrap_or_default(),
        not_answerable,
        send,
    })
}

fn file(file: &GivenFile) -> Result<PreviewedFile, Failure> {
    let bytes = STANDARD.decode(file.content_base64.split_ascii_whitespace().collect::<String>()).map_err(|_| {
        Failure::Malformed(format!("the `content_base64` of the attachment `{}` is no Base64", file.name))
    })?;
    Ok(PreviewedFile {
        name: file.name.clone(),
        content_type: file.content_type.clone(),
        size_bytes: bytes.len(),
        sha256: sha256_hex(&bytes),
    })
}

/// A change as it will be done, and of a letter all that a person should see of it. A flat path becomes the whole one.
pub(super) async fn resolved(api: &Api, key: &ApiKey, mut change: Change) -> Result<(Change, Value), Failure> {
    let path: Vec<&str> = change.path.iter().map(String::as_str).collect();
    let mailbox =
        || change.mailbox.clone().ok_or_else(|| Failure::Malformed("there is no such mailbox or email".into()));
    let whole = match (change.method.as_str(), &path[..]) {
        ("POST", ["v1", "emails", "send"]) => Some(vec!["v1".into(), "mailboxes".into(), mailbox()?, "send".into()]),
        ("POST", ["v1", "emails", email, "reply"]) => {
            Some(vec!["v1".into(), "mailboxes".into(), mailbox()?, "reply".into(), (*email).to_owned()])
        }
        _ => None,
    };
    if let Some(whole) = whole {
        change.path = whole;
    }
    let Some((mailbox, answered)) = change.letter() else { return Ok((change, Value::Null)) };
    let words: LetterWords = serde_json::from_value(change.body.clone())
        .map_err(|error| Failure::Malformed(format!("the body is not the JSON object that is asked for: {error}")))?;
    if answered.is_none() && change.body.get("subject").is_none() {
        return Err(Failure::Malformed("`subject` is missing; it may be empty, but it must be said".into()));
    }
    let answered = answered.map(MessageId::new);
    let previewed = previewed(api, key, mailbox, answered.as_ref(), words).await?;
    let mut shown = serde_json::to_value(previewed).map_err(|_| Failure::Api(ApiError::Broken))?;
    let mut body = shown.get_mut("send").map(Value::take).unwrap_or_default();
    if let (Some(body), Some(name)) = (body.as_object_mut(), change.body.get("idempotency_key")) {
        body.insert("idempotency_key".to_owned(), name.clone());
    }
    Ok((Change { body, ..change }, shown))
}
