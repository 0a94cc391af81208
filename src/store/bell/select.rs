//! Builds the one shape of query that reads events by filter, so that every one of them walks an index in order of seq.
//!
//! Why text is built: SQLite's planner, left to itself, takes the kind's index where a mailbox is given too and walks
//! the whole log (200 times slower at a million events). So the sharpest part of a filter drives, and a unary `+` keeps
//! the others away from the indexes. Kinds, alone or beside a mailbox or a domain, become one arm each, which SQLite merges
//! in order; `kind IN (…)` would sort. Each arm begins at the place of its kind, so that a kind which a busy mailbox had
//! long ago, or never, is not looked for among all its others.
//!
//! Where an [index of our own](super::indexing) drives, the newest events are one more arm, read as they lie.

use super::sql;
use crate::{
    domain::{
        clock::BootTime,
        cursor::Seq,
        event::{EventFilter, EventKind},
        id::{ActionId, MessageId, ThreadId},
    },
    store::{
        log::Order,
        statement::{Bind, Statement},
    },
};

/// The columns whose index goes on with the kind.
const BESIDE_KIND: [&str; 2] = ["mailbox", "domain"];
/// The columns that have an index of our own, with its name.
const OWN_INDEXES: [(&str, &str); 3] =
    [("message_id", "event_messages"), ("thread_id", "event_threads"), ("mailbox", "event_mailboxes")];
/// From where to where those are to be read.
const REMOVED_THROUGH: &str = sql::indexes::BEYOND;
const INDEXED_THROUGH: &str = sql::indexes::THROUGH;

/// The index of our own over `column`.
fn own_index(column: &str) -> Option<&'static str> {
    OWN_INDEXES.iter().find(|(of, _)| *of == column).map(|(_, index)| *index)
}

/// Which events to read.
#[derive(Debug, Clone)]
pub(super) struct Select<'a> {
    /// What to read of `events e`; the first column must be `e.seq`.
    pub(super) columns: &'a str,
    /// The kinds to read, in place of the filter's; none takes all.
    pub(super) kinds: &'a [EventKind],
    /// The rest of the filter.
    pub(super) filter: &'a EventFilter,
    /// Only those later than this.
    pub(super) after: Seq,
    /// Only those earlier than this.
    pub(super) before: Option<Seq>,
    /// More conditions on `e`.
    pub(super) also: Option<&'a Statement>,
    pub(super) order: Order,
    pub(super) limit: u32,
}

impl Statement {
    /// Adds conditions that are checked row by row; the `+` keeps them away from the indexes.
    fn narrow(&mut self, given: &[(&str, &str)], kinds: &[EventKind]) {
        let Self { text, binds } = self;
        for (column, value) in given {
            text.push_str(" AND +e.");
            text.push_str(column);
            text.push_str(" = ?");
            binds.push(Bind::Text((*value).to_owned()));
        }
        if !kinds.is_empty() {
            text.push_str(" AND +e.kind IN (?");
            text.push_str(&", ?".repeat(kinds.len() - 1));
            text.push(')');
            binds.extend(kinds.iter().map(|kind| Bind::Text(kind.as_str().to_owned())));
        }
    }

    /// Adds what the reader may see of the events in `table`, checked row by row.
    fn within(&mut self, filter: &EventFilter, table: &str) {
        let Some(mailboxes) = filter.within.named() else { return };
        self.text.push_str(" AND +");
        self.text.push_str(table);
        self.text.push_str(".mailbox IN (SELECT value FROM json_each(?))");
        self.binds.push(Bind::Text(serde_json::Value::from(mailboxes).to_string()));
    }
}

