//! `list_mailboxes`: the addresses that this account receives at.

use rmcp::model::CallToolResult;

use super::{
    super::{
        failure::Failure,
        present::{self, Fenced, MailboxView, Part, shown},
        server::Rooms,
    },
    Call, Effect, Reach, Tool, Toolset,
    page::{self, Page},
};

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 100;

pub(super) const TOOL: Tool = Tool {
    name: "list_mailboxes",
    title: "List mailboxes",
    toolset: Toolset::Mail,
    about: "Your mailboxes, by address.",
    parameters: &page::parameters(LIMIT_MAX, "default 50"),
    output: &page::output("mailboxes"),
    reach: Reach::Mailbox,
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        mailboxes: Vec<Part>,
        cursor: Option<Fenced>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let mut mailboxes = rooms.upstream.mailboxes().await?;
    mailboxes.retain(|mailbox| call.seen.holds(&mailbox.address));
    let view = |mailbox: &_, clip| MailboxView::json(&call.fence, mailbox, clip);
    let Page { items: mailboxes, cursor } =
        page::of_whole(&call, mailboxes, LIMIT_DEFAULT, |mailbox| &mailbox.address, view);
    Ok(present::result(&call.fence, Answer { mailboxes, cursor }))
}
