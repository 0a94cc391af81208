//! Webhooks: how they fare, their deliveries and attempts, and what a person does to them by hand.

use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::json;

use super::{
    failure::Failure,
    layout::{button, page as frame, table},
    sessions::Said,
    visit::{Asked, Visit},
    words::{at, at_or_none, foreign, segment, span, state},
};
use crate::{
    domain::{
        id::{DeliveryId, WebhookId},
        key::ApiKey,
        webhook::Webhook,
    },
    mail::{api::Api, webhooks::upkeep::OVERLAP},
    store::{
        deliveries::{Answer, Attempt, Delivery, DeliveryFilter, State},
        upkeep::Health,
    },
};

/// Webhooks in the list.
const WEBHOOKS_MAX: usize = 25;
/// Deliveries on a page.
const DELIVERIES_MAX: u32 = 40;

fn mail(visit: &Visit) -> Result<(&Api, ApiKey), Failure> {
    visit.mail().ok_or_else(|| {
        Failure::Refused(
            "The mail service is elsewhere; what is done to its webhooks by hand is done there.".to_owned(),
        )
    })
}

pub(super) async fn list(visit: Visit, asked: Asked) -> Result<Response, Failure> {
    let Ok((mail, key)) = mail(&visit) else {
        let elsewhere = html! { p { "The mail service is elsewhere, and keeps its webhooks and their deliveries." } };
        return frame(&visit, "webhooks", "Webhooks", elsewhere).await;
    };
    let webhooks = mail.webhooks(&key).await?;
    let health = mail.webhook_health(&key).await?;
    let rows: Vec<Markup> = webhooks
        .iter()
        .take(WEBHOOKS_MAX)
        .map(|webhook| of_webhook(&visit, webhook, &health.get(&webhook.id).cloned().unwrap_or_default()))
        .collect();
    let filter = DeliveryFilter {
        webhook: asked.get("webhook").map(WebhookId::new),
        state: match asked.get("state") {
            Some("owed") => Some(State::Pending),
            Some("delivered") => Some(State::Delivered),
            Some("dead") => Some(State::Dead),
            _ => None,
        },
        events: None,
    };
    let before = asked.get("before").and_then(|before| before.parse().ok());
    let (deliveries, older) = mail.deliveries(&key, &filter, before, DELIVERIES_MAX).await?;
    let deliveries: Vec<Markup> = deliveries.iter().map(|delivery| of_delivery(&visit, delivery)).collect();
    let here = |before: Option<i64>| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for name in ["webhook", "state"] {
            query.extend_pairs(asked.get(name).map(|value| (name, value)));
        }
        query.extend_pairs(before.map(|before| ("before", before.to_string())));
        format!("webhooks?{}", query.finish())
    };
    let body = html! {
        (table("Webhooks", &["Webhook", "To", "Events", "Health", "Owed", "Dead", "By hand"], &rows))
        h2 { "Deliveries" }
        form.row method="get" action=(visit.to("webhooks")) {
            div { label for="webhook" { "Webhook" } select #webhook name="webhook" {
                option value="" { "all" }
                @for webhook in webhooks.iter().take(WEBHOOKS_MAX) { option value=(webhook.id) selected[asked.get("webhook") == Some(webhook.id.as_str())] { (webhook.id) } }
            } }
            div { label for="state" { "State" } select #state name="state" {
                @for (value, word) in [("", "all"), ("owed", "owed"), ("delivered", "delivered"), ("dead", "dead letters")] {
                    option value=(value) selected[asked.get("state").unwrap_or_default() == value] { (word) }
                }
            } }
            button type="submit" { "Show" }
        }
        (table("Deliveries, the newest first", &["Delivery", "State", "To", "Mailbox", "Tries", "Last try", "Next try", "By hand"], &deliveries))
        @if let Some(older) = older { p { a href=(visit.to(&here(Some(older)))) { "Older deliveries" } } }
    };
    frame(&visit, "webhooks", "Webhooks", body).await
}

