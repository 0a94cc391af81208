//! `/v1/mailboxes`

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Created, Done, Failure, Gone, gone},
    auth::Caller,
    input::{At, JsonBody},
    shapes,
};
use crate::mail::api::Api;

/// The API's documentation says `address_local`, its SDK says `address`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewMailbox {
    address_local: Option<String>,
    address: Option<String>,
    display_name: Option<String>,
}

/// Every mailbox, by address.
#[derive(Serialize, JsonSchema)]
pub(super) struct Mailboxes {
    mailboxes: Vec<shapes::Mailbox>,
}

pub(super) async fn list(State(api): State<Arc<Api>>, Caller(key): Caller) -> Result<Done<Mailboxes>, Failure> {
    let mut mailboxes = Vec::new();
    for mailbox in api.mailboxes(&key).await? {
        mailboxes.push(shapes::Mailbox::of(&mailbox, api.tracks_opens(&mailbox).await?));
    }
    Ok(Answer(Mailboxes { mailboxes }))
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewMailbox>,
) -> Result<Created<shapes::Mailbox>, Failure> {
    let address = new.address.or(new.address_local).ok_or_else(|| {
        Failure::Malformed(
            "`address` is missing: give a whole address, or the part before the @ as `address_local`".into(),
        )
    })?;
    let mailbox = api.add_mailbox(&key, &address, new.display_name).await?;
    Ok(Answer(shapes::Mailbox::of(&mailbox, false)))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
) -> Result<Done<shapes::Mailbox>, Failure> {
    let mailbox = api.mailbox(&key, &mailbox).await?;
    Ok(Answer(shapes::Mailbox::of(&mailbox, api.tracks_opens(&mailbox).await?)))
}

/// What became of a change.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changed {
    status: &'static str,
    track_opens: bool,
    /// What was named and not changed.
    ignored: Vec<String>,
}

/// Changes what there is to change; the service documents more, which this one does not have. It names what it did not
/// change, so that nobody takes silence for consent.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    JsonBody(mut changes): JsonBody<Map<String, Value>>,
) -> Result<Done<Changed>, Failure> {
    let Some(Value::Bool(on)) = changes.remove("track_opens") else {
        return Err(Failure::Malformed("give `track_opens`, true or false; nothing else of a mailbox changes".into()));
    };
    api.track_opens(&key, &mailbox, on).await?;
    let ignored = changes.keys().cloned().collect();
    Ok(Answer(Changed { status: "updated", track_opens: on, ignored }))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.remove_mailbox(&key, &mailbox).await?;
    Ok(gone())
}
