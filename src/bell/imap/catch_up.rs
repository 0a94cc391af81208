//! Brings what is new in a folder into the log, in bounded batches, each stored with how far the folder is read by it.
//!
//! The first look only takes a place: mail that was there before the source was added is no news. Its newest messages are
//! remembered all the same, because a change of UIDVALIDITY, as after a restored backup, makes every message look new. Then
//! the whole folder is looked through once more, and what is known by its identity is passed over.

use std::{collections::HashMap, time::Duration};

use super::{
    Parts,
    folder::{HEADER_BYTES_MAX, Head, Opened, set},
    session::Session,
    settings::Settings,
    told_by,
    trouble::Trouble,
};
use crate::{
    bell::letter::{self, Letter},
    domain::{
        clock::UnixMillis,
        event::{Detail, NewEvent},
        id::{EventId, MessageId, ThreadId},
    },
    signing::digest::sha256,
    store::received::{Haul, Identity, NewMessage, NewReceived, Place, Watched},
};

/// Messages whose beginnings are read at once.
const BATCH_MAX: usize = 50;
/// Messages are stored together up to so many bytes, or one by one where each is larger.
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Messages that are remembered at the first look, the newest: a few MiB of headers.
const REMEMBERED_MAX: u32 = 1_000;
/// For reading one message; what takes longer is kept by its headers.
const READING_TIME_MAX: Duration = Duration::from_secs(30);

/// A folder that is caught up with.
pub(super) struct CatchUp<'a> {
    pub(super) parts: &'a Parts,
    pub(super) settings: &'a Settings,
    pub(super) watched: &'a Watched,
}

/// A message that was begun to be read.
struct Begun {
    head: Head,
    identity: Identity,
    is_news: bool,
}

