//! Approvals: exactly what will happen, and yes or no to it.

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    failure::Failure,
    layout::{csrf, page as frame, table},
    visit::{Form, Visit},
    words::{at, at_or_none, foreign, foreign_up_to, json, part, segment, state},
};
use crate::{
    domain::{
        id::ActionId,
        oversight::{ActionState, Effect},
    },
    store::oversight::{Action, Decided, Decision},
};

/// Actions in a list.
const LIST_MAX: u32 = 50;
/// Bytes of a page that what is shown of an action takes at most; the whole is a file beside.
const SHOWN_BYTES_MAX: usize = 40_000;
/// And the request as it is kept.
const REQUEST_BYTES_MAX: usize = 20_000;
/// A text that is longer, or has lines, stands in a box.
const LINE_CHARS_MAX: usize = 120;
/// Characters of a summary.
const SUMMARY_CHARS_MAX: usize = 240;

pub(super) async fn list(visit: Visit) -> Result<Response, Failure> {
    let oversight = &visit.rooms.parts.oversight;
    let waiting = oversight.actions(Some(ActionState::Pending), LIST_MAX, false).await?;
    let latest = oversight.actions(None, LIST_MAX, false).await?;
    let over: Vec<_> = latest.into_iter().filter(|action| action.state != ActionState::Pending).collect();
    let row = |action: &Action| {
        html! {
            tr {
                th scope="row" { a href=(visit.to(&format!("approvals/{}", segment(action.id.as_str())))) { (foreign_up_to(&action.summary, SUMMARY_CHARS_MAX)) } }
                td { (state_of(action.state)) }
                td { (action.mailbox.as_deref().map_or_else(|| html! { "–" }, foreign)) }
                td { (foreign_up_to(&action.asker, 80)) }
                td { (at(action.created_at)) }
                td { @if action.state == ActionState::Pending { (at(action.expires_at)) } @else { (at_or_none(action.decided_at)) } }
            }
        }
    };
    let waits: Vec<Markup> = waiting.iter().map(row).collect();
    let over: Vec<Markup> = over.iter().map(row).collect();
    let body = html! {
        h2 { "Waiting for you" }
        (table("What waits, the newest first", &["Action", "State", "Mailbox", "Asked by", "Asked", "Expires"], &waits))
        h2 { "Others" }
        (table("What is decided or over, the newest first", &["Action", "State", "Mailbox", "Asked by", "Asked", "Decided"], &over))
    };
    frame(&visit, "approvals", "Approvals", body).await
}

fn state_of(action: ActionState) -> Markup {
    let good = match action {
        ActionState::Done | ActionState::Approved | ActionState::Running => Some(true),
        ActionState::Denied | ActionState::Expired | ActionState::Failed => Some(false),
        ActionState::Pending | ActionState::Scheduled => None,
    };
    state(action.as_str(), good)
}

async fn found(visit: &Visit, id: &str) -> Result<Action, Failure> {
    let found = visit.rooms.parts.oversight.action(&ActionId::new(id)).await?;
    found.ok_or_else(|| Failure::NotFound("There is no such action; Approvals lists what waits.".to_owned()))
}

