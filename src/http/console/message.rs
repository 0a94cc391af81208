//! One message: all that is known of it on one time line, and its text, which is only text.

use axum::{extract::Path, response::Response};
use maud::{Markup, html};

use super::{
    failure::Failure,
    fired::Fired,
    layout::{page as frame, table},
    visit::{Asked, Visit},
    words::{at, foreign, foreign_up_to, part, segment, span, state},
};
use crate::{
    bell::upstream::UpstreamError,
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::EventFilter,
        id::{EventId, MessageId},
    },
    mail::api::{ApiError, DELIVERIES_MAX},
    store::{
        deliveries::{DeliveryFilter, State},
        log::{Order, PageRequest},
    },
};

/// Events of a message that are shown, the oldest first.
const EVENTS_MAX: u32 = 100;
/// Actions that are.
const ACTIONS_MAX: u32 = 20;
/// Recipients, tags and files that are shown of each.
const ITEMS_MAX: usize = 20;
/// Bytes of the page that its text takes at most.
const TEXT_BYTES_MAX: usize = 30_000;
/// Characters of a header.
const HEADER_CHARS_MAX: usize = 400;

/// A message, wherever it is kept.
struct Letter {
    rows: Vec<(&'static str, Markup)>,
    text: String,
    tags: Vec<String>,
    files: Vec<Markup>,
}

/// A line on the time line.
struct Line {
    at: UnixMillis,
    what: Markup,
}

pub(super) async fn page(
    visit: Visit,
    Path((_, id)): Path<(String, String)>,
    asked: Asked,
) -> Result<Response, Failure> {
    let id = MessageId::new(id);
    let letter = letter(&visit, &id).await;
    let lines = lines(&visit, &id).await?;
    if lines.is_empty() && letter.is_err() {
        return Err(Failure::NotFound(
            "Nothing is known of such a message: no event tells of it, and the mail service does not have it."
                .to_owned(),
        ));
    }
    let from = asked.get("from").and_then(|from| from.parse().ok()).unwrap_or(0);
    let body = html! {
        @match &letter {
            Err(failure) => p.quiet { "The message itself cannot be shown: " (foreign(&failure.to_string())) },
            Ok(letter) => {
                dl { @for (name, value) in &letter.rows { dt { (name) } dd { (value) } } dt { "Tags" } dd { (tags(&letter.tags)) } }
                h2 { "Text" }
                p.quiet { "As text, whatever it was: nothing in it is run, and nothing is fetched." }
                (text(&letter.text, from))
                @if !letter.files.is_empty() { (table("Files, which are not shown here", &["Name", "Type", "Size"], &letter.files)) }
            }
        }
        h2 { "What became of it" }
        @if lines.is_empty() { p.quiet { "No event tells of it yet." } }
        ol.line { @for line in &lines { li { (at(line.at)) " " (line.what) } } }
    };
    frame(&visit, "now", "Message", body).await
}

fn tags(tags: &[String]) -> Markup {
    html! { @if tags.is_empty() { "none" } @for tag in tags.iter().take(ITEMS_MAX) { (foreign_up_to(tag, 80)) " " } }
}

fn text(text: &str, from: usize) -> Markup {
    let (shown, next) = part("Text", text, from, TEXT_BYTES_MAX);
    html! {
        (shown)
        @if from > 0 { p { a href="?" { "From the beginning" } } }
        @if let Some(next) = next { p { a href=(format!("?from={next}")) { "The text goes on" } } }
    }
}

async fn letter(visit: &Visit, id: &MessageId) -> Result<Letter, Failure> {
    if let Some((mail, key)) = visit.mail() {
        match mail.look_at_email(&key, id).await {
            Err(ApiError::NotFound(_)) => {}
            looked => {
                let (mailbox, message) = looked?;
                let summary = message.summary;
                let files = summary.attachments.iter().take(ITEMS_MAX);
                return Ok(Letter {
                    rows: heads(
                        (&mailbox.address.to_string(), summary.status.as_str()),
                        (&summary.from, summary.from_name.as_deref()),
                        [&summary.to, &summary.cc],
                        (&summary.subject, Some(summary.received_at)),
                    ),
                    text: message.text,
                    tags: summary.tags.iter().map(|(name, value)| format!("{name}={value}")).collect(),
                    files: files.map(|file| self::file(&file.name, &file.content_type, file.size_bytes)).collect(),
                });
            }
        }
    }
    // A mailbox elsewhere, or a hosted service.
    let email = visit.rooms.parts.upstream.read_email(id).await.map_err(|error| match error {
        UpstreamError::NoMessage(_) => Failure::NotFound("the mail service does not have it (any more)".to_owned()),
        error => error.into(),
    })?;
    let summary = email.summary;
    Ok(Letter {
        rows: heads(
            (&summary.mailbox.address, summary.status.as_deref().unwrap_or("not known")),
            (&summary.from, summary.from_name.as_deref()),
            [&summary.to, &summary.cc],
            (&summary.subject, summary.received_at),
        ),
        text: email.text,
        tags: summary.tags.unwrap_or_default().into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        files: email
            .attachments
            .iter()
            .take(ITEMS_MAX)
            .map(|file| self::file(&file.name, &file.content_type, file.size_bytes))
            .collect(),
    })
}

fn heads(
    (mailbox, status): (&str, &str),
    (from, name): (&str, Option<&str>),
    [to, cc]: [&[String]; 2],
    (subject, moment): (&str, Option<UnixMillis>),
) -> Vec<(&'static str, Markup)> {
    let all = |addresses: &[String]| {
        html! {
            @for address in addresses.iter().take(ITEMS_MAX) { (foreign_up_to(address, HEADER_CHARS_MAX)) " " }
            @if addresses.len() > ITEMS_MAX { "and " (addresses.len() - ITEMS_MAX) " more" }
        }
    };
    let mut rows = vec![
        ("Subject", foreign_up_to(subject, HEADER_CHARS_MAX)),
        (
            "From",
            html! { (foreign_up_to(from, HEADER_CHARS_MAX)) " " @if let Some(name) = name { (foreign_up_to(name, HEADER_CHARS_MAX)) } },
        ),
        ("To", all(to)),
    ];
    if !cc.is_empty() {
        rows.push(("Cc", all(cc)));
    }
    rows.push(("Mailbox", foreign(mailbox)));
    rows.push(("Status", foreign(status)));
    rows.extend(moment.map(|moment| ("Received", at(moment))));
    rows
}

fn file(name: &str, kind: &str, bytes: u64) -> Markup {
    html! { tr { th scope="row" { (foreign_up_to(name, 120)) } td { (foreign_up_to(kind, 80)) } td { (bytes) " bytes" } } }
}

async fn lines(visit: &Visit, id: &MessageId) -> Result<Vec<Line>, Failure> {
    let parts = &visit.rooms.parts;
    let of_message = PageRequest {
        filter: EventFilter { message_id: Some(id.clone()), ..EventFilter::default() },
        after: Seq::ZERO,
        before: None,
        order: Order::Ascending,
        limit: EVENTS_MAX,
    };
    let events = parts.log.page(&of_message).await?;
    let (done, _) = visit.rooms.lately_done().await?;
    let mut lines = Vec::new();
    for event in &events {
        let fired = Fired::of(event);
        let told = html! { span.kind.(fired.kind) { (fired.kind) } " " (foreign(&fired.text)) " " span.quiet { "event " (fired.seq) } };
        lines.push(Line { at: event.received_at, what: told });
        if let Some(did) = done.get(&fired.seq) {
            lines.push(Line { at: UnixMillis(did.at), what: html! { "event " (did.seq) " " (foreign(&did.text)) } });
        }
    }
    for action in parts.oversight.actions_about(id, ACTIONS_MAX).await? {
        let told = html! {
            "asked for as " a href=(visit.to(&format!("approvals/{}", action.id))) { (foreign_up_to(&action.summary, HEADER_CHARS_MAX)) }
            " " (state(action.state.as_str(), None))
        };
        lines.push(Line { at: action.created_at, what: told });
    }
    let ids: Vec<EventId> = events.iter().map(|event| event.fact.event_id.clone()).collect();
    lines.extend(deliveries(visit, ids).await?);
    lines.sort_by_key(|line| line.at);
    Ok(lines)
}

/// The newest deliveries that tell of these events.
async fn deliveries(visit: &Visit, events: Vec<EventId>) -> Result<Vec<Line>, Failure> {
    let Some((mail, key)) = visit.mail() else { return Ok(Vec::new()) };
    let filter = DeliveryFilter { events: Some(events), ..DeliveryFilter::default() };
    let (about, _) = mail.deliveries(&key, &filter, None, DELIVERIES_MAX).await?;
    let line = |delivery: &crate::store::deliveries::Delivery| {
        let (word, good) = match delivery.state {
            State::Pending => ("owed", None),
            State::Delivered => ("delivered", Some(true)),
            State::Dead => ("dead letter", Some(false)),
        };
        let last = delivery.tries.last().map(|attempt| span(attempt.duration_millis));
        Line {
            at: delivery.last_attempt_at.unwrap_or(delivery.created_at),
            what: html! {
                "webhook " a href=(visit.to(&format!("deliveries/{}", segment(delivery.id.as_str())))) { (delivery.event_type) " to " (foreign(&delivery.endpoint.to_string())) }
                " " (state(word, good)) @if let Some(last) = last { " in " (last) }
            },
        }
    };
    Ok(about.iter().map(line).collect())
}
