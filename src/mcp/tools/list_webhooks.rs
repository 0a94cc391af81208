//! `list_webhooks`: what is told to whom.

use rmcp::model::CallToolResult;
use serde::Serialize;
use serde_json::Value;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, WebhookView},
        server::Rooms,
    },
    Call, Effect, Output, Tool,
};

const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: u64 = 100;

pub(super) const TOOL: Tool = Tool {
    name: "list_webhooks",
    title: "List webhooks",
    about: "Registered webhooks and how they fare; `self` is this server. No secrets.",
    parameters: &[
        Parameter::new("limit", Kind::Number(1, LIMIT_MAX), "default 20"),
        Parameter::new("cursor", Kind::Text, "of the page before"),
    ],
    output: &[
        Output("webhooks", "objects", true),
        Output("cursor", "string", false),
        Output("fence", "string", false),
        Output("hidden_chars_removed", "integer", false),
    ],
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

#[derive(Serialize)]
struct Answer {
    webhooks: Vec<Value>,
    cursor: Option<String>,
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let mut webhooks = rooms.webhooks.list().await?;
    webhooks.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(cursor) = arguments.text("cursor") {
        // The last id of the page before: nothing is kept between calls.
        webhooks.retain(|webhook| webhook.id.as_str() > cursor);
    }
    let limit = usize::try_from(arguments.number("limit").unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX);
    let page = &webhooks[..limit.min(webhooks.len())];
    let fitted = present::fit(&fence, page, |webhook, clip| WebhookView::json(&fence, webhook, clip));
    let shown = fitted.items.len();
    let cursor =
        (shown < webhooks.len() && shown > 0).then(|| fence.code(webhooks[shown - 1].id.as_str()).as_str().to_owned());
    Ok(present::result(&fence, &Answer { webhooks: fitted.items, cursor }))
}
