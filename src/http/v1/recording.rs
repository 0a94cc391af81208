//! What the audit record is told of requests that change something: an intent before a handler acts, and a result after
//! each, those that are refused or wait for an operator included.
//!
//! A tool of an agent ends in such a request too, so the record tells of it twice: as the call of the agent, and as the request
//! of the house's own key. Nobody can leave the second out by saying that they are the first.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde_json::{Map, Value};

use super::answer::Failure;
use crate::{
    bell::oversight::Oversight,
    domain::{id::MessageId, key::ApiKey, oversight::Change},
    mail::api::{Api, ApiError},
    store::audit::{Entry, ITEMS_MAX, TEXT_CHARS_MAX, ToolCall, argument},
};

/// How much is kept of what a client calls itself, in characters.
const CLIENT_CHARS_MAX: usize = 64;
/// How much is kept of a path, in characters: none that leads anywhere is longer.
const PATH_CHARS_MAX: usize = 512;
/// What is a body, or a secret, whatever its length.
const HIDDEN: [&str; 8] = ["markdown", "body", "html", "text", "signature_block", "attachments", "secret", "code"];
/// The ids of an answer that are told.
const IDS: [&str; 6] = ["id", "message_id", "thread_id", "webhook_id", "action_id", "status"];

/// A request on its way into the record.
pub(super) struct Told {
    call: ToolCall,
    intent: Option<i64>,
    began_millis: i64,
}

impl Told {
    /// A request for `change` at `route`.
    pub(super) fn of(oversight: &Oversight, key: &ApiKey, route: &str, change: &Change, headers: &HeaderMap) -> Self {
        let client = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let call = ToolCall {
            tool: format!("{} {route}", change.method),
            principal: Some(key.name.clone()),
            holder: format!("key:{}", key.id),
            client: client.map(|client| client.chars().take(CLIENT_CHARS_MAX).collect()),
            client_version: None,
            arguments: arguments(change),
        };
        Self { call, intent: None, began_millis: oversight.clock().boot_millis() }
    }

    /// Tells that it is about to be done. Nothing may be done unless this is on disk.
    pub(super) async fn begin(&mut self, oversight: &Oversight) -> Result<(), Failure> {
        let intent = oversight.record(Entry::Intent(self.call.clone())).await.map_err(ApiError::from)?;
        self.intent = Some(intent);
        Ok(())
    }

    /// Tells what it was answered with, and passes the answer on.
    pub(super) async fn end(self, oversight: &Oversight, api: &Api, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        // An answer to a change is a few lines, and in memory already.
        let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let entry = self.result(oversight, api, parts.status, &bytes).await;
        if let Err(error) = oversight.record(entry).await {
            tracing::warn!(
                error = &error as &(dyn std::error::Error + 'static),
                "the answer to a request is not in the audit record"
            );
        }
        Response::from_parts(parts, Body::from(bytes))
    }

    async fn result(self, oversight: &Oversight, api: &Api, status: StatusCode, answer: &Bytes) -> Entry {
        let Self { mut call, intent, began_millis } = self;
        let answer: Map<String, Value> = serde_json::from_slice(answer).unwrap_or_default();
        let outcome = match status.as_u16() {
            ..400 => "done",
            400..500 => "refused",
            _ => "failed",
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let error = text("error").filter(|_| outcome != "done");
        let ids = IDS.iter().filter_map(|id| Some(((*id).to_owned(), Value::from(text(id)?)))).collect();
        let written = ["/send", "/reply", "/schedule"].iter().any(|part| call.tool.contains(part));
        // Of what waits for an operator the entry of its action tells.
        let recipients = match text("message_id") {
            Some(message) if outcome == "done" && written => recipients(api, message).await,
            _ => Vec::new(),
        };
        if intent.is_some() {
            call.arguments = Value::Null;
        }
        let lasted = Duration::from_millis((oversight.clock().boot_millis() - began_millis).max(0).unsigned_abs());
        Entry::Result {
            call,
            intent,
            outcome,
            error: error.map(|error| error.chars().take(TEXT_CHARS_MAX).collect()),
            recipients,
            ids,
            duration_millis: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Everybody a message goes to, copies that its mailbox adds included.
async fn recipients(api: &Api, message: &str) -> Vec<String> {
    api.recipients(&MessageId::new(message)).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the recipients of a message are not in the audit record");
        Vec::new()
    })
}

fn arguments(change: &Change) -> Value {
    let path: String = format!("/{}", change.path.join("/")).chars().take(PATH_CHARS_MAX).collect();
    let mut told = Map::from_iter([("path".to_owned(), Value::from(path))]);
    for (name, value) in change.query.iter().take(ITEMS_MAX) {
        told.insert(format!("?{}", short(name)), argument(&Value::from(value.as_str()), false));
    }
    for (name, value) in change.body.as_object().into_iter().flatten().take(ITEMS_MAX) {
        told.insert(short(name), argument(value, HIDDEN.contains(&name.as_str())));
    }
    told.into()
}

fn short(name: &str) -> String {
    name.chars().take(CLIENT_CHARS_MAX).collect()
}
