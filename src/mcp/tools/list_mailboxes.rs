//! `list_mailboxes`: the addresses that this account receives at.

use rmcp::model::CallToolResult;
use serde::Serialize;
use serde_json::Value;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, MailboxView},
        server::Rooms,
    },
    Call, Effect, Output, Tool,
};

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 100;

pub(super) const TOOL: Tool = Tool {
    name: "list_mailboxes",
    title: "List mailboxes",
    about: "Your mailboxes, by address.",
    parameters: &[
        Parameter::new("limit", Kind::Number(1, LIMIT_MAX), "default 50"),
        Parameter::new("cursor", Kind::Text, "of the page before"),
    ],
    output: &[
        Output("mailboxes", "objects", true),
        Output("cursor", "string", false),
        Output("fence", "string", false),
        Output("hidden_chars_removed", "integer", false),
    ],
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

#[derive(Serialize)]
struct Answer {
    mailboxes: Vec<Value>,
    cursor: Option<String>,
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let mut mailboxes = rooms.upstream.mailboxes().await?;
    if let Some(cursor) = arguments.text("cursor") {
        // The last address of the page before: the list is sorted, and nothing is kept between calls.
        mailboxes.retain(|mailbox| mailbox.address.as_str() > cursor);
    }
    let limit = usize::try_from(arguments.number("limit").unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX);
    let page = &mailboxes[..limit.min(mailboxes.len())];
    let fitted = present::fit(&fence, page, |mailbox, clip| MailboxView::json(&fence, mailbox, clip));
    let shown = fitted.items.len();
    let cursor =
        (shown < mailboxes.len() && shown > 0).then(|| fence.code(&mailboxes[shown - 1].address).as_str().to_owned());
    Ok(present::result(&fence, &Answer { mailboxes: fitted.items, cursor }))
}
