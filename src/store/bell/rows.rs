//! Events as rows of the log: as many as a batch brings by one statement.

use std::sync::{Arc, LazyLock};

use super::{
    append::{EventRow, Fresh},
    audit, sql,
};
use crate::{
    domain::{
        cursor::Seq,
        event::{Detail, NewEvent},
    },
    store::{
        StoreError,
        many::{CHUNK, sizes},
        turn::{Bound, Turn},
    },
};

/// What an event is found by; what is bound to statements, and kept, shares its texts.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) seq: Seq,
    /// The number of the source.
    pub(super) origin: i64,
    pub(super) event_id: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) message_id: Option<Arc<str>>,
    pub(super) thread_id: Option<Arc<str>>,
    pub(super) mailbox: Option<Arc<str>>,
}

impl Keys {
    /// Those of `event`, with the kind's text from `kinds` where that is the one before it.
    pub(super) fn of(event: &NewEvent, origin: i64, seq: Seq, kinds: &mut Again) -> Self {
        Self {
            seq,
            origin,
            event_id: text(event.event_id.as_str()),
            kind: kinds.text(event.detail.kind().as_str()),
            message_id: event.message_id.as_ref().map(|id| text(id.as_str())),
            thread_id: event.thread_id.as_ref().map(|id| text(id.as_str())),
            mailbox: event.mailbox.as_deref().map(text),
        }
    }
}

/// Values of a row.
const COLUMNS: usize = 13;
/// Rows of a statement at most.
pub(super) const ROWS_MAX: usize = 256;

/// The text, which also adds to the audit record, for each number of rows that a statement has room for: 1 to 16, then 32, 48 and so on.
pub(super) static INSERTS: LazyLock<Vec<String>> = LazyLock::new(|| sizes().map(sql::log::insert_events).collect());

/// One statement takes any batch of up to [`ROWS_MAX`] rows: it has room for a multiple of [`CHUNK`], and leaves empty what is not
/// needed. How many of `rows` rows the next statement inserts, how many more it has room for, and its text.
pub(super) fn chunk(rows: usize) -> (usize, usize, &'static str) {
    let len = rows.min(ROWS_MAX);
    let chunks = len.div_ceil(CHUNK);
    let (room, place) = if chunks < 2 { (len, len - 1) } else { (chunks * CHUNK, CHUNK + chunks - 2) };
    (len, room - len, INSERTS[place].as_str())
}

/// Inserts events that are not in the log, and `entry` of the audit record; where that is the `whole` of it, the transaction may end
/// along with it.
pub(super) async fn insert(
    turn: &mut Turn<'_>,
    rows: &[Fresh<'_>],
    mut entry: Option<audit::Added>,
    whole: bool,
) -> Result<(), StoreError> {
    if rows.is_empty()
        && let Some(entry) = entry.take()
    {
        return entry.add(turn, whole).await;
    }
    let mut rest = rows;
    while !rest.is_empty() {
        let (len, room, statement) = chunk(rest.len());
        let (now, later) = rest.split_at(len);
        rest = later;
        let bind = |query| bind_all(audit::bind(query, entry.take()), now, room);
        let last = turn.run(statement, whole && rest.is_empty(), "append to the event log", bind).await?;
        // Under the write lock, one statement's places follow each other.
        debug_assert_eq!(now.last().map(|row| row.keys.seq.0), Some(last));
    }
    Ok(())
}

fn bind_all<'q>(mut query: Bound<'q>, rows: &[Fresh<'_>], room: usize) -> Bound<'q> {
    let mut domains = Again::default();
    let mut auths = Again::default();
    for Fresh { post, row, keys } in rows {
        let EventRow { event, detail, .. } = row;
        let domain = event.mailbox.as_deref().and_then(|mailbox| mailbox.rsplit_once('@')).map(|(_, domain)| domain);
        let action = match &event.detail {
            Detail::Approval { action_id, .. } => Some(action_id.as_str()),
            _ => None,
        };
        query = query
            .bind(keys.origin)
            .bind(keys.event_id.clone())
            .bind(keys.kind.clone())
            .bind(keys.mailbox.clone())
            .bind(domain.map(|domain| domains.text(domain)))
            .bind(keys.message_id.clone())
            .bind(keys.thread_id.clone())
            .bind(action.map(text))
            .bind(event.timestamp.0)
            .bind(post.received_at.0)
            .bind(auths.text(post.auth.as_str()))
            .bind(event.provider_kind.as_deref().map(text))
            .bind(text(detail));
    }
    (0..room * COLUMNS).fold(query, |query, _| query.bind(None::<i64>))
}

/// sqlx makes two allocations of a borrowed text, and one of this.
fn text(text: &str) -> Arc<str> {
    text.into()
}

/// A text that is mostly the one before it, and then shared with that.
#[derive(Default)]
pub(super) struct Again(Option<Arc<str>>);

impl Again {
    fn text(&mut self, text: &str) -> Arc<str> {
        match &self.0 {
            Some(before) if **before == *text => before.clone(),
            _ => self.0.insert(text.into()).clone(),
        }
    }
}
