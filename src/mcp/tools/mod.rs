//! The tools: one file each, thin, from arguments by one call below to presentation; here is what they have in common.

mod ack_event;
mod asking;
mod check_inbox;
mod delete_webhook;
pub(super) mod filter;
pub(super) mod gate;
mod get_thread;
mod list_events;
mod list_mailboxes;
mod list_suppressions;
mod list_webhook_deliveries;
mod list_webhooks;
mod page;
mod read_email;
mod record;
mod register_webhook;
mod replay_delivery;
mod reply_email;
mod schedule_retry;
mod send_email;
mod suppress_address;
mod tag_email;
mod test_webhook;
mod wait_for_event;

use std::sync::Arc;

use futures::future::BoxFuture;
use rmcp::model::{CallToolResponse, CallToolResult, JsonObject, ToolAnnotations};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::{asking::Asking, gate::Reach};
use super::{
    Principal,
    arguments::{Arguments, Kind, Parameter, schema},
    elicitation::Person,
    failure::Failure,
    present::{self, Fence, sentence},
    progress::Progress,
    server::Rooms,
    toolsets::Toolsets,
};
use crate::{
    config::Toolset,
    domain::{
        consumer::{Held, Holder, LeaseToken},
        grant::Mailboxes,
        id::MessageId,
    },
    store::audit::ToolCall,
};

pub(super) use self::{
    check_inbox::page as inbox_page, get_thread::ThreadView, list_webhook_deliveries::page as deliveries_page,
    read_email::EmailPart, wait_for_event::lasts,
};

/// One tool, as it is published and as it runs.
pub(super) struct Tool {
    name: &'static str,
    title: &'static str,
    toolset: Toolset,
    /// For the model: what it is for and what matters, in few words; every client pays for them in every conversation.
    about: &'static str,
    parameters: &'static [Parameter],
    output: &'static [Output],
    reach: Reach,
    effect: Effect,
    run: for<'a> fn(&'a Rooms, Call) -> BoxFuture<'a, Result<CallToolResult, Failure>>,
}

/// A field of a tool's result: its name, its JSON type, and whether it is always there.
pub(super) struct Output(&'static str, &'static str, bool);

/// What every result may say of the fences around foreign words in it.
const FENCED: [Output; 2] = [Output("fence", "string", false), Output("hidden_chars_removed", "integer", false)];

/// What a change that waits for an operator answers with, in the place of all else.
const WAITING: [Output; 4] = [
    Output("status", "string", false),
    Output("action_id", "string", false),
    Output("cursor", "string", false),
    Output("note", "string", false),
];

/// What a call changes, for the client's annotations.
#[derive(Clone, Copy)]
enum Effect {
    /// Nothing.
    Reads,
    /// Leases, acks, or marks as read: never asked of an operator.
    Marks {
        /// Whether a second, equal call changes nothing more.
        idempotent: bool,
    },
    /// Adds or marks something; `again` says whether a second call changes more.
    Adds {
        /// Whether a second, equal call changes nothing more.
        idempotent: bool,
    },
    /// Removes something; a second call changes nothing more.
    Removes,
}

/// One call of a tool.
pub(super) struct Call {
    pub(super) arguments: Arguments,
    pub(super) fence: Fence,
    /// Who calls: its leases can be found by this.
    pub(super) holder: Holder,
    /// What the caller's program calls itself, where it said.
    pub(super) client: Option<String>,
    /// The mailboxes that the caller may see.
    pub(super) seen: Mailboxes,
    /// What the lease that the call is made under holds, for tools that take a `lease_token` to act under.
    pub(super) held: Option<Held>,
    /// Cancelled when the caller goes away.
    pub(super) cancelled: CancellationToken,
    /// Where to report that the call is still alive, if the caller asked for that.
    pub(super) progress: Option<Progress>,
    /// Whether it goes on as a task where it takes long.
    pub(super) as_task: bool,
}

