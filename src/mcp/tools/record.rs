//! What the audit record is told of calls: an intent before an effect outside, and a result after every call.

use std::time::Duration;

use rmcp::model::{CallToolResult, JsonObject};
use serde_json::{Map, Value};

use super::{Call, Failure, Kind, Rooms, Tool};
use crate::{
    domain::{clock::UnixMillis, id::MessageId},
    store::{
        StoreError,
        audit::{Entry, ITEMS_MAX, TEXT_CHARS_MAX, ToolCall, argument},
    },
};

/// How long an answer to a reply is held up for the names of its recipients.
const RECIPIENTS_WAIT: Duration = Duration::from_secs(2);
/// The ids of a result that are told.
const IDS: [&str; 6] = ["message_id", "thread_id", "webhook_id", "delivery_id", "action_id", "status"];

/// A call on its way into the record.
pub(super) struct Told {
    call: ToolCall,
    intent: Option<i64>,
    began: UnixMillis,
    began_millis: i64,
}

impl Told {
    /// Tells of the call. Where it has an effect outside, nothing may be done unless this is on disk.
    pub(super) async fn begin(tool: &Tool, rooms: &Rooms, call: ToolCall) -> Result<Self, StoreError> {
        let began = rooms.clock.now();
        let intent = if tool.acts_outside() {
            Some(rooms.audit.record(Entry::Intent(call.clone()), began).await?)
        } else {
            None
        };
        Ok(Self { call, intent, began, began_millis: rooms.clock.boot_millis() })
    }

    /// Tells what came of it. A read that cannot be told of, because the disk is full, was a read all the same.
    pub(super) async fn end(self, tool: &Tool, rooms: &Rooms, result: &CallToolResult, refused: bool) {
        let lasted = Duration::from_millis((rooms.clock.boot_millis() - self.began_millis).max(0).unsigned_abs());
        let failed = result.is_error == Some(true);
        let error = failed.then(|| {
            let text = result.content.iter().find_map(|block| block.as_text()).map(|text| text.text.as_str());
            text.unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect()
        });
        let outcome = match (failed, refused) {
            (false, _) => "done",
            (true, true) => "refused",
            (true, false) => "failed",
        };
        let ids = if failed { Map::new() } else { ids(result) };
        let mut call = self.call;
        if self.intent.is_some() {
            call.arguments = Value::Null;
        }
        let entry = Entry::Result {
            call,
            intent: self.intent,
            outcome,
            error,
            recipients: recipients(tool, rooms, &ids).await,
            ids,
            duration_millis: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
        };
        let (audit, now) = (rooms.audit.clone(), rooms.clock.now().max(self.began));
        let written = async move {
            if let Err(error) = audit.record(entry, now).await {
                tracing::warn!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "a call is not in the audit record"
                );
            }
        };
        if tool.waits() {
            // Its lease is told of already, and whoever waits for the event is not kept waiting for this.
            tokio::spawn(written);
        } else {
            written.await;
        }
    }
}

/// A result names its message alone, and a reply goes to whom the service finds: so it is asked.
async fn recipients(tool: &Tool, rooms: &Rooms, ids: &Map<String, Value>) -> Vec<String> {
    let Some(id) = ids.get("message_id").and_then(Value::as_str).filter(|_| tool.name == "reply_email") else {
        return Vec::new();
    };
    let id = MessageId::new(id);
    let read = tokio::select! {
        read = rooms.upstream.read_email(&id) => read,
        () = rooms.clock.sleep(RECIPIENTS_WAIT) => {
            tracing::warn!("the recipients of a reply are not in the audit record: the mail API did not tell them in time");
            return Vec::new();
        }
    };
    match read {
        Ok(email) => email.summary.to.into_iter().chain(email.summary.cc).collect(),
        Err(error) => {
            tracing::warn!(%error, "the recipients of a reply are not in the audit record");
            Vec::new()
        }
    }
}

/// The ids in a result; they are bare there, or in a fence.
fn ids(result: &CallToolResult) -> Map<String, Value> {
    let Some(content) = &result.structured_content else { return Map::new() };
    IDS.iter().filter_map(|id| Some(((*id).to_owned(), Value::from(content.get(*id)?.as_str()?)))).collect()
}

/// The arguments as they are told: bodies, secrets and long texts as a digest and a size.
pub(super) fn arguments(tool: &Tool, given: &JsonObject) -> Value {
    let told = given.iter().map(|(name, value)| {
        let kind = tool.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| &parameter.kind);
        let hidden = matches!(kind, Some(Kind::Body | Kind::Lease) | None) || name == "lease_token";
        (name.chars().take(64).collect(), argument(value, hidden))
    });
    told.take(ITEMS_MAX).collect::<Map<String, Value>>().into()
}

/// Whether a failure says that nothing was done.
pub(super) fn is_refusal(failure: &Failure) -> bool {
    matches!(failure, Failure::Told(_))
}

impl Call {
    /// The mailbox to use where none is named: the only one that this caller sees, or the one that was named.
    pub(super) fn mailbox(&self) -> Option<&str> {
        match self.seen.named() {
            Some([only]) => Some(self.arguments.text("mailbox").unwrap_or(only)),
            _ => self.arguments.text("mailbox"),
        }
    }
}
