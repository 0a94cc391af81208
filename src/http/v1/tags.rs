//! `/v1/mailboxes/{mailbox}/emails/{email}/tags`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::Failure,
    auth::Caller,
    input::{At, JsonBody, Params},
};
use crate::{
    domain::id::MessageId,
    mail::api::{Api, Tags},
};

#[derive(Deserialize)]
pub(super) struct NewTags {
    tags: Value,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let tags = api.tags(&key, &mailbox, &MessageId::new(email)).await?;
    Ok(Json(json!({ "tags": tags })))
}

/// Merges, as the service's tool text has it; with `?mode=replace` it replaces, as its documentation has it.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
    params: Params,
    JsonBody(new): JsonBody<NewTags>,
) -> Result<Json<Value>, Failure> {
    let replace = match params.text("mode") {
        None | Some("merge") => false,
        Some("replace") => true,
        Some(_) => return Err(Failure::Malformed("`mode` must be merge or replace".into())),
    };
    let tags = api.put_tags(&key, &mailbox, &MessageId::new(email), &tags(new.tags)?, replace).await?;
    Ok(Json(json!({ "tags": tags })))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email, tag)): At<(String, String, String)>,
) -> Result<Json<Value>, Failure> {
    api.delete_tag(&key, &mailbox, &MessageId::new(email), &tag).await?;
    Ok(Json(json!({ "deleted": true, "status": "deleted" })))
}

/// A map of texts, or a list of keys, which stands for each with the value `true`.
fn tags(value: Value) -> Result<Tags, Failure> {
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
