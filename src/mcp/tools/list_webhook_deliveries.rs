//! `list_webhook_deliveries`: what became of the events owed to endpoints.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, DeliveriesView, Fence},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset,
};
use crate::domain::id::WebhookId;

const LIMIT_DEFAULT: u32 = 10;
const LIMIT_MAX: u64 = 100;

pub(super) const TOOL: Tool = Tool {
    name: "list_webhook_deliveries",
    title: "List webhook deliveries",
    toolset: Toolset::Webhooks,
    about: "Deliveries, the newest first: status, attempts, last answer.",
    parameters: &[
        Parameter::new("webhook_id", Kind::Text, ""),
        Parameter::new("status", Kind::Word(&["pending", "delivered", "failed"]), "failed: dead letters"),
        Parameter::new("limit", Kind::Number(1, LIMIT_MAX), "default 10"),
        Parameter::new("cursor", Kind::Text, "of the page before"),
    ],
    output: &[Output("deliveries", "objects", true), Output("cursor", "string", false)],
    reach: Reach::Webhook,
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

/// A page of deliveries that fits into a result. The API's cursors end where its pages end, so a page that is too long is
/// asked for again, shorter.
pub(in crate::mcp) async fn page(
    rooms: &Rooms,
    fence: &Fence,
    webhook: Option<&WebhookId>,
    status: Option<&str>,
    limit: u32,
    cursor: Option<&str>,
) -> Result<DeliveriesView, Failure> {
    let mut limit = limit;
    loop {
        let page = rooms.webhooks.deliveries(webhook, status, limit, cursor).await?;
        let view = DeliveriesView::new(fence, &page);
        match view {
            Ok(view) => return Ok(view),
            Err(fitting) => limit = fitting.min(limit - 1).max(1),
        }
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let webhook = arguments.text("webhook_id").map(WebhookId::new);
    let limit = arguments.count("limit").unwrap_or(LIMIT_DEFAULT);
    let view = page(rooms, &fence, webhook.as_ref(), arguments.text("status"), limit, arguments.text("cursor")).await?;
    Ok(present::result(&fence, view))
}
