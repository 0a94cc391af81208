//! `/v1/mailboxes`

use std::sync::Arc;

use axum::{Extension, extract::State};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
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
    domain::{message::Mailbox, oversight::Rules},
    mail::api::{Api, ApiError, FeatureChange, MailboxChange},
    store::oversight::Decider,
};

/// The API's documentation says `address_local`, its SDK says `address`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct NewMailbox {
    address_local: Option<String>,
    address: Option<String>,
    display_name: Option<String>,
    /// Where all that happens to it is told.
    webhook_url: Option<String>,
}

/// Mailboxes of a list that are looked up at once.
const SHAPED_AT_ONCE: usize = 64;

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
    let (mailboxes, rules) = (api.mailboxes(&key).await?, oversight.rules().await.map_err(ApiError::from)?);
    // Those that are asked about at once are looked up together.
    let (api, rules) = (&api, &rules);
    let shapes = stream::iter(mailboxes).map(|mailbox| async move { shape(api, rules, &mailbox).await });
    let shapes = shapes.buffered(SHAPED_AT_ONCE);
    Ok(Answer(Mailboxes { mailboxes: shapes.try_collect().await? }))
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
    let mailbox = api.add_mailbox(&key, &address, new.display_name, new.webhook_url).await?;
    Ok(Answer(shape(&api, &oversight.rules().await.map_err(ApiError::from)?, &mailbox).await?))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
) -> Result<Done<shapes::Mailbox>, Failure> {
    let mailbox = api.mailbox(&key, &mailbox).await?;
    Ok(Answer(shape(&api, &oversight.rules().await.map_err(ApiError::from)?, &mailbox).await?))
}

async fn shape(api: &Api, rules: &Rules, mailbox: &Mailbox) -> Result<shapes::Mailbox, Failure> {
    let (settings, tracks_opens) = tokio::try_join!(api.settings(mailbox), api.tracks_opens(mailbox))?;
    Ok(shapes::Mailbox::of(mailbox, &settings, rules.mode_for(Some(mailbox.address.as_str())), tracks_opens))
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
    /// Where all that happens to it is told, as by a webhook of its own.
    #[serde(default, deserialize_with = "text")]
    webhook_url: Option<String>,
    /// Kept; nothing is posted to it yet.
    #[serde(default, deserialize_with = "text")]
    oversight_webhook_url: Option<String>,
    /// 0; mail that comes in is never sent on.
    #[serde(default, deserialize_with = "flag")]
    #[schemars(schema_with = "flag_schema")]
    forward_inbound: Option<bool>,
    /// What comes first where what is sent later needs an approval: `gate_first`, the approval, or `schedule_first`, the moment,
    /// at which an operator is asked.
    #[serde(default, deserialize_with = "text")]
    default_gate_timing: Option<String>,
    /// 0: `send_at` is refused.
    #[serde(default, deserialize_with = "flag")]
    #[schemars(schema_with = "flag_schema")]
    scheduling_enabled: Option<bool>,
    /// 1: what it sends has the header `X-AI-Disclosure` and a line under its text.
    #[serde(default, deserialize_with = "flag")]
    #[schemars(schema_with = "flag_schema")]
    ai_disclosure: Option<bool>,
    /// Whether it was set up, for clients that ask.
    #[serde(default, deserialize_with = "flag")]
    #[schemars(schema_with = "flag_schema")]
    mcp_configured: Option<bool>,
    /// What this service does not know: it is named in the answer, and changes nothing.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A text; null is an empty one, and a name that is left out is none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(Option::<String>::deserialize(deserializer)?.unwrap_or_default()))
}

/// A flag, as the service writes it: 0 or 1; true and false will do.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Bool(on) => Ok(Some(on)),
        Value::Number(number) if number.as_u64().is_some_and(|number| number < 2) => {
            Ok(Some(number.as_u64() == Some(1)))
        }
        _ => Err(serde::de::Error::custom("a flag of a mailbox is 0 or 1")),
    }
}

fn flag_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [0, 1, true, false, null] })
}

/// What became of a change.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changed {
    status: &'static str,
    track_opens: bool,
    /// What was named and not changed.
    ignored: Vec<String>,
}

/// Changes what there is to change, and names what there is not, so that nobody takes silence for consent.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    JsonBody(changes): JsonBody<Changes>,
) -> Result<Done<Changed>, Failure> {
    let rest = changes.rest;
    let change = MailboxChange {
        display_name: changes.display_name,
        auto_cc: changes.auto_cc,
        auto_bcc: changes.auto_bcc,
        signature_block: changes.signature_block,
        track_opens: changes.track_opens,
        features: FeatureChange {
            webhook_url: changes.webhook_url,
            oversight_webhook_url: changes.oversight_webhook_url,
            forward_inbound: changes.forward_inbound,
            default_gate_timing: changes.default_gate_timing,
            scheduling_enabled: changes.scheduling_enabled,
            ai_disclosure: changes.ai_disclosure,
            mcp_configured: changes.mcp_configured,
        },
    };
    let mode = changes.oversight_mode.as_deref().map(mode).transpose()?;
    if change == MailboxChange::default() && mode.is_none() {
        return Err(Failure::Malformed(
            "give at least one of `display_name`, `oversight_mode`, `auto_cc`, `auto_bcc`, `signature_block`, \
             `track_opens`, `webhook_url`, `oversight_webhook_url`, `forward_inbound`, `default_gate_timing`, \
             `scheduling_enabled`, `ai_disclosure` and `mcp_configured`; nothing else of a mailbox changes"
                .into(),
        ));
    }
    api.change_mailbox(&key, &mailbox, change).await?;
    let mailbox = api.mailbox(&key, &mailbox).await?;
    // Whoever comes so far with a mode decides: the gate has seen to it.
    if let Some(mode) = mode.filter(|_| key.decides()) {
        let by = Decider::Api(key.name.clone());
        oversight.set_mode(Some(mailbox.address.as_str()), Some(mode), &by).await.map_err(ApiError::from)?;
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
