//! The frame of each page, its style and its script.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::{failure::Failure, visit::Visit, words::at};
use crate::domain::oversight::ActionState;

/// Pending actions that are counted for the frame.
const COUNTED_MAX: u32 = 100;
/// How long a browser keeps style and script, in seconds: a new version should be seen soon.
const KEPT: &str = "private, max-age=60";

const PAGES: [(&str, &str); 8] = [
    ("now", "Now"),
    ("approvals", "Approvals"),
    ("webhooks", "Webhooks"),
    ("suppressions", "Suppressions"),
    ("quarantine", "Quarantine"),
    ("audit", "Audit"),
    ("charts", "Charts"),
    ("settings", "Settings"),
];

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · mailbell" }
            link rel="icon" href="/icon.svg" type="image/svg+xml";
            link rel="stylesheet" href="/console.css";
            script src="/console.js" defer {}
        }
    }
}

/// A page outside of any session.
pub(super) fn alone(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.alone {
                main { p.mark { "mailbell" } h1 { (title) } (body) }
            }
        }
    }
}

/// A page of the session. It says of when it is.
pub(super) async fn page(visit: &Visit, current: &str, title: &str, body: Markup) -> Result<Response, Failure> {
    let oversight = &visit.rooms.parts.oversight;
    let now = visit.rooms.parts.clock.now();
    let paused = oversight.rules().await?.paused;
    let waiting = oversight.actions(Some(ActionState::Pending), COUNTED_MAX, false).await?.len();
    let waiting = if waiting >= COUNTED_MAX as usize { format!("{COUNTED_MAX}+") } else { waiting.to_string() };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body data-as-of=(now.0) {
                a.skip href="#main" { "Skip to the page" }
                header {
                    p.mark { "mailbell" }
                    nav aria-label="Pages" {
                        ul {
                            @for (path, name) in PAGES {
                                li {
                                    a href=(visit.to(path)) aria-current=[(path == current).then_some("page")] {
                                        (name)
                                        @if path == "approvals" && waiting != "0" { " " span.count { (waiting) " waiting" } }
                                    }
                                }
                            }
                        }
                    }
                    (button(visit, "logout", "Log out", &[]))
                }
                @if paused { p.said.not role="status" { "Paused: mail is taken in, and nothing is sent, posted to others or changed." } }
                main #main tabindex="-1" {
                    h1 { (title) }
                    @if let Some(said) = visit.session.take_said() {
                        p.said.not[!said.done] role="status" {
                            (said.text)
                            @if let Some(secret) = said.secret { br; code.secret { (secret.expose()) } }
                        }
                    }
                    p.as-of { span #as-of { "As of " (at(now)) } " " a href="" { "Load again" } }
                    (body)
                }
            }
        }
    };
    Ok(page.into_response())
}

/// The hidden field that each form carries.
pub(super) fn csrf(visit: &Visit) -> Markup {
    html! { input type="hidden" name="csrf" value=(visit.session.csrf()); }
}

/// A form that is one button.
pub(super) fn button(visit: &Visit, path: &str, words: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        form.inline method="post" action=(visit.to(path)) {
            (csrf(visit))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button type="submit" { (words) }
        }
    }
}

/// A table that may be wider than the page.
pub(super) fn table(name: &str, heads: &[&str], rows: &[Markup]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.quiet { (name) ": nothing here." }
        } @else {
            div.wide tabindex="0" role="region" aria-label=(name) {
                table {
                    caption { (name) }
                    thead { tr { @for head in heads { th scope="col" { (head) } } } }
                    tbody { @for row in rows { (row) } }
                }
            }
        }
    }
}

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, KEPT)], include_str!("console.css"))
}

pub(super) async fn script() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, KEPT)],
        include_str!("console.js"),
    )
}

pub(super) async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, KEPT)], include_str!("icon.svg"))
}
