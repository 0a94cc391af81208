//! `/v1/mailboxes/{mailbox}/emails/{email}/tags`

use std::sync::Arc;

use axum::extract::State;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    answer::{Answer, Done, Failure, Gone, gone},
    auth::Caller,
    input::{At, JsonBody, Query},
};
use crate::{
    domain::{id::MessageId, message::Mailbox},
    mail::api::{Api, Tags},
};

#[derive(Deserialize, JsonSchema)]
pub(super) struct NewTags {
    /// Keys with values, or a list of keys, each of which then has the value `true`.
    #[schemars(schema_with = "tags_schema")]
    pub(super) tags: Value,
}

fn tags_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [
        { "type": "object", "additionalProperties": { "type": "string" } },
        { "type": "array", "items": { "type": "string" } },
    ] })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct How {
    /// `merge` (when left out) or `replace`.
    mode: Option<String>,
}

/// An email's tags.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tags")]
pub(super) struct Shown {
    tags: Tags,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
) -> Result<Done<Shown>, Failure> {
    let tags = api.tags(&key, &mailbox, &MessageId::new(email)).await?;
    Ok(Answer(Shown { tags }))
}

/// Merges, as the service's tool text has it; with `?mode=replace` it replaces, as its documentation has it.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    Query(how): Query<How>,
    JsonBody(new): JsonBody<NewTags>,
) -> Result<Done<Shown>, Failure> {
    let replace = match how.mode.as_deref() {
        None | Some("merge") => false,
        Some("replace") => true,
        Some(_) => return Err(Failure::Malformed("`mode` must be merge or replace".into())),
    };
    let tags = api.put_tags(&key, &mailbox, &MessageId::new(email), &tags(new.tags)?, replace).await?;
    Ok(Answer(Shown { tags }))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email, tag)): At<(String, String, String)>,
) -> Result<Done<Gone>, Failure> {
    api.delete_tag(&key, &mailbox, &MessageId::new(email), &tag).await?;
    Ok(gone())
}

/// A map of texts, or a list of keys, which stands for each with the value `true`.
/// The tags that an email has; none where there is no such email.
pub(super) async fn known(api: &Api, mailbox: &Mailbox, email: &str) -> Tags {
    api.tags_of(mailbox, &MessageId::new(email)).await.unwrap_or_default()
}

pub(super) fn tags(value: Value) -> Result<Tags, Failure> {
    let pairs: Option<Tags> = match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) => Some((key, text)),
                _ => None,
            })
            .collect(),
        Value::Array(keys) => keys
            .into_iter()
            .map(|key| match key {
                Value::String(key) => Some((key, "true".to_owned())),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    pairs.ok_or_else(|| {
        Failure::Malformed("`tags` must be an object whose values are strings, or a list of strings".into())
    })
}