fn of_webhook(visit: &Visit, webhook: &Webhook, health: &Health) -> Markup {
    let act =
        |act: &str, words: &str| button(visit, &format!("webhooks/{}/{act}", segment(webhook.id.as_str())), words, &[]);
    html! {
        tr {
            th scope="row" { code { (webhook.id) } }
            td { (foreign(&webhook.endpoint.to_string())) @if let Some(description) = &webhook.description { br; span.quiet { (foreign(description)) } } }
            td { @for kind in &webhook.kinds { (kind) " " } }
            td {
                @match (&webhook.disabled, health.failing_since) {
                    (Some(off), _) => { (state("off", None)) " since " (at(off.at)) ": " (foreign(&off.why)) },
                    (None, Some(since)) => { (state("failing", Some(false))) " since " (at(since)) },
                    (None, None) => (state("well", Some(true))),
                }
                @if let Some((moment, answer)) = &health.last_failure { br; "last failure " (at(*moment)) ": " (answer_in_words(answer)) }
            }
            td { (health.pending) } td { (health.dead) }
            td {
                (act("probe", "Probe"))
                @if webhook.disabled.is_some() { (act("enable", "Switch on")) } @else { (act("disable", "Switch off")) }
                details { summary { "Rotate the secret" } p { "The old secret signs beside the new one for a day. The new one is shown once." } (act("rotate", "Make a new secret")) }
            }
        }
    }
}

fn state_in_words(delivery: &Delivery) -> Markup {
    match delivery.state {
        State::Pending => state("owed", None),
        State::Delivered => state("delivered", Some(true)),
        State::Dead => state("dead letter", Some(false)),
    }
}

fn answer_in_words(answer: &Answer) -> String {
    match answer {
        Answer::Status(status) => format!("status {status}"),
        Answer::Fault(fault) => fault.replace('_', " "),
    }
}

fn of_delivery(visit: &Visit, delivery: &Delivery) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(visit.to(&format!("deliveries/{}", segment(delivery.id.as_str())))) { (delivery.event_type) " " (delivery.id) } }
            td { (state_in_words(delivery)) @if delivery.replay_of.is_some() { " (a replay)" } }
            td { (foreign(&delivery.endpoint.to_string())) }
            td { (foreign(&delivery.mailbox)) }
            td { (delivery.attempts) @if let Some(last) = delivery.tries.last() { ", " (answer_in_words(&last.answer)) " in " (span(last.duration_millis)) } }
            td { (at_or_none(delivery.last_attempt_at)) }
            td { (at_or_none(delivery.next_attempt_at)) }
            td { (by_hand(visit, delivery)) }
        }
    }
}

fn by_hand(visit: &Visit, delivery: &Delivery) -> Markup {
    let act = |act: &str, words: &str| {
        button(visit, &format!("deliveries/{}/{act}", segment(delivery.id.as_str())), words, &[])
    };
    match delivery.state {
        State::Pending => {
            html! { details { summary { "Give up" } p { "It becomes a dead letter, and those behind it go on." } (act("give-up", "Give it up")) } }
        }
        State::Delivered | State::Dead => act("replay", "Replay"),
    }
}

pub(super) async fn delivery(visit: Visit, Path((_, id)): Path<(String, String)>) -> Result<Response, Failure> {
    let (mail, key) = mail(&visit)?;
    let delivery = mail.delivery(&key, &DeliveryId::new(id)).await?;
    let tries: Vec<Markup> = delivery
        .tries
        .iter()
        .map(|Attempt { number, at: began, answer, duration_millis, response_bytes }| {
            html! { tr { th scope="row" { (number) } td { (at(*began)) } td { (answer_in_words(answer)) } td { (span(*duration_millis)) } td { (response_bytes) " bytes" } } }
        })
        .collect();
    let body = html! {
        dl {
            dt { "Delivery" } dd { (delivery.id) }
            dt { "State" } dd { (state_in_words(&delivery)) }
            dt { "Event" } dd { (delivery.event_type) " " (foreign(delivery.event_id.as_str())) }
            dt { "Webhook" } dd { a href=(visit.to(&format!("webhooks?webhook={}", segment(delivery.webhook.as_str())))) { (foreign(delivery.webhook.as_str())) } }
            dt { "To" } dd { (foreign(&delivery.endpoint.to_string())) }
            dt { "Mailbox" } dd { (foreign(&delivery.mailbox)) }
            dt { "Owed since" } dd { (at(delivery.created_at)) }
            @if let Some(of) = &delivery.replay_of { dt { "Replay of" } dd { a href=(visit.to(&format!("deliveries/{}", segment(of.as_str())))) { (of) } } }
            dt { "Next try" } dd { (at_or_none(delivery.next_attempt_at)) }
        }
        (by_hand(&visit, &delivery))
        h2 { "Tries" }
        (table("The last tries, the oldest first", &["Try", "Began", "Answer", "Took", "Read of the answer"], &tries))
        p { a href=(visit.to("webhooks")) { "All deliveries" } }
    };
    frame(&visit, "webhooks", "Delivery", body).await
}

