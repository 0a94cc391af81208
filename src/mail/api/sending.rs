//! Sending: letters, replies, and what can still be done to them.

use std::time::Duration;

use super::{Api, ApiError, must, settings::may_schedule};
use crate::{
    domain::{
        clock::UnixMillis,
        id::MessageId,
        key::{ApiKey, KeyScope},
        message::Mailbox,
    },
    mail::submission::{Change, Letter, Preview, Taken},
};

impl Api {
    /// Takes in a letter from a mailbox.
    pub async fn send(&self, key: &ApiKey, mailbox: &str, letter: Letter) -> Result<Taken, ApiError> {
        must(key, KeyScope::Send)?;
        let mailbox = self.find(mailbox).await?;
        let letter = self.as_set(&mailbox, letter).await?;
        Ok(self.submission.send(&mailbox, letter).await?)
    }

    /// A letter from a mailbox as it would be sent, and that mailbox; with `answered`, as a reply to that message.
    pub async fn preview(
        &self,
        key: &ApiKey,
        mailbox: &str,
        answered: Option<&MessageId>,
        letter: Letter,
    ) -> Result<(Mailbox, Preview), ApiError> {
        must(key, KeyScope::Send)?;
        let mailbox = self.find(mailbox).await?;
        let letter = self.as_set(&mailbox, letter).await?;
        let preview = self.submission.preview(&mailbox, answered, letter).await?;
        Ok((mailbox, preview))
    }

    /// Takes in a reply to a message of a mailbox.
    pub async fn reply(&self, key: &ApiKey, mailbox: &str, id: &MessageId, letter: Letter) -> Result<Taken, ApiError> {
        must(key, KeyScope::Send)?;
        let mailbox = self.find(mailbox).await?;
        let letter = self.as_set(&mailbox, letter).await?;
        Ok(self.submission.reply(&mailbox, id, letter).await?)
    }

    /// Everybody a message that was sent from here goes to, or has gone to.
    pub async fn recipients(&self, id: &MessageId) -> Result<Vec<String>, ApiError> {
        let Some(mailbox) = self.mailroom.mailbox_of(id).await? else { return Ok(Vec::new()) };
        Ok(self.submission.recipients(&mailbox, id).await?)
    }

    /// Takes a scheduled message back.
    pub async fn cancel(&self, key: &ApiKey, mailbox: &str, id: &MessageId) -> Result<(), ApiError> {
        must(key, KeyScope::Send)?;
        let mailbox = self.find(mailbox).await?;
        Ok(self.submission.cancel(&mailbox, id).await?)
    }

    /// Changes a scheduled message; answers with when it is due then.
    pub async fn change(
        &self,
        key: &ApiKey,
        mailbox: &str,
        id: &MessageId,
        mut change: Change,
    ) -> Result<UnixMillis, ApiError> {
        must(key, KeyScope::Send)?;
        let mailbox = self.find(mailbox).await?;
        let settings = self.settings(&mailbox).await?;
        may_schedule(&mailbox, &settings, change.send_at.is_some())?;
        change.ai_disclosure = settings.features.ai_disclosure;
        if let Some(markdown) = change.markdown.take() {
            let letter = self.as_set(&mailbox, Letter { markdown, ..Letter::default() }).await?;
            change.markdown = Some(letter.markdown);
        }
        Ok(self.submission.change(&mailbox, id, change).await?)
    }

    /// Tries one recipient of a message again; answers with when, and whether it had been given up.
    pub async fn retry(
        &self,
        key: &ApiKey,
        mailbox: &str,
        id: &MessageId,
        recipient: &str,
        delay: Duration,
    ) -> Result<(UnixMillis, bool), ApiError> {
        must(key, KeyScope::Send)?;
        let mailbox = self.find(mailbox).await?;
        Ok(self.submission.retry(&mailbox, id, recipient, delay).await?)
    }
}
