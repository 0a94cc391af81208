//! Resources: the same events, threads, messages and deliveries as the tools show, under addresses of their own.

mod attachment;

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceTemplate},
};

use super::{
    failure::Failure,
    place::{Place, SCHEME},
    present::{self, Clip, EventView, Fence, Fenced, JSON, Part, sentence, shown},
    server::Rooms,
    tools::{EmailPart, ThreadView, deliveries_page, filter, gate, inbox_page},
};
use crate::{
    bell::{
        upstream::{InboxQuery, UpstreamError},
        waiting::{ListRequest, Position},
        webhooks::WebhookError,
    },
    domain::{event::EventFilter, grant::Mailboxes, id::is_bare},
    store::log::Order,
};

/// Events and deliveries in a resource: its newest page.
const PAGE: u32 = 20;
/// Characters of an address that is none of ours, told again.
const URI_CHARS_SHOWN: usize = 200;
/// Mailboxes whose events are listed as resources; the template serves the others.
const MAILBOXES_LISTED_MAX: usize = 50;

/// What there is to read now. Without a mail API there are still events.
pub(super) async fn list(rooms: &Rooms, seen: &Mailboxes) -> Vec<Resource> {
    let events = Resource::new(format!("{SCHEME}events"), "events")
        .with_title("Newest events")
        .with_description("The newest events of all mailboxes")
        .with_mime_type(JSON);
    let mailboxes = rooms.upstream.mailboxes().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "mailboxes are not listed as resources");
        Vec::new()
    });
    let of_mailboxes = listed(mailboxes.iter().map(|mailbox| mailbox.address.as_str()), seen).map(|address| {
        Resource::new(format!("{SCHEME}mailboxes/{address}/events"), format!("events of {address}"))
            .with_mime_type(JSON)
    });
    std::iter::once(events).chain(of_mailboxes).collect()
}

/// Those of the mailboxes at `addresses` that a list shows to who sees these.
pub(super) fn listed<'a>(addresses: impl Iterator<Item = &'a str>, seen: &Mailboxes) -> impl Iterator<Item = &'a str> {
    // A listing has no place for a fence, so an odd address is left to the template.
    addresses.filter(|address| seen.holds(address) && is_bare(address)).take(MAILBOXES_LISTED_MAX)
}

/// The addresses that can be filled in: path, name, what is there.
pub(super) const TEMPLATES: [(&str, &str, &str); 7] = [
    ("events/{seq}", "event", "One event, with its long texts in full"),
    ("mailboxes/{address}/events", "mailbox events", "The newest events of a mailbox"),
    ("mailboxes/{address}/tags/{tag}", "tagged messages", "The newest messages of a mailbox with a tag"),
    ("threads/{thread_id}", "thread", "A thread's messages, and whether it is handled"),
    ("messages/{message_id}", "message", "A message with the beginning of its text"),
    (
        "messages/{message_id}/attachments/{number}",
        "attachment",
        "A file of a message, from 1 on: what it is, its text, its bytes",
    ),
    ("webhooks/{webhook_id}/deliveries", "webhook deliveries", "The newest deliveries of a webhook"),
];

/// The same as clients see them.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    TEMPLATES
        .map(|(path, name, about)| {
            ResourceTemplate::new(format!("{SCHEME}{path}"), name).with_description(about).with_mime_type(JSON)
        })
        .into()
}

/// Reads one.
pub(super) async fn read(rooms: &Rooms, uri: &str, seen: &Mailboxes) -> Result<ReadResourceResult, ErrorData> {
    let fence = Fence::new(rooms.ids());
    let Some(place) = Place::of(uri) else { return Err(unknown(&fence, uri)) };
    match show(rooms, &fence, uri, &place, seen).await {
        Ok(read) => Ok(read),
        Err(failure) => Err(refused(&fence, &failure, uri)),
    }
}

/// That `uri` is none of ours.
pub(super) fn unknown(fence: &Fence, uri: &str) -> ErrorData {
    let shown: String = uri.chars().take(URI_CHARS_SHOWN).collect();
    let shown = fence.code(&shown);
    let sentence = sentence!("there is no resource {}; resources/templates/list shows what can be read", shown);
    present::absent(fence, &sentence, uri)
}

