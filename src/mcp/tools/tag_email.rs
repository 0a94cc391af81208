//! `tag_email`: marks a message; the tag `handled` also acks the events about it.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, Fenced, sentence, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::{
    bell::upstream::HANDLED,
    domain::{
        consumer::{LeaseToken, Settled},
        id::{EventId, MessageId},
    },
};

/// A tag is a word or two, in characters.
const TAG_CHARS_MAX: usize = 64;
/// Tags shown of a message that carries many.
const TAGS_SHOWN_MAX: usize = 50;

pub(super) const TOOL: Tool = Tool {
    name: "tag_email",
    title: "Tag a message",
    toolset: Toolset::Mail,
    about: "Adds `tags` and takes off those in `remove`. The tag `handled` says you are done: it also acks the message's \
            events under `lease_token`, or without one those leased to you. `stayed` names events that others hold.",
    parameters: &[
        filter::MESSAGE_ID.required(),
        Parameter::new("tags", Kind::Texts, ""),
        Parameter::new("remove", Kind::Texts, ""),
        filter::LEASE_TOKEN,
    ],
    output: &[
        Output("message_id", "string", true),
        Output("tags", "strings", true),
        Output("handled", "boolean", true),
        Output("acked", "strings", false),
        Output("stayed", "strings", false),
        Output("note", "string", false),
    ],
    reach: Reach::Message,
    effect: Effect::Adds { idempotent: true },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        message_id: Fenced,
        tags: Vec<Fenced>,
        handled: bool,
        acked: Option<Vec<Fenced>>,
        stayed: Option<Vec<Fenced>>,
        note: Option<&'static str>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, holder, .. } = call;
    let (add, remove) = (arguments.texts("tags"), arguments.texts("remove"));
    if add.is_empty() && remove.is_empty() {
        return Err(Failure::Told(
            "tag_email needs `tags` to add or `remove` to take off, such as [\"handled\"]".into(),
        ));
    }
    let fine = |tag: &String| {
        tag.chars().count() <= TAG_CHARS_MAX && !tag.chars().any(char::is_control) && tag != "." && tag != ".."
    };
    if !add.iter().chain(remove).all(fine) {
        return Err(Failure::Told(sentence!(
            "a tag is a text of 1 to {} characters without line breaks",
            TAG_CHARS_MAX
        )));
    }
    let handles = add.iter().any(|tag| tag == HANDLED);
    if handles && remove.iter().any(|tag| tag == HANDLED) {
        return Err(Failure::Told("`handled` stands both in `tags` and in `remove`; decide for one".into()));
    }
    let message = MessageId::new(arguments.text("message_id").unwrap_or_default());
    let tags = rooms.upstream.tag(&message, add, remove).await?;
    // The tag first: an ack without it would lose the event of a message that nobody marked.
    let settled = if handles {
        let token = arguments.text("lease_token").map(LeaseToken::new);
        Some(rooms.settling.ack_message(&message, token.as_ref(), &holder.name).await?)
    } else {
        None
    };
    let codes = |ids: &[EventId]| ids.iter().map(|id| fence.code(id.as_str())).collect::<Vec<_>>();
    let note = settled.as_ref().and_then(|Settled { done, stale, .. }| match (done.is_empty(), stale.is_empty()) {
        (_, false) => Some("the events in `stayed` are leased to somebody else, who may be at work on this message"),
        (true, true) => Some(
            "no event about this message was leased to you, so nothing was acked: a worker that waits is still told of it, and \
             acks it then",
        ),
        (false, true) => None,
    });
    Ok(present::result(
        &fence,
        Answer {
            message_id: fence.code(message.as_str()),
            handled: tags.iter().any(|tag| tag == HANDLED),
            tags: tags.iter().take(TAGS_SHOWN_MAX).map(|tag| fence.text_up_to(tag, TAG_CHARS_MAX)).collect(),
            acked: settled.as_ref().map(|settled| codes(&settled.done)),
            stayed: settled.as_ref().filter(|settled| !settled.stale.is_empty()).map(|settled| codes(&settled.stale)),
            note,
        },
    ))
}
