//! What can still be done to a message: taking it back, changing it, trying it again.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{GivenFile, HOURLY_LIMITS, Submission, SubmitError, draft, due_at};
use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        id::{MailboxId, MessageId},
        message::{Mailbox, Status},
    },
    mail::{compose::Automatic, mime},
    store::outbox::{Cancelled, Edit, Edited, Retried},
};

/// How far ahead another try may be put: what is to be sent later than that is another message.
pub const RETRY_DELAY_MAX: Duration = Duration::from_hours(7 * 24);

/// What of a scheduled message is to be changed; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// To whom.
    pub to: Option<Vec<String>>,
    /// Copies.
    pub cc: Option<Vec<String>>,
    /// Blind copies.
    pub bcc: Option<Vec<String>>,
    /// The subject.
    pub subject: Option<String>,
    /// The text, in Markdown.
    pub markdown: Option<String>,
    /// When to send it.
    pub send_at: Option<UnixMillis>,
    /// Whether its head says from now on that an AI wrote it.
    pub ai_disclosure: bool,
}

impl Submission {
    /// Whether anything was ever sent, or is to be sent, to this address.
    pub async fn was_written_to(&self, address: &Address) -> Result<bool, crate::store::StoreError> {
        self.with.outbox.was_written_to(address).await
    }

    /// Everybody a message goes to, those that no header names included; nobody where it was not sent from here.
    pub async fn recipients(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
    ) -> Result<Vec<String>, crate::store::StoreError> {
        let Some(standing) = self.with.outbox.standing(mailbox, id).await? else { return Ok(Vec::new()) };
        let Some(message) = self.with.mailroom.message(mailbox, id).await? else { return Ok(Vec::new()) };
        Ok(message.summary.to.into_iter().chain(message.summary.cc).chain(standing.bcc).collect())
    }

    /// Takes a scheduled message back; a second time changes nothing.
    pub async fn cancel(&self, mailbox: &Mailbox, id: &MessageId) -> Result<(), SubmitError> {
        match self.with.outbox.cancel(&mailbox.id, id).await? {
            Cancelled::Done => Ok(()),
            Cancelled::TooLate(status) => Err(SubmitError::TooLate(status)),
            Cancelled::NoMessage => Err(SubmitError::NoMessage(id.clone())),
        }
    }

    /// Changes a scheduled message; answers with when it is due then.
    pub async fn change(&self, mailbox: &Mailbox, id: &MessageId, change: Change) -> Result<UnixMillis, SubmitError> {
        let no_message = || SubmitError::NoMessage(id.clone());
        let message = self.with.mailroom.message(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let Some(standing) = self.with.outbox.standing(&mailbox.id, id).await? else {
            return Err(SubmitError::TooLate(message.summary.status));
        };
        let send_at = match (standing.status, standing.send_at) {
            (Status::Scheduled, Some(send_at)) => send_at,
            (status, _) => return Err(SubmitError::TooLate(status)),
        };
        let blob = self.with.mailroom.blob_of(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let raw = Arc::new(self.with.blobs.get(&blob).await?);
        let reading = tokio::task::spawn_blocking(move || {
            let reading = mime::read(&raw);
            let files = reading.attachments.iter().filter_map(|file| mime::attachment(&raw, &file.name));
            let files: Vec<GivenFile> = files
                .map(|(file, bytes)| GivenFile {
                    name: file.name,
                    content_type: file.content_type,
                    content_base64: STANDARD.encode(bytes),
                })
                .collect();
            (reading, files)
        });
        let (reading, files) = reading.await.map_err(|_| SubmitError::Compose)?;
        let now = self.with.clock.now();
        let due = due_at(Some(change.send_at.unwrap_or(send_at)), now)?;
        let bcc = change.bcc.unwrap_or(standing.bcc);
        let people = draft::People::read(
            &change.to.unwrap_or(message.summary.to),
            &change.cc.unwrap_or(message.summary.cc),
            &bcc,
        )?;
        self.routable(&people.all)?;
        let made = self
            .make(draft::Making {
                id: id.clone(),
                mailbox: mailbox.clone(),
                people: people.clone(),
                subject: change.subject.unwrap_or(message.summary.subject),
                markdown: change.markdown.unwrap_or(message.text),
                files,
                internet_id: standing.internet_id,
                in_reply_to: reading.in_reply_to.into_iter().next(),
                references: reading.references,
                auto: if message.summary.auto { Automatic::Replied } else { Automatic::No },
                text_only: false,
                track_opens: standing.track_opens,
                ai_disclosure: change.ai_disclosure,
                thread: message.summary.thread_id,
                status: Status::Scheduled,
                at: now,
            })
            .await?;
        let edited = self
            .with
            .outbox
            .edit(Edit {
                message: made.message,
                raw: made.raw,
                bcc,
                recipients: people.all,
                due_at: due,
                limits: HOURLY_LIMITS,
            })
            .await?;
        match edited {
            Edited::Done => {
                self.with.queued.notify_one();
                Ok(due)
            }
            Edited::TooLate(status) => Err(SubmitError::TooLate(status)),
            Edited::Suppressed(suppression) => Err(SubmitError::Suppressed(suppression)),
            Edited::TooMany(too_many) => Err(SubmitError::TooMany { too_many, now }),
        }
    }

    /// Tries one recipient again after `delay`: moves the next try of one that is queued still, or gives one more try, once,
    /// to one that was given up. Answers with when, and whether it was given up before.
    pub async fn retry(
        &self,
        mailbox: &Mailbox,
        id: &MessageId,
        recipient: &str,
        delay: Duration,
    ) -> Result<(UnixMillis, bool), SubmitError> {
        if delay > RETRY_DELAY_MAX {
            return Err(SubmitError::Invalid(format!("`delay_secs` may be {} at most", RETRY_DELAY_MAX.as_secs())));
        }
        let recipient: Address =
            recipient.trim().parse().map_err(|error| SubmitError::Invalid(format!("`recipient`: {error}")))?;
        let at = self.with.clock.now().plus(delay);
        let retried = self.with.outbox.retry(&mailbox.id, id, &recipient, at).await?;
        let again = match retried {
            Retried::Moved => false,
            Retried::Again => true,
            Retried::Used => {
                return Err(SubmitError::NoRetry(
                    "this recipient had its one more try already; send a new message if there is reason to",
                ));
            }
            Retried::Accepted => {
                return Err(SubmitError::NoRetry(
                    "the recipient's server took this message; there is nothing to retry",
                ));
            }
            Retried::Cancelled => return Err(SubmitError::NoRetry("this message was cancelled for this recipient")),
            Retried::NoRecipient => {
                return Err(SubmitError::Invalid(
                    "this email was not sent to that recipient from here; `recipient` is one of its to, cc or bcc"
                        .into(),
                ));
            }
            Retried::Suppressed(suppression) => return Err(SubmitError::Suppressed(suppression)),
        };
        self.with.queued.notify_one();
        Ok((at, again))
    }
}
