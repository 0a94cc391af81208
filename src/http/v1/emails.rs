//! `/v1/mailboxes/{mailbox}/emails` and `/threads`

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answer::{Answer, Done, Failure},
    auth::Caller,
    input::{At, Query, Truth, Within},
    shapes,
};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{MessageId, ThreadId},
        key::ApiKey,
        message::{Direction, MessageFilter, Status},
    },
    mail::api::{Api, EMAILS_MAX, EmailQuery, OFFSET_MAX},
};

/// Emails in a page when the client does not say.
pub(super) const LIMIT_DEFAULT: u32 = 20;
/// States that the service documents and that no email of ours is ever in: asking for one is fine and finds nothing.
const STATES_ELSEWHERE: [&str; 6] =
    ["archived", "deleted", "pending_send_approval", "pending_inbound_approval", "rejected", "spam_flagged"];

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At(mailbox): At<String>,
    Query(which): Query<Which>,
) -> Result<Done<shapes::EmailPage>, Failure> {
    page(&api, &key, &mailbox, which).await
}

/// The emails of `mailbox` that `which` asks for.
pub(super) async fn page(
    api: &Api,
    key: &ApiKey,
    mailbox: &str,
    which: Which,
) -> Result<Done<shapes::EmailPage>, Failure> {
    let Some(query) = which.query()? else {
        // The key and the mailbox still have to be right.
        api.mailbox(key, mailbox).await?;
        return Ok(Answer(shapes::EmailPage::empty()));
    };
    Ok(Answer((&api.emails(key, mailbox, query).await?).into()))
}

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, email)): At<(String, String)>,
) -> Result<Done<shapes::Email>, Failure> {
    let (mailbox, message) = api.read_email(&key, &mailbox, &MessageId::new(email)).await?;
    let opens = match message.summary.direction {
        Direction::Inbound => None,
        Direction::Outbound => Some(api.opens(&key, &message.summary.id).await?),
    };
    let written_to = api.sender_written_to(&key, &message.summary).await?;
    Ok(Answer(shapes::Email::of(&mailbox, &message, opens.as_deref(), written_to)))
}

pub(super) async fn thread(
    State(api): State<Arc<Api>>,
    Caller(key): Caller,
    At((mailbox, thread)): At<(String, String)>,
) -> Result<Done<shapes::Thread>, Failure> {
    Ok(Answer((&api.thread(&key, &mailbox, &ThreadId::new(thread)).await?).into()))
}

/// Which emails to list; each part narrows.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "EmailFilter")]
pub(super) struct Which {
    /// Its address or id, where the path does not name it; the only one there is when left out.
    pub(super) mailbox: Option<String>,
    /// The same.
    pub(super) mailbox_id: Option<String>,
    /// A status of an email, such as `unread`, `read`, `scheduled` or `sent`.
    status: Option<String>,
    /// The same as `status=unread`.
    unread_only: Option<Truth>,
    /// `inbound` or `outbound`.
    direction: Option<String>,
    thread_id: Option<String>,
    /// Part of the sender's address or name, in any case.
    sender: Option<String>,
    /// Part of the subject, in any case.
    subject_contains: Option<String>,
    has_attachments: Option<Truth>,
    /// A day or a moment, such as 2026-11-24 or 2026-11-24T10:00:00Z.
    date_after: Option<String>,
    /// A day (to its end) or a moment.
    date_before: Option<String>,
    /// Newer than this email.
    since_id: Option<String>,
    tag: Option<String>,
    without_tag: Option<String>,
    /// That of the page before.
    cursor: Option<String>,
    /// So many are skipped first; a cursor is cheaper.
    offset: Option<Within<0, OFFSET_MAX>>,
    limit: Option<Within<1, EMAILS_MAX>>,
}

impl Which {
    /// The query in domain words; none if it asks for a state that nothing here is ever in.
    fn query(self) -> Result<Option<EmailQuery>, Failure> {
        let mut status = match self.status.as_deref() {
            None => None,
            Some(known) if STATES_ELSEWHERE.contains(&known) => return Ok(None),
            Some(word) => Some(Status::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
                let words: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).chain(STATES_ELSEWHERE).collect();
                Failure::Malformed(format!("`status` must be one of {}", words.join(", ")))
            })?),
        };
        if let Some(Truth(true)) = self.unread_only {
            if status.is_some_and(|status| status != Status::Unread) {
                return Ok(None);
            }
            status = Some(Status::Unread);
        }
        let direction = match self.direction.as_deref() {
            None => None,
            Some("inbound") => Some(Direction::Inbound),
            Some("outbound") => Some(Direction::Outbound),
            Some(_) => return Err(Failure::Malformed("`direction` must be inbound or outbound".into())),
        };
        let filter = MessageFilter {
            thread_id: self.thread_id.map(ThreadId::new),
            status,
            direction,
            sender: self.sender,
            subject_contains: self.subject_contains,
            has_attachments: self.has_attachments.map(|Truth(has)| has),
            date_after: moment("date_after", self.date_after.as_deref(), Duration::ZERO)?,
            date_before: moment("date_before", self.date_before.as_deref(), LAST_OF_DAY)?,
            since_id: self.since_id.map(MessageId::new),
            tag: self.tag,
            without_tag: self.without_tag,
        };
        Ok(Some(EmailQuery {
            filter,
            before: self.cursor.map(MessageId::new),
            offset: self.offset.map_or(0, |Within(offset)| offset),
            limit: self.limit.map_or(LIMIT_DEFAULT, |Within(limit)| limit),
        }))
    }
}

/// From the first millisecond of a day to its last.
const LAST_OF_DAY: Duration = Duration::from_millis(24 * 3600 * 1000 - 1);

/// The moment that `text` is: RFC 3339, or a day in UTC, of which `within` picks the place.
fn moment(name: &str, text: Option<&str>, within: Duration) -> Result<Option<UnixMillis>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let whole = text.parse::<UnixMillis>().ok();
    let day = || format!("{text}T00:00:00Z").parse::<UnixMillis>().ok().map(|at| at.plus(within));
    whole.or_else(day).map(Some).ok_or_else(|| {
        Failure::Malformed(format!("`{name}` must be a day or a moment, such as 2026-11-24 or 2026-11-24T10:00:00Z"))
    })
}
