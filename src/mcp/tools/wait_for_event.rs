//! `wait_for_event`: the next events for this worker, leased to it, or what an onlooker has not seen yet.

use std::{collections::BTreeMap, time::Duration};

use rmcp::model::{CallToolResult, JsonObject};

use super::{
    super::{
        arguments::{self, Arguments, Kind, Parameter},
        failure::Failure,
        present::{self, EventView, Fence, Fenced, Part, sentence, shown},
        server::Rooms,
    },
    Call, Effect, Output, Reach, Tool, Toolset, filter,
};
use crate::{
    bell::waiting::{Reader, WaitRequest, Waited},
    domain::{
        consumer::{self, Gap, Start},
        event::EventKind,
        id::ConsumerName,
    },
};

/// Without a progress token the caller may see nothing at all until the end, so it is short.
const TIMEOUT_SECS_DEFAULT: u64 = 25;
/// With progress told, most clients wait a minute.
const TIMEOUT_SECS_WITH_PROGRESS: u64 = 45;
/// Many clients give up on a call after 60 s, whatever they are told.
const TIMEOUT_SECS_MAX: u64 = 50;
/// As a task it costs a model nothing, and its client a look a second.
const TIMEOUT_SECS_AS_TASK: u64 = 600;
/// An hour: whoever waits longer should be woken instead, by `mailbell on`.
const TIMEOUT_SECS_AS_TASK_MAX: u64 = 3600;
/// A handful that an agent can hold in mind, and that fits into a result.
const LIMIT_DEFAULT: u32 = 5;
const LIMIT_MAX: u64 = 50;
/// Ten minutes: time for an agent to read, think and answer.
const LEASE_SECS_DEFAULT: u64 = 600;
/// Half a day: longer, and a crashed worker's events are as good as lost.
pub(super) const LEASE_SECS_MAX: u64 = 12 * 3600;
const CONSUMER_DEFAULT: &str = "default";

/// They shape what a worker owns or holds, so they say nothing to an onlooker.
const OF_WORKERS: [&str; 4] = ["consumer", "start", "kinds", "lease_secs"];
/// They would leave the rest of a consumer's events waiting for ever.
const OF_ONLOOKERS: [&str; 3] = ["thread_id", "message_id", "action_id"];

pub(super) const TOOL: Tool = Tool {
    name: "wait_for_event",
    title: "Wait for e-mail events",
    toolset: Toolset::Events,
    about: "Returns new events at once or as soon as they happen. By default you are a worker of a consumer: events are \
            leased to you (`lease_token`), nobody else gets them, and you ack them when done (tag_email `handled` or \
            ack_event). With `after` you only look on: no lease. `backlog` counts what is not acked, these included. A timeout is normal: call again with \
            `next`.",
    parameters: &[
        filter::EVENT_TYPES,
        filter::MAILBOX,
        filter::DOMAIN,
        Parameter::new("thread_id", Kind::Text, "needs `after`"),
        Parameter::new("message_id", Kind::Text, "needs `after`"),
        Parameter::new("action_id", Kind::Text, "needs `after`"),
        Parameter::new("consumer", Kind::Text, "default `default`; not with `after`"),
        Parameter::new("start", Kind::Word(&["earliest", "now"]), "at a consumer's first use; default earliest"),
        Parameter::new("kinds", Kind::Words(filter::KINDS), "at its first use; default all but delivery and open"),
        Parameter::new("lease_secs", Kind::Number(1, LEASE_SECS_MAX), "default 600"),
        Parameter::new("after", Kind::Text, "cursor, `now` or `earliest`: look on without a lease"),
        Parameter::new(
            "timeout_secs",
            Kind::Number(0, TIMEOUT_SECS_AS_TASK_MAX),
            "default 25; ends at 50 unless a task",
        ),
        Parameter::new("limit", Kind::Number(1, LIMIT_MAX), "default 5"),
    ],
    output: &[
        Output("events", "objects", true),
        Output("lease_token", "string", false),
        Output("backlog", "object", false),
        Output("gap", "object", false),
        Output("timed_out", "boolean", true),
        Output("cursor", "string", false),
        Output("next", "object", true),
    ],
    reach: Reach::Mailbox,
    effect: Effect::Marks { idempotent: false },
    run: |rooms, call| Box::pin(run(rooms, call)),
};

shown! {
    struct Answer {
        events: Vec<Part>,
        lease_token: Option<Fenced>,
        backlog: Option<BTreeMap<EventKind, u64>>,
        gap: Option<Gap>,
        timed_out: bool,
        cursor: Option<Fenced>,
        next: BTreeMap<&'static str, Part>,
    }
}