/// Every tool, in the order of the loop that an agent runs.
pub(super) static ALL: [&Tool; 19] = [
    &wait_for_event::TOOL,
    &list_events::TOOL,
    &ack_event::TOOL,
    &list_mailboxes::TOOL,
    &check_inbox::TOOL,
    &read_email::TOOL,
    &get_thread::TOOL,
    &tag_email::TOOL,
    &send_email::TOOL,
    &reply_email::TOOL,
    &schedule_retry::TOOL,
    &suppress_address::TOOL,
    &list_suppressions::TOOL,
    &register_webhook::TOOL,
    &list_webhooks::TOOL,
    &delete_webhook::TOOL,
    &test_webhook::TOOL,
    &list_webhook_deliveries::TOOL,
    &replay_delivery::TOOL,
];

/// The tool of that name.
pub(super) fn named(name: &str) -> Option<&'static Tool> {
    ALL.iter().find(|tool| tool.name == name).copied()
}

impl Tool {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    pub(super) fn toolset(&self) -> Toolset {
        self.toolset
    }

    pub(super) fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    /// Whether a call changes anything here or outside.
    fn changes(&self) -> bool {
        !matches!(self.effect, Effect::Reads)
    }

    /// Whether a call can be made that changes nothing.
    fn can_only_read(&self) -> bool {
        // To read a message is to read, though the service then marks it so; and a wait may look on.
        !self.changes() || matches!(self.name, "read_email" | "wait_for_event")
    }

    /// Whether a call may take as long as nothing happens.
    pub(super) fn waits(&self) -> bool {
        self.name == wait_for_event::TOOL.name
    }

    /// Whether a server with these toolsets has it.
    pub(super) fn is_in(&self, toolsets: Toolsets) -> bool {
        toolsets.hold(self.toolset) && (!toolsets.read_only || self.can_only_read())
    }

    /// Whether a call changes anything outside the event log: what is in the log tells of itself.
    fn acts_outside(&self) -> bool {
        matches!(self.effect, Effect::Adds { .. } | Effect::Removes)
    }

    /// As clients see it.
    pub(super) fn published(&self) -> rmcp::model::Tool {
        let annotations = match self.effect {
            Effect::Reads => ToolAnnotations::new().read_only(true).destructive(false).idempotent(true),
            Effect::Marks { idempotent } | Effect::Adds { idempotent } => {
                ToolAnnotations::new().read_only(false).destructive(false).idempotent(idempotent)
            }
            Effect::Removes => ToolAnnotations::new().read_only(false).destructive(true).idempotent(true),
        };
        rmcp::model::Tool::new(self.name, self.about, Arc::new(schema(self.parameters)))
            .with_title(self.title)
            .with_raw_output_schema(Arc::new(self.output_schema()))
            // Mail comes from anybody.
            .with_annotations(annotations.open_world(true))
    }

    fn output_schema(&self) -> JsonObject {
        let gated = !matches!(self.effect, Effect::Reads | Effect::Marks { .. });
        // Said once where a tool says it of itself.
        let waits =
            WAITING.iter().filter(|Output(name, ..)| gated && !self.output.iter().any(|Output(said, ..)| said == name));
        let properties: JsonObject = self
            .output
            .iter()
            .chain(waits)
            .chain(&FENCED)
            .map(|Output(name, kind, _)| {
                let schema = match *kind {
                    "objects" => json!({ "type": "array", "items": { "type": "object" } }),
                    "strings" => json!({ "type": "array", "items": { "type": "string" } }),
                    kind => json!({ "type": kind }),
                };
                ((*name).to_owned(), schema)
            })
            .collect();
        let required: Vec<&str> =
            self.output.iter().filter(|Output(.., always)| *always && !gated).map(|Output(name, ..)| *name).collect();
        JsonObject::from_iter([
            ("type".to_owned(), Value::from("object")),
            ("properties".to_owned(), properties.into()),
            ("required".to_owned(), required.into()),
        ])
    }

