//! The MCP server: what it says of itself, and which room serves which request.
//!
//! One server serves both eras of the protocol, `initialize` with sessions (to 2025-11-25) and self-contained requests
//! (2026-07-28); rmcp tells them apart request by request.

mod calls;

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        DiscoverResult, Extensions, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
        Implementation, InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
        UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};

use tokio_util::sync::CancellationToken;

use super::{
    Principal, completion,
    elicitation::Seal,
    notify::{self, Expected, Seat, channel},
    presence::Sessions,
    present::{self, Fence, fence_rule},
    prompts, resources,
    tasks::Tasks,
    tools,
    toolsets::Toolsets,
};
use crate::{
    bell::{consumers::Settling, oversight::Oversight, upstream::Upstream, waiting::Waiting, webhooks::Webhooks},
    domain::clock::Clock,
    ids::Ids,
    store::{audit::AuditLog, log::EventLog},
};

/// Told to every client at the start of every conversation.
const INSTRUCTIONS: &str = concat!(
    "\
mailbell tells you what happens to e-mail: mail comes in, is delivered, bounces, is marked as spam.

The loop: wait_for_event → read_email for an inbound event → do what is needed (reply_email, send_email) → tag_email with `handled` (this also acks the \
event; ack_event settles events without a message) → wait_for_event again with the arguments in `next`. Events wait for you: \
what came while you were away is returned first, and what you leave unacked comes again, with a higher `attempt`, once its \
lease ends. Before acting on `attempt` 2 or more, check with get_thread what was done already. A result with `timed_out` is \
normal: call again.

",
    fence_rule!()
);

/// What the protocol calls this server.
const NAME: &str = "mailbell";

/// The header that names a session of the older protocol.
pub const SESSION_HEADER: &str = "mcp-session-id";

/// What the tools and resources call: the use cases of the bell wing.
pub struct Rooms {
    /// Waits and listings.
    pub waiting: Waiting,
    /// Single events.
    pub log: Arc<dyn EventLog>,
    /// The record of who did what.
    pub audit: Arc<dyn AuditLog>,
    /// Acks and releases.
    pub settling: Settling,
    /// What waits for a decision.
    pub oversight: Arc<Oversight>,
    /// By it the questions to people that this house asked are known again.
    pub seal: Seal,
    /// The mail API.
    pub upstream: Arc<Upstream>,
    /// Webhooks and their secrets.
    pub webhooks: Webhooks,
    /// Which tools there are.
    pub toolsets: Toolsets,
    /// Chance, for fences.
    pub ids: Arc<Ids>,
    /// Time, for progress.
    pub clock: Arc<dyn Clock>,
}

impl Rooms {
    pub(super) fn ids(&self) -> &Arc<Ids> {
        &self.ids
    }
}

/// An MCP server over some rooms; clones serve the same ones.
#[derive(Clone)]
pub struct Server {
    rooms: Arc<Rooms>,
    /// Who calls where the transport does not say: over stdio there is one caller, this process's parent.
    process: Arc<str>,
    /// Cancelled when that one caller has left; over HTTP, when the listener closes.
    left: CancellationToken,
    /// Over HTTP: whose calls are in progress.
    sessions: Sessions,
    /// What its client is told of. A clone has one of its own.
    seat: Seat,
    /// Whether its client is told of events by Claude Code's channel.
    channel: bool,
    /// The calls that go on after their requests.
    tasks: Tasks,
}

impl Server {
    /// A server over `rooms`. Over stdio its leases are held in the name of this process, which is made up here.
    pub fn new(rooms: Arc<Rooms>) -> Self {
        let process = rooms.ids.next("process:").into();
        let seat = Seat::new(rooms.clone());
        let tasks = Tasks::new(rooms.clock.clone());
        let (left, sessions) = (CancellationToken::new(), Sessions::default());
        Self { rooms, process, left, sessions, seat, channel: false, tasks }
    }

    /// The same, with Claude Code's channel to the one client at stdin.
    #[must_use]
    pub fn with_claude_channel(self) -> Self {
        Self { channel: true, ..self }
    }

    /// The same for one client alone, and what to cancel when that client has left.
    pub(super) fn of_one_client(self) -> (Self, CancellationToken) {
        let left = CancellationToken::new();
        let tasks = Tasks::new(self.rooms.clock.clone());
        (Self { left: left.clone(), tasks, ..self }, left)
    }

    /// The same for the clients of a listener that closes when `shutdown` is cancelled: their waits and tasks end then.
    #[must_use]
    pub fn until(self, shutdown: CancellationToken) -> Self {
        Self { left: shutdown, ..self }
    }

    /// Resolves when no task is at work, whichever clone it came to.
    pub async fn tasks_over(&self) {
        self.tasks.over().await;
    }

