//! The MCP server: what it says of itself, and which room serves which request.
//!
//! One server serves both eras of the protocol, `initialize` with sessions (to 2025-11-25) and self-contained requests
//! (2026-07-28); rmcp tells them apart request by request.

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, DiscoverResult, Extensions,
        GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams,
        ReadResourceResponse, ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter,
        UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};

use tokio_util::sync::CancellationToken;

use super::{
    Principal,
    arguments::meant,
    completion,
    elicitation::{Person, Seal},
    notify::{self, Expected, Seat, channel},
    presence::Sessions,
    present::{self, Fence, Sentence, fence_rule, sentence},
    progress::Progress,
    prompts, resources, tools,
    toolsets::Toolsets,
};
use crate::{
    bell::{consumers::Settling, oversight::Oversight, upstream::Upstream, waiting::Waiting, webhooks::Webhooks},
    domain::{clock::Clock, consumer::Holder},
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

/// How much is kept of what a client calls itself, in characters.
const CLIENT_CHARS_MAX: usize = 64;

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
    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }
}

/// An MCP server over some rooms; clones serve the same ones.
#[derive(Clone)]
pub struct Server {
    rooms: Arc<Rooms>,
    /// Who calls where the transport does not say: over stdio there is one caller, this process's parent.
    process: Arc<str>,
    /// Cancelled when that one caller has left.
    left: CancellationToken,
    /// Over HTTP: whose calls are in progress.
    sessions: Sessions,
    /// What its client is told of. A clone has one of its own.
    seat: Seat,
    /// Whether its client is told of events by Claude Code's channel.
    channel: bool,
}

impl Server {
    /// A server over `rooms`. Over stdio its leases are held in the name of this process, which is made up here.
    pub fn new(rooms: Arc<Rooms>) -> Self {
        let process = rooms.ids.next("process:").into();
        let seat = Seat::new(rooms.clone());
        Self { rooms, process, left: CancellationToken::new(), sessions: Sessions::default(), seat, channel: false }
    }

    /// The same, with Claude Code's channel to the one client at stdin.
    #[must_use]
    pub fn with_claude_channel(self) -> Self {
        Self { channel: true, ..self }
    }

    /// The same for one client alone, and what to cancel when that client has left.
    pub(super) fn of_one_client(self) -> (Self, CancellationToken) {
        let left = CancellationToken::new();
        (Self { left: left.clone(), ..self }, left)
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

    /// In whose name leases are held: an agent finds its own again by it, and only those.
    fn holder(&self, context: &RequestContext<RoleServer>, principal: &Principal) -> Holder {
        let Some(parts) = context.extensions.get::<http::request::Parts>() else {
            return Holder::worker(&*self.process);
        };
        let principal = principal.name().unwrap_or("anybody");
        // A self-contained request has no session, so a header that claims one is only a claim.
        let modern = context
            .protocol_version()
            .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
        match parts.headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok()).filter(|_| !modern) {
            Some(session) => Holder::worker(format!("session:{principal}:{session}")),
            // Nobody can tell how many share a token.
            None => Holder { name: format!("principal:{principal}"), one_worker: false },
        }
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
        let mut capabilities = capabilities.build();
        let mut instructions = INSTRUCTIONS.to_owned();
        if self.channel {
            capabilities.experimental = Some(channel::capability());
            instructions.push_str(channel::INSTRUCTIONS);
        }
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(NAME, env!("CARGO_PKG_VERSION")))
            .with_instructions(instructions)
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
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = tools::named(&request.name) else {
            return Err(self.unknown_tool(&request.name));
        };
        let principal = Self::principal(&context.extensions);
        let cancelled = context.ct.child_token();
        let parts = context.extensions.get::<http::request::Parts>();
        let session = parts.and_then(|parts| parts.headers.get(SESSION_HEADER)?.to_str().ok());
        let present = session.map(|session| self.sessions.enter(session));
        let left = present.as_ref().map_or_else(|| self.left.clone(), |present| present.ended.clone());
        let caller = tools::Caller {
            holder: self.holder(&context, &principal),
            principal: principal.clone(),
            client: context.client_info().map(|client| client.name.chars().take(CLIENT_CHARS_MAX).collect()),
            client_version: context.client_info().map(|client| client.version.chars().take(CLIENT_CHARS_MAX).collect()),
            cancelled: cancelled.clone(),
            progress: context.meta.get_progress_token().map(|token| Progress::new(context.peer.clone(), token)),
            person: Person::of(&principal, &context, &mut request).map(Arc::new),
        };
        let given = request.arguments.unwrap_or_default();
        let mut call = std::pin::pin!(tool.call(&self.rooms, &given, caller));
        let result = tokio::select! {
            // Looked at first: what a client that has left would be handed is handed to nobody.
            biased;
            () = left.cancelled() => {
                cancelled.cancel();
                call.await
            }
            () = principal.ended() => {
                cancelled.cancel();
                call.await
            }
            result = &mut call => result,
        };
        Ok(result)
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
        prompts::get(&self.rooms, &request.name, &given, &principal.grant().mailboxes).await.map(Into::into)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let principal = Self::principal(&context.extensions);
        Ok(ListResourcesResult::with_all_items(resources::list(&self.rooms, &principal.grant().mailboxes).await))
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
        resources::read(&self.rooms, &request.uri, &principal.grant().mailboxes).await.map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let principal = Self::principal(&context.extensions);
        completion::complete(&self.rooms, &request, &principal.grant().mailboxes).await.map(CompleteResult::new)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let principal = Self::principal(&context.extensions);
        self.seat.subscribe(&request.uri, &context.peer, &principal).await
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
            ended = self.seat.listen(&context, &principal) => ended,
        }
    }
}

impl Server {
    fn unknown_tool(&self, name: &str) -> ErrorData {
        let fence = Fence::new(self.rooms.ids());
        let names = || tools::ALL.iter().filter(|tool| tool.is_in(self.rooms.toolsets)).map(|tool| tool.name());
        let shown: String = name.chars().take(80).collect();
        let (shown, meant, all) = (fence.code(&shown), meant(names(), name), Sentence::joined(names(), ", "));
        present::invalid(&fence, &sentence!("there is no tool {}.{} The tools are {}", shown, meant, all))
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
