//! `list_events`: a page of the log, without a lease.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, EventView, Fenced, Part, sentence, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::{
    bell::waiting::{ListRequest, Position},
    domain::{
        consumer::Gap,
        cursor::{Cursor, NotACursor},
    },
    store::log::Order,
};

const LIMIT_DEFAULT: u32 = 10;
const LIMIT_MAX: u64 = 100;

pub(super) const TOOL: Tool = Tool {
    name: "list_events",
    title: "List past events",
    toolset: Toolset::Events,
    about: "Events in the log, the newest first unless `order` is asc; nothing is leased or acked. To go on, pass `cursor` \
            as `before` (desc) or `after` (asc).",
    parameters: &[
        filter::EVENT_TYPES,
        filter::MAILBOX,
        filter::DOMAIN,
        filter::THREAD_ID,
        filter::MESSAGE_ID,
        filter::ACTION_ID,
        Parameter::new("after", Kind::Text, "cursor or `earliest`: only later events"),
        Parameter::new("before", Kind::Text, "cursor: only earlier events"),
        Parameter::new("order", Kind::Word(&["desc", "asc"]), ""),
        Parameter::new("limit", Kind::Number(1, LIMIT_MAX), "default 10"),
    ],
    output: &[
        Output("events", "objects", true),
        Output("cursor", "string", true),
        Output("left_out", "integer", false),
        Output("gap", "object", false),
    ],
    reach: Reach::Mailbox,
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        events: Vec<Part>,
        cursor: Fenced,
        left_out: Option<usize>,
        gap: Option<Gap>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, seen, .. } = call;
    let before = arguments
        .text("before")
        .map(str::parse)
        .transpose()
        .map_err(|error: NotACursor| Failure::Told(sentence!("argument `before`: {}", error)))?;
    let listed = rooms
        .waiting
        .list(ListRequest {
            filter: filter::filter(&arguments, &seen)?,
            after: arguments.text("after").map_or(Ok(Position::Earliest), filter::position)?,
            before,
            order: if arguments.text("order") == Some("asc") { Order::Ascending } else { Order::Descending },
            limit: arguments.count("limit").unwrap_or(LIMIT_DEFAULT),
        })
        .await?;
    let fitted = present::fit(&fence, &listed.events, |event, clip| EventView::json(&fence, event, 0, clip));
    let mut cursor = listed.cursor;
    if fitted.left_out > 0
        && let Some(last) = listed.events.get(fitted.items.len() - 1)
    {
        cursor = Cursor { log: cursor.log, seq: last.seq };
    }
    let cursor = fence.code(&cursor.to_string());
    let left_out = (fitted.left_out > 0).then_some(fitted.left_out);
    Ok(present::result(&fence, Answer { events: fitted.items, cursor, left_out, gap: listed.gap }))
}
