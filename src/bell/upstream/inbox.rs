//! Lists of messages: one mailbox, or all of them merged with the newest first.
//!
//! Why a cursor of our own: the API's cursors end where its pages end, while a merged or shortened list ends anywhere. Ours is
//! a moment and the messages shown of that moment; the API is asked for what is not later, and those are left out.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{HANDLED, Mailbox, Summary, Upstream, UpstreamError, wire};
use crate::domain::{
    address::as_logged,
    clock::UnixMillis,
    grant::Mailboxes,
    id::{MessageId, ThreadId},
};

/// Messages in a page, at most: as many as the API gives.
pub const PAGE_MAX: u32 = 100;
/// Mailboxes merged in one list, at most: each costs a request.
pub const MAILBOXES_MERGED_MAX: usize = 50;
/// Requests at once for a merged list.
const REQUESTS_AT_ONCE: usize = 4;
/// Pages of the API read for one page of ours where filters that the API does not know throw much away.
const PAGES_PER_LIST_MAX: usize = 5;
/// Messages of one moment that a cursor names; more share a millisecond only where somebody imports in bulk.
const SEEN_MAX: usize = 20;

/// Which messages to list.
#[derive(Debug, Clone, Default)]
pub struct InboxQuery {
    /// Of the mailbox of this address; of all without.
    pub mailbox: Option<String>,
    /// Of these mailboxes, where none is named.
    pub within: Mailboxes,
    /// Of this thread.
    pub thread_id: Option<ThreadId>,
    /// Only unread ones.
    pub unread_only: bool,
    /// Only those without the tag `handled`.
    pub unhandled_only: bool,
    /// Whose sender contains this.
    pub sender: Option<String>,
    /// Whose subject contains this.
    pub subject_contains: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<&'static str>,
    /// Carrying this tag.
    pub tag: Option<String>,
    /// At most so many, up to [`PAGE_MAX`].
    pub limit: u32,
    /// Goes on after an earlier page.
    pub cursor: Option<InboxCursor>,
}

/// A page of messages, the newest first.
#[derive(Debug, Clone)]
pub struct InboxPage {
    /// The messages.
    pub messages: Vec<Summary>,
    /// What the reader should know of this list.
    pub notes: Vec<&'static str>,
    /// Down to which moment all mailboxes were looked through, where something older may be left.
    horizon: Option<UnixMillis>,
    /// Whether messages were found beyond those that the page holds.
    cut: bool,
}

impl InboxPage {
    /// The cursor after the first `shown` messages of this page, which `previous` led to; none where nothing follows.
    pub fn cursor(&self, previous: Option<&InboxCursor>, shown: usize) -> Option<InboxCursor> {
        let shown = &self.messages[..shown.min(self.messages.len())];
        let whole = shown.len() == self.messages.len() && !self.cut;
        let before = if whole { self.horizon } else { shown.last()?.received_at }?;
        Some(InboxCursor::at(before, previous, shown))
    }
}

/// "Everything later than this moment, and of this moment these, has been shown."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxCursor {
    before: UnixMillis,
    seen: Vec<MessageId>,
}

const VERSION: &str = "i1";

impl InboxCursor {
    fn at(before: UnixMillis, previous: Option<&Self>, shown: &[Summary]) -> Self {
        let of_this_moment = shown.iter().filter(|message| message.received_at == Some(before));
        let mut seen: Vec<MessageId> = of_this_moment.map(|message| message.id.clone()).collect();
        if let Some(previous) = previous.filter(|previous| previous.before == before) {
            seen.extend(previous.seen.iter().cloned());
        }
        seen.truncate(SEEN_MAX);
        Self { before, seen }
    }

    /// Everything later than this was shown.
    pub(super) fn before(&self) -> UnixMillis {
        self.before
    }

    fn leaves_out(&self, message: &Summary) -> bool {
        message.received_at.is_some_and(|at| at > self.before) || self.seen.contains(&message.id)
    }
}

