//! Charts: what is seen sooner than read. Each is of the newest events, deliveries or entries, and says how many.

use std::collections::{BTreeMap, HashMap};

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    charts::{Series, bars, lines, points},
    failure::Failure,
    layout::{page as frame, table},
    visit::Visit,
    words::{at, foreign_up_to, span},
};
use crate::{
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{Detail, Event, EventFilter, EventKind},
    },
    mail::api::DELIVERIES_MAX,
    store::{
        deliveries::{Answer, DeliveryFilter},
        log::{Order, PageRequest},
    },
};

/// Events that are looked at: an hour of more than one a second, at little cost.
const EVENTS_MAX: u32 = 5_000;
/// Entries of the record that are.
const ENTRIES_MAX: u32 = 2_000;
/// Minutes that the first chart shows.
const MINUTES: usize = 60;
/// Domains that the second does.
const DOMAINS_MAX: usize = 12;
/// Milliseconds of a minute.
const MINUTE: i64 = 60_000;
/// Up to how many milliseconds an ack took, and the word for that.
const TOOK: [(i64, &str); 7] = [
    (1_000, "1 s"),
    (5_000, "5 s"),
    (30_000, "30 s"),
    (120_000, "2 min"),
    (600_000, "10 min"),
    (3_600_000, "1 h"),
    (i64::MAX, "more"),
];

pub(super) async fn page(visit: Visit) -> Result<Response, Failure> {
    let parts = &visit.rooms.parts;
    let newest = PageRequest {
        filter: EventFilter::default(),
        after: Seq::ZERO,
        before: None,
        order: Order::Descending,
        limit: EVENTS_MAX,
    };
    let events = parts.log.page(&newest).await?;
    let now = parts.clock.now();
    let body = html! {
        p.quiet {
            "Of the newest " (events.len()) " events"
            @if let Some(oldest) = events.last() { ", back to " (at(oldest.received_at)) }
            "."
        }
        section { h2 { "Events per minute" } (per_minute(&events, now)) }
        section { h2 { "Bounces and complaints" } (by_domain(&events)) }
        section { h2 { "Webhooks" } (deliveries(&visit).await?) }
        section { h2 { "From event to ack" } (acks(&visit, &events).await?) }
    };
    frame(&visit, "charts", "Charts", body).await
}

fn per_minute(events: &[Event], now: UnixMillis) -> Markup {
    let mut series: Vec<Series> =
        EventKind::ALL.iter().map(|kind| Series { name: kind.as_str(), values: vec![0.0; MINUTES] }).collect();
    for event in events {
        let ago = usize::try_from((now.0 - event.received_at.0).max(0) / MINUTE).unwrap_or(usize::MAX);
        let kind = event.fact.detail.kind();
        if ago < MINUTES
            && let Some(one) = series.iter_mut().find(|one| one.name == kind.as_str())
        {
            one.values[MINUTES - 1 - ago] += 1.0;
        }
    }
    let rows: Vec<Markup> = series
        .iter()
        .map(|one| {
            let (all, most) = (one.values.iter().sum::<f64>(), one.values.iter().copied().fold(0.0, f64::max));
            html! { tr { th scope="row" { (one.name) } td { (format!("{all:.0}")) } td { (format!("{most:.0}")) } } }
        })
        .collect();
    let first = 1 - i32::try_from(MINUTES).unwrap_or(0);
    html! {
        (lines("Events per minute by kind, by minutes before now", first, &series, "a minute"))
        (table("Events of the last hour", &["Kind", "All", "Most in a minute"], &rows))
    }
}

#[derive(Default)]
struct Fate {
    accepted: f64,
    bounced: f64,
    complained: f64,
}

