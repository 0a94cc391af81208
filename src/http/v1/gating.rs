//! The gate before every change: what oversight does not let pass is answered here, and no handler hears of it.
//!
//! It stands before all routes, those to come included: what it does not know weighs as a change. A person in charge, and
//! whoever does what one has approved, walks through.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    BODY_BYTES_MAX, LETTER_BYTES_MAX,
    answer::{Answer, Failure},
    auth::Caller,
    input::in_time,
    previews,
    recording::Told,
    shapes::Moment,
    tags,
};
use crate::{
    bell::oversight::{Admitted, Asker, HoldError, Oversight},
    domain::{
        id::MessageId,
        key::{ApiKey, KeyScope},
        oversight::Change,
    },
    mail::api::{Api, ApiError},
};

/// What the gate asks.
pub(super) struct Gate {
    pub(super) api: Arc<Api>,
    pub(super) oversight: Arc<Oversight>,
}

/// A change that waits for an operator.
#[derive(Serialize, JsonSchema)]
pub(super) struct PendingApproval {
    /// `pending_approval`, or `scheduled` where an operator is asked at its moment.
    status: &'static str,
    /// By which the outcome is told: an event of the type `approval` in the log.
    action_id: String,
    /// The same.
    id: String,
    /// None: nothing is sent yet.
    thread_id: Option<String>,
    /// A place in the log before which nothing is told of it.
    cursor: Option<String>,
    /// When an operator is asked, where that is later.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_at: Option<Moment>,
}

pub(super) async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    // What no route serves changes nothing, and is not read.
    let Some(route) = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned()) else {
        return next.run(request).await;
    };
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) || route.contains("/preview") {
        return next.run(request).await;
    }
    // Without a key there is nobody to do anything for; the handlers say so.
    let Some(Caller(key)) = request.extensions().get::<Caller>().cloned() else { return next.run(request).await };
    let asked = match Asked::read(request).await {
        Ok(asked) => asked,
        Err(failure) => return failure.into_response(),
    };
    let mut told = Told::of(&gate.oversight, &key, &route, &asked.change, &asked.parts.headers);
    let response = judged(&gate, &key, asked, next, &mut told).await.unwrap_or_else(Failure::into_response);
    told.end(&gate.oversight, &gate.api, response).await
}

/// A request that was read whole, and what it asks for.
struct Asked {
    parts: Parts,
    bytes: Vec<u8>,
    change: Change,
}

impl Asked {
    async fn read(request: Request) -> Result<Self, Failure> {
        let segments = segments(request.uri().path());
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let letter = path.iter().any(|part| ["send", "reply", "schedule"].contains(part));
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = in_time(whole, if letter { LETTER_BYTES_MAX } else { BODY_BYTES_MAX }).await?;
        let mut change = Change::new(parts.method.as_str(), &path, serde_json::from_slice(&bytes).unwrap_or_default());
        let query = parts.uri.query().unwrap_or_default();
        change.query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(Self { parts, bytes, change })
    }

    fn request(self) -> Request {
        Request::from_parts(self.parts, Body::from(self.bytes))
    }
}

async fn judged(gate: &Gate, key: &ApiKey, asked: Asked, next: Next, told: &mut Told) -> Result<Response, Failure> {
    if key.decides() {
        told.begin(&gate.oversight).await?;
        return Ok(next.run(asked.request()).await);
    }
    let path: Vec<&str> = asked.change.path.iter().map(String::as_str).collect();
    // These have rules of their own: who decides, what changes nothing, and what needs an operator's word.
    if let (
        &Method::POST,
        ["v1", "oversight", "decide"]
        | ["v1", "emails", _, "decide"]
        | ["v1", "mailboxes", _, "request-upgrade" | "upgrade"],
    ) = (&asked.parts.method, &path[..])
    {
        return Ok(next.run(asked.request()).await);
    }
    let Asked { parts, bytes, mut change } = asked;
    let (mailbox, known) = concerned(gate, key, &change).await?;
    change.mailbox = mailbox;
    match gate.oversight.admit(change.clone(), key.is_of_the_house(), known).await.map_err(ApiError::from)? {
        Admitted::Pass(_) => {
            told.begin(&gate.oversight).await?;
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            let refused = response.status() == StatusCode::UNPROCESSABLE_ENTITY;
            if refused && let Some(held) = held_anyway(gate, key, change).await? {
                return Ok(held);
            }
            Ok(response)
        }
        Admitted::Refused(sentence) => {
            may(key, &change)?;
            Err(Failure::Api(ApiError::Withheld(sentence)))
        }
        Admitted::Hold(change) => {
            may(key, &change)?;
            let (change, shown) = previews::resolved(&gate.api, key, change).await?;
            hold(gate, key, change, shown).await
        }
    }
}