impl CatchUp<'_> {
    /// Opens the folder and brings what is new in it.
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Trouble> {
        let opened = session.examine(&self.watched.folder, self.settings.mark_seen).await?;
        let validity = opened.uid_validity.ok_or_else(|| Trouble::NoUids(self.watched.folder.clone()))?;
        let folders = self.parts.folders.folders(&self.watched.source).await?;
        let known = folders.into_iter().find(|state| state.folder == self.watched.folder);
        let (mut place, mut no_news) = match known.and_then(|state| state.place) {
            Some(place) if place.uid_validity == validity => (place, Vec::new()),
            Some(place) => (self.after_change(session, &opened, validity, place).await?, Vec::new()),
            None => self.first_look(session, &opened, validity).await?,
        };
        loop {
            let uids = session.uids_after(place.last_uid).await?;
            if uids.is_empty() {
                // Stored also where nothing is new: the trouble, if there was any, is over.
                self.take(place, std::mem::take(&mut no_news), Vec::new()).await?;
                return Ok(());
            }
            for some in uids.chunks(BATCH_MAX) {
                self.bring(session, &mut place, some, std::mem::take(&mut no_news)).await?;
            }
        }
    }

    /// Brings what is new in the folder that is open; answers with whether anything was.
    pub(super) async fn go_on(&self, session: &mut Session) -> Result<bool, Trouble> {
        let folders = self.parts.folders.folders(&self.watched.source).await?;
        let known = folders.into_iter().find(|state| state.folder == self.watched.folder);
        let Some(mut place) = known.and_then(|state| state.place) else { return Ok(false) };
        let uids = session.uids_after(place.last_uid).await?;
        for some in uids.chunks(BATCH_MAX) {
            self.bring(session, &mut place, some, Vec::new()).await?;
        }
        Ok(!uids.is_empty())
    }

    /// The place from which a folder is read at first, and what of it is remembered.
    async fn first_look(
        &self,
        session: &mut Session,
        opened: &Opened,
        uid_validity: u32,
    ) -> Result<(Place, Vec<Identity>), Trouble> {
        // INTERNALDATE has whole seconds.
        let added = UnixMillis(self.watched.added_at.0 / 1000 * 1000);
        let mut heads = Vec::new();
        let mut from = opened.exists.saturating_sub(REMEMBERED_MAX - 1).max(1);
        while from <= opened.exists {
            let to = from.saturating_add(u32::try_from(BATCH_MAX).unwrap_or(1) - 1).min(opened.exists);
            let some = session.heads(&format!("{from}:{to}"), false, BATCH_MAX).await?;
            heads.extend(some.into_iter().map(|head| (head.uid, head.date, identity(&head))));
            let Some(next) = to.checked_add(1) else { break };
            from = next;
        }
        // What came since the source was added is news already.
        let first_news =
            heads.iter().filter(|(_, date, _)| date.is_some_and(|date| date >= added)).map(|(uid, ..)| *uid).min();
        let newest = heads.iter().map(|(uid, ..)| *uid).max().unwrap_or(0);
        let next = opened.uid_next.unwrap_or(1).max(newest.saturating_add(1));
        let news_from = first_news.unwrap_or(next);
        heads.retain(|(uid, ..)| *uid < news_from);
        let newest_old = heads.iter().filter_map(|(_, date, _)| *date).max();
        let not_before = newest_old.map_or(UnixMillis(i64::MIN), |date| date.min(added));
        let place = Place { uid_validity, last_uid: news_from - 1, news_from, not_before };
        Ok((place, heads.into_iter().map(|(.., identity)| identity).collect()))
    }

    /// The place from which a folder is read whose UIDs mean others now.
    async fn after_change(
        &self,
        session: &mut Session,
        opened: &Opened,
        uid_validity: u32,
        before: Place,
    ) -> Result<Place, Trouble> {
        let news_from = match opened.uid_next {
            Some(next) => next,
            None => session.uids_after(0).await?.last().map_or(1, |last| last.saturating_add(1)),
        };
        tracing::info!(source = %self.watched.source, "a folder has a new UIDVALIDITY; looking through all of it");
        Ok(Place { uid_validity, last_uid: 0, news_from, not_before: before.not_before })
    }

    async fn bring(
        &self,
        session: &mut Session,
        place: &mut Place,
        uids: &[u32],
        mut no_news: Vec<Identity>,
    ) -> Result<(), Trouble> {
        let heads = session.heads(&set(uids), true, uids.len()).await?;
        let asked = |head: &Head| uids.binary_search(&head.uid).is_ok();
        let begun: Vec<(Head, Identity)> = heads
            .into_iter()
            .filter(asked)
            .map(|head| {
                let id = identity(&head);
                (head, id)
            })
            .collect();
        let ids: Vec<Identity> = begun.iter().map(|(_, id)| *id).collect();
        let known = self.parts.folders.known(&self.watched.source, &ids).await?;
        let Place { news_from, not_before, .. } = *place;
        let begun = begun.into_iter().map(|(head, identity)| {
            let old = head.uid < news_from && head.date.is_some_and(|date| date < not_before);
            Begun { is_news: !old && !known.contains(&identity), head, identity }
        });
        let (mut group, mut bytes): (Vec<Begun>, u64) = (Vec::new(), 0);
        for one in begun {
            let size = if one.is_news { u64::from(one.head.size) } else { 0 };
            if !group.is_empty() && bytes + size > BATCH_BYTES_MAX {
                self.store(session, place, std::mem::take(&mut group), std::mem::take(&mut no_news)).await?;
                bytes = 0;
            }
            bytes += size;
            group.push(one);
        }
        self.store(session, place, group, no_news).await?;
        // Those of a batch that are gone meanwhile are done with.
        if let Some(last) = uids.last().filter(|last| **last > place.last_uid) {
            place.last_uid = *last;
        }
        Ok(())
    }

    async fn store(
        &self,
        session: &mut Session,
        place: &mut Place,
        group: Vec<Begun>,
        mut no_news: Vec<Identity>,
    ) -> Result<(), Trouble> {
        let Some(last) = group.last().map(|begun| begun.head.uid) else { return Ok(()) };
        let fits = |begun: &&Begun| begun.is_news && begun.head.size <= self.settings.message_bytes_max;
        let whole: Vec<u32> = group.iter().filter(fits).map(|begun| begun.head.uid).collect();
        let bytes = group.iter().filter(fits).map(|begun| u64::from(begun.head.size)).sum();
        let mut bodies = if whole.is_empty() {
            HashMap::new()
        } else {
            session.bodies(&whole, bytes, self.settings.message_bytes_max).await?
        };
        let mut messages = Vec::new();
        for begun in group {
            if !begun.is_news {
                no_news.push(begun.identity);
                continue;
            }
            let body = bodies.remove(&begun.head.uid);
            // Asked for and not given: it was removed meanwhile.
            if body.is_some() || begun.head.size > self.settings.message_bytes_max {
                // Apart by a millisecond, so that those of one haul have an order in lists.
                let place = Duration::from_millis(messages.len() as u64);
                messages.push(self.message(begun, body, self.parts.clock.now().plus(place)).await);
            }
        }
        place.last_uid = place.last_uid.max(last);
        self.take(*place, no_news, messages).await?;
        if self.settings.mark_seen && !whole.is_empty() {
            session.mark_seen(&whole).await?;
        }
        Ok(())
    }

    async fn take(&self, place: Place, no_news: Vec<Identity>, messages: Vec<NewReceived>) -> Result<(), Trouble> {
        let haul = Haul {
            watched: self.watched.clone(),
            told_by: told_by(&self.watched.source),
            place,
            no_news,
            messages,
            now: self.parts.clock.now(),
        };
        for mailbox in self.parts.folders.take(haul).await? {
            self.parts.bell.ring_event(Some(&mailbox));
        }
        Ok(())
    }

    async fn message(&self, begun: Begun, body: Option<Vec<u8>>, received_at: UnixMillis) -> NewReceived {
        let Begun { head, identity, .. } = begun;
        let parts = self.parts;
        let whole = body.is_some();
        let raw = body.unwrap_or_else(|| head.header.clone());
        let mut letter =
            letter::read(parts.read_letter, raw, &parts.clock, READING_TIME_MAX, "it is in the mailbox still").await;
        if !whole {
            let note = format!(
                "the message has {} bytes, more than the {} that are read here: these are its headers alone",
                head.size, self.settings.message_bytes_max
            );
            letter.notes.push(note);
        }
        let id = MessageId::new(parts.ids.next("em_"));
        let details = if letter.reports.is_empty() { vec![inbound(&letter)] } else { letter.reports.clone() };
        let name = hex::encode(&identity[..16]);
        let event = |(nth, detail): (usize, Detail)| NewEvent {
            // The same for the same message, so that what retention removed stays known.
            event_id: EventId::new(if nth == 0 { format!("imap_{name}") } else { format!("imap_{name}_{nth}") }),
            mailbox: Some(self.settings.mailbox.clone()),
            message_id: Some(id.clone()),
            thread_id: None,
            timestamp: head.date.unwrap_or(received_at),
            provider_kind: None,
            detail,
        };
        let events = details.into_iter().enumerate().map(event).collect();
        let (internet_id, ancestors, report) =
            (letter.internet_id.take(), std::mem::take(&mut letter.ancestors), !letter.reports.is_empty());
        let (fields, content) = letter.kept();
        NewReceived {
            events,
            identity,
            message: NewMessage {
                mailbox: self.settings.mailbox.clone(),
                thread_id: ThreadId::new(parts.ids.next("thr_")),
                internet_id,
                ancestors,
                received_at,
                report,
                with_id: None,
                whole: true,
                id,
                fields,
                content,
            },
        }
    }
}

fn inbound(letter: &Letter) -> Detail {
    Detail::Inbound {
        from: letter.from.clone().unwrap_or_default(),
        from_name: letter.from_name.clone(),
        to: letter.to.clone(),
        subject: letter.subject.clone(),
        snippet: letter.snippet.clone(),
        auto: letter.auto,
    }
}

/// What a message is known by in whatever folder and under whatever UID: its header with the Message-ID, its size and how its
/// text begins. One without a Message-ID is told apart by when it came in as well.
fn identity(head: &Head) -> Identity {
    let named = head
        .header
        .split(|byte| *byte == b'\n')
        .any(|line| line.get(..11).is_some_and(|name| name.eq_ignore_ascii_case(b"message-id:")));
    let date = head.date.filter(|_| !named).map_or(0, |date| date.0);
    let mut all = Vec::with_capacity(head.header.len() + head.text.len() + 32);
    for part in [&head.header, &head.text] {
        all.extend((part.len() as u64).to_be_bytes());
        all.extend(part);
    }
    all.extend(head.size.to_be_bytes());
    all.extend(date.to_be_bytes());
    sha256(&all)
}

const _: () = assert!(HEADER_BYTES_MAX as u64 <= BATCH_BYTES_MAX);