    /// Runs it, and has the audit record tell of it. What the model can do something about is a result like any other.
    pub(super) async fn call(&self, rooms: &Rooms, given: &JsonObject, caller: Caller) -> CallToolResponse {
        let call = ToolCall {
            tool: self.name.to_owned(),
            principal: caller.principal.name().map(str::to_owned),
            holder: caller.holder.name.clone(),
            client: caller.client.clone(),
            client_version: caller.client_version.clone(),
            arguments: record::arguments(self, given),
        };
        let fence = Fence::new(rooms.ids());
        let told = match record::Told::begin(self, rooms, call).await {
            Ok(told) => told,
            Err(error) => {
                let why = Failure::from(error).sentence(&fence);
                let sentence = sentence!("nothing was done: it could not be put on record: {}", why);
                return present::failure(&fence, &sentence).into();
            }
        };
        let (person, progress, cancelled) = (caller.person.clone(), caller.progress.clone(), caller.cancelled.clone());
        let asking = Asking {
            rooms,
            fence: &fence,
            person: person.as_deref(),
            progress: progress.as_ref(),
            cancelled: &cancelled,
        };
        let (result, refused, question) = match self.run(rooms, &fence, given, caller, &asking).await {
            Ok(result) => (result, false, None),
            Err(ref failure) if let Some(held) = failure.held() => {
                let (result, question) = asking.waits(held, self.lease(given)).await;
                (result, false, question)
            }
            Err(failure) => (present::failure(&fence, &failure.sentence(&fence)), record::is_refusal(&failure), None),
        };
        told.end(self, rooms, &result, refused).await;
        question.unwrap_or_else(|| result.into())
    }

    async fn run(
        &self,
        rooms: &Rooms,
        fence: &Fence,
        given: &JsonObject,
        caller: Caller,
        asking: &Asking<'_>,
    ) -> Result<CallToolResult, Failure> {
        gate::offered(self, rooms)?;
        let arguments = match Arguments::check(self.name, self.parameters, given, fence) {
            Ok(arguments) => arguments,
            // Nobody refused it.
            Err(failure) => return Ok(present::failure(fence, &failure.sentence(fence))),
        };
        let Caller { principal, holder, client, cancelled, progress, as_task, .. } = caller;
        gate::pass(self, rooms, &arguments, &principal).await?;
        let seen = principal.grant().mailboxes.clone();
        let _wait = if self.waits() { Some(principal.begin_wait().map_err(Failure::Told)?) } else { None };
        let held = self.hold(rooms, &arguments).await?;
        if let Some(answered) = asking.answered().await {
            return answered;
        }
        let fence = fence.clone();
        (self.run)(rooms, Call { arguments, fence, holder, client, seen, held, cancelled, progress, as_task }).await
    }

    /// The argument that names the lease to act under, where it takes one.
    fn lease_parameter(&self) -> Option<&'static str> {
        self.parameters.iter().find(|parameter| matches!(parameter.kind, Kind::Lease)).map(|lease| lease.name)
    }

    /// The lease that a call is made under.
    fn lease(&self, given: &JsonObject) -> Option<LeaseToken> {
        given.get(self.lease_parameter()?)?.as_str().map(LeaseToken::new)
    }

    /// The one place that refuses to act under a lease that is over. What it lets pass is held for as long as a call takes.
    async fn hold(&self, rooms: &Rooms, arguments: &Arguments) -> Result<Option<Held>, Failure> {
        let Some(token) = self.lease_parameter().and_then(|name| arguments.text(name)) else { return Ok(None) };
        let message = arguments.text("message_id").map(MessageId::new);
        match rooms.settling.hold(&LeaseToken::new(token), message.as_ref()).await? {
            Some(held) => Ok(Some(held)),
            None => Err(Failure::Told(
                "nothing was done: the lease of this lease_token is over, and another worker may have the event and have acted \
                 on it. Call wait_for_event again, and before acting look with get_thread at what was done meanwhile"
                    .into(),
            )),
        }
    }
}

/// Who calls, and how to reach them while they wait.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) holder: Holder,
    pub(super) client: Option<String>,
    pub(super) client_version: Option<String>,
    pub(super) cancelled: CancellationToken,
    pub(super) progress: Option<Progress>,
    /// Whether the call goes on as a task where it takes long.
    pub(super) as_task: bool,
    /// Who may be asked whether a change that waits may be done.
    pub(super) person: Option<Arc<Person>>,
}
