//! `check_inbox`: messages in the mailboxes, the newest first.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, Fence, Fenced, Part, SummaryView, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::{bell::upstream::InboxQuery, domain::id::ThreadId};

const LIMIT_DEFAULT: u32 = 10;
const LIMIT_MAX: u64 = 100;

pub(super) const TOOL: Tool = Tool {
    name: "check_inbox",
    title: "Check the inbox",
    toolset: Toolset::Mail,
    about: "Messages, the newest first, of one mailbox or of all; read_email shows their text.",
    parameters: &[
        filter::MAILBOX,
        filter::THREAD_ID,
        Parameter::new("unread_only", Kind::Flag, ""),
        Parameter::new("unhandled_only", Kind::Flag, "without the tag `handled`"),
        Parameter::new("sender", Kind::Text, "part of it"),
        Parameter::new("subject_contains", Kind::Text, ""),
        Parameter::new("direction", Kind::Word(&["inbound", "outbound"]), ""),
        Parameter::new("tag", Kind::Text, ""),
        Parameter::new("limit", Kind::Number(1, LIMIT_MAX), "default 10"),
        Parameter::new("cursor", Kind::Text, "of the page before"),
    ],
    output: &[
        Output("messages", "objects", true),
        Output("cursor", "string", false),
        Output("notes", "strings", false),
    ],
    reach: Reach::Mailbox,
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    /// A page of messages.
    pub(in crate::mcp) struct Answer {
        messages: Vec<Part>,
        cursor: Option<Fenced>,
        notes: Option<Vec<&'static str>>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, seen, .. } = call;
    let owned = |name: &str| arguments.text(name).map(str::to_owned);
    let query = InboxQuery {
        mailbox: owned("mailbox"),
        within: seen,
        thread_id: arguments.text("thread_id").map(ThreadId::new),
        unread_only: arguments.flag("unread_only"),
        unhandled_only: arguments.flag("unhandled_only"),
        sender: owned("sender"),
        subject_contains: owned("subject_contains"),
        direction: arguments.text("direction").map(|way| if way == "outbound" { "outbound" } else { "inbound" }),
        tag: owned("tag"),
        limit: arguments.count("limit").unwrap_or(LIMIT_DEFAULT),
        cursor: arguments.text("cursor").map(str::parse).transpose()?,
    };
    Ok(present::result(&fence, page(rooms, &fence, &query).await?))
}

/// A page of messages as a model sees it.
pub(in crate::mcp) async fn page(rooms: &Rooms, fence: &Fence, query: &InboxQuery) -> Result<Answer, Failure> {
    let page = rooms.upstream.check_inbox(query).await?;
    let fitted = present::fit(fence, &page.messages, |message, clip| SummaryView::json(fence, message, clip));
    let cursor = page.cursor(query.cursor.as_ref(), fitted.items.len()).map(|cursor| fence.code(&cursor.to_string()));
    let notes = (!page.notes.is_empty()).then_some(page.notes);
    Ok(Answer { messages: fitted.items, cursor, notes })
}
