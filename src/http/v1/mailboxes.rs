//! `/v1/mailboxes`

use std::sync::Arc;

use axum::{Extension, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Created, Done, Failure, Gone, gone},
    auth::Caller,
    input::{At, JsonBody},
    oversight::mode,
    shapes,
};
use crate::{
    bell::oversight::Oversight,
    domain::message::Mailbox,
    mail::api::{Api, ApiError, MailboxChange},
};

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

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
) -> Result<Done<Mailboxes>, Failure> {
    let mut mailboxes = Vec::new();
    for mailbox in api.mailboxes(&key).await? {
        mailboxes.push(shape(&api, &oversight, &mailbox).await?);
    }
    Ok(Answer(Mailboxes { mailboxes }))
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    JsonBody(new): JsonBody<NewMailbox>,
) -> Result<Created<shapes::Mailbox>, Failure> {
    let address = new.address.or(new.address_local).ok_or_else(|| {
        Failure::Malformed(
            "`address` is missing: give a whole address, or the part before the @ as `address_local`".into(),
        )
    })?;
    let mailbox = api.add_mailbox(&key, &address, new.display_name).await?;
    Ok(Answer(shape(&api, &oversight, &mailbox).await?))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
) -> Result<Done<shapes::Mailbox>, Failure> {
    let mailbox = api.mailbox(&key, &mailbox).await?;
    Ok(Answer(shape(&api, &oversight, &mailbox).await?))
}

async fn shape(api: &Api, oversight: &Oversight, mailbox: &Mailbox) -> Result<shapes::Mailbox, Failure> {
    let mode = oversight.rules().await.map_err(ApiError::from)?.mode_for(Some(mailbox.address.as_str()));
    Ok(shapes::Mailbox::of(mailbox, &api.settings(mailbox).await?, mode, api.tracks_opens(mailbox).await?))
}

/// What is to be changed. A text that is empty or null takes away what was there.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Changes {
    #[serde(default, deserialize_with = "text")]
    display_name: Option<String>,
    /// An operator changes it; asked by anybody else, it waits for one.
    oversight_mode: Option<String>,
    /// An address that gets a copy of all it sends.
    #[serde(default, deserialize_with = "text")]
    auto_cc: Option<String>,
    #[serde(default, deserialize_with = "text")]
    auto_bcc: Option<String>,
    /// What stands under all it sends.
    #[serde(default, deserialize_with = "text")]
    signature_block: Option<String>,
    track_opens: Option<bool>,
    /// What the service documents and this one does not have: it is named in the answer, and changes nothing.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A text; null is an empty one, and a name that is left out is none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(Option::<String>::deserialize(deserializer)?.unwrap_or_default()))
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
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    JsonBody(changes): JsonBody<Changes>,
) -> Result<Done<Changed>, Failure> {
    let Changes { display_name, oversight_mode, auto_cc, auto_bcc, signature_block, track_opens, rest } = changes;
    let change = MailboxChange { display_name, auto_cc, auto_bcc, signature_block, track_opens };
    // The setup of MultiMail's own MCP server may come with nothing but that it was done.
    let mode = oversight_mode.as_deref().map(mode).transpose()?;
    if change == MailboxChange::default() && mode.is_none() && !rest.contains_key("mcp_configured") {
        return Err(Failure::Malformed(
            "give at least one of `display_name`, `oversight_mode`, `auto_cc`, `auto_bcc`, `signature_block` and \
             `track_opens` (true or false); nothing else of a mailbox changes"
                .into(),
        ));
    }
    api.change_mailbox(&key, &mailbox, change).await?;
    let mailbox = api.mailbox(&key, &mailbox).await?;
    // Whoever comes so far with a mode decides: the gate has seen to it.
    if let Some(mode) = mode.filter(|_| key.decides()) {
        oversight.set_mode(Some(mailbox.address.as_str()), Some(mode)).await.map_err(ApiError::from)?;
    }
    let track_opens = api.tracks_opens(&mailbox).await?;
    Ok(Answer(Changed { status: "updated", track_opens, ignored: rest.into_iter().map(|(name, _)| name).collect() }))
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
) -> Result<Done<Gone>, Failure> {
    api.remove_mailbox(&key, &mailbox).await?;
    Ok(gone())
}
