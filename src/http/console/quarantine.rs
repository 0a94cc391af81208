//! Quarantine: signed bodies that could not be taken.

use axum::response::Response;
use maud::html;

use super::{
    failure::Failure,
    layout::page as frame,
    visit::Visit,
    words::{at, foreign, foreign_up_to, part},
};

/// Bodies on the page.
const BODIES_MAX: u32 = 20;
/// Bytes of the page that the beginning of each takes.
const BODY_BYTES_MAX: usize = 3_000;
/// Bytes of each that are looked at for that.
const LOOKED_AT: usize = 3_000;
/// Characters of a reason.
const REASON_CHARS_MAX: usize = 300;

pub(super) async fn page(visit: Visit) -> Result<Response, Failure> {
    let bodies = visit.rooms.parts.quarantine.quarantined(BODIES_MAX).await?;
    let body = html! {
        p { "What a source signed and this program could not read. Nothing of it is in the log; its provider may send it again. The \
             newest " (BODIES_MAX) " are shown, each by its beginning." }
        @if bodies.is_empty() { p.quiet { "Nothing here." } }
        @for (place, one) in bodies.iter().enumerate() {
            section {
                h2 { (foreign(one.source.as_str())) ", " (at(one.last_at)) }
                p { (foreign_up_to(&one.reason, REASON_CHARS_MAX)) span.quiet { " " (one.times) " times, " (one.body.len()) " bytes" } }
                (part(&format!("Body {}", place + 1), &String::from_utf8_lossy(&one.body[..one.body.len().min(LOOKED_AT)]), 0, BODY_BYTES_MAX).0)
            }
        }
    };
    frame(&visit, "quarantine", "Quarantine", body).await
}