/// A reply that no program may send by itself waits for an operator, where there is one to ask.
async fn held_anyway(gate: &Gate, key: &ApiKey, change: Change) -> Result<Option<Response>, Failure> {
    if !gate.oversight.rules().await.map_err(ApiError::from)?.operator {
        return Ok(None);
    }
    let Ok((change, shown)) = previews::resolved(&gate.api, key, change).await else { return Ok(None) };
    if shown.get("not_answerable").is_none_or(Value::is_null) {
        return Ok(None);
    }
    hold(gate, key, change, shown).await.map(Some)
}

async fn hold(gate: &Gate, key: &ApiKey, change: Change, shown: Value) -> Result<Response, Failure> {
    let asker = Asker::key(key);
    let held = gate.oversight.hold(change, shown, &asker).await.map_err(|error| match error {
        HoldError::Full => Failure::Api(ApiError::Conflict(error.to_string())),
        HoldError::Store(error) => Failure::Api(error.into()),
    })?;
    let waits = PendingApproval {
        status: if held.asked_at.is_some() { "scheduled" } else { "pending_approval" },
        action_id: held.action.to_string(),
        id: held.action.to_string(),
        thread_id: None,
        cursor: held.after.map(|after| after.to_string()),
        asked_at: held.asked_at.map(Moment::from),
    };
    Ok(Answer::<202, _>(waits).into_response())
}

/// The path, each segment decoded as the routes read it.
fn segments(path: &str) -> Vec<String> {
    path.trim_start_matches('/')
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}

/// The mailbox that a change concerns, where it is one, and the tags of the message that it tags.
async fn concerned(
    gate: &Gate,
    key: &ApiKey,
    change: &Change,
) -> Result<(Option<String>, BTreeMap<String, String>), Failure> {
    let Gate { api, .. } = gate;
    let path: Vec<&str> = change.path.iter().map(String::as_str).collect();
    let said = |name: &str| change.body.get(name).and_then(Value::as_str);
    let found = match &path[..] {
        ["v1", "mailboxes", mailbox, ..] => api.find(mailbox).await,
        ["v1", "webhooks"] => match said("mailbox").or_else(|| said("mailbox_id")) {
            Some(named) => api.find(named).await,
            None => return Ok((None, BTreeMap::new())),
        },
        ["v1", "emails", "send"] => match said("mailbox") {
            Some(named) => api.find(named).await,
            None => api.mailbox_or_only(key, None).await,
        },
        ["v1", "emails", email, _] => api.mailbox_of_email(key, &MessageId::new(*email)).await,
        _ => return Ok((None, BTreeMap::new())),
    };
    // What names none that there is concerns none, and is judged by the strictest mode before its handler says so.
    let Ok(mailbox) = found else { return Ok((None, BTreeMap::new())) };
    let email = match &path[..] {
        ["v1", "mailboxes", _, "emails", email, "tags"] | ["v1", "emails", email, "tag"] => Some(*email),
        _ => None,
    };
    let known = match email {
        Some(email) => tags::known(api, &mailbox, email).await,
        None => BTreeMap::new(),
    };
    Ok((Some(mailbox.address.to_string()), known))
}

/// Nothing waits for an operator that the key could not have done anyway.
fn may(key: &ApiKey, change: &Change) -> Result<(), Failure> {
    let path: Vec<&str> = change.path.iter().map(String::as_str).collect();
    let scope = match (change.method.as_str(), &path[..]) {
        ("DELETE", ["v1", "suppression", ..]) => KeyScope::Oversight,
        (
            _,
            ["v1", "mailboxes", _, "send" | "reply" | "emails", ..] | ["v1", "emails" | "contacts" | "suppression", ..],
        ) => KeyScope::Send,
        _ => KeyScope::Admin,
    };
    if key.may(scope) { Ok(()) } else { Err(Failure::Api(ApiError::Forbidden(scope))) }
}