/// Why what is at `uri` is not to be had.
pub(super) fn refused(fence: &Fence, failure: &Failure, uri: &str) -> ErrorData {
    let sentence = failure.sentence(fence);
    match failure {
        Failure::Told(_)
        | Failure::Upstream(
            UpstreamError::NoMessage(_)
            | UpstreamError::NoAttachment(..)
            | UpstreamError::NoThread(_)
            | UpstreamError::NoMailbox(_),
        )
        | Failure::Webhook(WebhookError::Upstream(UpstreamError::NoWebhook(_))) => {
            present::absent(fence, &sentence, uri)
        }
        _ => present::broken(fence, &sentence),
    }
}

/// That who sees these mailboxes may see what is at `place`. What others have is answered as if it were not there.
pub(super) async fn may_see(rooms: &Rooms, place: &Place, seen: &Mailboxes) -> Result<(), Failure> {
    match place {
        Place::MailboxEvents(address) | Place::Tagged { mailbox: address, .. } => {
            let address = filter::address(address)?;
            if seen.holds(&address) { Ok(()) } else { Err(UpstreamError::NoMailbox(address).into()) }
        }
        Place::Thread(id) => gate::thread(rooms, id, seen).await,
        Place::Message(id) | Place::Attachment(id, _) => gate::message(rooms, id, seen).await,
        Place::Deliveries(id) => gate::webhook(rooms, id, seen).await,
        // A page holds what is seen alone, and of an event it is told when it is read.
        Place::Events | Place::Event(_) => Ok(()),
    }
}

shown! {
    struct Events {
        events: Vec<Part>,
        cursor: Fenced,
    }
}

async fn show(
    rooms: &Rooms,
    fence: &Fence,
    uri: &str,
    place: &Place,
    seen: &Mailboxes,
) -> Result<ReadResourceResult, Failure> {
    may_see(rooms, place, seen).await?;
    let part = match place {
        Place::Attachment(id, number) => return attachment::read(rooms, fence, uri, id, *number).await,
        Place::Events => events(rooms, fence, EventFilter { within: seen.clone(), ..EventFilter::default() }).await?,
        Place::MailboxEvents(address) => {
            let mailbox = Some(filter::address(address)?);
            events(rooms, fence, EventFilter { mailbox, ..EventFilter::default() }).await?
        }
        Place::Event(seq) => match rooms.log.event(*seq).await? {
            Some(event) if seen.hold_event_of(event.fact.mailbox.as_deref()) => {
                Part::of(&EventView::new(fence, &event, 0, Clip::WHOLE))
            }
            _ => return Err(Failure::Told(sentence!("there is no event {}; call list_events", *seq))),
        },
        Place::Thread(id) => Part::of(&ThreadView::new(fence, &rooms.upstream.thread(id).await?)),
        Place::Message(id) => {
            let email = rooms.upstream.read_email(id).await?;
            Part::of(&EmailPart::new(fence, &email, 0, None))
        }
        Place::Deliveries(id) => Part::of(&deliveries_page(rooms, fence, Some(id), None, PAGE, None).await?),
        Place::Tagged { mailbox, tag } => {
            let (mailbox, tag) = (Some(filter::address(mailbox)?), Some(tag.clone()));
            let query = InboxQuery { mailbox, tag, limit: PAGE, ..InboxQuery::default() };
            Part::of(&inbox_page(rooms, fence, &query).await?)
        }
    };
    Ok(present::resource(fence, uri, part))
}

async fn events(rooms: &Rooms, fence: &Fence, filter: EventFilter) -> Result<Part, Failure> {
    let request =
        ListRequest { filter, after: Position::Earliest, before: None, order: Order::Descending, limit: PAGE };
    let listed = rooms.waiting.list(request).await?;
    let fitted = present::fit(fence, &listed.events, |event, clip| EventView::json(fence, event, 0, clip));
    let cursor = fence.code(&listed.cursor.to_string());
    Ok(Part::of(&Events { events: fitted.items, cursor }))
}