impl fmt::Display for InboxCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen: Vec<&str> = self.seen.iter().map(MessageId::as_str).collect();
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{VERSION}\n{}\n{}", self.before.0, seen.join("\n"))))
    }
}

impl FromStr for InboxCursor {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| UpstreamError::NotACursor)?;
        let plain = String::from_utf8(bytes).map_err(|_| UpstreamError::NotACursor)?;
        let mut lines = plain.split('\n');
        let (Some(VERSION), Some(before)) = (lines.next(), lines.next()) else {
            return Err(UpstreamError::NotACursor);
        };
        let before = before.parse().map_err(|_| UpstreamError::NotACursor)?;
        Ok(Self { before: UnixMillis(before), seen: lines.take(SEEN_MAX).map(MessageId::new).collect() })
    }
}

impl Upstream {
    /// A page of messages, the newest first: of one mailbox, or of all.
    pub async fn check_inbox(&self, query: &InboxQuery) -> Result<InboxPage, UpstreamError> {
        let mut notes = Vec::new();
        let mut received = self.received_mailboxes().await?;
        let mut mailboxes = match &query.mailbox {
            Some(address) => {
                let asked = as_logged(address);
                received.retain(|mailbox| mailbox.address == asked);
                match self.mailbox_at(address).await {
                    Ok(mailbox) => vec![mailbox],
                    // It is none of the API's, or the API cannot be asked: those that came otherwise are here.
                    Err(_) if !received.is_empty() => Vec::new(),
                    Err(error) => return Err(error),
                }
            }
            None => self.api_mailboxes().await?,
        };
        mailboxes.retain(|mailbox| query.within.holds(&mailbox.address));
        received.retain(|mailbox| query.within.holds(&mailbox.address));
        if mailboxes.len() > MAILBOXES_MERGED_MAX {
            mailboxes.truncate(MAILBOXES_MERGED_MAX);
            notes.push("only the first 50 mailboxes were looked at; name one in `mailbox`");
        }
        let mut lists: Vec<Looked> = futures::stream::iter(mailboxes)
            .map(|mailbox| async move { self.list(&mailbox, query).await })
            .buffered(REQUESTS_AT_ONCE)
            .try_collect()
            .await?;
        for mailbox in received.iter().take(MAILBOXES_MERGED_MAX) {
            lists.push(self.list_received(&mailbox.address, query).await?);
        }
        let horizon = lists.iter().filter_map(|list| list.horizon).max();
        let mut messages: Vec<Summary> = lists.into_iter().flat_map(|list| list.messages).collect();
        messages.sort_by(|a, b| (b.received_at, &b.id).cmp(&(a.received_at, &a.id)));
        // Older ones of one mailbox wait until the others have been looked through as far.
        messages.retain(|message| message.received_at >= horizon);
        let cut = messages.len() > limit(query) as usize;
        messages.truncate(limit(query) as usize);
        if (query.unhandled_only || query.tag.is_some()) && messages.iter().any(|message| message.tags.is_none()) {
            notes.push("the mail API does not tell tags in lists, so the tag filter was not applied");
        }
        Ok(InboxPage { messages, notes, horizon, cut })
    }

    /// At least `query.limit` messages of one mailbox, or as many as are found in a few pages.
    async fn list(&self, mailbox: &Mailbox, query: &InboxQuery) -> Result<Looked, UpstreamError> {
        let path = ["v1", "mailboxes", mailbox.id.as_str(), "emails"];
        let mut parameters = parameters(query);
        let mut messages = Vec::new();
        let mut horizon = None;
        for _ in 0..PAGES_PER_LIST_MAX {
            let mut page: wire::Page = self.client.get(&path, &parameters).await.map_err(|error| {
                if error.is_not_found() { UpstreamError::NoMailbox(mailbox.address.clone()) } else { error }
            })?;
            let found: Vec<Summary> = page.take().iter().filter_map(|body| body.summary(mailbox)).collect();
            self.remember(&mailbox.id, &found).await;
            let end = found.is_empty();
            horizon = found.iter().rev().find_map(|message| message.received_at).or(horizon);
            messages.extend(found.into_iter().filter(|message| wanted(query, message)));
            let Some(cursor) = page.cursor.filter(|_| !end) else {
                return Ok(Looked { messages, horizon: None });
            };
            if messages.len() >= limit(query) as usize {
                break;
            }
            // The API does not know some of the filters, or there would have been enough: look further at once.
            parameters.retain(|(name, _)| !["cursor", "limit"].contains(name));
            parameters.extend([("cursor", cursor), ("limit", PAGE_MAX.to_string())]);
        }
        Ok(Looked { messages, horizon })
    }
}

