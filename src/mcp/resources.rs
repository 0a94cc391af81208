//! Resources: the same events, threads, messages and deliveries as the tools show, under addresses of their own.

mod attachment;

use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceTemplate},
};

use super::{
    failure::Failure,
    present::{self, Clip, EventView, Fence, Fenced, JSON, Part, sentence, shown},
    server::Rooms,
    tools::{EmailPart, ThreadView, deliveries_page, filter, gate},
};
use crate::{
    bell::{
        upstream::UpstreamError,
        waiting::{ListRequest, Position},
        webhooks::WebhookError,
    },
    domain::{
        cursor::Seq,
        event::EventFilter,
        grant::Mailboxes,
        id::{MessageId, ThreadId, WebhookId},
    },
    store::log::Order,
};

const SCHEME: &str = "mailbell://";
/// Events and deliveries in a resource: its newest page.
const PAGE: u32 = 20;
/// Mailboxes whose events are listed as resources; the template serves the others.
const MAILBOXES_LISTED_MAX: usize = 50;

/// The longest address: an e-mail address with all of it percent-encoded fits twice. What does not fit is not repeated either.
const URI_BYTES_MAX: usize = 2_000;

/// What a resource's address names.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Events,
    Event(Seq),
    MailboxEvents(String),
    Thread(ThreadId),
    Message(MessageId),
    Attachment(MessageId, usize),
    Deliveries(WebhookId),
}

impl Place {
    fn of(uri: &str) -> Option<Self> {
        // A URI is written in these (RFC 3986 section 2), so an address that is repeated in an answer has no spaces.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        if uri.len() > URI_BYTES_MAX || !uri.bytes().all(fits) {
            return None;
        }
        let path: Vec<String> = uri.strip_prefix(SCHEME)?.split('/').map(decoded).collect::<Option<_>>()?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path.iter().any(|part| part.is_empty()) {
            return None;
        }
        match path[..] {
            ["events"] => Some(Self::Events),
            ["events", seq] => seq.parse().ok().filter(|seq| *seq > 0).map(|seq| Self::Event(Seq(seq))),
            ["mailboxes", address, "events"] => Some(Self::MailboxEvents(address.to_owned())),
            ["threads", id] => Some(Self::Thread(ThreadId::new(id))),
            ["messages", id] => Some(Self::Message(MessageId::new(id))),
            ["messages", id, "attachments", number] => number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .map(|number| Self::Attachment(MessageId::new(id), number)),
            ["webhooks", id, "deliveries"] => Some(Self::Deliveries(WebhookId::new(id))),
            _ => None,
        }
    }
}

/// Percent-decoding (RFC 3986 section 2.1); none where it is not valid or not UTF-8.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let byte = hex::decode(tail.get(..2)?).ok()?;
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

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
    let fence = Fence::new(rooms.ids());
    let of_mailboxes = mailboxes
        .iter()
        // A listing has no place for a fence, so an odd address is left to the template.
        .filter(|mailbox| seen.holds(&mailbox.address) && fence.code(&mailbox.address).as_str() == mailbox.address)
        .take(MAILBOXES_LISTED_MAX)
        .map(|mailbox| {
            let address = &mailbox.address;
            Resource::new(format!("{SCHEME}mailboxes/{address}/events"), format!("events of {address}"))
                .with_mime_type(JSON)
        });
    std::iter::once(events).chain(of_mailboxes).collect()
}

/// The addresses that can be filled in.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    [
        ("events/{seq}", "event", "One event, with its long texts in full"),
        ("mailboxes/{address}/events", "mailbox events", "The newest events of a mailbox"),
        ("threads/{thread_id}", "thread", "A thread's messages, and whether it is handled"),
        ("messages/{message_id}", "message", "A message with the beginning of its text"),
        (
            "messages/{message_id}/attachments/{number}",
            "attachment",
            "A file of a message, from 1 on: what it is, its text, its bytes",
        ),
        ("webhooks/{webhook_id}/deliveries", "webhook deliveries", "The newest deliveries of a webhook"),
    ]
    .map(|(path, name, about)| {
        ResourceTemplate::new(format!("{SCHEME}{path}"), name).with_description(about).with_mime_type(JSON)
    })
    .into()
}