    /// The client has ended a session of the older protocol: its calls in progress end too.
    pub fn session_ended(&self, session: &str) {
        self.sessions.end(session);
    }

    /// A stream is about to begin that may tell of the list of resources. Whoever takes the request in calls this and puts
    /// what it gives into the request's extensions: rmcp acknowledges a stream before a handler of ours runs, and what
    /// changes after the acknowledgement must be told.
    pub async fn expects_listener(&self) -> Arc<Expected> {
        Arc::new(self.seat.expect().await)
    }

    /// Who calls: over HTTP the mount has told.
    fn principal(extensions: &Extensions) -> Principal {
        let parts = extensions.get::<http::request::Parts>();
        // A mount that checks no token stands in tests alone, where the process is the one caller too.
        parts.and_then(|parts| parts.extensions.get().cloned()).unwrap_or_else(Principal::of_this_process)
    }
}

/// The tools as clients see them, for documentation and tests.
pub fn published_tools() -> Vec<rmcp::model::Tool> {
    tools::ALL.iter().map(|tool| tool.published()).collect()
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        // Only what is there: since rmcp 3.11 a method whose capability is not advertised is refused. Tools, prompts and templates are
        // the same while we run, so there is no `list_changed` for those.
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_prompts()
            .enable_completions();
        let waits = tools::ALL.iter().any(|tool| tool.waits() && tool.is_in(self.rooms.toolsets));
        let mut capabilities = if waits { capabilities.enable_tasks() } else { capabilities }.build();
        let mut instructions = INSTRUCTIONS.to_owned();
        if self.channel {
            capabilities.experimental = Some(channel::capability());
            instructions.push_str(channel::INSTRUCTIONS);
        }
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(NAME, env!("CARGO_PKG_VERSION")))
            .with_instructions(instructions)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let mut info = self.negotiate_initialize(&request)?;
        // Tasks are of the newer protocol alone.
        info.capabilities.extensions = None;
        Ok(info)
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        // The channel is of the older protocol alone.
        let info = Self { channel: false, ..self.clone() }.get_info();
        Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), info))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let principal = Self::principal(&context.extensions);
        self.seat.initialized(&context.peer, &principal, self.channel).await;
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let offered = tools::ALL.iter().filter(|tool| tool.is_in(self.rooms.toolsets));
        Ok(ListToolsResult::with_all_items(offered.map(|tool| tool.published()).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // What answers a request is moved as a whole when it is spawned, and is as large as the largest handler: so those that do
        // much are boxed.
        Box::pin(self.call(request, context)).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let task = self.task(&request.task_id, &context)?;
        task.get_task(&request.task_id).map(GetTaskResult::new).map_err(|_| self.no_task(&request.task_id))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let task = self.task(&request.task_id, &context)?;
        task.update_task(&request.task_id, request.input_responses).map_err(|_| self.no_task(&request.task_id))
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let task = self.task(&request.task_id, &context)?;
        task.cancel_task(&request.task_id).map_err(|_| self.no_task(&request.task_id))
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::published(self.rooms.toolsets)))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let principal = Self::principal(&context.extensions);
        let given = request.arguments.unwrap_or_default();
        Box::pin(prompts::get(&self.rooms, &request.name, &given, &principal.grant().mailboxes)).await.map(Into::into)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let principal = Self::principal(&context.extensions);
        let listed = Box::pin(resources::list(&self.rooms, &principal.grant().mailboxes)).await;
        Ok(ListResourcesResult::with_all_items(listed))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let principal = Self::principal(&context.extensions);
        if let Err(sentence) = principal.count_call(&*self.rooms.clock) {
            return Err(present::invalid(&Fence::new(self.rooms.ids()), &sentence));
        }
        Box::pin(resources::read(&self.rooms, &request.uri, &principal.grant().mailboxes)).await.map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let principal = Self::principal(&context.extensions);
        Box::pin(completion::complete(&self.rooms, &request, &principal.grant().mailboxes))
            .await
            .map(CompleteResult::new)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let principal = Self::principal(&context.extensions);
        // It is handled beside the notification that began the session: once it is answered, all that the session is told of is.
        Box::pin(self.seat.initialized(&context.peer, &principal, self.channel)).await;
        Box::pin(self.seat.subscribe(&request.uri, &context.peer, &principal)).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.seat.unsubscribe(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(notify::accepted(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let principal = Self::principal(&context.request_context().extensions);
        tokio::select! {
            () = self.left.cancelled() => Ok(()),
            ended = Box::pin(self.seat.listen(&context, &principal)) => ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_are_short() {
        let words = INSTRUCTIONS.split_whitespace().chain(channel::INSTRUCTIONS.split_whitespace()).count();
        assert!(words < 250, "{words} words");
    }
}
