//! `get_thread`: the messages of a conversation, and whether somebody is done with it.

use rmcp::model::CallToolResult;

use super::{
    super::{
        failure::Failure,
        present::{self, Fence, Fenced, Part, SummaryView, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::{
    bell::upstream::{Summary, Thread},
    domain::id::ThreadId,
};

pub(super) const TOOL: Tool = Tool {
    name: "get_thread",
    title: "Get a thread",
    toolset: Toolset::Mail,
    about: "A thread's messages without their texts, the oldest first. `handled` is true while its newest inbound message \
            has that tag.",
    parameters: &[filter::THREAD_ID.required()],
    output: &[
        Output("thread_id", "string", true),
        Output("handled", "boolean", false),
        Output("message_count", "integer", true),
        Output("messages", "objects", true),
        Output("older_left_out", "integer", false),
    ],
    reach: Reach::Thread,
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    /// A thread; where not all of it fits, the newest messages.
    pub(in crate::mcp) struct ThreadView {
        thread_id: Fenced,
        handled: Option<bool>,
        message_count: usize,
        messages: Vec<Part>,
        older_left_out: Option<usize>,
    }
}

impl ThreadView {
    pub(in crate::mcp) fn new(fence: &Fence, thread: &Thread) -> Self {
        let newest_first: Vec<&Summary> = thread.messages.iter().rev().collect();
        let mut fitted =
            present::fit(fence, &newest_first, |message, clip| SummaryView::in_thread(fence, message, clip));
        fitted.items.reverse();
        Self {
            thread_id: fence.code(thread.id.as_str()),
            handled: thread.handled(),
            message_count: thread.messages.len(),
            messages: fitted.items,
            older_left_out: (fitted.left_out > 0).then_some(fitted.left_out),
        }
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let id = ThreadId::new(arguments.text("thread_id").unwrap_or_default());
    let thread = rooms.upstream.thread(&id).await?;
    Ok(present::result(&fence, ThreadView::new(&fence, &thread)))
}