impl Select<'_> {
    pub(super) fn statement(&self) -> Statement {
        let given = given(self.filter);
        let arms: Vec<&[EventKind]> = match given.first() {
            // Few events have it, whatever their kinds.
            Some((column, _)) if !BESIDE_KIND.contains(column) => vec![self.kinds],
            Some(_) if self.kinds.is_empty() => EventKind::ALL.chunks(1).collect(),
            None if self.kinds.is_empty() => vec![self.kinds],
            _ => self.kinds.chunks(1).collect(),
        };
        let mut statement = Statement { text: String::new(), binds: Vec::new() };
        let index = given.first().and_then(|(column, _)| own_index(column));
        for kinds in arms {
            if !statement.text.is_empty() {
                statement.text.push_str(" UNION ALL ");
            }
            match index {
                Some(index) => self.indexed_arm(&mut statement, index, &given, kinds),
                None => self.arm(&mut statement, &given, kinds),
            }
        }
        if index.is_some() {
            statement.text.push_str(" UNION ALL ");
            self.newest_arm(&mut statement, &given);
        }
        let direction = match self.order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        statement.text.push_str(" ORDER BY 1 ");
        statement.text.push_str(direction);
        statement.text.push_str(" LIMIT +?");
        statement.binds.push(Bind::Int(i64::from(self.limit)));
        statement
    }

    fn arm(&self, statement: &mut Statement, given: &[(&str, &str)], kinds: &[EventKind]) {
        let Statement { text, binds } = statement;
        text.push_str("SELECT ");
        text.push_str(self.columns);
        text.push_str(" FROM events e");
        // Between two places the planner takes the kind's index even so, and the whole log's events of that kind with it.
        if let ([_], Some((column, _))) = (kinds, given.first())
            && BESIDE_KIND.contains(column)
        {
            text.push_str(" INDEXED BY events_");
            text.push_str(column);
        }
        text.push_str(" WHERE e.seq > ?");
        binds.push(Bind::Int(self.after.0));
        if let Some(before) = self.before {
            text.push_str(" AND e.seq < ?");
            binds.push(Bind::Int(before.0));
        }
        if let Some(((column, value), others)) = given.split_first() {
            text.push_str(" AND e.");
            text.push_str(column);
            text.push_str(" = ?");
            binds.push(Bind::Text((*value).to_owned()));
            if let [kind] = kinds
                && BESIDE_KIND.contains(column)
            {
                text.push_str(" AND e.kind = ?");
                binds.push(Bind::Text(kind.as_str().to_owned()));
                statement.narrow(others, &[]);
            } else {
                statement.narrow(others, kinds);
            }
        } else if let [kind] = kinds {
            text.push_str(" AND e.kind = ?");
            binds.push(Bind::Text(kind.as_str().to_owned()));
        } else {
            statement.narrow(&[], kinds);
        }
        self.end_arm(statement);
    }

    /// Those that `index`, one of our own, knows. In order of its places, which are the events'.
    fn indexed_arm(&self, statement: &mut Statement, index: &str, given: &[(&str, &str)], kinds: &[EventKind]) {
        let Some(((column, value), others)) = given.split_first() else { return };
        let Statement { text, binds } = statement;
        let more_columns = self.columns.strip_prefix("e.seq").expect("the first column is the place");
        text.push_str("SELECT i.seq");
        text.push_str(more_columns);
        text.push_str(" FROM ");
        text.push_str(index);
        text.push_str(" i CROSS JOIN events e ON e.seq = i.seq WHERE i.");
        text.push_str(column);
        // One bound at either end: SQLite walks an index up to one of two, and on from there.
        text.push_str(" = ? AND i.seq > max(?, ");
        text.push_str(REMOVED_THROUGH);
        text.push_str(") AND i.seq <= ");
        binds.extend([Bind::Text((*value).to_owned()), Bind::Int(self.after.0)]);
        if let Some(before) = self.before {
            text.push_str("min(?, ");
            binds.push(Bind::Int(before.0.saturating_sub(1)));
        }
        text.push_str(INDEXED_THROUGH);
        if self.before.is_some() {
            text.push(')');
        }
        if let [kind] = kinds
            && BESIDE_KIND.contains(column)
        {
            text.push_str(" AND i.kind = ?");
            binds.push(Bind::Text(kind.as_str().to_owned()));
            statement.narrow(others, &[]);
        } else {
            statement.narrow(others, kinds);
        }
        self.end_arm(statement);
    }

    /// Those that no index of our own knows yet.
    fn newest_arm(&self, statement: &mut Statement, given: &[(&str, &str)]) {
        let Statement { text, binds } = statement;
        text.push_str("SELECT ");
        text.push_str(self.columns);
        text.push_str(" FROM events e WHERE e.seq > max(?, ");
        binds.push(Bind::Int(self.after.0));
        text.push_str(INDEXED_THROUGH);
        text.push(')');
        if let Some(before) = self.before {
            text.push_str(" AND e.seq < ?");
            binds.push(Bind::Int(before.0));
        }
        statement.narrow(given, self.kinds);
        self.end_arm(statement);
    }

    /// Adds what holds for each arm.
    fn end_arm(&self, statement: &mut Statement) {
        statement.within(self.filter, "e");
        let Statement { text, binds } = statement;
        if let Some(also) = self.also {
            text.push_str(" AND ");
            text.push_str(&also.text);
            binds.extend(also.binds.iter().cloned());
        }
    }
}

