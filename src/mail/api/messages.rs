//! Emails and threads: list, read.

use std::collections::BTreeSet;

use super::{Api, ApiError, ECHO_CHARS_MAX, must, no_message, unknown_cursor};
use crate::domain::{
    clock::UnixMillis,
    id::{MessageId, ThreadId},
    key::{ApiKey, KeyScope},
    message::{Direction, Mailbox, Message, MessageFilter, MessagePage, MessageSummary, Status},
};

/// Emails in a page, at most.
pub const EMAILS_MAX: u32 = 100;
/// Emails that an `offset` may skip; further back, a cursor costs nothing and an offset would cost the reading.
pub const OFFSET_MAX: u32 = 10_000;

/// Which emails to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmailQuery {
    /// Which.
    pub filter: MessageFilter,
    /// Only those older than this one: the cursor of the page before.
    pub before: Option<MessageId>,
    /// So many are skipped first.
    pub offset: u32,
    /// At most so many, 1 to [`EMAILS_MAX`].
    pub limit: u32,
}

/// A page of emails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The emails, the newest first.
    pub emails: Vec<MessageSummary>,
    /// Where the next page begins, if there is one.
    pub cursor: Option<MessageId>,
}

/// A thread in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadView {
    /// Its id.
    pub id: ThreadId,
    /// Its emails, the oldest first; never empty.
    pub emails: Vec<MessageSummary>,
    /// Everyone it came from or went to, sorted.
    pub participants: Vec<String>,
    /// When its last email came or went.
    pub last_activity: UnixMillis,
    /// Whether the last word is somebody else's.
    pub has_unanswered_inbound: bool,
}

impl Api {
    /// A page of a mailbox, the newest first.
    pub async fn emails(&self, key: &ApiKey, mailbox: &str, query: EmailQuery) -> Result<Page, ApiError> {
        must(key, KeyScope::Read)?;
        let mailbox = self.find(mailbox).await?;
        let limit = query.limit.clamp(1, EMAILS_MAX);
        if let Some(cursor) = &query.before
            && self.mailroom.mailbox_of(cursor).await?.as_ref() != Some(&mailbox.id)
        {
            return Err(unknown_cursor());
        }
        let (mut skip, mut before) = (query.offset.min(OFFSET_MAX), query.before);
        while skip > 0 {
            let page =
                MessagePage { filter: query.filter.clone(), before: before.clone(), limit: skip.min(EMAILS_MAX) };
            let skipped = self.mailroom.messages(&mailbox.id, &page).await?;
            let Some(last) = skipped.last() else { return Ok(Page { emails: Vec::new(), cursor: None }) };
            before = Some(last.id.clone());
            skip = skip.saturating_sub(u32::try_from(skipped.len()).unwrap_or(u32::MAX));
        }
        // One more than asked for tells whether there is another page.
        let page = MessagePage { filter: query.filter, before, limit: limit + 1 };
        let mut emails = self.mailroom.messages(&mailbox.id, &page).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = emails.len() > shown;
        emails.truncate(shown);
        let cursor = emails.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { emails, cursor })
    }

    /// One email with its text. Reading it marks an unread one as read, and the answer already says so.
    pub async fn read_email(
        &self,
        key: &ApiKey,
        mailbox: &str,
        id: &MessageId,
    ) -> Result<(Mailbox, Message), ApiError> {
        must(key, KeyScope::Read)?;
        let mailbox = self.find(mailbox).await?;
        let mut message = self.mailroom.message(&mailbox.id, id).await?.ok_or_else(|| no_message(id, &mailbox))?;
        if message.summary.direction == Direction::Inbound && message.summary.status == Status::Unread {
            self.mailroom.mark_read(&mailbox.id, id).await?;
            message.summary.status = Status::Read;
        }
        Ok((mailbox, message))
    }

    /// The same without marking anything, for the operator's eyes.
    pub async fn look_at_email(&self, key: &ApiKey, id: &MessageId) -> Result<(Mailbox, Message), ApiError> {
        let mailbox = self.mailbox_of_email(key, id).await?;
        let message = self.mailroom.message(&mailbox.id, id).await?.ok_or_else(|| no_message(id, &mailbox))?;
        Ok((mailbox, message))
    }

    /// Whether the sender of a mail that came in was ever written to; none of a mail that was sent, or without an address.
    pub async fn sender_written_to(&self, key: &ApiKey, email: &MessageSummary) -> Result<Option<bool>, ApiError> {
        must(key, KeyScope::Read)?;
        match email.from.parse() {
            Ok(sender) if email.direction == Direction::Inbound => {
                Ok(Some(self.submission.was_written_to(&sender).await?))
            }
            _ => Ok(None),
        }
    }

    /// A thread of a mailbox.
    pub async fn thread(&self, key: &ApiKey, mailbox: &str, id: &ThreadId) -> Result<ThreadView, ApiError> {
        must(key, KeyScope::Read)?;
        let mailbox = self.find(mailbox).await?;
        let emails = self.mailroom.thread(&mailbox.id, id).await?;
        let Some(last) = emails.last() else {
            return Err(ApiError::NotFound(format!(
                "there is no such thread in {}; an email's `thread_id` names its own",
                mailbox.address
            )));
        };
        let participants: BTreeSet<_> =
            emails.iter().flat_map(|email| [&email.from].into_iter().chain(&email.to).chain(&email.cc)).collect();
        Ok(ThreadView {
            id: id.clone(),
            participants: participants.into_iter().cloned().collect(),
            last_activity: last.received_at,
            has_unanswered_inbound: last.direction == Direction::Inbound,
            emails,
        })
    }

    /// The mailbox that `named` is, or where nothing is named the only one there is.
    pub async fn mailbox_or_only(&self, key: &ApiKey, named: Option<&str>) -> Result<Mailbox, ApiError> {
        must(key, KeyScope::Read)?;
        if let Some(named) = named {
            return self.find(named).await;
        }
        let mut all = self.mailroom.mailboxes().await?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            _ => Err(ApiError::Invalid(
                "`mailbox` is missing: its address or its id; GET /v1/mailboxes lists them".into(),
            )),
        }
    }

    /// The mailbox that an email is in.
    pub async fn mailbox_of_email(&self, key: &ApiKey, id: &MessageId) -> Result<Mailbox, ApiError> {
        if !key.may(KeyScope::Send) {
            must(key, KeyScope::Read)?;
        }
        let mailbox = match self.mailroom.mailbox_of(id).await? {
            Some(mailbox) => self.mailroom.mailbox(&mailbox).await?,
            None => None,
        };
        mailbox.ok_or_else(|| {
            let id: String = id.as_str().chars().take(ECHO_CHARS_MAX).collect();
            ApiError::NotFound(format!("there is no email `{id}`; GET /v1/inbox lists those of a mailbox"))
        })
    }

    /// The mailbox that a thread is in; the first by address, if it is in several.
    pub async fn mailbox_of_thread(&self, key: &ApiKey, id: &ThreadId) -> Result<Mailbox, ApiError> {
        must(key, KeyScope::Read)?;
        for mailbox in self.mailroom.mailboxes().await? {
            if !self.mailroom.thread(&mailbox.id, id).await?.is_empty() {
                return Ok(mailbox);
            }
        }
        Err(ApiError::NotFound("there is no such thread; an email's `thread_id` names its own".into()))
    }
}