/// How long a call with these arguments takes at most as a task, whether or not they are right.
pub(in crate::mcp) fn lasts(given: &JsonObject) -> Duration {
    let named = given.get("timeout_secs").and_then(arguments::number).unwrap_or(TIMEOUT_SECS_AS_TASK);
    Duration::from_secs(named.min(TIMEOUT_SECS_AS_TASK_MAX))
}

async fn run(rooms: &Rooms, call: Call) -> Result<CallToolResult, Failure> {
    let Call { arguments, fence, holder, client, seen, cancelled, progress, as_task, .. } = call;
    let named = arguments.number("timeout_secs");
    let timeout_secs = match (as_task, progress.is_some()) {
        (true, _) => named.unwrap_or(TIMEOUT_SECS_AS_TASK),
        (false, true) => named.unwrap_or(TIMEOUT_SECS_WITH_PROGRESS).min(TIMEOUT_SECS_MAX),
        (false, false) => named.unwrap_or(TIMEOUT_SECS_DEFAULT).min(TIMEOUT_SECS_MAX),
    };
    let request = WaitRequest {
        filter: filter::filter(&arguments, &seen)?,
        reader: reader(&arguments)?,
        limit: arguments.count("limit").unwrap_or(LIMIT_DEFAULT),
        timeout: Duration::from_secs(timeout_secs),
        holder,
        client,
        // The record of this call, and the intent of whatever the agent does next, take it there.
        on_disk: false,
    };
    let wait = rooms.waiting.wait(request, cancelled.clone());
    let waited = match &progress {
        None => wait.await,
        Some(progress) => tokio::select! {
            // The first beat goes out before the log is looked at.
            biased;
            never = progress.beat(&rooms.clock) => match never {},
            waited = wait => waited,
        },
    }?;
    if cancelled.is_cancelled() {
        // The caller went away between the claim and here, and will never see its token.
        if let Some(token) = &waited.lease_token {
            rooms.settling.take_back(token, &ConsumerName::new(consumer(&arguments))).await?;
        }
        return Err(Failure::Cancelled);
    }
    let mut waited = waited;
    if seen.named().is_some() {
        // It counts every mailbox.
        waited.backlog = None;
    }
    Ok(answer(&fence, &arguments, waited))
}

fn answer(fence: &Fence, arguments: &Arguments, waited: Waited) -> CallToolResult {
    let Waited { events, lease_token, backlog, gap, timed_out, cursor } = waited;
    // What is leased must be shown, whatever its length: nobody else gets it.
    let events =
        present::all(fence, &events, |leased, clip| EventView::json(fence, &leased.event, leased.attempt, clip));
    let cursor = cursor.map(|cursor| fence.code(&cursor.to_string()));
    let mut next = arguments.again(fence);
    for first_use in ["start", "kinds"] {
        next.remove(first_use);
    }
    if arguments.has("after") {
        next.extend(cursor.as_ref().map(|cursor| ("after", Part::of(cursor))));
    } else {
        next.entry("consumer").or_insert_with(|| Part::of(&CONSUMER_DEFAULT));
    }
    let backlog = backlog.filter(|backlog| !backlog.is_empty());
    let lease_token = lease_token.map(|token| fence.code(token.as_str()));
    present::result(fence, Answer { events, lease_token, backlog, gap, timed_out, cursor, next })
}

fn consumer(arguments: &Arguments) -> &str {
    arguments.text("consumer").unwrap_or(CONSUMER_DEFAULT)
}

fn reader(arguments: &Arguments) -> Result<Reader, Failure> {
    if let Some(after) = arguments.text("after") {
        if let Some(name) = OF_WORKERS.into_iter().find(|name| arguments.has(name)) {
            return Err(Failure::Told(sentence!(
                "`{}` and `after` exclude each other: with `after` you look on and nothing is leased; leave out one of them",
                name
            )));
        }
        return Ok(Reader::Onlooker(filter::position(after)?));
    }
    if let Some(name) = OF_ONLOOKERS.into_iter().find(|name| arguments.has(name)) {
        return Err(Failure::Told(sentence!(
            "naming a `{}` needs `after` (a cursor, `now` or `earliest`): a consumer that waits for one thing would leave its other events waiting",
            name
        )));
    }
    let consumer = consumer::named(consumer(arguments))
        .map_err(|error| Failure::Told(sentence!("argument `consumer` is no name of a consumer: {}", error)))?;
    Ok(Reader::Worker {
        consumer,
        start: if arguments.text("start") == Some("now") { Start::Now } else { Start::Earliest },
        kinds: filter::kinds(arguments.texts("kinds")),
        lease: Duration::from_secs(arguments.number("lease_secs").unwrap_or(LEASE_SECS_DEFAULT)),
    })
}