fn by_domain(events: &[Event]) -> Markup {
    let mut domains: BTreeMap<&str, Fate> = BTreeMap::new();
    for event in events {
        let (recipient, add): (_, fn(&mut Fate)) = match &event.fact.detail {
            Detail::Delivery { recipient, .. } => (Some(recipient), |fate| fate.accepted += 1.0),
            Detail::Bounce { recipient, r#final: true, .. } => (recipient.as_ref(), |fate| fate.bounced += 1.0),
            Detail::Complaint { recipient, .. } => (recipient.as_ref(), |fate| fate.complained += 1.0),
            _ => continue,
        };
        if let Some((_, domain)) = recipient.and_then(|recipient| recipient.rsplit_once('@')) {
            add(domains.entry(domain).or_default());
        }
    }
    let mut domains: Vec<(&str, Fate)> = domains.into_iter().collect();
    domains.sort_by(|(_, a), (_, b)| (b.accepted + b.bounced).total_cmp(&(a.accepted + a.bounced)));
    domains.truncate(DOMAINS_MAX);
    let share = |part: f64, fate: &Fate| 100.0 * part / (fate.accepted + fate.bounced).max(1.0);
    let bounced = domains.iter().map(|(_, fate)| share(fate.bounced, fate)).collect();
    let complained = domains.iter().map(|(_, fate)| share(fate.complained, fate)).collect();
    let labels: Vec<String> = (1..=domains.len()).map(|number| number.to_string()).collect();
    let rows: Vec<Markup> = domains
        .iter()
        .zip(&labels)
        .map(|((domain, fate), label)| {
            html! {
                tr {
                    th scope="row" { (label) " " (foreign_up_to(domain, 120)) }
                    td { (format!("{:.0}", fate.accepted + fate.bounced)) }
                    td { (format!("{:.1} %", share(fate.bounced, fate))) } td { (format!("{:.1} %", share(fate.complained, fate))) }
                }
            }
        })
        .collect();
    let series =
        [Series { name: "bounced for good", values: bounced }, Series { name: "complained", values: complained }];
    html! {
        @if !rows.is_empty() { (bars("Of 100 sent to a domain, by its number in the table", &labels, &series, "percent")) }
        (table("Domains that most was sent to", &["Domain", "Sent", "Bounced", "Complained"], &rows))
    }
}

async fn deliveries(visit: &Visit) -> Result<Markup, Failure> {
    let Some((mail, key)) = visit.mail() else {
        return Ok(html! { p { "The mail service is elsewhere, and keeps its deliveries." } });
    };
    let (newest, _) = mail.deliveries(&key, &DeliveryFilter::default(), None, DELIVERIES_MAX).await?;
    let mut tries: Vec<_> = newest.iter().flat_map(|delivery| &delivery.tries).collect();
    tries.sort_by_key(|attempt| attempt.at);
    let (mut well, mut failed) = (Vec::new(), Vec::new());
    for (place, attempt) in tries.iter().enumerate() {
        let point = (place, f64::from(u32::try_from(attempt.duration_millis).unwrap_or(u32::MAX)));
        if matches!(attempt.answer, Answer::Status(200..=299)) { &mut well } else { &mut failed }.push(point);
    }
    let mut took: Vec<i64> = tries.iter().map(|attempt| attempt.duration_millis).collect();
    took.sort_unstable();
    let of = |share: usize| {
        took.get(took.len().saturating_sub(1) * share / 100).map_or_else(|| "–".to_owned(), |took| span(*took))
    };
    let row = html! {
        tr { th scope="row" { (tries.len()) } td { (failed.len()) } td { (of(50)) } td { (of(95)) } td { (of(100)) } }
    };
    let shown = [("answered with a 2xx", well), ("failed", failed)];
    Ok(html! {
        @if !tries.is_empty() { (points("How long each try took, the oldest first", &shown, "ms")) }
        (table("Tries of the newest deliveries", &["Tries", "Failed", "Half within", "95 of 100 within", "Longest"], &[row]))
    })
}

async fn acks(visit: &Visit, events: &[Event]) -> Result<Markup, Failure> {
    let fired: HashMap<i64, i64> = events.iter().map(|event| (event.seq.0, event.received_at.0)).collect();
    let entries = visit.rooms.parts.oversight.record_before(None, ENTRIES_MAX).await?;
    let mut counts = vec![0.0; TOOK.len()];
    for entry in &entries {
        if entry.entry.get("what").and_then(Value::as_str) != Some("settled")
            || entry.entry.get("act").and_then(Value::as_str) != Some("ack")
        {
            continue;
        }
        let seqs = entry.entry.get("seqs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64);
        for began in seqs.filter_map(|seq| fired.get(&seq)) {
            let took = entry.at.0 - began;
            if let Some(place) = TOOK.iter().position(|(most, _)| took <= *most) {
                counts[place] += 1.0;
            }
        }
    }
    let labels: Vec<String> = TOOK.iter().map(|(_, word)| (*word).to_owned()).collect();
    let rows: Vec<Markup> = labels
        .iter()
        .zip(&counts)
        .map(|(label, count)| html! { tr { th scope="row" { @if label == "more" { "more than 1 h" } @else { "up to " (label) } } td { (format!("{count:.0}")) } } })
        .collect();
    let series = [Series { name: "events acked", values: counts }];
    Ok(html! {
        (bars("Events by the time from their coming in to their ack, up to", &labels, &series, "events"))
        (table("Events acked, of the newest entries on record", &["Took", "Events"], &rows))
    })
}
