//! `reply_email`: an answer in the thread of a message, to whom that message says.

use rmcp::model::CallToolResult;

use super::{
    super::{failure::Failure, server::Rooms},
    Call, Effect, Reach, Tool, Toolset, filter,
    send_email::{self, BCC, CC, IDEMPOTENCY_KEY, MARKDOWN, SEND_AT},
};
use crate::domain::id::MessageId;

pub(super) const TOOL: Tool = Tool {
    name: "reply_email",
    title: "Reply to an e-mail",
    toolset: Toolset::Mail,
    about: "Replies to a message in its thread. Automatic, bulk and null-sender mail is not replied to.",
    parameters: &[filter::MESSAGE_ID.required(), MARKDOWN, CC, BCC, IDEMPOTENCY_KEY, SEND_AT, filter::LEASE_TOKEN],
    output: send_email::OUTPUT,
    reach: Reach::Message,
    effect: Effect::Adds { idempotent: false },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, held, .. } = call;
    let answered = MessageId::new(arguments.text("message_id").unwrap_or_default());
    let mut outgoing = send_email::outgoing(&arguments)?;
    if let Some(held) = held {
        send_email::name_for_retries(&mut outgoing, [held.consumer.as_str(), answered.as_str()], None);
    }
    // Before sending: whatever becomes of the message lies after it.
    let cursor = rooms.waiting.head_cursor().await?;
    let sent = rooms.upstream.reply(&answered, &outgoing).await?;
    Ok(send_email::answer(&fence, &sent, &cursor))
}