pub(super) async fn act(visit: Visit, Path((_, id, act)): Path<(String, String, String)>) -> Response {
    if act == "rotate" {
        return match rotate(&visit, &id).await {
            Ok(said) => {
                visit.session.say(said);
                Redirect::to(&visit.to("webhooks")).into_response()
            }
            Err(failure) => visit.tell("webhooks", Err(failure)),
        };
    }
    let went = done(&visit, &id, &act).await;
    visit.tell("webhooks", went)
}

async fn done(visit: &Visit, id: &str, act: &str) -> Result<String, Failure> {
    let (mail, key) = mail(visit)?;
    let (webhook, about) = (WebhookId::new(id), json!({ "webhook_id": id }));
    match act {
        "probe" => {
            visit.record("webhook test", about).await?;
            let attempt = mail.probe_webhook(&key, &webhook).await?.attempt;
            let took = matches!(attempt.answer, Answer::Status(200..=299));
            let (word, took_millis) = (if took { "took" } else { "did not take" }, span(attempt.duration_millis));
            Ok(format!("The endpoint {word} the probe: {}, in {took_millis}.", answer_in_words(&attempt.answer)))
        }
        "disable" => {
            visit.record("webhook disable", about).await?;
            mail.disable_webhook(&key, &webhook).await?;
            Ok("It is off. What it is still owed waits, for a day of running time at most.".to_owned())
        }
        "enable" => {
            visit.record("webhook enable", about).await?;
            mail.enable_webhook(&key, &webhook).await?;
            Ok("It is on, and gets first what it is still owed.".to_owned())
        }
        _ => Err(Failure::NotFound("There is no such act on a webhook.".to_owned())),
    }
}

async fn rotate(visit: &Visit, id: &str) -> Result<Said, Failure> {
    let (mail, key) = mail(visit)?;
    visit.record("webhook rotate", json!({ "webhook_id": id, "overlap_secs": OVERLAP.as_secs() })).await?;
    let rotation = mail.rotate_webhook(&key, &WebhookId::new(id), None, OVERLAP).await?;
    let text = format!(
        "The new secret of {id} signs now; {} older ones sign beside it until they retire. It is shown this once:",
        rotation.beside
    );
    Ok(Said { done: true, text, secret: Some(rotation.secret) })
}

pub(super) async fn act_on_delivery(visit: Visit, Path((_, id, act)): Path<(String, String, String)>) -> Response {
    let went = done_to_delivery(&visit, &id, &act).await;
    match went {
        Ok((shown, text)) => visit.tell(&format!("deliveries/{}", segment(&shown)), Ok(text)),
        Err(failure) => visit.tell("webhooks", Err(failure)),
    }
}

async fn done_to_delivery(visit: &Visit, id: &str, act: &str) -> Result<(String, String), Failure> {
    let (mail, key) = mail(visit)?;
    let (delivery, about) = (DeliveryId::new(id), json!({ "delivery_id": id }));
    match act {
        "replay" => {
            visit.record("webhook replay", about).await?;
            let (replay, fresh) = mail.replay(&key, &delivery).await?;
            let text = if fresh {
                "This replay goes out now, beside the queue."
            } else {
                "It is under way already; this is it."
            };
            Ok((replay.id.to_string(), text.to_owned()))
        }
        "give-up" => {
            visit.record("webhook dead-letter", about).await?;
            let dead = mail.give_up_delivery(&key, &delivery).await?;
            Ok((dead.id.to_string(), "It is a dead letter; those behind it go on.".to_owned()))
        }
        _ => Err(Failure::NotFound("There is no such act on a delivery.".to_owned())),
    }
}
