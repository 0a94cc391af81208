//! The files of an email: their bytes, to who holds a key or a link that this house made.

use std::{sync::Arc, time::Duration};

use super::{Api, ApiError, ECHO_CHARS_MAX, must, no_message};
use crate::{
    domain::{
        clock::UnixMillis,
        id::{MailboxId, MessageId},
        key::{ApiKey, KeyScope},
        message::Attachment,
        secret::Secret,
    },
    mail::mime,
    signing::multimail,
};

/// How long a link to a file is good for: long enough to hand it to a tool, short enough to leak without much harm.
pub const LINK_LIFE: Duration = Duration::from_mins(15);
/// Files that are taken out of their messages at once: each holds a whole message in memory.
pub(super) const AT_ONCE_MAX: usize = 4;

/// A file with its bytes, decoded.
pub type File = (Attachment, Vec<u8>);

/// What lets one file be fetched without a key, until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Until when, in Unix milliseconds.
    pub expires: UnixMillis,
    /// Over the file's place and that moment.
    pub signature: String,
}

impl Api {
    /// The file called `name` of an email. It does not mark the email as read.
    pub async fn attachment(&self, key: &ApiKey, mailbox: &str, id: &MessageId, name: &str) -> Result<File, ApiError> {
        must(key, KeyScope::Read)?;
        self.file(mailbox, id, name).await
    }

    /// The same for who has a link to it.
    pub async fn attachment_by_link(
        &self,
        mailbox: &str,
        id: &MessageId,
        name: &str,
        link: &Link,
    ) -> Result<File, ApiError> {
        let good = multimail::verify(&self.link_secret, &place(mailbox, id, name, link.expires), &link.signature);
        if !good || link.expires < self.clock.now() {
            return Err(ApiError::Unauthenticated);
        }
        self.file(mailbox, id, name).await
    }

    /// What is known of a file, and a link to it under the id of its mailbox.
    pub async fn attachment_link(
        &self,
        key: &ApiKey,
        mailbox: &str,
        id: &MessageId,
        name: &str,
    ) -> Result<(Attachment, MailboxId, Link), ApiError> {
        must(key, KeyScope::Read)?;
        let mailbox = self.find(mailbox).await?;
        let message = self.mailroom.message(&mailbox.id, id).await?.ok_or_else(|| no_message(id, &mailbox))?;
        let file =
            message.summary.attachments.into_iter().find(|file| file.name == name).ok_or_else(|| no_file(name))?;
        let expires = self.clock.now().plus(LINK_LIFE);
        let signature = multimail::sign(&self.link_secret, &place(mailbox.id.as_str(), id, name, expires));
        Ok((file, mailbox.id, Link { expires, signature }))
    }

    async fn file(&self, mailbox: &str, id: &MessageId, name: &str) -> Result<File, ApiError> {
        let mailbox = self.find(mailbox).await?;
        let blob = self.mailroom.blob_of(&mailbox.id, id).await?.ok_or_else(|| no_message(id, &mailbox))?;
        let turn = self.reading.clone().acquire_owned().await;
        let raw = self.blobs.get(&blob).await.map_err(|error| {
            tracing::error!(%error, "could not read the raw bytes of a message");
            ApiError::Broken
        })?;
        let wanted = name.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            let found = mime::attachment(&raw, &wanted);
            drop(turn);
            found
        });
        let found = found.await.map_err(|error| {
            tracing::error!(%error, "taking a file out of its message failed");
            ApiError::Broken
        })?;
        found.ok_or_else(|| no_file(name))
    }
}

/// The secret that signs links; a new one at each start, so links do not outlive the process.
pub(super) fn link_secret(ids: &crate::ids::Ids) -> Secret {
    Secret::new(ids.secret("link_"))
}

/// Which turns taking files out of messages takes.
pub(super) fn turns() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(AT_ONCE_MAX))
}

/// What a link's signature is over. A JSON list, so that no two places read the same.
fn place(mailbox: &str, id: &MessageId, name: &str, expires: UnixMillis) -> Vec<u8> {
    serde_json::json!([mailbox, id, name, expires.0]).to_string().into_bytes()
}

fn no_file(name: &str) -> ApiError {
    let name: String = name.chars().take(ECHO_CHARS_MAX).collect();
    ApiError::NotFound(format!("this email has no file `{name}`; GET it to see its `attachments`"))
}
