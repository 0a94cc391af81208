//! `list_webhooks`: what is told to whom.

use rmcp::model::CallToolResult;

use super::{
    super::{
        failure::Failure,
        present::{self, Fenced, Part, WebhookView, shown},
        server::Rooms,
    },
    Call, Effect, Reach, Tool, Toolset, gate,
    page::{self, Page},
};

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;

pub(super) const TOOL: Tool = Tool {
    name: "list_webhooks",
    title: "List webhooks",
    toolset: Toolset::Webhooks,
    about: "Registered webhooks and how they fare; `self` is this server. No secrets.",
    parameters: &page::parameters(LIMIT_MAX, "default 20"),
    output: &page::output("webhooks"),
    reach: Reach::Mailbox,
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        webhooks: Vec<Part>,
        cursor: Option<Fenced>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let mut webhooks = rooms.webhooks.list().await?;
    webhooks.retain(|webhook| gate::is_of(webhook.mailbox.as_deref(), &call.seen));
    webhooks.sort_by(|a, b| a.id.cmp(&b.id));
    let view = |webhook: &_, clip| WebhookView::json(&call.fence, webhook, clip);
    let Page { items: webhooks, cursor } =
        page::of_whole(&call, webhooks, LIMIT_DEFAULT, |webhook| webhook.id.as_str(), view);
    Ok(present::result(&call.fence, Answer { webhooks, cursor }))
}
