//! Sending by the mail API, and the list of addresses that are not written to.

use serde_json::{Map, Value, json};

use super::{
    Mailbox, Upstream, UpstreamError,
    received::{self, Home},
    wire,
};
use crate::domain::{
    clock::UnixMillis,
    id::{MessageId, ThreadId},
    oversight::Change,
};

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom; a reply goes to whom the message answered says.
    pub to: Vec<String>,
    /// Copies.
    pub cc: Vec<String>,
    /// Copies that the others do not see.
    pub bcc: Vec<String>,
    /// The subject; a reply has the one of the message answered.
    pub subject: Option<String>,
    /// The text, in Markdown.
    pub markdown: String,
    /// Names the request: a second one with this name sends nothing more.
    pub idempotency_key: Option<String>,
    /// When to send it.
    pub send_at: Option<UnixMillis>,
}

impl Outgoing {
    /// What is left out is not said at all: APIs differ in what they make of a null.
    fn body(&self) -> Value {
        let mut body = Map::from_iter([("markdown".to_owned(), json!(self.markdown))]);
        for (name, list) in [("to", &self.to), ("cc", &self.cc), ("bcc", &self.bcc)] {
            if !list.is_empty() {
                body.insert(name.to_owned(), json!(list));
            }
        }
        for (name, text) in [("subject", &self.subject), ("idempotency_key", &self.idempotency_key)] {
            if let Some(text) = text {
                body.insert(name.to_owned(), json!(text));
            }
        }
        if let Some(send_at) = self.send_at {
            body.insert("send_at".to_owned(), json!(send_at));
        }
        body.into()
    }
}

/// A message that the API took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// Its thread, where the API tells it.
    pub thread_id: Option<ThreadId>,
    /// In the API's words, such as `pending_scan`, `scheduled` or `already_sent`.
    pub status: String,
}

/// What came of asking for another try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// In the API's words.
    pub status: String,
    /// When it is tried.
    pub next_attempt_at: Option<UnixMillis>,
}

/// An address that is not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The address.
    pub address: String,
    /// Such as `bounce`, `complaint` or `manual`.
    pub reason: Option<String>,
    /// More words on why.
    pub note: Option<String>,
    /// Since when.
    pub created_at: Option<UnixMillis>,
}

/// A page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionPage {
    /// The newest first.
    pub suppressions: Vec<Suppression>,
    /// Where the next page begins.
    pub cursor: Option<String>,
}

impl Upstream {
    /// Sends a message from the mailbox of that address, or from the only one there is.
    pub async fn send(&self, mailbox: Option<&str>, outgoing: &Outgoing) -> Result<Sent, UpstreamError> {
        let mailbox = if let Some(named) = mailbox {
            match self.mailbox_at(named).await {
                Err(UpstreamError::NoMailbox(address)) if self.is_received(&address).await? => {
                    return Err(UpstreamError::NotOffered("sending from a mailbox whose mail only comes in here"));
                }
                found => found?,
            }
        } else {
            let mut mailboxes = self.api_mailboxes().await?;
            if mailboxes.len() > 1 {
                return Err(UpstreamError::WhichMailbox);
            }
            mailboxes.pop().ok_or_else(|| UpstreamError::NoMailbox("at all".to_owned()))?
        };
        let path = ["v1", "mailboxes", mailbox.id.as_str(), "send"];
        let body: wire::SentBody =
            self.change(Change::new("POST", &path, outgoing.body()).of(&mailbox.address)).await?;
        self.sent(&mailbox, body).await
    }

    /// Replies to a message, from the mailbox that it is in.
    pub async fn reply(&self, to: &MessageId, outgoing: &Outgoing) -> Result<Sent, UpstreamError> {
        let mailbox = match self.home(to).await? {
            Home::Received(_, message) => return Err(self.no_reply_to(&message).await),
            Home::Api => self.mailbox_of(to).await?,
        };
        let path = ["v1", "mailboxes", mailbox.id.as_str(), "reply", to.as_str()];
        let body: wire::SentBody =
            self.change(Change::new("POST", &path, outgoing.body()).of(&mailbox.address)).await?;
        self.sent(&mailbox, body).await
    }

    /// Has one recipient of a message tried again.
    pub async fn retry(&self, id: &MessageId, recipient: &str, delay_secs: u64) -> Result<Retry, UpstreamError> {
        let mailbox = match self.home(id).await? {
            Home::Received(..) => return Err(UpstreamError::NotOffered("trying a message again that came in")),
            Home::Api => self.mailbox_of(id).await?,
        };
        let path = ["v1", "mailboxes", mailbox.id.as_str(), "emails", id.as_str(), "retry"];
        let body = json!({ "recipient": recipient, "delay_secs": delay_secs });
        let body: wire::RetryBody = self
            .change(Change::new("POST", &path, body).of(&mailbox.address))
            .await
            .map_err(offered("trying a recipient again"))?;
        Ok(Retry { status: body.status.unwrap_or_default(), next_attempt_at: body.next_attempt_at })
    }

    /// Has an address written to no more.
    pub async fn suppress(&self, address: &str, reason: Option<&str>) -> Result<Suppression, UpstreamError> {
        let body = json!({ "address": address, "email_address": address, "reason": reason });
        let body: wire::SuppressionBody = self
            .change(Change::new("POST", &["v1", "suppression"], body))
            .await
            .map_err(offered("suppressing an address"))?;
        body.suppression().ok_or(UpstreamError::Unreadable("a suppression without an address"))
    }

    /// A page of the addresses that are not written to.
    pub async fn suppressions(&self, cursor: Option<&str>, limit: u32) -> Result<SuppressionPage, UpstreamError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        let page: wire::Suppressions = self.client.get(&["v1", "suppression"], &query).await?;
        let suppressions = page.suppressions.into_iter().filter_map(wire::SuppressionBody::suppression).collect();
        Ok(SuppressionPage { suppressions, cursor: page.cursor })
    }

    /// The mailbox that a message is in. Its tags are asked for and not the message: that would mark it read.
    pub async fn mailbox_of(&self, id: &MessageId) -> Result<Mailbox, UpstreamError> {
        if let Home::Received(_, message) = self.home(id).await? {
            return Ok(received::mailbox(message.mailbox));
        }
        Ok(self.get_of_message::<wire::Tags>(id, &["tags"]).await?.0)
    }

    async fn sent(&self, mailbox: &Mailbox, body: wire::SentBody) -> Result<Sent, UpstreamError> {
        let sent = body.sent().ok_or(UpstreamError::Unreadable("a sent message without an id"))?;
        self.remember_ids(&mailbox.id, std::slice::from_ref(&sent.id)).await;
        Ok(sent)
    }
}

/// For `map_err`: an API that knows no such path does not offer `what`.
fn offered(what: &'static str) -> impl FnOnce(UpstreamError) -> UpstreamError {
    move |error| if error.is_unknown_here() { UpstreamError::NotOffered(what) } else { error }
}