/// What was found in one mailbox, and down to which moment it was looked through where there may be more.
pub(super) struct Looked {
    pub(super) messages: Vec<Summary>,
    pub(super) horizon: Option<UnixMillis>,
}

impl InboxQuery {
    /// How many to look for, so that a page is full although some were shown before.
    pub(super) fn limit_with_seen(&self) -> u32 {
        let seen = self.cursor.as_ref().map_or(0, |cursor| cursor.seen.len());
        limit(self).saturating_add(u32::try_from(seen).unwrap_or(0))
    }

    /// Whether no earlier page showed `message`.
    pub(super) fn still_to_show(&self, message: &Summary) -> bool {
        self.cursor.as_ref().is_none_or(|cursor| !cursor.leaves_out(message))
    }
}

fn limit(query: &InboxQuery) -> u32 {
    query.limit.clamp(1, PAGE_MAX)
}

fn parameters(query: &InboxQuery) -> Vec<(&'static str, String)> {
    let mut parameters = vec![("limit", query.limit_with_seen().min(PAGE_MAX).to_string())];
    let mut add = |name, value: Option<String>| parameters.extend(value.map(|value| (name, value)));
    add("thread_id", query.thread_id.as_ref().map(ToString::to_string));
    add("status", query.unread_only.then(|| "unread".to_owned()));
    add("without_tag", query.unhandled_only.then(|| HANDLED.to_owned()));
    add("sender", query.sender.clone());
    add("subject_contains", query.subject_contains.clone());
    add("direction", query.direction.map(str::to_owned));
    add("tag", query.tag.clone());
    // One later than the last shown: whether the API means "before" with or without the moment itself is not said.
    add("date_before", query.cursor.as_ref().map(|cursor| UnixMillis(cursor.before.0.saturating_add(1)).to_string()));
    parameters
}

/// The part of the query that an API may not know and silently ignore.
fn wanted(query: &InboxQuery, message: &Summary) -> bool {
    let has = |tag: &str| message.tags.as_ref().map(|tags| tags.contains_key(tag));
    query.thread_id.as_ref().is_none_or(|thread| message.thread_id.as_ref() == Some(thread))
        && (!query.unread_only || message.status.as_deref().is_none_or(|status| status == "unread"))
        && (!query.unhandled_only || has(HANDLED) != Some(true))
        && query.tag.as_ref().is_none_or(|tag| has(tag) != Some(false))
        && query.direction.is_none_or(|direction| message.direction.as_deref().is_none_or(|is| is == direction))
        && query.still_to_show(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back(before in any::<i64>(), seen in proptest::collection::vec("[A-Za-z0-9_]{1,30}", 0..20)) {
            let cursor = InboxCursor { before: UnixMillis(before), seen: seen.into_iter().map(MessageId::new).collect() };
            let back: InboxCursor = cursor.to_string().parse().expect("a cursor of ours");
            // An empty list and a list of one empty id look the same; no id is empty.
            let seen: Vec<_> = back.seen.into_iter().filter(|id| !id.as_str().is_empty()).collect();
            prop_assert_eq!((back.before, seen), (cursor.before, cursor.seen));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<InboxCursor>();
        }
    }
}
