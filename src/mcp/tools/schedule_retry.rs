//! `schedule_retry`: one more try for one recipient, or an earlier or later next one.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, Fenced, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::domain::{clock::UnixMillis, id::MessageId};

/// A week: what is to be sent later than that is another message.
const DELAY_SECS_MAX: u64 = 7 * 24 * 3600;

pub(super) const TOOL: Tool = Tool {
    name: "schedule_retry",
    title: "Try a recipient again",
    toolset: Toolset::Mail,
    about: "After a soft bounce: moves the next try, or once it was given up (`final`), gives one more, once.",
    parameters: &[
        filter::MESSAGE_ID.required(),
        Parameter::new("recipient", Kind::Text, "").required(),
        Parameter::new("delay_secs", Kind::Number(0, DELAY_SECS_MAX), "default 0"),
        filter::LEASE_TOKEN,
    ],
    output: &[
        Output("message_id", "string", true),
        Output("status", "string", true),
        Output("next_attempt_at", "string", false),
    ],
    reach: Reach::Message,
    effect: Effect::Adds { idempotent: false },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        message_id: Fenced,
        status: Fenced,
        next_attempt_at: Option<UnixMillis>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let id = MessageId::new(arguments.text("message_id").unwrap_or_default());
    let recipient = arguments.text("recipient").unwrap_or_default();
    let retry = rooms.upstream.retry(&id, recipient, arguments.number("delay_secs").unwrap_or(0)).await?;
    Ok(present::result(
        &fence,
        Answer {
            message_id: fence.code(id.as_str()),
            status: fence.code(&retry.status),
            next_attempt_at: retry.next_attempt_at,
        },
    ))
}
