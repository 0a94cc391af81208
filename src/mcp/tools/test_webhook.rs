//! `test_webhook`: a signed probe, now, and what came of it.

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
    name: "test_webhook",
    title: "Test a webhook",
    toolset: Toolset::Webhooks,
    about: "Sends a signed probe to its endpoint now and tells what it answered; at `self` it comes in as an `other` event.",
    parameters: &[Parameter::new("webhook_id", Kind::Text, "").required()],
    output: &[
        Output("webhook_id", "string", true),
        Output("delivered", "boolean", true),
        Output("response_status", "integer", false),
        Output("error", "string", false),
        Output("duration_ms", "integer", true),
        Output("response_bytes", "integer", true),
        Output("fence", "string", false),
        Output("hidden_chars_removed", "integer", false),
    ],
    reach: Reach::Webhook,
    effect: Effect::Adds { idempotent: false },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        webhook_id: Fenced,
        delivered: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        response_status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Fenced>,
        duration_ms: u64,
        response_bytes: u64,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let id = WebhookId::new(arguments.text("webhook_id").unwrap_or_default());
    let probe = rooms.webhooks.probe(&id).await?;
    Ok(present::result(
        &fence,
        Answer {
            webhook_id: fence.code(id.as_str()),
            delivered: probe.delivered,
            response_status: probe.response_status,
            error: probe.error.as_deref().map(|error| fence.code(error)),
            duration_ms: probe.duration_millis,
            response_bytes: probe.response_bytes,
        },
    ))
}
