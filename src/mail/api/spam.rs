//! What was called spam: it leaves what is unread, and can be brought back.

use super::{Api, ApiError, Page, must, unknown_cursor};
use crate::domain::{
    id::MessageId,
    key::{ApiKey, KeyScope},
};

impl Api {
    /// What was called spam in every mailbox, the newest first.
    pub async fn spam(&self, key: &ApiKey, before: Option<&MessageId>, limit: u32) -> Result<Page, ApiError> {
        must(key, KeyScope::Read)?;
        if let Some(cursor) = before
            && self.mailroom.mailbox_of(cursor).await?.is_none()
        {
            return Err(unknown_cursor());
        }
        let limit = limit.clamp(1, super::EMAILS_MAX);
        let mut emails = self.office.spam(before, limit + 1).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = emails.len() > shown;
        emails.truncate(shown);
        let cursor = emails.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { emails, cursor })
    }

    /// Calls an email that came in spam, or not; the latter is unread again.
    pub async fn call_spam(&self, key: &ApiKey, id: &MessageId, spam: bool) -> Result<(), ApiError> {
        must(key, KeyScope::Send)?;
        self.mailbox_of_email(key, id).await?;
        if self.office.call_spam(id, spam).await? {
            return Ok(());
        }
        Err(ApiError::Conflict("only an email that came in can be spam; this one was sent from here".into()))
    }
}
