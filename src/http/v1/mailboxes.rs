//! `/v1/mailboxes`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    answer::Failure,
    auth::Caller,
    input::{At, CREATED, JsonBody},
    shapes,
};
use crate::mail::api::Api;

/// The API's documentation says `address_local`, its SDK says `address`.
#[derive(Deserialize)]
pub(super) struct NewMailbox {
    address_local: Option<String>,
    address: Option<String>,
    display_name: Option<String>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Json<Value>, Failure> {
    let mailboxes: Vec<_> = api.mailboxes(&key).await?.iter().map(shapes::mailbox).collect();
    Ok(Json(json!({ "mailboxes": mailboxes })))
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewMailbox>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let address = new.address.or(new.address_local).ok_or_else(|| {
        Failure::Malformed(
            "`address` is missing: give a whole address, or the part before the @ as `address_local`".into(),
        )
    })?;
    let mailbox = api.add_mailbox(&key, &address, new.display_name).await?;
    let mut shape = shapes::mailbox(&mailbox);
    shape["track_opens"] = false.into();
    Ok((CREATED, Json(shape)))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
) -> Result<Json<Value>, Failure> {
    let mailbox = api.mailbox(&key, &mailbox).await?;
    let mut shape = shapes::mailbox(&mailbox);
    shape["track_opens"] = api.tracks_opens(&mailbox).await?.into();
    Ok(Json(shape))
}

/// Changes what there is to change; the service documents more, which this one does not have. It names what it did not
/// change, so that nobody takes silence for consent.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    JsonBody(mut changes): JsonBody<Map<String, Value>>,
) -> Result<Json<Value>, Failure> {
    let Some(Value::Bool(on)) = changes.remove("track_opens") else {
        return Err(Failure::Malformed("give `track_opens`, true or false; nothing else of a mailbox changes".into()));
    };
    api.track_opens(&key, &mailbox, on).await?;
    let ignored: Vec<_> = changes.keys().collect();
    Ok(Json(json!({ "status": "updated", "track_opens": on, "ignored": ignored })))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
) -> Result<Json<Value>, Failure> {
    api.remove_mailbox(&key, &mailbox).await?;
    Ok(Json(json!({ "status": "deleted", "deleted": true })))
}
