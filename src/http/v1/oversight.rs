//! `/v1/oversight`: what waits for an operator, and the deciding of it; and how a mailbox's mode is loosened with their word.

use std::sync::Arc;

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::{Extension, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    answer::{Accepted, Answer, Done, Failure},
    auth::Caller,
    document::says,
    input::{At, JsonBody, Query, Within},
    shapes::Moment,
};
use crate::{
    bell::oversight::{ASKS_MAX, Asker, Oversight},
    domain::{
        id::ActionId,
        key::{ApiKey, KeyScope},
        message::Mailbox,
        oversight::{ActionState, Change, OversightMode},
    },
    mail::api::{Api, ApiError},
    store::oversight::{Action, Decided, Decider, Decision},
};

/// Actions of one answer, unless more are asked for.
const LIMIT_DEFAULT: u32 = 50;
/// At most: each may hold a letter.
const LIMIT_MAX: u32 = 200;

/// The routes of this page.
pub(super) fn routes() -> ApiRouter<Arc<Api>> {
    ApiRouter::new()
        .api_route(
            "/v1/oversight/pending",
            get_with(pending, says("list_pending", "Lists what waits for an operator.")),
        )
        .api_route(
            "/v1/oversight/decide",
            post_with(decide, says("decide", "Approves or rejects what waits; what is approved is done once.")),
        )
        .api_route(
            "/v1/emails/{email}/decide",
            post_with(decide_named, says("zapier_decide", "The same as /v1/oversight/decide, of what the path names.")),
        )
        .api_route(
            "/v1/emails/pending",
            get_with(pending, says("zapier_pending", "The same as /v1/oversight/pending.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/request-upgrade",
            post_with(request_upgrade, says("request_upgrade", "Asks an operator for another mode.")),
        )
        .api_route(
            "/v1/mailboxes/{mailbox}/upgrade",
            post_with(upgrade, says("upgrade_mailbox", "Changes the mode with an operator's code, once.")),
        )
        .api_route("/v1/audit-log", get_with(super::audit_log::list, says("get_audit_log", "Lists what was done.")))
}

/// What waits for an operator, under both of its names, the newest first.
#[derive(Serialize, JsonSchema)]
pub(super) struct Pending {
    emails: Vec<Waiting>,
    pending: Vec<Waiting>,
    cursor: Option<String>,
}

/// One action that waits. What is no letter has none of a letter's fields.
#[derive(Clone, Serialize, JsonSchema)]
struct Waiting {
    id: String,
    action_id: String,
    email_id: String,
    /// The address of the mailbox that it concerns, where that is one.
    mailbox_id: Option<String>,
    mailbox: Option<String>,
    direction: &'static str,
    from: Option<String>,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    subject: String,
    body_markdown: Option<String>,
    body_html: Option<String>,
    attachments: Value,
    /// What is asked of the API: method, path and body.
    request: Value,
    status: &'static str,
    /// Who asks.
    asker: String,
    /// The SHA-256 of all of it: say it when deciding, and nothing else can be approved.
    digest: String,
    received_at: Moment,
    expires_at: Moment,
}

impl Waiting {
    fn of(action: &Action) -> Self {
        let effect = action.effect.as_ref();
        let shown = effect.map(|effect| &effect.shown);
        let text = |name: &str| shown?.get(name)?.as_str().map(str::to_owned);
        let list = |name: &str| -> Vec<String> {
            let list = shown.and_then(|shown| shown.get(name)?.as_array());
            list.into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        };
        Self {
            id: action.id.to_string(),
            action_id: action.id.to_string(),
            email_id: action.id.to_string(),
            mailbox_id: action.mailbox.clone(),
            mailbox: action.mailbox.clone(),
            direction: "outbound",
            from: text("from"),
            to: list("to"),
            cc: list("cc"),
            bcc: list("bcc"),
            subject: text("subject").unwrap_or_else(|| action.summary.clone()),
            body_markdown: text("markdown"),
            body_html: text("html"),
            attachments: shown.and_then(|shown| shown.get("attachments").cloned()).unwrap_or_else(|| json!([])),
            request: effect.map_or(Value::Null, |effect| effect.change.shown()),
            status: if action.state == ActionState::Pending { "pending_send_approval" } else { action.state.as_str() },
            asker: action.asker.clone(),
            digest: action.digest.clone(),
            received_at: action.created_at.into(),
            expires_at: action.expires_at.into(),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    limit: Option<Within<1, LIMIT_MAX>>,
}

pub(super) async fn pending(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    Query(which): Query<Which>,
) -> Result<Done<Pending>, Failure> {
    api.pending(&key)?;
    let limit = which.limit.map_or(LIMIT_DEFAULT, |Within(limit)| limit);
    let actions = oversight.actions(Some(ActionState::Pending), limit, true).await.map_err(ApiError::from)?;
    let waiting: Vec<Waiting> = actions.iter().map(Waiting::of).collect();
    Ok(Answer(Pending { emails: waiting.clone(), pending: waiting, cursor: None }))
}

/// A decision, in the service's words.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Deciding {
    email_id: Option<String>,
    action_id: Option<String>,
    /// `approve` or `reject`.
    action: Option<String>,
    decision: Option<String>,
    reason: Option<String>,
    /// Of what you were shown; it is what is approved, or nothing.
    digest: Option<String>,
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Outcome {
    /// `approved` or `rejected`.
    status: &'static str,
    action_id: String,
    postmark_message_id: Option<String>,
}

pub(super) async fn decide(
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    JsonBody(words): JsonBody<Deciding>,
) -> Result<Done<Outcome>, Failure> {
    decided(&oversight, &key, words).await
}

/// The path says which; a body that names another is not obeyed in silence.
pub(super) async fn decide_named(
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At(email): At<String>,
    JsonBody(words): JsonBody<Deciding>,
) -> Result<Done<Outcome>, Failure> {
    if [&words.action_id, &words.email_id].into_iter().flatten().any(|named| *named != email) {
        return Err(Failure::Malformed("the body names another than the path; name it in the path alone".into()));
    }
    decided(&oversight, &key, Deciding { action_id: Some(email), ..words }).await
}

async fn decided(oversight: &Oversight, key: &ApiKey, words: Deciding) -> Result<Done<Outcome>, Failure> {
    if !key.decides() {
        return Err(Failure::Api(ApiError::Forbidden(KeyScope::Oversight)));
    }
    let Deciding { email_id, action_id, action, decision, reason, digest } = words;
    let id = action_id.or(email_id).map(ActionId::new);
    let id = id.ok_or_else(|| Failure::Malformed("`email_id` is missing: the `id` of what waits".into()))?;
    let unknown = || Failure::Api(ApiError::NotFound("nothing of that id waits; GET /v1/oversight/pending".into()));
    let (decision, status) = match action.or(decision).as_deref() {
        Some("approve" | "approved") => {
            // Whoever names no digest approves what is kept, which never changes.
            let kept = oversight.action(&id).await.map_err(ApiError::from)?.ok_or_else(unknown)?.digest;
            (Decision::Approve { digest: digest.unwrap_or(kept) }, "approved")
        }
        Some("reject" | "rejected" | "deny") => (Decision::Deny, "rejected"),
        _ => return Err(Failure::Malformed("`action`, or `decision`, must be approve or reject".into())),
    };
    let by = Decider::Api(key.name.clone());
    let decided = oversight.decide(&id, &decision, &by, reason.as_deref()).await.map_err(ApiError::from)?;
    match decided {
        Decided::Done => Ok(Answer(Outcome { status, action_id: id.to_string(), postmark_message_id: None })),
        Decided::Unknown => Err(unknown()),
        Decided::Over(state) => Err(Failure::Api(ApiError::Conflict(format!(
            "this is {} already, so nothing was decided now",
            state.as_str()
        )))),
        Decided::OtherDigest => Err(Failure::Api(ApiError::Conflict(
            "`digest` is not that of what waits, so nothing was approved; look at it again".into(),
        ))),
    }
}

/// Takes back a letter of `mailbox` that waits under this id, which ends it as a no would; false where the id is none of a
/// waiting letter's. A second time changes nothing.
pub(super) async fn take_back(
    oversight: &Oversight,
    key: &ApiKey,
    mailbox: &Mailbox,
    id: &str,
) -> Result<bool, Failure> {
    let id = ActionId::new(id);
    let Some(action) = oversight.action(&id).await.map_err(ApiError::from)? else { return Ok(false) };
    let is_letter = action.effect.as_ref().is_none_or(|effect| effect.change.letter().is_some());
    if !is_letter || action.mailbox.as_deref() != Some(mailbox.address.as_str()) {
        return Ok(false);
    }
    let by = Decider::Api(key.name.clone());
    let taken =
        oversight.decide(&id, &Decision::Deny, &by, Some("taken back by who asked")).await.map_err(ApiError::from)?;
    match taken {
        Decided::Done | Decided::Over(ActionState::Denied) => Ok(true),
        Decided::Over(state) => Err(Failure::Api(ApiError::Conflict(format!(
            "this is {} already, so it cannot be taken back",
            state.as_str()
        )))),
        Decided::Unknown | Decided::OtherDigest => Ok(false),
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct UpgradeWanted {
    target_mode: String,
}

/// That an operator was asked.
#[derive(Serialize, JsonSchema)]
pub(super) struct Requested {
    status: &'static str,
    action_id: String,
}

pub(super) async fn request_upgrade(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    JsonBody(words): JsonBody<UpgradeWanted>,
) -> Result<Accepted<Requested>, Failure> {
    must_be_admin(&key)?;
    let mailbox = api.find(&mailbox).await?;
    let mode = mode(&words.target_mode)?;
    oversight.ask_upgrade(mailbox.address.as_str()).map_err(|retry_after_secs| {
        Failure::Api(ApiError::TooMany {
            said: format!(
                "an operator is asked for another mode of a mailbox {ASKS_MAX} times an hour at most; those asked for before \
                 still wait: GET /v1/oversight/pending"
            ),
            retry_after_secs,
        })
    })?;
    let path = ["v1", "mailboxes", mailbox.id.as_str()];
    let change = Change::new("PATCH", &path, json!({ "oversight_mode": mode.as_str() })).of(mailbox.address.as_str());
    let asker = Asker::key(&key);
    let held = oversight.hold(change, Value::Null, &asker).await;
    let held = held.map_err(|error| Failure::Api(ApiError::Conflict(error.to_string())))?;
    Ok(Answer(Requested { status: "upgrade_requested", action_id: held.action.to_string() }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Code {
    code: String,
}

/// That the mode is another now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Upgraded {
    status: &'static str,
    oversight_mode: &'static str,
}

pub(super) async fn upgrade(
    State(api): State<Arc<Api>>,
    Extension(oversight): Extension<Arc<Oversight>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    JsonBody(words): JsonBody<Code>,
) -> Result<Done<Upgraded>, Failure> {
    must_be_admin(&key)?;
    let mailbox = api.find(&mailbox).await?;
    let asker = Asker::key(&key);
    let used = oversight.use_code(words.code.trim(), mailbox.address.as_str(), &asker).await.map_err(ApiError::from)?;
    let refused = "this is no code for this mailbox, or it was used or is over; an operator makes one with `mailbell mode \
                   MODE MAILBOX --code`";
    let mode = used.ok_or_else(|| Failure::Api(ApiError::Withheld(refused.into())))?;
    Ok(Answer(Upgraded { status: "upgraded", oversight_mode: mode.as_str() }))
}

fn must_be_admin(key: &ApiKey) -> Result<(), Failure> {
    if key.may(KeyScope::Admin) { Ok(()) } else { Err(Failure::Api(ApiError::Forbidden(KeyScope::Admin))) }
}

/// The mode that a word names.
pub(super) fn mode(word: &str) -> Result<OversightMode, Failure> {
    word.parse().map_err(|error: crate::domain::oversight::NotAMode| Failure::Malformed(error.to_string()))
}
