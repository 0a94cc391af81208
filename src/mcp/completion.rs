//! What may stand in the places of a resource's template and in the arguments of a prompt: mailboxes, events, threads,
//! messages, tags and webhooks that the caller may see, by how they begin.
//!
//! A completion has no place for a fence, so what cannot be mistaken for anything but an id, an address or a code is offered,
//! and nothing else.

use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompletionInfo},
};

use super::{
    failure::Failure,
    place::SCHEME,
    present::{self, Fence, sentence},
    prompts,
    resources::TEMPLATES,
    server::Rooms,
    tools::{filter, gate},
};
use crate::{
    bell::{
        upstream::InboxQuery,
        waiting::{ListRequest, Position},
    },
    domain::{
        event::{EventFilter, EventKind},
        grant::Mailboxes,
        id::is_bare,
    },
    store::log::Order,
};

/// Newest events in which threads and messages are looked for: a week of a busy agent.
const EVENTS_LOOKED_THROUGH: u32 = 1_000;
/// Newest messages in which tags are looked for: one page of the mail API.
const MESSAGES_LOOKED_THROUGH: u32 = crate::bell::upstream::PAGE_MAX;

/// Completes one argument of a template or a prompt.
pub(super) async fn complete(
    rooms: &Rooms,
    request: &CompleteRequestParams,
    seen: &Mailboxes,
) -> Result<CompletionInfo, ErrorData> {
    let fence = Fence::new(rooms.ids());
    let argument = &*request.argument.name;
    let mut kind = None;
    if let Some(uri) = request.r#ref.as_resource_uri() {
        let path = uri.strip_prefix(SCHEME).unwrap_or_default();
        let is_ours = TEMPLATES.iter().any(|(template, ..)| *template == path);
        if !is_ours || !path.contains(&format!("{{{argument}}}")) {
            let sentence = sentence!(
                "there is no such argument of such a template; resources/templates/list shows the templates, with their \
                 arguments in braces"
            );
            return Err(present::invalid(&fence, &sentence));
        }
    } else if let Some(name) = request.r#ref.as_prompt_name() {
        let prompt = prompts::taking(rooms.toolsets, name, argument).ok_or_else(|| {
            let sentence =
                sentence!("there is no such argument of such a prompt; prompts/list shows the prompts, with theirs");
            present::invalid(&fence, &sentence)
        })?;
        kind = prompt.kind;
    }
    let given = |name: &str| request.context.as_ref().and_then(|context| context.get_argument(name));
    let found = candidates(rooms, argument, kind, given, seen).await;
    let found = found.map_err(|failure| present::broken(&fence, &failure.sentence(&fence)))?;
    Ok(fitting(found, &request.argument.value))
}

/// Everything that may stand there, what is likelier first.
async fn candidates<'a>(
    rooms: &Rooms,
    argument: &str,
    kind: Option<EventKind>,
    given: impl Fn(&str) -> Option<&'a String>,
    seen: &Mailboxes,
) -> Result<Vec<String>, Failure> {
    Ok(match argument {
        "address" | "mailbox" => {
            let addresses = rooms.upstream.mailboxes().await?.into_iter().map(|mailbox| mailbox.address);
            addresses.filter(|address| seen.holds(address)).collect()
        }
        "thread_id" | "message_id" | "event_id" => {
            let mailbox = given("mailbox").map(|mailbox| filter::address(mailbox)).transpose()?;
            let kinds = kind.into_iter().collect();
            let request = ListRequest {
                filter: EventFilter { kinds, mailbox, within: seen.clone(), ..EventFilter::default() },
                after: Position::Earliest,
                before: None,
                order: Order::Descending,
                limit: EVENTS_LOOKED_THROUGH,
            };
            let facts = rooms.waiting.list(request).await?.events.into_iter().map(|event| event.fact);
            match argument {
                "thread_id" => facts.filter_map(|fact| Some(fact.thread_id?.to_string())).collect(),
                "message_id" => facts.filter_map(|fact| Some(fact.message_id?.to_string())).collect(),
                _ => facts.map(|fact| fact.event_id.to_string()).collect(),
            }
        }
        "tag" => {
            let mailbox = given("address").map(|address| filter::address(address)).transpose()?;
            if mailbox.as_ref().is_some_and(|mailbox| !seen.holds(mailbox)) {
                return Ok(Vec::new());
            }
            let limit = MESSAGES_LOOKED_THROUGH;
            let query = InboxQuery { mailbox, within: seen.clone(), limit, ..InboxQuery::default() };
            let messages = rooms.upstream.check_inbox(&query).await?.messages;
            messages
                .into_iter()
                .filter_map(|message| message.tags)
                .flat_map(std::collections::BTreeMap::into_keys)
                .collect()
        }
        "webhook_id" => {
            let webhooks = rooms.webhooks.list().await?.into_iter();
            let seen = webhooks.filter(|webhook| gate::is_of(webhook.mailbox.as_deref(), seen));
            seen.map(|webhook| webhook.id.to_string()).collect()
        }
        // Places in the log are too many to guess.
        _ => Vec::new(),
    })
}

/// Those that begin with `begin`, each once.
fn fitting(found: Vec<String>, begin: &str) -> CompletionInfo {
    let mut fitting: Vec<String> = Vec::new();
    for candidate in found.into_iter().filter(|candidate| candidate.starts_with(begin) && is_bare(candidate)) {
        if !fitting.contains(&candidate) {
            fitting.push(candidate);
        }
        if fitting.len() > CompletionInfo::MAX_VALUES {
            break;
        }
    }
    let has_more = fitting.len() > CompletionInfo::MAX_VALUES;
    fitting.truncate(CompletionInfo::MAX_VALUES);
    // Where there are more, nobody has counted how many.
    let total = (!has_more).then(|| u32::try_from(fitting.len()).unwrap_or(u32::MAX));
    CompletionInfo::with_pagination(fitting, total, has_more).expect("no more than the protocol allows")
}
