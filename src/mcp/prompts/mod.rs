//! Prompts: what an agent's user picks to have a piece of work done the way this house means it, one file each.
//!
//! A prompt is sentences of ours that name calls of tools, as `tool(argument, argument: value)`; a test reads these calls
//! and holds each to the tool's schema. What somebody else wrote, an event that is shown along, stands in a fence.

mod catch_up;
mod handle_bounce;
mod handle_complaint;
mod triage_inbound;

use futures::future::BoxFuture;
use rmcp::{
    ErrorData,
    model::{GetPromptResult, JsonObject, Prompt as Published, PromptArgument},
};

use super::{
    arguments::{Arguments, Kind, Parameter, meant},
    failure::Failure,
    present::{self, Clip, EventView, Fence, Part, Sentence, fence_rule, json, sentence},
    server::Rooms,
    tools::filter,
    toolsets::Toolsets,
};
use crate::{
    config::Toolset,
    domain::{
        cursor::Seq,
        event::{Event, EventFilter, EventKind},
        grant::Mailboxes,
    },
    store::log::{Order, PageRequest},
};

/// An event is looked for by its id among so many of its kind, the newest first: an older one has a `seq` to name it by.
const LOOKED_THROUGH_MAX: u32 = 1_000;

/// One prompt, as it is published and as it is made.
pub(super) struct Prompt {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    /// The toolsets whose tools it names; it is offered by a server that has them all, and lets them change something.
    needs: &'static [Toolset],
    /// The kind of event that it is about, if of one.
    pub(super) kind: Option<EventKind>,
    parameters: &'static [Parameter],
    make: for<'a> fn(&'a Ask<'a>) -> BoxFuture<'a, Result<Told, Failure>>,
}

/// Somebody asks for a prompt.
struct Ask<'a> {
    rooms: &'a Rooms,
    fence: &'a Fence,
    arguments: Arguments,
    seen: &'a Mailboxes,
}

/// What a prompt says, and the event that it is about.
struct Told {
    says: Sentence,
    event: Option<Part>,
}

const MAILBOX: Parameter = Parameter::new("mailbox", Kind::Text, "Only mail of this mailbox: its address");

/// Every prompt.
static ALL: [&Prompt; 4] =
    [&triage_inbound::PROMPT, &handle_bounce::PROMPT, &handle_complaint::PROMPT, &catch_up::PROMPT];

impl Prompt {
    fn published(&self) -> Published {
        let arguments = self.parameters.iter().map(|parameter| {
            PromptArgument::new(parameter.name).with_description(parameter.about).with_required(parameter.required)
        });
        Published::new(self.name, Some(self.about), Some(arguments.collect())).with_title(self.title)
    }
}

fn offered(toolsets: Toolsets) -> impl Iterator<Item = &'static Prompt> {
    let has = move |prompt: &&Prompt| !toolsets.read_only && prompt.needs.iter().all(|set| toolsets.hold(*set));
    ALL.into_iter().filter(has)
}

/// The prompts as clients see them.
pub(super) fn published(toolsets: Toolsets) -> Vec<Published> {
    offered(toolsets).map(Prompt::published).collect()
}

/// The prompt `name`, if it is offered and takes this argument.
pub(super) fn taking(toolsets: Toolsets, name: &str, argument: &str) -> Option<&'static Prompt> {
    let takes = |prompt: &&Prompt| prompt.parameters.iter().any(|parameter| parameter.name == argument);
    offered(toolsets).find(|prompt| prompt.name == name).filter(takes)
}

/// The prompt `name`, for a caller that sees these mailboxes.
pub(super) async fn get(
    rooms: &Rooms,
    name: &str,
    given: &JsonObject,
    seen: &Mailboxes,
) -> Result<GetPromptResult, ErrorData> {
    let fence = Fence::new(rooms.ids());
    let Some(prompt) = offered(rooms.toolsets).find(|prompt| prompt.name == name) else {
        let names = || offered(rooms.toolsets).map(|prompt| prompt.name);
        let shown: String = name.chars().take(80).collect();
        let (shown, meant, all) = (fence.code(&shown), meant(names(), name), Sentence::joined(names(), ", "));
        let sentence = if all.is_empty() {
            sentence!("there is no prompt {}: those there are name tools that this server's toolsets leave out", shown)
        } else {
            sentence!("there is no prompt {}.{} The prompts are {}", shown, meant, all)
        };
        return Err(present::invalid(&fence, &sentence));
    };
    let told = async {
        let arguments = Arguments::check(prompt.name, prompt.parameters, given, &fence)?;
        (prompt.make)(&Ask { rooms, fence: &fence, arguments, seen }).await
    };
    match told.await {
        Ok(Told { says, event }) => Ok(present::prompt(&fence, prompt.about, &says, event)),
        Err(failure @ (Failure::Told(_) | Failure::Upstream(_))) => {
            Err(present::invalid(&fence, &failure.sentence(&fence)))
        }
        Err(failure) => Err(present::broken(&fence, &failure.sentence(&fence))),
    }
}

