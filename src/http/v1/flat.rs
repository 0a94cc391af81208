//! The flat dialects: an email is named by its id alone, a mailbox by its address in a query or a body. The seed's own code
//! speaks it (`/v1/inbox`, `/v1/emails/{id}`, `/tag`), and the Zapier app nearly the same.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Done, Failure},
    auth::Caller,
    emails::{self, Which},
    input::{At, JsonBody, LetterBody, Query, Within},
    sending::{self, LetterWords, Posted},
    shapes,
    tags::{self, NewTags},
};
use crate::{
    domain::id::{MessageId, ThreadId},
    mail::api::{Api, EMAILS_MAX},
};

pub(super) async fn inbox(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    Query(which): Query<Which>,
) -> Result<Done<shapes::EmailPage>, Failure> {
    let mailbox = api.mailbox_or_only(&key, which.mailbox.as_deref().or(which.mailbox_id.as_deref())).await?;
    emails::page(&api, &key, mailbox.id.as_str(), which).await
}

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(email): At<String>,
) -> Result<Done<shapes::Email>, Failure> {
    let mailbox = api.mailbox_of_email(&key, &MessageId::new(email.as_str())).await?;
    emails::read(State(api), Caller(key), At((mailbox.id.to_string(), email))).await
}

pub(super) async fn thread(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(thread): At<String>,
) -> Result<Done<shapes::Thread>, Failure> {
    let mailbox = api.mailbox_of_thread(&key, &ThreadId::new(thread.as_str())).await?;
    emails::thread(State(api), Caller(key), At((mailbox.id.to_string(), thread))).await
}

/// An email and the keys of its tags.
#[derive(Serialize, JsonSchema)]
pub(super) struct Tagged {
    id: String,
    message_id: String,
    email_id: String,
    tags: Vec<String>,
}

pub(super) async fn tag(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(email): At<String>,
    JsonBody(new): JsonBody<NewTags>,
) -> Result<Done<Tagged>, Failure> {
    let id = MessageId::new(email.as_str());
    let mailbox = api.mailbox_of_email(&key, &id).await?;
    let tags = api.put_tags(&key, mailbox.id.as_str(), &id, &tags::tags(new.tags)?, false).await?;
    Ok(Answer(Tagged {
        id: email.clone(),
        message_id: email.clone(),
        email_id: email,
        tags: tags.into_keys().collect(),
    }))
}

pub(super) async fn send(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Posted, Failure> {
    let mailbox = match words.mailbox() {
        Some(named) => named.to_owned(),
        None => api.mailbox_or_only(&key, None).await?.id.to_string(),
    };
    sending::send(State(api), Caller(key), At(mailbox), LetterBody(words)).await
}

pub(super) async fn reply(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(email): At<String>,
    LetterBody(words): LetterBody<LetterWords>,
) -> Result<Posted, Failure> {
    let mailbox = api.mailbox_of_email(&key, &MessageId::new(email.as_str())).await?;
    sending::reply(State(api), Caller(key), At((mailbox.id.to_string(), email)), LetterBody(words)).await
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct SpamWhich {
    /// `spam_quarantined` (when left out) or `spam_flagged`, which nothing here is ever.
    status: Option<String>,
    limit: Option<Within<1, EMAILS_MAX>>,
    /// That of the page before.
    cursor: Option<String>,
}

/// `GET /v1/emails` is not the inbox but what was called spam, in every mailbox.
pub(super) async fn spam(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    Query(which): Query<SpamWhich>,
) -> Result<Done<shapes::EmailPage>, Failure> {
    let before = which.cursor.map(MessageId::new);
    let limit = which.limit.map_or(emails::LIMIT_DEFAULT, |Within(limit)| limit);
    let page = api.spam(&key, before.as_ref(), limit).await?;
    match which.status.as_deref() {
        None | Some("spam_quarantined") => Ok(Answer((&page).into())),
        Some("spam_flagged") => Ok(Answer(shapes::EmailPage::empty())),
        Some(_) => Err(Failure::Malformed(
            "`status` must be spam_quarantined or spam_flagged; GET /v1/inbox lists all other emails".into(),
        )),
    }
}

/// What an email is called now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Called {
    id: String,
    message_id: String,
    /// `spam_quarantined` or `unread`.
    status: &'static str,
    /// `spam` or `not_spam`.
    user_label: &'static str,
}

/// Clients send it without a body.
pub(super) async fn report_spam(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(email): At<String>,
) -> Result<Done<Called>, Failure> {
    api.call_spam(&key, &MessageId::new(email.as_str()), true).await?;
    Ok(Answer(Called { id: email.clone(), message_id: email, status: "spam_quarantined", user_label: "spam" }))
}

/// Clients send it without a body.
pub(super) async fn not_spam(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(email): At<String>,
) -> Result<Done<Called>, Failure> {
    api.call_spam(&key, &MessageId::new(email.as_str()), false).await?;
    Ok(Answer(Called { id: email.clone(), message_id: email, status: "unread", user_label: "not_spam" }))
}
