//! `/v1/mailboxes/{mailbox}/emails` and `/threads`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{
    answer::Failure,
    auth::Caller,
    input::{At, Params},
    shapes,
};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{MessageId, ThreadId},
        message::{Direction, MessageFilter, Status},
    },
    mail::api::{Api, EMAILS_MAX, EmailQuery, OFFSET_MAX},
};

/// Emails in a page when the client does not say.
const LIMIT_DEFAULT: u32 = 20;
/// States that the service documents and that no email of ours is ever in: asking for one is fine and finds nothing.
const STATES_ELSEWHERE: [&str; 7] = [
    "archived",
    "deleted",
    "pending_send_approval",
    "pending_inbound_approval",
    "rejected",
    "spam_flagged",
    "spam_quarantined",
];

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    params: Params,
) -> Result<Json<Value>, Failure> {
    let Some(query) = query(&params)? else {
        // The key and the mailbox still have to be right.
        api.mailbox(&key, &mailbox).await?;
        return Ok(Json(json!({ "emails": [], "messages": [], "cursor": null })));
    };
    let page = api.emails(&key, &mailbox, query).await?;
    let emails: Vec<_> = page.emails.iter().map(shapes::email_summary).collect();
    Ok(Json(json!({ "emails": emails, "messages": emails, "cursor": page.cursor })))
}

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let (mailbox, message) = api.read_email(&key, &mailbox, &MessageId::new(email)).await?;
    let mut shape = shapes::email(&mailbox, &message);
    if message.summary.direction == Direction::Outbound {
        shape["opens"] = api.opens(&key, &message.summary.id).await?.iter().map(shapes::open_day).collect();
    }
    Ok(Json(shape))
}

pub(super) async fn thread(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, thread)): At<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let thread = api.thread(&key, &mailbox, &ThreadId::new(thread)).await?;
    Ok(Json(shapes::thread(&thread)))
}

/// The query in domain words; none if it asks for a state that nothing here is ever in.
fn query(params: &Params) -> Result<Option<EmailQuery>, Failure> {
    let mut status = match params.text("status") {
        None => None,
        Some(known) if STATES_ELSEWHERE.contains(&known) => return Ok(None),
        Some(word) => Some(Status::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            let words: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).chain(STATES_ELSEWHERE).collect();
            Failure::Malformed(format!("`status` must be one of {}", words.join(", ")))
        })?),
    };
    if params.truth("unread_only")? == Some(true) {
        if status.is_some_and(|status| status != Status::Unread) {
            return Ok(None);
        }
        status = Some(Status::Unread);
    }
    let direction = match params.text("direction") {
        None => None,
        Some("inbound") => Some(Direction::Inbound),
        Some("outbound") => Some(Direction::Outbound),
        Some(_) => return Err(Failure::Malformed("`direction` must be inbound or outbound".into())),
    };
    let owned = |name| params.text(name).map(str::to_owned);
    let filter = MessageFilter {
        thread_id: owned("thread_id").map(ThreadId::new),
        status,
        direction,
        sender: owned("sender"),
        subject_contains: owned("subject_contains"),
        has_attachments: params.truth("has_attachments")?,
        date_after: moment(params, "date_after", Duration::ZERO)?,
        date_before: moment(params, "date_before", LAST_OF_DAY)?,
        since_id: owned("since_id").map(MessageId::new),
        tag: owned("tag"),
        without_tag: owned("without_tag"),
    };
    Ok(Some(EmailQuery {
        filter,
        before: owned("cursor").map(MessageId::new),
        offset: params.number("offset", 0, OFFSET_MAX)?.unwrap_or(0),
        limit: params.number("limit", 1, EMAILS_MAX)?.unwrap_or(LIMIT_DEFAULT),
    }))
}

/// From the first millisecond of a day to its last.
const LAST_OF_DAY: Duration = Duration::from_millis(24 * 3600 * 1000 - 1);

/// The moment that `name` holds: RFC 3339, or a day in UTC, of which `within` picks the place.
fn moment(params: &Params, name: &str, within: Duration) -> Result<Option<UnixMillis>, Failure> {
    let Some(text) = params.text(name) else { return Ok(None) };
    let whole = text.parse::<UnixMillis>().ok();
    let day = || format!("{text}T00:00:00Z").parse::<UnixMillis>().ok().map(|at| at.plus(within));
    whole.or_else(day).map(Some).ok_or_else(|| {
        Failure::Malformed(format!("`{name}` must be a day or a moment, such as 2026-11-24 or 2026-11-24T10:00:00Z"))
    })
}