/// Reads one.
pub(super) async fn read(rooms: &Rooms, uri: &str, seen: &Mailboxes) -> Result<ReadResourceResult, ErrorData> {
    let fence = Fence::new(rooms.ids());
    let Some(place) = Place::of(uri) else {
        let shown: String = uri.chars().take(200).collect();
        let shown = fence.code(&shown);
        let sentence = sentence!("there is no resource {}; resources/templates/list shows what can be read", shown);
        return Err(present::absent(&fence, &sentence, uri));
    };
    match show(rooms, &fence, uri, &place, seen).await {
        Ok(read) => Ok(read),
        Err(failure) => {
            let sentence = failure.sentence(&fence);
            Err(match failure {
                Failure::Told(_)
                | Failure::Upstream(
                    UpstreamError::NoMessage(_)
                    | UpstreamError::NoAttachment(..)
                    | UpstreamError::NoThread(_)
                    | UpstreamError::NoMailbox(_),
                )
                | Failure::Webhook(WebhookError::Upstream(UpstreamError::NoWebhook(_))) => {
                    present::absent(&fence, &sentence, uri)
                }
                _ => present::broken(&fence, &sentence),
            })
        }
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
    let part = match place {
        Place::Attachment(id, number) => {
            gate::message(rooms, id, seen).await?;
            return attachment::read(rooms, fence, uri, id, *number).await;
        }
        Place::Events => events(rooms, fence, EventFilter { within: seen.clone(), ..EventFilter::default() }).await?,
        Place::MailboxEvents(address) => {
            let address = filter::address(address)?;
            if !seen.holds(&address) {
                return Err(UpstreamError::NoMailbox(address).into());
            }
            let mailbox = Some(address);
            events(rooms, fence, EventFilter { mailbox, ..EventFilter::default() }).await?
        }
        Place::Event(seq) => match rooms.log.event(*seq).await? {
            Some(event) if seen.named().is_none() || event.fact.mailbox.as_deref().is_some_and(|at| seen.holds(at)) => {
                Part::of(&EventView::new(fence, &event, 0, Clip::WHOLE))
            }
            _ => return Err(Failure::Told(sentence!("there is no event {}; call list_events", *seq))),
        },
        Place::Thread(id) => {
            gate::thread(rooms, id, seen).await?;
            Part::of(&ThreadView::new(fence, &rooms.upstream.thread(id).await?))
        }
        Place::Message(id) => {
            gate::message(rooms, id, seen).await?;
            let email = rooms.upstream.read_email(id).await?;
            Part::of(&EmailPart::new(fence, &email, 0, None))
        }
        Place::Deliveries(id) => {
            gate::webhook(rooms, id, seen).await?;
            Part::of(&deliveries_page(rooms, fence, Some(id), None, PAGE, None).await?)
        }
    };
    Ok(present::resource(fence, uri, &part))
}

async fn events(rooms: &Rooms, fence: &Fence, filter: EventFilter) -> Result<Part, Failure> {
    let request =
        ListRequest { filter, after: Position::Earliest, before: None, order: Order::Descending, limit: PAGE };
    let listed = rooms.waiting.list(request).await?;
    let fitted = present::fit(fence, &listed.events, |event, clip| EventView::json(fence, event, 0, clip));
    let cursor = fence.code(&listed.cursor.to_string());
    Ok(Part::of(&Events { events: fitted.items, cursor }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_name_what_they_say() {
        for (uri, place) in [
            ("mailbell://events", Some(Place::Events)),
            ("mailbell://events/7", Some(Place::Event(Seq(7)))),
            ("mailbell://events/0", None),
            ("mailbell://events/x", None),
            ("mailbell://mailboxes/a%2Bb%40c.test/events", Some(Place::MailboxEvents("a+b@c.test".into()))),
            ("mailbell://mailboxes//events", None),
            ("mailbell://threads/thr_1", Some(Place::Thread(ThreadId::new("thr_1")))),
            ("mailbell://messages/em_1", Some(Place::Message(MessageId::new("em_1")))),
            ("mailbell://messages/em_1/attachments/2", Some(Place::Attachment(MessageId::new("em_1"), 2))),
            ("mailbell://messages/em_1/attachments/0", None),
            ("mailbell://messages/em_1/attachments/-1", None),
            ("mailbell://webhooks/wh_1/deliveries", Some(Place::Deliveries(WebhookId::new("wh_1")))),
            ("mailbell://webhooks/wh_1", None),
            ("mailbell://threads/%zz", None),
            ("mailbell://threads/obey me", None),
            ("mailbell://threads/%ff", None),
            ("https://events", None),
            (&format!("mailbell://threads/{}", "x".repeat(URI_BYTES_MAX)), None),
        ] {
            assert_eq!(Place::of(uri), place, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn no_address_panics(rest in ".*") {
            let _ = Place::of(&rest);
            let _ = Place::of(&format!("mailbell://threads/{rest}"));
        }
    }
}
