//! What is counted, for Prometheus: how much of what, never whose. No label holds an address or a text of a stranger's.
//!
//! Like the log, these counts are one set a process: whoever does something worth counting tells it here, and nobody is handed
//! them. What lies in the databases is not counted along the way but looked up when somebody asks ([`Look`]), so it is also
//! true right after a start.

mod look;
pub mod table;

use std::{
    collections::BTreeSet,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub use self::{
    look::{ConsumerLook, Look, MailLook},
    table::{Described, Kind, TABLE},
};

/// What the answer is called: OpenMetrics, which Prometheus reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Names that a label may have of one sort, such as sources; what comes later counts as `other`.
const NAMES_MAX: usize = 50;
/// What counts where a name has no label of its own.
const OTHER: &str = "other";
/// What a request to a source counts as that is not there.
pub const UNKNOWN: &str = "unknown";
/// Bounds of times, in seconds: from a commit in memory to a post that is given up.
const SECONDS: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Labels = Vec<(&'static str, String)>;
type Times = Family<Labels, Histogram, fn() -> Histogram>;

static COUNTS: LazyLock<Counts> = LazyLock::new(Counts::new);

struct Counts {
    registry: Registry,
    requests: Family<Labels, Counter>,
    events: Family<Labels, Counter>,
    waits: Gauge,
    waited: Family<Labels, Counter>,
    posts: Family<Labels, Counter>,
    post_seconds: Times,
    mail_in: Family<Labels, Counter>,
    smtp_sessions: Gauge,
    smtp_ended: Family<Labels, Counter>,
    smtp_refusals: Family<Labels, Counter>,
    mail_out: Family<Labels, Counter>,
    commit_seconds: Times,
    flush_seconds: Times,
    /// Sources that have a label of their own.
    sources: Mutex<BTreeSet<String>>,
}

fn times() -> Times {
    Family::new_with_constructor(|| Histogram::new(SECONDS))
}

impl Counts {
    fn new() -> Self {
        let counts = Self {
            registry: Registry::default(),
            requests: Family::default(),
            events: Family::default(),
            waits: Gauge::default(),
            waited: Family::default(),
            posts: Family::default(),
            post_seconds: times(),
            mail_in: Family::default(),
            smtp_sessions: Gauge::default(),
            smtp_ended: Family::default(),
            smtp_refusals: Family::default(),
            mail_out: Family::default(),
            commit_seconds: times(),
            flush_seconds: times(),
            sources: Mutex::default(),
        };
        let mut registry = Registry::default();
        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        table::register(&mut registry, "build_info", build);
        table::register(&mut registry, "ingest_requests", counts.requests.clone());
        table::register(&mut registry, "ingest_events", counts.events.clone());
        table::register(&mut registry, "waits", counts.waits.clone());
        table::register(&mut registry, "waits_ended", counts.waited.clone());
        table::register(&mut registry, "webhook_posts", counts.posts.clone());
        table::register(&mut registry, "webhook_post_seconds", counts.post_seconds.clone());
        table::register(&mut registry, "mail_in", counts.mail_in.clone());
        table::register(&mut registry, "smtp_sessions", counts.smtp_sessions.clone());
        table::register(&mut registry, "smtp_sessions_ended", counts.smtp_ended.clone());
        table::register(&mut registry, "smtp_refusals", counts.smtp_refusals.clone());
        table::register(&mut registry, "mail_out", counts.mail_out.clone());
        table::register(&mut registry, "store_commit_seconds", counts.commit_seconds.clone());
        table::register(&mut registry, "store_flush_seconds", counts.flush_seconds.clone());
        Self { registry, ..counts }
    }

    fn source(&self, name: &str) -> String {
        let mut known = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        bounded(&mut known, name)
    }
}

/// `name` as a label: itself for the first of them, if it could be nobody's address.
fn bounded(known: &mut BTreeSet<String>, name: &str) -> String {
    if !known.contains(name) {
        if name.contains('@') || known.len() >= NAMES_MAX {
            return OTHER.to_owned();
        }
        known.insert(name.to_owned());
    }
    name.to_owned()
}

/// A source, which is there or [`UNKNOWN`], made a request, and that is what came of it.
pub fn request(source: &str, result: &'static str) {
    let labels = vec![("source", COUNTS.source(source)), ("result", result.to_owned())];
    COUNTS.requests.get_or_create(&labels).inc();
}

/// A source told of events.
pub fn events(source: &str, result: &'static str, count: usize) {
    if count > 0 {
        let labels = vec![("source", COUNTS.source(source)), ("result", result.to_owned())];
        COUNTS.events.get_or_create(&labels).inc_by(count as u64);
    }
}

/// A wait that goes on until this is dropped.
pub struct InProgress(());

/// A wait has begun.
pub fn wait() -> InProgress {
    COUNTS.waits.inc();
    InProgress(())
}

impl InProgress {
    /// It has ended by itself.
    pub fn ended(self, result: &'static str) {
        COUNTS.waited.get_or_create(&vec![("result", result.to_owned())]).inc();
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        COUNTS.waits.dec();
    }
}

/// A webhook was posted.
pub fn post(result: &'static str, took: Duration) {
    COUNTS.posts.get_or_create(&vec![("result", result.to_owned())]).inc();
    COUNTS.post_seconds.get_or_create(&Vec::new()).observe(took.as_secs_f64());
}

/// A message, or a recipient of one, came in by SMTP or LMTP or from a mailbox here.
pub fn mail_in(result: &'static str) {
    COUNTS.mail_in.get_or_create(&vec![("result", result.to_owned())]).inc();
}

/// An SMTP session that is open until this is dropped.
pub struct SmtpSession(());

/// A peer has connected by SMTP or LMTP, and there is room for it.
pub fn smtp_session() -> SmtpSession {
    COUNTS.smtp_sessions.inc();
    SmtpSession(())
}

impl Drop for SmtpSession {
    fn drop(&mut self) {
        COUNTS.smtp_sessions.dec();
    }
}

/// An SMTP session has ended, or was not begun.
pub fn smtp_ended(result: &'static str) {
    COUNTS.smtp_ended.get_or_create(&vec![("result", result.to_owned())]).inc();
}

/// An SMTP session has refused something, with this enhanced status code.
pub fn smtp_refusal(status: &'static str) {
    COUNTS.smtp_refusals.get_or_create(&vec![("status", status.to_owned())]).inc();
}

/// A message was tried for a recipient.
pub fn mail_out(result: &'static str) {
    COUNTS.mail_out.get_or_create(&vec![("result", result.to_owned())]).inc();
}

/// Commits were brought to the disk.
pub fn flush(database: &'static str, took: Duration) {
    COUNTS.flush_seconds.get_or_create(&vec![("database", database.to_owned())]).observe(took.as_secs_f64());
}

/// A transaction was committed.
pub fn commit(database: &'static str, took: Duration) {
    COUNTS.commit_seconds.get_or_create(&vec![("database", database.to_owned())]).observe(took.as_secs_f64());
}

/// All of it as OpenMetrics, with what `look` found.
pub fn told(look: &Look) -> String {
    let mut text = String::new();
    let told = encode_registry(&mut text, &COUNTS.registry)
        .and_then(|()| encode_registry(&mut text, &look.registry()))
        .and_then(|()| encode_eof(&mut text));
    told.expect("a text takes what is written to it");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_end_and_none_is_an_address() {
        let mut known = BTreeSet::new();
        assert_eq!(bounded(&mut known, "ann@example.com"), OTHER);
        for n in 0..NAMES_MAX {
            assert_eq!(bounded(&mut known, &format!("s{n}")), format!("s{n}"));
        }
        assert_eq!(bounded(&mut known, "one-more"), OTHER);
        assert_eq!(bounded(&mut known, "s0"), "s0");
    }
}
