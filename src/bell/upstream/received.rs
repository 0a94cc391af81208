//! Messages that came without the mail API, shown among its own: by the same calls, in the same words.
//!
//! They are in `bell.db`, so these calls ask no service. A mailbox of theirs has its address for its id.

use super::{Attachment, Email, InboxQuery, Mailbox, Summary, Thread, Upstream, UpstreamError, inbox::Looked};
use crate::{
    bell::upstream::HANDLED,
    domain::id::{MailboxId, MessageId, ThreadId},
    store::received::{Received, ReceivedQuery},
};

impl Upstream {
    /// Their mailboxes, by address.
    pub(super) async fn received_mailboxes(&self) -> Result<Vec<Mailbox>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(Vec::new()) };
        Ok(received.received_mailboxes().await?.into_iter().map(mailbox).collect())
    }

    /// Whether messages of theirs came to `address`.
    pub(super) async fn is_received(&self, address: &str) -> Result<bool, UpstreamError> {
        Ok(self.received_mailboxes().await?.iter().any(|mailbox| mailbox.address == address))
    }

    /// A message with its text, if it is one of these. It is marked read here, and nowhere else.
    pub(super) async fn received_email(&self, id: &MessageId) -> Result<Option<Email>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(None) };
        let Some((message, text)) = received.received(id).await? else { return Ok(None) };
        if !message.is_read {
            received.mark_received_read(id).await?;
        }
        let files = message.fields.files.iter().map(|file| Attachment {
            name: file.name.clone(),
            content_type: file.content_type.clone(),
            size_bytes: file.size_bytes,
        });
        Ok(Some(Email {
            text,
            extracted_text: None,
            verdict: None,
            attachments: files.collect(),
            notes: message.fields.notes.clone(),
            summary: summary(message),
        }))
    }

    /// A thread of these.
    pub(super) async fn received_thread(&self, id: &ThreadId) -> Result<Option<Thread>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(None) };
        let messages: Vec<Summary> = received.received_thread(id).await?.into_iter().map(summary).collect();
        Ok((!messages.is_empty()).then(|| Thread { id: id.clone(), messages }))
    }

    /// Tags a message, if it is one of these; answers with all that it has then.
    pub(super) async fn tag_received(
        &self,
        id: &MessageId,
        add: &[String],
        remove: &[String],
    ) -> Result<Option<Vec<String>>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(None) };
        Ok(received.tag_received(id, add, remove).await?)
    }

    /// The mailbox of a message, if it is one of these.
    pub(super) async fn mailbox_of_received(&self, id: &MessageId) -> Result<Option<Mailbox>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(None) };
        Ok(received.received(id).await?.map(|(message, _)| mailbox(message.mailbox)))
    }

    /// A page of a mailbox of theirs.
    pub(super) async fn list_received(&self, address: &str, query: &InboxQuery) -> Result<Looked, UpstreamError> {
        let (Some(received), false) = (&self.received, query.direction == Some("outbound")) else {
            return Ok(Looked { messages: Vec::new(), horizon: None });
        };
        let wanted = query.limit_with_seen();
        let asked = ReceivedQuery {
            mailbox: address.to_owned(),
            until: query.cursor.as_ref().map(super::InboxCursor::before),
            thread_id: query.thread_id.clone(),
            unread_only: query.unread_only,
            sender: query.sender.clone(),
            subject_contains: query.subject_contains.clone(),
            tag: query.tag.clone(),
            without_tag: query.unhandled_only.then(|| HANDLED.to_owned()),
            limit: wanted,
        };
        let found: Vec<Summary> = received.list_received(&asked).await?.into_iter().map(summary).collect();
        let more = found.len() as u64 >= u64::from(wanted);
        let horizon = found.last().filter(|_| more).and_then(|last| last.received_at);
        Ok(Looked { messages: found.into_iter().filter(|message| query.still_to_show(message)).collect(), horizon })
    }
}

fn mailbox(address: String) -> Mailbox {
    Mailbox { id: MailboxId::new(&*address), address, display_name: None }
}

fn summary(message: Received) -> Summary {
    let fields = message.fields;
    Summary {
        id: message.id,
        mailbox: mailbox(message.mailbox),
        thread_id: Some(message.thread_id),
        direction: Some("inbound".to_owned()),
        status: Some(if message.is_read { "read" } else { "unread" }.to_owned()),
        from: fields.from,
        from_name: fields.from_name,
        to: fields.to,
        cc: fields.cc,
        subject: fields.subject,
        snippet: Some(fields.snippet),
        received_at: Some(message.received_at),
        auto: Some(fields.auto),
        sender_written_to_before: None,
        report: message.report,
        has_attachments: !fields.files.is_empty(),
        tags: Some(message.tags),
    }
}
