//! Settings: what holds and who said so; pause, and how far agents may go.

use axum::response::Response;
use maud::{Markup, html};

use super::{
    failure::Failure,
    layout::{button, csrf, page as frame, table},
    visit::{Form, Visit},
    words::{foreign, foreign_up_to},
};
use crate::domain::{address::Address, oversight::OversightMode};

/// Mailboxes with a mode of their own that are shown.
const MAILBOXES_MAX: usize = 100;
/// The word for following the house.
const DEFAULT: &str = "default";

pub(super) async fn page(visit: Visit) -> Result<Response, Failure> {
    let rules = visit.rooms.parts.oversight.rules().await?;
    let modes: Vec<Markup> = rules
        .mailboxes
        .iter()
        .take(MAILBOXES_MAX)
        .map(|(mailbox, mode)| html! { tr { th scope="row" { (foreign(mailbox)) } td { (mode) } } })
        .collect();
    let settings: Vec<Markup> = visit
        .rooms
        .parts
        .settings
        .iter()
        .map(|setting| {
            html! { tr { th scope="row" { code { (setting.key) } } td { (foreign_up_to(&setting.value, 300)) } td { (setting.origin) } } }
        })
        .collect();
    let body = html! {
        h2 { "Pause" }
        p {
            @if rules.paused { "Everything but taking mail in stands still." }
            @else { "Everything runs. A pause lets mail in, and has nothing sent, posted to others or changed." }
        }
        @if rules.paused { (button(&visit, "settings/pause", "Go on", &[("paused", "no")])) }
        @else { (button(&visit, "settings/pause", "Pause", &[("paused", "yes")])) }
        h2 { "How far agents may go" }
        p { "The house: " strong { (rules.mode) } "." }
        form.row method="post" action=(visit.to("settings/mode")) {
            (csrf(&visit))
            div { label for="mailbox" { "Mailbox (empty: the house)" } input #mailbox name="mailbox" type="text" maxlength="320" autocomplete="off"; }
            div { label for="mode" { "Mode" } select #mode name="mode" {
                @for mode in OversightMode::ALL { option value=(mode) selected[mode == rules.mode] { (mode) } }
                option value=(DEFAULT) { "as the house (for a mailbox)" }
            } }
            button type="submit" { "Set" }
        }
        (table("Mailboxes with a mode of their own", &["Mailbox", "Mode"], &modes))
        h2 { "Settings" }
        p.quiet { "As this process read them when it started. Secrets are struck out." }
        (table("Settings, and who said so", &["Setting", "Value", "Origin"], &settings))
    };
    frame(&visit, "settings", "Settings", body).await
}

pub(super) async fn pause(visit: Visit, form: Form) -> Response {
    let paused = form.get("paused") == Some("yes");
    let went = visit.rooms.parts.oversight.set_paused(paused, &visit.decider()).await;
    let said = if paused {
        "Paused: mail is taken in, and nothing is sent, posted to others or changed."
    } else {
        "It goes on."
    };
    visit.tell("settings", went.map(|()| said.to_owned()).map_err(Failure::from))
}

pub(super) async fn mode(visit: Visit, form: Form) -> Response {
    let went = set_mode(&visit, &form).await;
    visit.tell("settings", went)
}

async fn set_mode(visit: &Visit, form: &Form) -> Result<String, Failure> {
    let refused = |error: &dyn std::error::Error| Failure::Refused(format!("Nothing was set: {error}."));
    let mailbox = form.get("mailbox");
    if let Some(mailbox) = mailbox {
        mailbox.parse::<Address>().map_err(|error| refused(&error))?;
    }
    let word = form.get("mode").unwrap_or_default();
    let mode = match (word, mailbox) {
        (DEFAULT, Some(_)) => None,
        (DEFAULT, None) => {
            return Err(Failure::Refused("Nothing was set: the house has a mode of its own.".to_owned()));
        }
        (word, _) => Some(word.parse::<OversightMode>().map_err(|error| refused(&error))?),
    };
    visit.rooms.parts.oversight.set_mode(mailbox, mode, &visit.decider()).await?;
    let whose = mailbox.unwrap_or("every mailbox without a mode of its own");
    Ok(format!("{whose}: {word}."))
}
