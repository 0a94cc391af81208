//! `replay_delivery`: the event of a delivery that is over, sent once more.

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
use crate::domain::id::DeliveryId;

pub(super) const TOOL: Tool = Tool {
    name: "replay_delivery",
    title: "Replay a delivery",
    toolset: Toolset::Webhooks,
    about: "Sends a delivery that is over (`failed` or `delivered`) again, as a new one beside the queue.",
    parameters: &[Parameter::new("delivery_id", Kind::Text, "").required()],
    output: &[
        Output("delivery_id", "string", true),
        Output("replay_of", "string", true),
        Output("status", "string", true),
        Output("fence", "string", false),
        Output("hidden_chars_removed", "integer", false),
    ],
    // While one is under way, a second call answers with it.
    reach: Reach::Account,
    effect: Effect::Adds { idempotent: false },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        delivery_id: Fenced,
        replay_of: Fenced,
        status: Fenced,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let id = DeliveryId::new(arguments.text("delivery_id").unwrap_or_default());
    let replay = rooms.webhooks.replay(&id).await?;
    Ok(present::result(
        &fence,
        Answer {
            delivery_id: fence.code(replay.id.as_str()),
            replay_of: fence.code(id.as_str()),
            status: fence.code(&replay.status),
        },
    ))
}
