//! Now: what fired and what an agent did about it, by thread and live; consumers, sources and webhooks.

use std::collections::HashMap;

use axum::response::Response;
use maud::{Markup, html};

use super::{
    failure::Failure,
    fired::{Did, Fired},
    layout::{page as frame, table},
    visit::Visit,
    words::{at, at_or_none, foreign, segment, state},
};
use crate::{
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{Event, EventFilter},
        id::SourceName,
    },
    store::{
        log::{Order, PageRequest},
        standing::Standing,
    },
};

/// Events that the page begins with.
const EVENTS_MAX: u32 = 60;
/// Consumers, sources and webhooks that are shown of each.
const ROWS_MAX: usize = 25;
/// Events of a consumer with whom they are that are shown.
const HOLDERS_MAX: u32 = 20;

pub(super) async fn page(visit: Visit) -> Result<Response, Failure> {
    let parts = &visit.rooms.parts;
    // The record first: what is done after it, the feed tells.
    let (done, entry) = visit.rooms.lately_done().await?;
    let newest = PageRequest {
        filter: EventFilter::default(),
        after: Seq::ZERO,
        before: None,
        order: Order::Descending,
        limit: EVENTS_MAX,
    };
    let events = parts.log.page(&newest).await?;
    let head = events.first().map_or(0, |event| event.seq.0);
    let body = html! {
        section aria-labelledby="feed-title" {
            h2 #feed-title { "What fired" }
            p #live role="status" data-feed=(visit.to("feed")) data-after=(head) data-entry=(entry) { "Not live: this needs the page's script." }
            (threads(&visit, &events, &done))
        }
        section aria-labelledby="consumers" { h2 #consumers { "Consumers" } (consumers(&visit).await?) }
        section aria-labelledby="sources" { h2 #sources { "Sources" } (sources(&visit, &events).await?) }
        section aria-labelledby="hooks" { h2 #hooks { "Webhooks" } (webhooks(&visit).await?) }
    };
    frame(&visit, "now", "Now", body).await
}

/// The events by thread, the thread with the newest event first.
fn threads(visit: &Visit, events: &[Event], done: &HashMap<i64, Did>) -> Markup {
    let mut order: Vec<(String, Vec<Fired>)> = Vec::new();
    for fired in events.iter().map(Fired::of) {
        let alone = format!("seq {}", fired.seq);
        let name = if fired.thread.is_empty() { alone } else { fired.thread.clone() };
        match order.iter_mut().find(|(thread, _)| *thread == name) {
            Some((_, inside)) => inside.push(fired),
            None => order.push((name, vec![fired])),
        }
    }
    html! {
        ol #feed.feed data-message=(visit.to("messages/")) {
            @for (thread, events) in &order {
                li.thread data-thread=(thread) { ol { @for fired in events { (one(visit, fired, done.get(&fired.seq))) } } }
            }
        }
    }
}

fn one(visit: &Visit, fired: &Fired, did: Option<&Did>) -> Markup {
    html! {
        li data-seq=(fired.seq) {
            span.kind.(fired.kind) { (fired.kind) } " "
            @if fired.message.is_empty() { (foreign(&fired.text)) }
            @else { a href=(visit.to(&format!("messages/{}", segment(&fired.message)))) { (foreign(&fired.text)) } }
            " " span.quiet { (at(UnixMillis(fired.at))) " " (foreign(&fired.mailbox)) " by " (foreign(&fired.source)) }
            " " span.did { @if let Some(did) = did { (foreign(&did.text)) } }
        }
    }
}

async fn consumers(visit: &Visit) -> Result<Markup, Failure> {
    let parts = &visit.rooms.parts;
    let now = parts.clock.moment();
    let mut rows = Vec::new();
    for standing in parts.standings.standings(now.clone()).await?.into_iter().take(ROWS_MAX) {
        let open = parts.standings.open_claims(&standing.name, HOLDERS_MAX, now.clone()).await?;
        let mut holders: Vec<String> =
            open.into_iter().filter(|claim| claim.leased).filter_map(|claim| claim.client.or(claim.holder)).collect();
        holders.sort();
        holders.dedup();
        let Standing { name, lag, oldest_received_at, leased, waiting, parked, escalated, .. } = standing;
        let left: u64 = lag.values().sum();
        rows.push(html! {
            tr {
                th scope="row" { (foreign(name.as_str())) }
                td { (left) } td { (at_or_none(oldest_received_at)) }
                td { (leased) @for holder in &holders { " " (foreign(holder)) } }
                td { (waiting) }
                td { @if parked > 0 { (state(&parked.to_string(), Some(false))) } @else { "0" } }
                td { @if escalated > 0 { (state(&escalated.to_string(), Some(false))) } @else { "0" } }
            }
        });
    }
    let heads = ["Consumer", "Left", "Oldest", "With a worker", "To be tried again", "Set aside", "Escalated"];
    Ok(table("Consumers and who has their events", &heads, &rows))
}

async fn sources(visit: &Visit, newest: &[Event]) -> Result<Markup, Failure> {
    let parts = &visit.rooms.parts;
    let mut rows = Vec::new();
    for source in parts.sources.sources().await?.into_iter().take(ROWS_MAX) {
        let last = newest.iter().find(|event| event.source == source.name).map(|event| event.received_at);
        let refused = parts.records.refusals(&SourceName::new(source.name.as_str())).await?;
        rows.push(html! {
            tr {
                th scope="row" { (foreign(source.name.as_str())) }
                td { (source.dialect) }
                td { @match last { Some(last) => (at(last)), None => "none of the newest events" } }
                td {
                    @if refused.is_empty() { (state("none", Some(true))) }
                    @for (reason, times, last) in refused.iter().take(3) { (state(reason, Some(false))) " " (times) ", last " (at(*last)) br; }
                }
            }
        });
    }
    Ok(table("Sources and what of theirs was refused", &["Source", "Dialect", "Last event", "Refused"], &rows))
}

async fn webhooks(visit: &Visit) -> Result<Markup, Failure> {
    let Some((mail, key)) = visit.mail() else {
        return Ok(html! { p { "The mail service is elsewhere, and keeps its webhooks." } });
    };
    let health = mail.webhook_health(&key).await?;
    let rows: Vec<Markup> = mail
        .webhooks(&key)
        .await?
        .iter()
        .take(ROWS_MAX)
        .map(|webhook| {
            let health = health.get(&webhook.id).cloned().unwrap_or_default();
            html! {
                tr {
                    th scope="row" { a href=(visit.to(&format!("webhooks?webhook={}", segment(webhook.id.as_str())))) { (webhook.id) } }
                    td { (foreign(&webhook.endpoint.to_string())) }
                    td {
                        @match (&webhook.disabled, health.failing_since) {
                            (Some(_), _) => (state("off", None)),
                            (None, Some(since)) => { (state("failing", Some(false))) " since " (at(since)) },
                            (None, None) => (state("well", Some(true))),
                        }
                    }
                    td { (health.pending) } td { (health.dead) }
                }
            }
        })
        .collect();
    Ok(table("Webhooks and how they fare", &["Webhook", "To", "Health", "Owed", "Dead letters"], &rows))
}
