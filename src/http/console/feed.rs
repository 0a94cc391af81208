//! The live feed: server-sent events of what fires and of what is done about it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::stream;
use serde::Serialize;

use super::{
    Rooms,
    failure::{Failure, refused},
    fired::{Fired, seq},
    sessions::Session,
    visit::{Asked, Visit},
};
use crate::{bell::following::Following, domain::cursor::Seq};

/// How long a feed says nothing at most: what is done about events is told by then, and the page knows that it is live.
const BEAT: Duration = Duration::from_secs(1);

/// A feed on its way.
struct Feed {
    rooms: Arc<Rooms>,
    session: Arc<Session>,
    following: Following,
    entry: i64,
}

/// Tells what fires after the place that the page was made at, or that the feed had come to.
pub(super) async fn stream(visit: Visit, asked: Asked, headers: HeaderMap) -> Result<Response, Failure> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let (Some(after), Some(Seq(entry))) = (seq(last).or_else(|| seq(asked.get("after"))), seq(asked.get("entry")))
    else {
        return Ok(refused(StatusCode::BAD_REQUEST, "A feed begins after a place in the log: ?after=SEQ&entry=ID."));
    };
    let following = visit.rooms.parts.waiting.follow_after(after);
    let feed = Feed { rooms: visit.rooms, session: visit.session, following, entry };
    let told = stream::unfold(feed, |mut feed| async move {
        let text = feed.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), feed))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(told)).into_response())
}

impl Feed {
    /// What there is to tell next; none once the session or the house is over.
    async fn next(&mut self) -> Option<String> {
        let parts = &self.rooms.parts;
        let events = tokio::select! {
            () = parts.shutdown.cancelled() => return None,
            events = self.following.next() => events.ok()?,
            () = parts.clock.sleep(BEAT) => Vec::new(),
        };
        if !self.rooms.sessions.holds(&self.session, parts.clock.boot_millis())
            || !parts.entrance.stands(self.session.operator).await.ok()?
        {
            return None;
        }
        let mut text = String::new();
        for event in &events {
            tell(&mut text, "fired", Some(event.seq.0), &Fired::of(event));
        }
        let (done, entry) = self.rooms.done_since(self.entry).await.ok()?;
        self.entry = entry;
        for did in &done {
            tell(&mut text, "did", None, did);
        }
        tell(&mut text, "beat", None, &parts.clock.now().0);
        Some(text)
    }
}

fn tell(text: &mut String, name: &str, id: Option<i64>, what: &impl Serialize) {
    use std::fmt::Write as _;
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    // JSON has no line break outside of its texts, and none unescaped in them.
    let _ = write!(text, "event: {name}\ndata: {}\n\n", serde_json::to_string(what).unwrap_or_default());
}
