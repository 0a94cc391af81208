//! `delete_webhook`: no more deliveries by this webhook, and its secret is forgotten.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, Fenced, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset,
};
use crate::domain::id::WebhookId;

pub(super) const TOOL: Tool = Tool {
    name: "delete_webhook",
    title: "Delete a webhook",
    toolset: Toolset::Webhooks,
    about: "Ends a webhook and forgets its secret.",
    parameters: &[Parameter::new("webhook_id", Kind::Text, "").required()],
    output: &[Output("webhook_id", "string", true), Output("deleted", "boolean", true)],
    reach: Reach::Webhook,
    effect: Effect::Removes,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        webhook_id: Fenced,
        deleted: bool,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let id = WebhookId::new(arguments.text("webhook_id").unwrap_or_default());
    rooms.webhooks.delete(&id).await?;
    Ok(present::result(&fence, Answer { webhook_id: fence.code(id.as_str()), deleted: true }))
}
