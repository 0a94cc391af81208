//! `suppress_address`: no more mail to an address.

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

pub(super) const TOOL: Tool = Tool {
    name: "suppress_address",
    title: "Suppress an address",
    toolset: Toolset::Suppression,
    about: "No more mail goes to the address, and what is queued for it is cancelled. Only the operator can lift it.",
    parameters: &[
        Parameter::new("address", Kind::Text, "").required(),
        Parameter::new("reason", Kind::Text, "in your words"),
        filter::LEASE_TOKEN,
    ],
    output: &[Output("address", "string", true), Output("reason", "string", false), Output("note", "string", false)],
    reach: Reach::Account,
    effect: Effect::Removes,
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    /// Of the entry that there is now, which may be an earlier one.
    struct Answer {
        address: Fenced,
        reason: Option<Fenced>,
        note: Option<Fenced>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let address = arguments.text("address").unwrap_or_default();
    let entry = rooms.upstream.suppress(address, arguments.text("reason")).await?;
    Ok(present::result(
        &fence,
        Answer {
            address: fence.code(&entry.address),
            reason: entry.reason.as_deref().map(|reason| fence.code(reason)),
            note: entry.note.as_deref().map(|note| fence.text(note)),
        },
    ))
}
