//! `/v1/suppression`

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Created, Done, Failure, Gone, gone},
    auth::Caller,
    input::{At, JsonBody, Query, Within},
    shapes::Moment,
};
use crate::{
    domain::suppression::Suppression,
    mail::api::{Api, SUPPRESSIONS_MAX},
};

/// Entries in a page when the client does not say.
const LIMIT_DEFAULT: u32 = 50;

/// An address that is not written to, and why.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Suppression")]
pub(super) struct Entry {
    id: String,
    email_address: String,
    address: String,
    /// `bounce`, `complaint` or `manual`.
    reason: &'static str,
    /// In the words of whoever asked for it, or of the remote server.
    note: Option<String>,
    mailbox_id: Option<String>,
    message_id: Option<String>,
    created_at: Moment,
}

impl From<&Suppression> for Entry {
    fn from(suppression: &Suppression) -> Self {
        Self {
            id: suppression.id.clone(),
            email_address: suppression.address.to_string(),
            address: suppression.address.to_string(),
            reason: suppression.reason.as_str(),
            note: suppression.note.clone(),
            mailbox_id: suppression.mailbox.as_ref().map(ToString::to_string),
            message_id: suppression.message.as_ref().map(ToString::to_string),
            created_at: suppression.created_at.into(),
        }
    }
}

/// A page of the list, the newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SuppressionPage")]
pub(super) struct Page {
    suppressions: Vec<Entry>,
    cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    limit: Option<Within<1, SUPPRESSIONS_MAX>>,
    /// That of the page before.
    cursor: Option<String>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    Query(which): Query<Which>,
) -> Result<Done<Page>, Failure> {
    let limit = which.limit.map_or(LIMIT_DEFAULT, |Within(limit)| limit);
    let (page, cursor) = api.suppressions(&key, which.cursor.as_deref(), limit).await?;
    Ok(Answer(Page { suppressions: page.iter().map(Entry::from).collect(), cursor }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct NewSuppression {
    address: Option<String>,
    email_address: Option<String>,
    reason: Option<String>,
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewSuppression>,
) -> Result<Created<Entry>, Failure> {
    let address = new
        .address
        .or(new.email_address)
        .ok_or_else(|| Failure::Malformed("`address` is missing: the address that is not to be written to".into()))?;
    Ok(Answer(Entry::from(&api.suppress(&key, &address, new.reason).await?)))
}

pub(super) async fn lift(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(address): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.lift(&key, &address).await?;
    Ok(gone())
}
