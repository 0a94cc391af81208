//! How a tool is called: by whom, until when, and what of it goes on as a task.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ProtocolVersion},
    service::RequestContext,
    task_manager::{TaskExit, TaskManager},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Principal,
        arguments::meant,
        elicitation::Person,
        present::{self, Fence, Sentence, sentence},
        progress::Progress,
        tasks::{ANSWERED_IN_CALL, Slot},
        tools,
    },
    SESSION_HEADER, Server,
};
use crate::domain::consumer::Holder;

/// How much is kept of what a client calls itself, in characters.
const CLIENT_CHARS_MAX: usize = 64;

/// A call in progress.
type Running = BoxFuture<'static, CallToolResponse>;

/// Whether the request is a self-contained one, of the newer protocol.
fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

impl Server {
    /// In whose name leases are held: an agent finds its own again by it, and only those.
    fn holder(&self, context: &RequestContext<RoleServer>, principal: &Principal) -> Holder {
        let Some(parts) = context.extensions.get::<http::request::Parts>() else {
            return Holder::worker(&*self.process);
        };
        let principal = principal.name().unwrap_or("anybody");
        // A self-contained request has no session, so a header that claims one is only a claim.
        match parts.headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok()).filter(|_| !is_modern(context)) {
            Some(session) => Holder::worker(format!("session:{principal}:{session}")),
            // Nobody can tell how many share a token.
            None => Holder { name: format!("principal:{principal}"), one_worker: false },
        }
    }

    /// Room for the call of `context` to go on as a task; none where its client has not said with it that it takes tasks, or
    /// has as many as it may. Without it the call is answered like any other.
    pub fn slot(&self, context: &RequestContext<RoleServer>) -> Option<Slot> {
        if !is_modern(context) || !context.client_capabilities().is_some_and(|client| client.supports_tasks()) {
            return None;
        }
        self.tasks.slot(&Self::principal(&context.extensions), self.left.clone())
    }

    /// What knows a task, where it is the caller's. A look is no call: whoever looks as often as asked must not be told that it
    /// was too often, and take the task for lost.
    pub(super) fn task(&self, id: &str, context: &RequestContext<RoleServer>) -> Result<TaskManager, ErrorData> {
        self.tasks.of(&Self::principal(&context.extensions), id).ok_or_else(|| self.no_task(id))
    }

    /// As much is told of another's task as of none.
    pub(super) fn no_task(&self, id: &str) -> ErrorData {
        let fence = Fence::new(self.rooms.ids());
        let shown: String = id.chars().take(80).collect();
        let sentence = sentence!(
            "there is no task {}: its time to live is over, or the server has started anew. Call the tool again; what was \
             leased by it comes again once the lease is over",
            fence.code(&shown)
        );
        present::invalid(&fence, &sentence)
    }

    /// Calls a tool; where it takes long and its client takes tasks, the answer is one.
    pub(super) async fn call(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = tools::named(&request.name) else {
            return Err(self.unknown_tool(&request.name));
        };
        let principal = Self::principal(&context.extensions);
        let slot = if tool.waits() { self.slot(&context) } else { None };
        // A task goes on when its request is over.
        let cancelled = CancellationToken::new();
        let parts = context.extensions.get::<http::request::Parts>();
        let session = parts.and_then(|parts| parts.headers.get(SESSION_HEADER)?.to_str().ok());
        let present = session.map(|session| self.sessions.enter(session));
        let left = present.as_ref().map_or_else(|| self.left.clone(), |present| present.ended.clone());
        let progress = context.meta.get_progress_token().map(|token| Progress::new(context.peer.clone(), token));
        let caller = tools::Caller {
            holder: self.holder(&context, &principal),
            principal: principal.clone(),
            client: context.client_info().map(|client| client.name.chars().take(CLIENT_CHARS_MAX).collect()),
            client_version: context.client_info().map(|client| client.version.chars().take(CLIENT_CHARS_MAX).collect()),
            cancelled: cancelled.clone(),
            // What becomes a task is heard of by looking.
            progress: progress.clone().filter(|_| slot.is_none()),
            as_task: slot.is_some(),
            person: Person::of(&principal, &context, &mut request).map(Arc::new),
        };
        let given = request.arguments.unwrap_or_default();
        let lasts = tools::lasts(&given);
        let rooms = self.rooms.clone();
        let mut call: Running = Box::pin(async move { tool.call(&rooms, &given, caller).await });
        let takes_long = async {
            match slot {
                Some(slot) => {
                    if let Some(progress) = progress {
                        progress.tell(1).await;
                    }
                    self.rooms.clock.sleep(ANSWERED_IN_CALL).await;
                    slot
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Looked at first: what a client that has left would be handed is handed to nobody.
            biased;
            () = left.cancelled() => {}
            () = principal.ended() => {}
            () = context.ct.cancelled() => {}
            result = &mut call => return Ok(result),
            slot = takes_long => return Ok(go_on(slot, lasts, cancelled, call, Fence::new(self.rooms.ids()))),
        }
        cancelled.cancel();
        Ok(call.await)
    }

    fn unknown_tool(&self, name: &str) -> ErrorData {
        let fence = Fence::new(self.rooms.ids());
        let names = || tools::ALL.iter().filter(|tool| tool.is_in(self.rooms.toolsets)).map(|tool| tool.name());
        let shown: String = name.chars().take(80).collect();
        let (shown, meant, all) = (fence.code(&shown), meant(names(), name), Sentence::joined(names(), ", "));
        present::invalid(&fence, &sentence!("there is no tool {}.{} The tools are {}", shown, meant, all))
    }
}

/// Lets a call that is not answered yet go on as a task.
fn go_on(slot: Slot, lasts: Duration, cancelled: CancellationToken, call: Running, fence: Fence) -> CallToolResponse {
    let begun = slot.begin(lasts, cancelled.clone(), |task| {
        Box::pin(async move {
            match call.await {
                CallToolResponse::Complete(result) if cancelled.is_cancelled() && result.is_error == Some(true) => {
                    Err(TaskExit::Cancelled)
                }
                CallToolResponse::Complete(result) => {
                    task.set_status_message(told(&result));
                    Ok(result)
                }
                _ => Err(TaskExit::Error(present::broken(&fence, &sentence!("a wait asks its client for nothing")))),
            }
        })
    });
    CallToolResponse::Task(begun)
}

/// What a task that is done says of itself; the rest is in its result.
fn told(result: &CallToolResult) -> String {
    let events = result.structured_content.as_ref().and_then(|answer| answer.get("events")?.as_array());
    events.map_or_else(|| "done".to_owned(), |events| format!("events: {}", events.len()))
}
