//! `list_suppressions`: the addresses that no mail goes to, and why.

use rmcp::model::CallToolResult;

use super::{
    super::{
        failure::Failure,
        present::{self, Fenced, Part, SuppressionView, shown},
        server::Rooms,
    },
    Call, Effect, Reach, Tool, Toolset, page,
};

/// Such a page fits into a result.
const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u64 = 30;

pub(super) const TOOL: Tool = Tool {
    name: "list_suppressions",
    title: "List suppressed addresses",
    toolset: Toolset::Suppression,
    about: "Addresses that no mail goes to, the newest first.",
    parameters: &page::parameters(LIMIT_MAX, "default 20"),
    output: &page::output("suppressions"),
    reach: Reach::Account,
    effect: Effect::Reads,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        suppressions: Vec<Part>,
        cursor: Option<Fenced>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let limit = arguments.count("limit").unwrap_or(LIMIT_DEFAULT);
    let page = rooms.upstream.suppressions(arguments.text("cursor"), limit).await?;
    // The API's cursor stands after the whole page, so all of it is shown, tight where it is long.
    let suppressions = present::all(&fence, &page.suppressions, |one, clip| SuppressionView::json(&fence, one, clip));
    Ok(present::result(
        &fence,
        Answer { suppressions, cursor: page.cursor.as_deref().map(|cursor| fence.code(cursor)) },
    ))
}