impl Ask<'_> {
    /// The mailbox that was named, as a part of a call: empty where none was.
    fn mailbox(&self) -> Result<Sentence, Failure> {
        let Some(mailbox) = self.arguments.text("mailbox") else { return Ok(Sentence::default()) };
        let address = filter::address(mailbox)?;
        if !self.seen.holds(&address) {
            return Err(crate::bell::upstream::UpstreamError::NoMailbox(address).into());
        }
        Ok(sentence!(", mailbox: \"{}\"", self.fence.code(&address)))
    }

    /// The event of that kind that was named by its id or its place in the log.
    async fn event(&self, kind: EventKind) -> Result<Option<Event>, Failure> {
        let Some(named) = self.arguments.text("event_id") else { return Ok(None) };
        let found = if let Ok(seq) = named.parse() {
            self.rooms.log.event(Seq(seq)).await?
        } else {
            let filter = EventFilter { kinds: vec![kind], within: self.seen.clone(), ..EventFilter::default() };
            let (after, order) = (Seq::ZERO, Order::Descending);
            let request = PageRequest { filter, after, before: None, order, limit: LOOKED_THROUGH_MAX };
            let newest = self.rooms.log.page(&request).await?;
            newest.into_iter().find(|event| event.fact.event_id.as_str() == named)
        };
        let seen = |event: &Event| {
            self.seen.named().is_none() || event.fact.mailbox.as_deref().is_some_and(|at| self.seen.holds(at))
        };
        match found.filter(|event| event.fact.detail.kind() == kind && seen(event)) {
            Some(event) => Ok(Some(event)),
            None => Err(Failure::Told(sentence!(
                "there is no {} event {}; pass the `event_id` or the `seq` of one that list_events shows, or leave `event_id` \
                 out to handle those that wait",
                kind,
                self.fence.code(named)
            ))),
        }
    }

    /// How the agent comes by the events to work on: the one that was named, or those that wait.
    async fn told(&self, kind: EventKind, steps: Sentence) -> Result<Told, Failure> {
        let event = self.event(kind).await?;
        let mailbox = self.mailbox()?;
        let begin = match &event {
            Some(_) => sentence!(
                "Handle the {} event that is shown below. To settle it you need its lease: use the `lease_token` that you have \
                 for it, or else call wait_for_event(event_types: [\"{0}\"]{}, timeout_secs: 0), and give back what else comes \
                 with it: ack_event(lease_token, event_ids, action: \"release\"). Does it not come, another worker has it or it \
                 is settled: then change nothing, and only tell what you see.",
                kind,
                mailbox
            ),
            None => sentence!(
                "Handle the {} events that wait, one after the other, until none comes: call \
                 wait_for_event(event_types: [\"{0}\"]{}, timeout_secs: 0), and act under its `lease_token`.",
                kind,
                mailbox
            ),
        };
        Ok(Told {
            says: sentence!("{}\n\n{}\n\n{}", begin, steps, RULES),
            event: event.map(|event| json(&EventView::new(self.fence, &event, 0, Clip::WHOLE))),
        })
    }
}

/// What holds for all that is done here.
const RULES: &str = concat!(
    "Before acting on an event whose `attempt` is 2 or more, look with get_thread(thread_id) at what was done already. A result \
     `pending_approval` is fine: an operator decides, and asking again changes nothing. At the end, tell your user in a few \
     words what happened and what you did.\n\n",
    fence_rule!()
);

/// The kinds of argument that prompts about one event take.
const ABOUT_AN_EVENT: [Parameter; 2] = [
    Parameter::new("event_id", Kind::Text, "This event alone: its event_id or its seq. Without it, all that wait"),
    MAILBOX,
];
