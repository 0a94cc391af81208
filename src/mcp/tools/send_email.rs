//! `send_email`: a new message, and where to wait for what becomes of it.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Arguments, Kind, Parameter},
        failure::Failure,
        present::{self, Fence, Fenced, sentence, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::{
    bell::upstream::{Outgoing, Sent, UpstreamError},
    domain::{
        clock::{NotATimestamp, UnixMillis},
        consumer::Held,
        cursor::Cursor,
    },
    signing::digest::sha256_hex,
};

pub(super) const TO: Parameter = Parameter::new("to", Kind::Texts, "");
pub(super) const CC: Parameter = Parameter::new("cc", Kind::Texts, "");
pub(super) const BCC: Parameter = Parameter::new("bcc", Kind::Texts, "");
pub(super) const MARKDOWN: Parameter = Parameter::new("markdown", Kind::Body, "").required();
pub(super) const IDEMPOTENCY_KEY: Parameter =
    Parameter::new("idempotency_key", Kind::Text, "a second call with it within 24 h sends nothing");
pub(super) const SEND_AT: Parameter = Parameter::new("send_at", Kind::Text, "RFC 3339; default now");

/// What both tools that send answer with.
pub(super) const OUTPUT: &[Output] = &[
    Output("message_id", "string", true),
    Output("thread_id", "string", false),
    Output("status", "string", true),
    Output("cursor", "string", true),
];

pub(super) const TOOL: Tool = Tool {
    name: "send_email",
    title: "Send an e-mail",
    toolset: Toolset::Mail,
    about: "Sends a new message. To hear what becomes of it, wait_for_event with `message_id` and `cursor` as `after`.",
    parameters: &[
        Parameter::new("mailbox", Kind::Text, "from; default the only one"),
        TO.required(),
        Parameter::new("subject", Kind::Text, "").required(),
        MARKDOWN,
        CC,
        BCC,
        IDEMPOTENCY_KEY,
        SEND_AT,
        filter::LEASE_TOKEN,
    ],
    output: OUTPUT,
    reach: Reach::Mailbox,
    effect: Effect::Adds { idempotent: false },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let mailbox = call.mailbox().map(str::to_owned);
    let Call { arguments, fence, held, seen, .. } = call;
    let mailbox = mailbox.as_deref();
    if mailbox.is_none() && seen.named().is_some() {
        return Err(UpstreamError::WhichMailbox.into());
    }
    let mut outgoing = outgoing(&arguments)?;
    // Of several events nobody can tell which one this message is about, and two may well call for equal messages.
    if let Some(Held { consumer, events }) = held.filter(|held| held.events.len() == 1) {
        name_for_retries(&mut outgoing, [consumer.as_str(), events[0].as_str()], mailbox);
    }
    // Before sending: whatever becomes of the message lies after it.
    let cursor = rooms.waiting.head_cursor().await?;
    let sent = rooms.upstream.send(mailbox, &outgoing).await?;
    Ok(answer(&fence, &sent, &cursor))
}

/// The message that the arguments describe.
pub(super) fn outgoing(arguments: &Arguments) -> Result<Outgoing, Failure> {
    let send_at = arguments.text("send_at").map(str::parse::<UnixMillis>).transpose();
    Ok(Outgoing {
        to: arguments.texts("to").to_vec(),
        cc: arguments.texts("cc").to_vec(),
        bcc: arguments.texts("bcc").to_vec(),
        subject: arguments.text("subject").map(str::to_owned),
        markdown: arguments.text("markdown").unwrap_or_default().to_owned(),
        idempotency_key: arguments.text("idempotency_key").map(str::to_owned),
        send_at: send_at.map_err(|error: NotATimestamp| Failure::Told(sentence!("argument `send_at`: {}", error)))?,
    })
}

/// Gives a message that is sent under a lease, and has no name, one of what it is `about` and what it says: a worker that
/// does it over, because the one before died between sending and acking, then sends nothing more.
pub(super) fn name_for_retries(outgoing: &mut Outgoing, about: [&str; 2], mailbox: Option<&str>) {
    if outgoing.idempotency_key.is_none() {
        let Outgoing { to, cc, bcc, subject, markdown, send_at, .. } = &outgoing;
        let said = serde_json::json!([about, mailbox, to, cc, bcc, subject, markdown, send_at]).to_string();
        outgoing.idempotency_key = Some(format!("lease-{}", sha256_hex(said.as_bytes())));
    }
}

shown! {
    struct Answer {
        message_id: Fenced,
        thread_id: Option<Fenced>,
        status: Fenced,
        cursor: Fenced,
    }
}

/// What both tools that send answer with.
pub(super) fn answer(fence: &Fence, sent: &Sent, cursor: &Cursor) -> CallToolResult {
    present::result(
        fence,
        Answer {
            message_id: fence.code(sent.id.as_str()),
            thread_id: sent.thread_id.as_ref().map(|thread| fence.code(thread.as_str())),
            status: fence.code(&sent.status),
            cursor: fence.code(&cursor.to_string()),
        },
    )
}
