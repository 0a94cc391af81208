//! What came into a mailbox since a message that is known.

use super::{Mailbox, PAGE_MAX, Summary, Upstream, UpstreamError, wire};
use crate::domain::id::MessageId;

/// A page of what came into a mailbox, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrivals {
    /// The messages.
    pub messages: Vec<Summary>,
    /// The API's cursor, where there are older ones.
    pub cursor: Option<String>,
}

impl Upstream {
    /// A page of what came into `mailbox`: at most `limit` messages, those after `since` where the API knows how to tell,
    /// and those beyond `cursor`, which is an earlier page's. None is marked read by this.
    pub async fn arrivals(
        &self,
        mailbox: &Mailbox,
        since: Option<&MessageId>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Arrivals, UpstreamError> {
        let mut query = vec![("direction", "inbound".to_owned()), ("limit", limit.clamp(1, PAGE_MAX).to_string())];
        query.extend(since.map(|id| ("since_id", id.to_string())));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        let path = ["v1", "mailboxes", mailbox.id.as_str(), "emails"];
        let mut page: wire::Page = self.client.get(&path, &query).await?;
        let mut messages: Vec<Summary> = page.take().iter().filter_map(|body| body.summary(mailbox)).collect();
        self.remember(&mailbox.id, &messages).await;
        messages.retain(Summary::is_inbound);
        Ok(Arrivals { messages, cursor: page.cursor })
    }
}