/// What a filter asks of columns other than the kind, the sharpest first.
fn given(filter: &EventFilter) -> Vec<(&'static str, &str)> {
    // Of a reader that sees one mailbox, that drives.
    let only = match filter.within.named() {
        Some([only]) => Some(only.as_str()),
        _ => None,
    };
    [
        ("action_id", filter.action_id.as_ref().map(ActionId::as_str)),
        ("message_id", filter.message_id.as_ref().map(MessageId::as_str)),
        ("thread_id", filter.thread_id.as_ref().map(ThreadId::as_str)),
        ("mailbox", filter.mailbox.as_deref().or(only)),
        ("domain", filter.domain.as_deref()),
    ]
    .into_iter()
    .filter_map(|(column, value)| Some((column, value?)))
    .collect()
}

/// The first `limit` events that a consumer may have again, of those that `filter` (its kinds included) matches.
pub(super) fn freed(consumer: i64, filter: &EventFilter, claimant: Claimant<'_>, limit: u32) -> Statement {
    let Claimant { now, .. } = claimant;
    let binds = vec![Bind::Int(consumer), Bind::Text(now.boot_id.clone()), Bind::Int(now.millis)];
    let mut statement = Statement { text: sql::claims::FREED.to_owned(), binds };
    statement.narrow(&given(filter), &filter.kinds);
    statement.within(filter, "e");
    statement.text.push_str(" AND ");
    statement.append(in_order(consumer, filter, claimant));
    statement.text.push_str(" ORDER BY c.seq LIMIT +?");
    statement.binds.push(Bind::Int(i64::from(limit)));
    statement
}

/// Who claims, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant<'a> {
    /// The holder, where that is one worker.
    pub(super) worker: Option<&'a str>,
    pub(super) now: &'a BootTime,
}

/// The condition on `events e` that a consumer was never handed it; with `claimant`, also that nothing earlier of its thread
/// stands in the way of a claim by `filter` (its kinds included).
pub(super) fn unclaimed(consumer: i64, filter: &EventFilter, claimant: Option<Claimant<'_>>) -> Statement {
    let mut statement = Statement { text: sql::claims::NEVER_CLAIMED.to_owned(), binds: vec![Bind::Int(consumer)] };
    if let Some(claimant) = claimant {
        statement.text.push_str(" AND ");
        statement.append(in_order(consumer, filter, claimant));
    }
    statement
}

fn in_order(consumer: i64, filter: &EventFilter, Claimant { worker, now }: Claimant<'_>) -> Statement {
    let worker = worker.map_or(Bind::Null, |worker| Bind::Text(worker.to_owned()));
    let binds = vec![Bind::Int(consumer), Bind::Text(now.boot_id.clone()), Bind::Int(now.millis), worker];
    let mut statement = Statement { text: sql::claims::IN_ORDER.to_owned(), binds };
    for (column, value) in given(filter) {
        statement.text.push_str(" AND x.");
        statement.text.push_str(column);
        statement.text.push_str(" = ?");
        statement.binds.push(Bind::Text(value.to_owned()));
    }
    if !filter.kinds.is_empty() {
        statement.text.push_str(" AND x.kind IN (?");
        statement.text.push_str(&", ?".repeat(filter.kinds.len() - 1));
        statement.text.push(')');
        statement.binds.extend(filter.kinds.iter().map(|kind| Bind::Text(kind.as_str().to_owned())));
    }
    statement.within(filter, "x");
    statement.text.push_str(sql::claims::IN_ORDER_END);
    statement
}

/// `kinds` in one order, each once; empty where all are named, because then they do not narrow.
pub(super) fn narrowing(kinds: &[EventKind]) -> Vec<EventKind> {
    let mut kinds = kinds.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() == EventKind::ALL.len() {
        kinds.clear();
    }
    kinds
}
