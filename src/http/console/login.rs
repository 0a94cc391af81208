//! In and out.

use std::sync::Arc;

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::json;

use super::{
    Rooms,
    door::COOKIE,
    failure::Failure,
    layout::alone,
    sessions::LOCKED_FOR,
    visit::{Form, Visit},
};
use crate::store::audit::Entry;

/// A login form's bytes, at most.
const FORM_BYTES_MAX: usize = 1024;

pub(super) async fn to_login() -> Redirect {
    Redirect::to("/login")
}

pub(super) async fn page() -> Markup {
    form(None)
}

fn form(wrong: Option<&str>) -> Markup {
    alone(
        "Log in",
        &html! {
            p { "Run " code { "mailbell console" } " on this machine. It asks for the operator token and prints a code that opens \
                 these pages once, within a minute." }
            @if let Some(wrong) = wrong { p.said.not role="alert" { (wrong) } }
            form method="post" action="/login" autocomplete="off" {
                label for="code" { "Code" }
                input #code name="code" type="text" required autofocus autocapitalize="off" spellcheck="false"
                    placeholder="xxxx-xxxx-xxxx-xxxx" maxlength="40" aria-describedby="code-help";
                p #code-help .quiet { "Sixteen letters and digits; dashes do not matter." }
                button type="submit" { "Log in" }
            }
        },
    )
}

pub(super) async fn enter(State(rooms): State<Arc<Rooms>>, request: Request) -> Result<Response, Failure> {
    let parts = &rooms.parts;
    let now = parts.clock.boot_millis();
    if !rooms.sessions.try_code(now) {
        return Ok(locked());
    }
    let bytes = to_bytes(request.into_body(), FORM_BYTES_MAX).await.unwrap_or_default();
    let form_sent = Form::read(&bytes);
    let Some(operator) = parts.entrance.redeem(form_sent.get("code").unwrap_or_default()).await? else {
        if rooms.sessions.is_locked(now) {
            let about = json!({ "by": "console", "locked_secs": LOCKED_FOR.as_secs() });
            parts.oversight.record(Entry::Operator { command: "console lockout", about }).await?;
            tracing::warn!("too many wrong codes at the console; it takes none for a while");
            return Ok(locked());
        }
        let wrong = "This is no code that holds: each opens the console once, within a minute, and a new one takes the place of \
                     the one before. Run `mailbell console` again.";
        return Ok((StatusCode::FORBIDDEN, form(Some(wrong))).into_response());
    };
    rooms.sessions.forgive();
    let (session, cookie) = rooms.sessions.open(operator, &parts.ids, now);
    let about = json!({ "by": format!("console:{}", session.id) });
    parts.oversight.record(Entry::Operator { command: "console login", about }).await?;
    let set = format!("{COOKIE}={}; Path=/{}/; HttpOnly; SameSite=Strict", cookie.expose(), session.door);
    let mut headers = HeaderMap::new();
    headers.insert(header::SET_COOKIE, HeaderValue::from_str(&set).expect("hexadecimal digits and our own words"));
    Ok((headers, Redirect::to(&format!("/{}/now", session.door))).into_response())
}

fn locked() -> Response {
    let secs = LOCKED_FOR.as_secs();
    let wrong = format!(
        "There were too many wrong codes, so none is taken now. Wait {secs} seconds, then run `mailbell console`."
    );
    let mut response = (StatusCode::TOO_MANY_REQUESTS, form(Some(&wrong))).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    response
}

pub(super) async fn leave(visit: Visit) -> Result<Response, Failure> {
    visit.record("console logout", json!({})).await?;
    visit.rooms.sessions.close(&visit.session);
    let gone = format!("{COOKIE}=; Path=/{}/; HttpOnly; SameSite=Strict; Max-Age=0", visit.session.door);
    let mut headers = HeaderMap::new();
    headers.insert(header::SET_COOKIE, HeaderValue::from_str(&gone).expect("our own words"));
    Ok((headers, Redirect::to("/login")).into_response())
}
