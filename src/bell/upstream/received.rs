//! Messages that came without the mail API, shown among its own: by the same calls, in the same words.
//!
//! They are in `bell.db`, so these calls ask no service, unless a provider still has the text or a file ([`super::provider`]). A mailbox of theirs has its address for its id.

use std::{collections::BTreeMap, sync::Arc};

use super::{InboxQuery, Mailbox, Summary, Thread, Upstream, UpstreamError, inbox::Looked};
use crate::{
    bell::{fetch::Fetch, letter::ReadLetter, oversight::Pass, upstream::HANDLED},
    domain::{
        clock::Clock,
        id::{MailboxId, MessageId, ThreadId},
        oversight::Change,
    },
    store::{
        received::{Received, ReceivedMail, ReceivedQuery},
        sources::Sources,
    },
};

/// Messages that came without the API, and how what their provider still has is got.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the part of its name")]
pub struct Elsewhere {
    pub mail: Arc<dyn ReceivedMail>,
    pub sources: Arc<dyn Sources>,
    pub fetch: Arc<dyn Fetch>,
    pub clock: Arc<dyn Clock>,
    pub read_letter: ReadLetter,
}

/// Where a message is read from.
pub(super) enum Home<'a> {
    /// From what was received without the API.
    Received(&'a Elsewhere, Box<Received>),
    /// From the API, which may not know it either.
    Api,
}

impl Upstream {
    /// Their mailboxes, by address.
    pub(super) async fn received_mailboxes(&self) -> Result<Vec<Mailbox>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(Vec::new()) };
        Ok(received.mail.received_mailboxes().await?.into_iter().map(mailbox).collect())
    }

    /// Whether messages of theirs came to `address`.
    pub(super) async fn is_received(&self, address: &str) -> Result<bool, UpstreamError> {
        Ok(self.received_mailboxes().await?.iter().any(|mailbox| mailbox.address == address))
    }

    /// A thread of these.
    pub(super) async fn received_thread(&self, id: &ThreadId) -> Result<Option<Thread>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(None) };
        let messages: Vec<Summary> = received.mail.received_thread(id).await?.into_iter().map(summary).collect();
        Ok((!messages.is_empty()).then(|| Thread { id: id.clone(), messages }))
    }

    /// Where a message is read from: the one place that decides it. What came without the API stands here under ids that no
    /// API of ours gives; all else is the API's, be that the embedded service's or a hosted one's.
    pub(super) async fn home(&self, id: &MessageId) -> Result<Home<'_>, UpstreamError> {
        let Some(received) = &self.received else { return Ok(Home::Api) };
        let found = received.mail.received(id).await?;
        Ok(found.map_or(Home::Api, |message| Home::Received(received, Box::new(message))))
    }

    /// Tags a message of these, as the API would: each change passes the gate. Answers with all that it has then.
    pub(super) async fn tag_received(
        &self,
        received: &Elsewhere,
        message: Box<Received>,
        add: &[String],
        remove: &[String],
    ) -> Result<Vec<String>, UpstreamError> {
        let Received { id, mailbox, mut tags, .. } = *message;
        let path = ["v1", "mailboxes", &mailbox, "emails", id.as_str(), "tags"];
        if !add.is_empty() {
            let before = tags.clone();
            tags.extend(add.iter().map(|name| (name.clone(), "true".to_owned())));
            let change = Change::new("PUT", &path, serde_json::json!({ "tags": tags })).of(&mailbox);
            self.admitted(change, before).await?;
            received.mail.tag_received(&id, add, &[]).await?;
        }
        for name in remove {
            if tags.remove(name).is_some() {
                let path = [&path[..], &[name]].concat();
                let change = Change::new("DELETE", &path, serde_json::Value::Null).of(&mailbox);
                self.admitted(change, BTreeMap::new()).await?;
                received.mail.tag_received(&id, &[], std::slice::from_ref(name)).await?;
            }
        }
        Ok(tags.into_keys().collect())
    }

    /// Does what an operator has approved, where it is about a message of these; whether it is.
    pub(super) async fn is_done_here(&self, pass: &Pass) -> Result<bool, UpstreamError> {
        let Change { method, path, body, .. } = pass.change();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let ["v1", "mailboxes", _, "emails", id, "tags", rest @ ..] = &path[..] else { return Ok(false) };
        let id = MessageId::new(*id);
        let Home::Received(received, _) = self.home(&id).await? else { return Ok(false) };
        match (method.as_str(), rest) {
            ("PUT", []) => {
                let add = body.get("tags").and_then(serde_json::Value::as_object);
                let add: Vec<String> = add.into_iter().flatten().map(|(name, _)| name.clone()).collect();
                received.mail.tag_received(&id, &add, &[]).await?;
            }
            ("DELETE", [name]) => {
                received.mail.tag_received(&id, &[], &[(*name).to_owned()]).await?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Why a message of these is not replied to, and what to do instead.
    pub(super) async fn no_reply_to(&self, message: &Received) -> UpstreamError {
        let address = &message.mailbox;
        match self.api_mailboxes().await {
            Ok(ours) if ours.iter().any(|one| one.address == *address) => UpstreamError::NoReplyButSend,
            _ => UpstreamError::NoReply,
        }
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
        let found: Vec<Summary> = received.mail.list_received(&asked).await?.into_iter().map(summary).collect();
        let more = found.len() as u64 >= u64::from(wanted);
        let horizon = found.last().filter(|_| more).and_then(|last| last.received_at);
        Ok(Looked { messages: found.into_iter().filter(|message| query.still_to_show(message)).collect(), horizon })
    }
}

pub(super) fn mailbox(address: String) -> Mailbox {
    Mailbox { id: MailboxId::new(&*address), address, display_name: None }
}

pub(super) fn summary(message: Received) -> Summary {
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
