//! Suppressions: whom nothing is sent to any more, and why.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::{
    failure::Failure,
    layout::{button, csrf, page as frame, table},
    visit::{Asked, Form, Visit},
    words::{at, foreign, foreign_up_to, segment, short},
};
use crate::{
    domain::{
        address::as_logged,
        key::{ApiKey, KeyScope},
    },
    mail::api::Api,
};

/// Entries on a page.
const PAGE: u32 = 50;

/// The service, and a key that both adds and lifts: the operator's own only lifts, because whoever decides does not send, and
/// to add to this list is the one thing that needs `send` and sends nothing.
fn mail(visit: &Visit) -> Result<(&Api, ApiKey), Failure> {
    let (mail, mut key) = visit.mail().ok_or_else(|| {
        Failure::Refused("The mail service is elsewhere, and keeps its own suppression list.".to_owned())
    })?;
    key.scopes.push(KeyScope::Send);
    Ok((mail, key))
}

pub(super) async fn list(visit: Visit, asked: Asked) -> Result<Response, Failure> {
    let Ok((mail, key)) = mail(&visit) else {
        let elsewhere = html! { p { "The mail service is elsewhere, and keeps its own suppression list." } };
        return frame(&visit, "suppressions", "Suppressions", elsewhere).await;
    };
    let (page, older) = mail.suppressions(&key, asked.get("before"), PAGE).await?;
    let rows: Vec<Markup> = page
        .iter()
        .map(|entry| {
            let address = entry.address.to_string();
            html! {
                tr {
                    th scope="row" { (foreign(&address)) }
                    td { (entry.reason) }
                    td { @if let Some(note) = &entry.note { (foreign_up_to(note, 200)) } }
                    td { @if let Some(message) = &entry.message { a href=(visit.to(&format!("messages/{}", segment(message.as_str())))) { "the message" } } }
                    td { (at(entry.created_at)) }
                    td { details { summary { "Lift" } p { "Mail is sent there again." } (button(&visit, "suppressions/lift", "Lift it", &[("address", &address)])) } }
                }
            }
        })
        .collect();
    let body = html! {
        h2 { "Suppress an address" }
        form.row method="post" action=(visit.to("suppressions")) {
            (csrf(&visit))
            div { label for="address" { "Address" } input #address name="address" type="text" inputmode="email" required maxlength="320" autocomplete="off"; }
            div { label for="note" { "Why (may be left out)" } input #note name="note" type="text" maxlength="500" autocomplete="off"; }
            button type="submit" { "Suppress" }
        }
        h2 { "Suppressed" }
        (table("Addresses, the newest first", &["Address", "Reason", "Note", "Because of", "Since", "By hand"], &rows))
        @if let Some(older) = older { p { a href=(visit.to(&format!("suppressions?before={}", segment(&older)))) { "Older entries" } } }
    };
    frame(&visit, "suppressions", "Suppressions", body).await
}

pub(super) async fn add(visit: Visit, form: Form) -> Response {
    let went = added(&visit, &form).await;
    visit.tell("suppressions", went)
}

async fn added(visit: &Visit, form: &Form) -> Result<String, Failure> {
    let (mail, key) = mail(visit)?;
    let address = form.get("address").unwrap_or_default();
    visit.record("suppression add", json!({ "address": as_logged(&short(address, 320)) })).await?;
    let entry = mail.suppress(&key, address, form.get("note").map(str::to_owned)).await?;
    Ok(format!("Nothing is sent to {} any more ({}).", entry.address, entry.reason))
}

pub(super) async fn lift(visit: Visit, form: Form) -> Response {
    let went = lifted(&visit, &form).await;
    visit.tell("suppressions", went)
}

async fn lifted(visit: &Visit, form: &Form) -> Result<String, Failure> {
    let (mail, key) = mail(visit)?;
    let address = form.get("address").unwrap_or_default();
    visit.record("suppression lift", json!({ "address": as_logged(&short(address, 320)) })).await?;
    mail.lift(&key, address).await?;
    Ok(format!("Mail is sent to {address} again."))
}
