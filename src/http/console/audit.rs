//! Audit: who did what; searched here, and taken away whole.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::stream;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    Rooms,
    failure::Failure,
    layout::{page as frame, table},
    visit::{Asked, Visit},
    words::{at, foreign_up_to, segment},
};
use crate::store::audit::Row;

/// Entries on a page.
const PAGE: usize = 60;
/// Entries that are read at once, and how often for one page: a search that finds nothing looks at 20,000 and says how far it
/// came.
const READ: u32 = 1_000;
const READS_MAX: usize = 20;
/// Characters of an entry on the page.
const ENTRY_CHARS_MAX: usize = 600;

/// What a search came to.
struct Found {
    rows: Vec<Row>,
    /// From where it goes on, towards the past.
    before: Option<i64>,
    looked_at: usize,
}

pub(super) async fn page(visit: Visit, asked: Asked) -> Result<Response, Failure> {
    let words = asked.get("q").unwrap_or_default().to_lowercase();
    let before = asked.get("before").and_then(|before| before.parse().ok()).filter(|before| *before > 0);
    let Found { rows, before, looked_at } = search(&visit.rooms, &words, before).await?;
    let rows: Vec<Markup> = rows.iter().map(row).collect();
    let body = html! {
        form.row method="get" action=(visit.to("audit")) role="search" {
            div { label for="q" { "Words in an entry" } input #q name="q" type="search" value=(words) maxlength="200"; }
            button type="submit" { "Search" }
        }
        @if !words.is_empty() { p role="status" { (rows.len()) " found in the " (looked_at) " entries that were looked at." } }
        (table("Entries, the newest first", &["Entry", "When", "What", "By", "All of it"], &rows))
        @if let Some(before) = before {
            p { a href=(visit.to(&format!("audit?q={}&before={before}", segment(&words)))) { "Further back" } }
        }
        h2 { "Take it away" }
        p { a href=(visit.to("audit/export")) { "All entries" } ", one JSON object a line, each to the byte. " code { "mailbell audit verify" } " checks the record here; "
            code { "examples/audit_check" } " checks the file." }
    };
    frame(&visit, "audit", "Audit", body).await
}

/// All words must be in an entry.
async fn search(rooms: &Rooms, words: &str, mut before: Option<i64>) -> Result<Found, Failure> {
    let (mut rows, mut looked_at) = (Vec::new(), 0);
    for _ in 0..READS_MAX {
        let page = rooms.parts.oversight.record_before(before, READ).await?;
        let Some(oldest) = page.last().map(|row| row.id) else {
            return Ok(Found { rows, before: None, looked_at });
        };
        for row in page {
            looked_at += 1;
            before = Some(row.id);
            let text = row.text.to_lowercase();
            if words.split_whitespace().all(|word| text.contains(word)) {
                rows.push(row);
                if rows.len() == PAGE {
                    return Ok(Found { rows, before, looked_at });
                }
            }
        }
        before = Some(oldest);
        if oldest <= 1 {
            return Ok(Found { rows, before: None, looked_at });
        }
    }
    Ok(Found { rows, before, looked_at })
}

fn row(row: &Row) -> Markup {
    let says = |name: &str| row.entry.get(name).and_then(Value::as_str);
    let what = says("what").unwrap_or_default();
    let done = says("tool").or(says("command")).or(says("step")).or(says("act"));
    let by = row.entry.get("about").and_then(|about| about.get("by")).and_then(Value::as_str);
    let by = by.or(says("by")).or(says("principal")).or(says("holder"));
    html! {
        tr {
            th scope="row" { (row.id) }
            td { (at(row.at)) }
            td { (what) @if let Some(done) = done { " " (foreign_up_to(done, 80)) } }
            td { @if let Some(by) = by { (foreign_up_to(by, 80)) } }
            td { details { summary { "Show" } code { (foreign_up_to(&row.text, ENTRY_CHARS_MAX)) } } }
        }
    }
}

/// The whole record, entry by entry, as `mailbell audit export` has it.
pub(super) async fn export(visit: Visit) -> Result<Response, Failure> {
    visit.record("audit export", json!({})).await?;
    let lines = stream::unfold((visit.rooms, 0), |(rooms, after)| async move {
        let (text, after) = lines(&rooms, after).await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), (rooms, after)))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

async fn lines(rooms: &Arc<Rooms>, after: i64) -> Option<(String, i64)> {
    if rooms.parts.shutdown.is_cancelled() {
        return None;
    }
    let rows = rooms.parts.oversight.record_after(after, READ).await.ok()?;
    let through = rows.last()?.id;
    let mut text = String::new();
    for row in &rows {
        text.push_str(&row.exported());
        text.push('\n');
    }
    Some((text, through))
}
