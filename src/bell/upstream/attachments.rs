//! The files of a message: their bytes up to a limit, and beyond it a link for a program.

use url::Url;

use super::{Attachment, Email, Upstream, UpstreamError, received::Home, wire};

/// The largest file whose bytes are fetched for an agent: 1 MiB, more than nearly every invoice or picture, and as base64 in
/// one message of the protocol still below the 4 MiB that servers and clients take.
pub const ATTACHMENT_BYTES_MAX: usize = 1 << 20;

impl Upstream {
    /// The bytes of the file of `email` that stands at `index`, from 0: at most [`ATTACHMENT_BYTES_MAX`]. The service knows it
    /// by its name.
    pub async fn attachment(&self, email: &Email, index: usize) -> Result<Vec<u8>, UpstreamError> {
        let id = &email.summary.id;
        let file = email.attachments.get(index).ok_or_else(|| UpstreamError::NoAttachment(id.clone(), index + 1))?;
        if let Home::Received(received, message) = self.home(id).await? {
            return received.file(&message, index, file).await;
        }
        match self.client.get_bytes(&place(email, file), ATTACHMENT_BYTES_MAX).await {
            Err(error) if error.is_unknown_here() => Err(UpstreamError::NotOffered("this attachment")),
            answer => answer,
        }
    }

    /// A URL at which a program can fetch the file without a key, for a while that the service chooses.
    pub async fn attachment_link(&self, email: &Email, file: &Attachment) -> Result<Url, UpstreamError> {
        if let Home::Received(..) = self.home(&email.summary.id).await? {
            return Err(UpstreamError::NotOffered("a link to this attachment"));
        }
        let path = [&place(email, file)[..], &["url"]].concat();
        match self.client.get::<wire::AttachmentLink>(&path, &[]).await {
            Err(error) if error.is_unknown_here() => Err(UpstreamError::NotOffered("a link to this attachment")),
            Err(error) => Err(error),
            Ok(link) => link.url.parse().map_err(|_| UpstreamError::Unreadable("a link that is no URL")),
        }
    }
}

fn place<'a>(email: &'a Email, file: &'a Attachment) -> [&'a str; 7] {
    let (mailbox, id) = (&email.summary.mailbox.id, &email.summary.id);
    ["v1", "mailboxes", mailbox.as_str(), "emails", id.as_str(), "attachments", &file.name]
}
