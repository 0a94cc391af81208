//! Mail that came in while nobody listened, as the API's lists tell of it.
//!
//! Each mailbox has a mark: the newest message seen there. A look lists what is newer and appends it, the oldest first, as
//! the events that the webhook would have brought; the log knows by the message what a webhook has told, before or after.
//! Only then the mark moves, so a look that ends halfway is repeated and does no harm.
//!
//! The first look at an API only sets marks: what was there before us is no news. A mailbox that a later look finds without
//! a mark was made since, and gives what came in since the look before.

use std::{sync::Arc, time::Duration};

use super::Trouble;
use crate::{
    bell::{
        sources::multimail,
        upstream::{Mailbox, PAGE_MAX, Summary, Upstream},
        webhooks::SOURCE,
    },
    domain::{
        clock::{Clock, UnixMillis},
        event::{Auth, NewEvent},
        id::SourceName,
    },
    store::{
        hosted::{HostedApis, Mark},
        log::{EventLog, Ingested},
    },
    wake::Bell,
};

/// Messages in memory at once: a summary is about 2 KiB, so this is 10 MiB. More than these are appended batch by batch,
/// the newest batch first.
const HELD_MAX: usize = 5_000;
/// Pages read of one mailbox in one look, against an API that never stops: 100,000 messages.
const PAGES_MAX: usize = 1_000;
/// Events appended at once: what one transaction takes in a few milliseconds.
const APPEND_MAX: usize = 100;
/// How far before the mark a message may be dated and still be new: two servers of one service may differ by so much.
const DISORDER: Duration = Duration::from_mins(10);
/// How far their clock and ours may differ.
const CLOCK_SKEW: Duration = Duration::from_hours(1);
/// States of what came in and is kept from its mailbox: the webhook would not have told of it either.
const WITHHELD: [&str; 5] = ["pending_inbound_approval", "rejected", "spam_quarantined", "spam_flagged", "deleted"];

pub(super) struct Missed {
    api: String,
    upstream: Arc<Upstream>,
    log: Arc<dyn EventLog>,
    apis: Arc<dyn HostedApis>,
    bell: Bell,
    clock: Arc<dyn Clock>,
}

impl Missed {
    pub(super) fn new(
        api: String,
        upstream: Arc<Upstream>,
        log: Arc<dyn EventLog>,
        apis: Arc<dyn HostedApis>,
        bell: Bell,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { api, upstream, log, apis, bell, clock }
    }

    /// Brings what was missed into the log.
    pub(super) async fn bring(&self) -> Result<(), Trouble> {
        let before = self.apis.hosted(&self.api).await?.and_then(|known| known.looked_at);
        let mut fresh = 0;
        for mailbox in self.upstream.api_mailboxes().await? {
            fresh += match (self.apis.mark(&self.api, &mailbox.id).await?, before) {
                (Some(mark), _) => {
                    let not_before = mark.received_at.map(|at| at.minus(DISORDER));
                    self.bring_since(&mailbox, &mark, not_before).await?
                }
                (None, Some(at)) => self.bring_since(&mailbox, &Mark::default(), Some(at.minus(CLOCK_SKEW))).await?,
                (None, None) => {
                    let newest = self.upstream.arrivals(&mailbox, None, None, 1).await?.messages;
                    self.apis.keep_mark(&self.api, &mailbox.id, &mark_of(newest.first())).await?;
                    0
                }
            };
        }
        if fresh > 0 {
            tracing::info!(events = fresh, "brought mail into the log that came in while nobody listened");
        }
        Ok(())
    }

    /// Brings what came into `mailbox` after `mark`, and not before `not_before`; answers with how much was new.
    async fn bring_since(
        &self,
        mailbox: &Mailbox,
        mark: &Mark,
        not_before: Option<UnixMillis>,
    ) -> Result<usize, Trouble> {
        let (mut held, mut newest, mut cursor, mut fresh) = (Vec::new(), None, None, 0);
        for _ in 0..PAGES_MAX {
            let page = self.upstream.arrivals(mailbox, mark.newest.as_ref(), cursor.as_deref(), PAGE_MAX).await?;
            newest = newest.or_else(|| page.messages.first().cloned());
            let listed = page.messages.len();
            // An API may not know `since_id`, or no longer know the message.
            let new = page.messages.into_iter().take_while(|message| Some(&message.id) != mark.newest.as_ref());
            let new: Vec<_> =
                new.filter(|message| message.received_at.is_none_or(|at| Some(at) >= not_before)).collect();
            let reached = new.len() < listed;
            held.extend(new);
            let again = page.cursor == cursor;
            cursor = page.cursor.filter(|_| !again && !reached);
            if cursor.is_none() {
                break;
            }
            if held.len() >= HELD_MAX {
                fresh += self.append(mailbox, std::mem::take(&mut held)).await?;
            }
        }
        if cursor.is_some() {
            tracing::warn!(mailbox.id = %mailbox.id, "more than {PAGES_MAX} pages came in; the oldest are left out");
        }
        fresh += self.append(mailbox, held).await?;
        if newest.is_some() {
            self.apis.keep_mark(&self.api, &mailbox.id, &mark_of(newest.as_ref())).await?;
        }
        Ok(fresh)
    }

    /// Appends messages that stand newest first; answers with how many the log did not know.
    async fn append(&self, mailbox: &Mailbox, messages: Vec<Summary>) -> Result<usize, Trouble> {
        let now = self.clock.now();
        let mut events: Vec<NewEvent> = messages.iter().rev().filter_map(|message| event(message, now)).collect();
        let mut fresh = 0;
        while !events.is_empty() {
            let later = events.split_off(events.len().min(APPEND_MAX));
            let some = std::mem::replace(&mut events, later);
            let ingested = self.log.append(&SourceName::new(SOURCE), Auth::Api, now, some).await?;
            let new = ingested.iter().filter(|one| matches!(one, Ingested::Fresh(_))).count();
            if new > 0 {
                self.bell.ring_event(Some(&mailbox.address));
            }
            fresh += new;
        }
        Ok(fresh)
    }
}

fn mark_of(newest: Option<&Summary>) -> Mark {
    Mark { newest: newest.map(|message| message.id.clone()), received_at: newest.and_then(|it| it.received_at) }
}

/// The event that tells of `message`, read as the webhook's body would be: with the same words and the same limits.
fn event(message: &Summary, now: UnixMillis) -> Option<NewEvent> {
    // What a report reports is gone with its webhook: a list does not hold it.
    if message.report || message.status.as_deref().is_some_and(|status| WITHHELD.contains(&status)) {
        return None;
    }
    let body = serde_json::json!({
        "event_type": "inbound",
        "message_id": message.id,
        "mailbox": message.mailbox.address,
        "thread_id": message.thread_id,
        "timestamp": message.received_at.unwrap_or(now),
        "from": message.from,
        "from_name": message.from_name,
        "to": message.to,
        "subject": message.subject,
        "snippet": message.snippet,
        "auto": message.auto,
    });
    multimail::listed(&body)
        .inspect_err(|malformed| tracing::warn!(%malformed, "a message in the mail API's list makes no event"))
        .ok()
}