pub(super) async fn show(visit: Visit, Path((_, id)): Path<(String, String)>) -> Result<Response, Failure> {
    let action = found(&visit, &id).await?;
    let here = format!("approvals/{}", segment(action.id.as_str()));
    let decidable = matches!(action.state, ActionState::Pending | ActionState::Scheduled);
    let body = html! {
        p { (foreign_up_to(&action.summary, SUMMARY_CHARS_MAX)) }
        dl {
            dt { "State" } dd { (state_of(action.state)) }
            dt { "Asked by" } dd { (foreign_up_to(&action.asker, SUMMARY_CHARS_MAX)) }
            dt { "Asked" } dd { (at(action.created_at)) }
            dt { "Expires" } dd { (at(action.expires_at)) }
            @if let Some(mailbox) = &action.mailbox { dt { "Mailbox" } dd { (foreign(mailbox)) } }
            @if let Some(decided) = action.decided_at { dt { "Decided" } dd { (at(decided)) } }
            @if let Some(note) = &action.note { dt { "Note" } dd { (foreign(note)) } }
            dt { "Digest" } dd { code { (action.digest) } }
        }
        @match &action.effect {
            None => p.quiet { "What it was is kept no longer." },
            Some(effect) => {
                h2 { "Exactly what will happen" }
                (shown(effect))
                p { a href=(visit.to(&format!("{here}/whole"))) { "All of it, to the byte" } " (a file of JSON; its SHA-256 is the digest)" }
            }
        }
        @if decidable {
            h2 { "Your decision" }
            form #decision method="post" action=(visit.to(&here)) {
                (csrf(&visit))
                input type="hidden" name="digest" value=(action.digest);
                label for="note" { "Note for the record (may be left out)" }
                textarea #note name="note" maxlength="500" accesskey="n" {}
                p {
                    button type="submit" name="decision" value="approve" accesskey="a" { "Approve" } " "
                    button.no type="submit" name="decision" value="deny" accesskey="d" { "Deny" }
                }
            }
            p.quiet { "By keyboard: Alt+A approves, Alt+D denies, Alt+N goes to the note (on a Mac: Control and Option)." }
        }
        p { a href=(visit.to("approvals")) { "All approvals" } }
    };
    frame(&visit, "approvals", "Approval", body).await
}

/// What a person should see of it, field by field, and the request as it is kept.
fn shown(effect: &Effect) -> Markup {
    let mut left = SHOWN_BYTES_MAX;
    let mut field = |name: &str, value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            other => json(other),
        };
        if text.chars().count() <= LINE_CHARS_MAX && !text.contains('\n') {
            return foreign(&text);
        }
        let (shown, next) = part(name, &text, 0, left);
        left = left.saturating_sub(text.len());
        html! { (shown) @if next.is_some() { p.said.not { "It goes on; read the file below before you decide." } } }
    };
    let fields = effect.shown.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let fields: Vec<(&String, Markup)> = fields.map(|(name, value)| (name, field(name, value))).collect();
    let (request, next) = part("The request", &json(&effect.change.shown()), 0, REQUEST_BYTES_MAX);
    html! {
        dl { @for (name, value) in &fields { dt { (foreign(name)) } dd { (value) } } }
        details open[fields.is_empty()] {
            summary { "The request" }
            (request)
            @if next.is_some() { p.quiet { "It goes on in the file." } }
        }
    }
}

/// The stored bytes of an action. A browser saves them and shows nothing.
pub(super) async fn whole(visit: Visit, Path((_, id)): Path<(String, String)>) -> Result<Response, Failure> {
    let action = found(&visit, &id).await?;
    let effect = action.effect.ok_or_else(|| Failure::NotFound("What it was is kept no longer.".to_owned()))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"action.json\""),
    ];
    Ok((headers, effect.bytes()).into_response())
}

pub(super) async fn decide(visit: Visit, Path((_, id)): Path<(String, String)>, form: Form) -> Response {
    let went = decided(&visit, &id, &form).await;
    let path = if went.is_ok() { "approvals".to_owned() } else { format!("approvals/{}", segment(&id)) };
    visit.tell(&path, went)
}

async fn decided(visit: &Visit, id: &str, form: &Form) -> Result<String, Failure> {
    let decision = match (form.get("decision"), form.get("digest")) {
        (Some("approve"), Some(digest)) => Decision::Approve { digest: digest.to_owned() },
        (Some("deny"), _) => Decision::Deny,
        _ => return Err(Failure::Refused("Nothing was decided: the form says neither approve nor deny.".to_owned())),
    };
    let oversight = &visit.rooms.parts.oversight;
    match oversight.decide(&ActionId::new(id), &decision, &visit.decider(), form.get("note")).await? {
        Decided::Done if decision == Decision::Deny => Ok("Denied; whoever asked for it is told.".to_owned()),
        Decided::Done => Ok("Approved; it is done now, exactly as it was shown.".to_owned()),
        Decided::Unknown => Err(Failure::NotFound("There is no such action.".to_owned())),
        Decided::Over(state) => {
            Err(Failure::Refused(format!("It is {} already; nothing was decided now.", state.as_str())))
        }
        Decided::OtherDigest => {
            Err(Failure::Refused("This is not what was shown, so nothing was approved. Look at it again.".to_owned()))
        }
    }
}
