//! The statements whose text is fixed, by topic, so that a test can prepare each of them.

macro_rules! event_columns {
    () => {
        "e.seq, (SELECT name FROM origins WHERE id = e.origin), e.event_id, e.mailbox, e.message_id, e.thread_id, \
         e.timestamp, e.received_at, e.auth, e.provider_kind, e.detail"
    };
}
macro_rules! head {
    () => {
        // Retention may have taken the newest event too, so the tail has a say.
        "max(tail - 1, coalesce((SELECT max(seq) FROM events), 0))"
    };
}
/// The last place whose event is in the indexes of our own.
macro_rules! indexed_through {
    () => {
        "(SELECT through FROM indexed WHERE only = 1)"
    };
}
/// The last place that retention has removed: the indexes of our own may still hold what was before it.
macro_rules! removed_through {
    () => {
        "(SELECT tail - 1 FROM log WHERE only = 1)"
    };
}
/// Spelled as in the partial index, or SQLite would not use it.
macro_rules! open {
    () => {
        "c.state IN ('free', 'leased')"
    };
}

/// That a lease, or a pause, is over: boot, millis of now.
macro_rules! over {
    () => {
        "(c.lease_boot IS NULL OR c.lease_boot <> ? OR c.lease_deadline_millis <= ?)"
    };
}

pub(super) mod audit;
pub(super) mod claims;
pub(super) mod indexes;
pub(super) mod log;
pub(super) mod oversight;
pub(super) mod retention;
pub(super) mod sources;
pub(super) mod tokens;

/// Every statement here; a test prepares each.
#[cfg(test)]
pub(super) const ALL: &[&[&str]] =
    &[audit::ALL, claims::ALL, indexes::ALL, log::ALL, oversight::ALL, retention::ALL, sources::ALL, tokens::ALL];
