//! `ack_event`: says what became of leased events.

use rmcp::model::CallToolResult;

use super::{
    super::{
        arguments::{Kind, Parameter},
        failure::Failure,
        present::{self, Fenced, sentence, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset,
    wait_for_event::LEASE_SECS_MAX,
};
use crate::domain::{
    consumer::{LeaseToken, Settlement},
    id::EventId,
};

/// Ten minutes, as at the first lease.
const LEASE_SECS_DEFAULT: u64 = 600;

pub(super) const TOOL: Tool = Tool {
    name: "ack_event",
    title: "Settle leased events",
    toolset: Toolset::Events,
    about: "ack: done. release: give back at once (parked after 5 attempts). extend: need more time. escalate: set aside for \
            the operator, with `note`. Without `event_ids`: all under the token. `stale` names those the token no longer holds.",
    parameters: &[
        Parameter::new("lease_token", Kind::Text, "").required(),
        Parameter::new("event_ids", Kind::Texts, ""),
        Parameter::new("action", Kind::Word(&["ack", "release", "extend", "escalate"]), "default ack"),
        Parameter::new("note", Kind::Text, "for the operator"),
        Parameter::new("lease_secs", Kind::Number(1, LEASE_SECS_MAX), "for extend; default 600"),
    ],
    output: &[
        Output("action", "string", true),
        Output("done", "strings", true),
        Output("stale", "strings", true),
        Output("parked", "strings", false),
    ],
    reach: Reach::Lease,
    effect: Effect::Marks { idempotent: true },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        action: &'static str,
        done: Vec<Fenced>,
        stale: Vec<Fenced>,
        parked: Option<Vec<Fenced>>,
    }
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, .. } = call;
    let (action, settlement) = match arguments.text("action") {
        Some("release") => ("release", Settlement::Release { pause_millis: 0 }),
        Some("extend") => {
            let secs = arguments.number("lease_secs").unwrap_or(LEASE_SECS_DEFAULT);
            ("extend", Settlement::Extend { lease_millis: i64::try_from(secs * 1000).unwrap_or(i64::MAX) })
        }
        Some("escalate") => ("escalate", Settlement::Escalate { note: arguments.text("note").map(str::to_owned) }),
        _ => ("ack", Settlement::Ack),
    };
    for (name, of) in [("note", "escalate"), ("lease_secs", "extend")] {
        if arguments.has(name) && action != of {
            return Err(Failure::Told(sentence!(
                "argument `{}` goes with the action `{}` only; leave it out",
                name,
                of
            )));
        }
    }
    let token = LeaseToken::new(arguments.text("lease_token").unwrap_or_default());
    let named: Option<Vec<EventId>> =
        arguments.has("event_ids").then(|| arguments.texts("event_ids").iter().map(EventId::new).collect());
    let settled = rooms.settling.settle(&token, named.as_deref(), &settlement).await?;
    if settled.done.is_empty() && named.as_ref().is_none_or(|named| !named.is_empty()) {
        return Err(Failure::Told(
            "nothing was changed: this lease_token does not hold these events (any more). Its lease ran out and another \
             worker took them, or they were settled before. Drop them and call wait_for_event"
                .into(),
        ));
    }
    let codes = |ids: &[EventId]| ids.iter().map(|id| fence.code(id.as_str())).collect();
    let parked = (!settled.parked.is_empty()).then(|| codes(&settled.parked));
    let answer = Answer { action, done: codes(&settled.done), stale: codes(&settled.stale), parked };
    Ok(present::result(&fence, answer))
}
