//! What a batch of one source's events has to know of the log before it is appended: one question, and one row for an answer.
//!
//! It is asked in the transaction that appends. Nothing else writes meanwhile, so what it finds holds until the commit: the
//! insert meets no conflict, and answers with one place instead of a row for each event.
//!
//! Mail that came in is told by a webhook, or after an absence by the API's list, which knows no event ids. So between those
//! two the message says whether it is the same event; two webhooks about one message are told apart by their event ids, as ever.

use std::collections::HashMap;

use sqlx::Row as _;

use super::{
    audit::{self, End},
    recent::{Arrival, LogState, Recent},
    sql,
};
use crate::{
    domain::{
        cursor::Seq,
        event::{Auth, Detail, NewEvent},
        id::{MessageId, SourceName},
    },
    store::{StoreError, failed, turn::Turn},
};

/// The column at which the state of the log begins.
const STATE_AT: usize = 8;

/// What was found.
pub(super) struct Prior {
    /// The number of the source.
    pub(super) origin: i64,
    /// The version of the sources.
    pub(super) roster: i64,
    /// Where the audit record ends.
    pub(super) end: End,
    /// The last place that was given to an event: the next follow it.
    pub(super) last: Seq,
    /// Where events were that retention has removed.
    removed: HashMap<String, Seq>,
    /// Where those are that are in the log.
    held: HashMap<String, Seq>,
    /// Where arrivals of messages stand.
    arrived: HashMap<String, Standing>,
}

#[derive(Default)]
struct Standing {
    listed: Option<Seq>,
    first: Option<Seq>,
}

impl Prior {
    /// Looks for what is known of `events`, all told by `source`, and by an API's list if they are `listed`; of the newest ones in `recent`,
    /// which it brings up to date.
    pub(super) async fn at<'e>(
        turn: &mut Turn<'_>,
        recent: &mut Recent,
        source: &SourceName,
        listed: bool,
        events: impl Iterator<Item = &'e NewEvent>,
    ) -> Result<Self, StoreError> {
        let doing = "look up what is known of what was told";
        let (mut ids, mut messages) = (Vec::new(), Vec::new());
        for event in events {
            ids.push(event.event_id.as_str());
            messages.extend(message(event));
        }
        let json = |texts: &[&str]| serde_json::to_string(texts).expect("a list of texts is JSON");
        let rows = turn.ask(sql::log::LOOK, doing, |look| {
            let messages = (!messages.is_empty()).then(|| json(&messages));
            // What was posted is compared with what was listed alone, which is little.
            let (all, of_lists) = if listed { (messages, None) } else { (None, messages) };
            look.bind(source.as_str()).bind(json(&ids)).bind(all).bind(of_lists)
        });
        let rows = rows.await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound).map_err(failed(doing))?;
        let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
        let (origin, roster, id, mac): (Option<i64>, i64, Option<i64>, Option<Vec<u8>>) =
            read().map_err(failed(doing))?;
        let read = || Ok((row.try_get(4)?, row.try_get(5)?, row.try_get(6)?, row.try_get(7)?));
        let (last, known, arrived, removed): (i64, &str, &str, i64) = read().map_err(failed(doing))?;
        let unread =
            |_| StoreError::Corrupt { table: "events", row: "a list".into(), why: "SQLite made no JSON of it" };
        let known: Vec<(String, i64)> = serde_json::from_str(known).map_err(unread)?;
        let arrived: Vec<(String, i64, bool)> = serde_json::from_str(arrived).map_err(unread)?;
        let state = LogState::read(row, STATE_AT).map_err(failed(doing))?;
        let origin = if let Some(origin) = origin {
            origin
        } else {
            let added = sqlx::query_scalar(sql::log::ADD_ORIGIN).bind(source.as_str()).fetch_one(turn.conn().await?);
            added.await.map_err(failed("number a source"))?
        };
        let end = audit::stored_end(id.zip(mac));
        let mut look = Self {
            origin,
            roster,
            end,
            last: Seq(last),
            removed: HashMap::new(),
            held: HashMap::new(),
            arrived: HashMap::new(),
        };
        for (id, seq) in known {
            let places = if seq <= removed { &mut look.removed } else { &mut look.held };
            places.insert(id, Seq(seq));
        }
        for (message, seq, listed) in arrived {
            look.note_arrival(&message, Arrival { seq: Seq(seq), listed });
        }
        recent.follow(turn.conn().await?, &state).await?;
        for id in ids {
            if let Some(seq) = recent.place(source, id) {
                look.held.insert(id.to_owned(), seq);
            }
        }
        for message in messages {
            for arrival in recent.arrivals(source, message) {
                look.note_arrival(message, *arrival);
            }
        }
        Ok(look)
    }

    fn note_arrival(&mut self, message: &str, Arrival { seq, listed }: Arrival) {
        let standing = self.arrived.entry(message.to_owned()).or_default();
        standing.first.get_or_insert(seq);
        if listed {
            standing.listed.get_or_insert(seq);
        }
    }

    /// Where the event was told before: where it was, if retention has removed it; or where the other way of telling has told
    /// of the same arrival.
    pub(super) fn place(&self, auth: Auth, event: &NewEvent) -> Option<Seq> {
        let removed = self.removed.get(event.event_id.as_str()).copied();
        removed.or_else(|| {
            let standing = self.arrived.get(message(event)?)?;
            if auth == Auth::Api { standing.first } else { standing.listed }
        })
    }

    /// Where the event of this id is in the log.
    pub(super) fn holds(&self, event: &NewEvent) -> Option<Seq> {
        self.held.get(event.event_id.as_str()).copied()
    }
}

/// The message that `event` says came in.
pub(super) fn message(event: &NewEvent) -> Option<&str> {
    matches!(event.detail, Detail::Inbound { .. }).then_some(event.message_id.as_ref().map(MessageId::as_str)).flatten()
}
