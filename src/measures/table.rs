//! Every measure: its name, its labels, what it tells. The code registers by it, and `docs/reference/metrics.md` is made of it.

use std::fmt::Write as _;

use prometheus_client::registry::{Metric, Registry};

/// How a measure moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It rises from the process's start on; its name on the wire ends in `_total`.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How often something took how long; on the wire it is `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// A measure.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Its name, without `mailbell_` and without what the wire puts at its end.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

const fn of(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind, labels, help }
}

use Kind::{Counter, Gauge, Histogram};

/// All of them.
pub const TABLE: &[Described] = &[
    of("build_info", Gauge, &["version"], "1, with the version as a label"),
    of("term", Gauge, &[], "The number of this keeper's term"),
    of("paused", Gauge, &[], "1 while the operator has everything but taking mail in stand still"),
    of("disk_free_bytes", Gauge, &[], "Room left for the data directory"),
    of(
        "ingest_requests",
        Counter,
        &["source", "result"],
        "Requests to the receiver: taken, quarantined, unauthenticated (the signature did not hold), unreadable, unknown_source, too_large, too_slow, broken, unset (set up wrongly), not_stored",
    ),
    of(
        "ingest_events",
        Counter,
        &["source", "result"],
        "Events that sources told: fresh, or duplicate (known already)",
    ),
    of("log_head", Gauge, &[], "The place of the newest event; places may skip"),
    of("log_tail", Gauge, &[], "The oldest place that retention has not removed"),
    of("quarantine", Gauge, &[], "Signed bodies kept that were not understood"),
    of("consumer_lag", Gauge, &["consumer"], "Events that a consumer has left, counted to a limit"),
    of("consumer_oldest_seconds", Gauge, &["consumer"], "For how long the oldest of those has been in the log"),
    of("consumer_leased", Gauge, &["consumer"], "Events that are with a worker now"),
    of("consumer_parked", Gauge, &["consumer"], "Events that are set aside"),
    of("waits", Gauge, &[], "Waits for events in this process now"),
    of("waits_ended", Counter, &["result"], "Waits that ended: events, timeout, cancelled, refused"),
    of("actions_pending", Gauge, &[], "Changes that wait for the operator"),
    of(
        "webhook_posts",
        Counter,
        &["result"],
        "Webhooks posted by the embedded service: delivered, retried, dead (given up), gone (the endpoint said so)",
    ),
    of("webhook_post_seconds", Histogram, &[], "How long a post took"),
    of("webhook_deliveries_pending", Gauge, &[], "Deliveries still owed to webhooks"),
    of("webhook_oldest_seconds", Gauge, &[], "For how long the oldest of those has been owed"),
    of("webhook_deliveries_dead", Gauge, &[], "Dead letters kept"),
    of("webhook_lines_failing", Gauge, &[], "Lines (an endpoint and a mailbox) whose last post failed"),
    of(
        "mail_in",
        Counter,
        &["result"],
        "Mail taken in by SMTP and LMTP and from mailboxes here: stored, no_space, failed; and recipients refused: no_mailbox, relay_denied, recipient_failed",
    ),
    of("smtp_sessions", Gauge, &[], "SMTP and LMTP sessions that are open now"),
    of(
        "smtp_sessions_ended",
        Counter,
        &["result"],
        "Sessions that ended: closed (the peer said QUIT, or was told to go), gone (without QUIT), failed (the connection broke), too_slow, shutdown, sent_away (too many at once)",
    ),
    of(
        "smtp_refusals",
        Counter,
        &["status"],
        "Commands, recipients and messages that a session refused, by the enhanced status code of the reply: 5.1.1 no such mailbox, 5.7.1 not our domain, 5.3.4 too large, 4.3.1 no room, 4.3.0 not stored, 5.4.6 in circles, 5.5.x not as the protocol has it",
    ),
    of(
        "mail_out",
        Counter,
        &["result"],
        "Tries of a recipient of mail that is sent: accepted, retried, failed (given up)",
    ),
    of("mail_queued", Gauge, &[], "Recipients of mail that is still to be sent"),
    of("mail_overdue_seconds", Gauge, &[], "For how long the next of those has been due"),
    of("suppressions", Gauge, &[], "Addresses that nothing is sent to"),
    of("store_commit_seconds", Histogram, &["database"], "How long a transaction took, with all that shared it"),
    of("store_flush_seconds", Histogram, &["database"], "How long a flush took, for all that was committed before it"),
];

/// Puts `metric` into `registry` under the words of the table.
pub(super) fn register(registry: &mut Registry, name: &'static str, metric: impl Metric) {
    let described = TABLE.iter().find(|described| described.name == name).expect("every measure is in the table");
    registry.register(format!("mailbell_{name}"), described.help, metric);
}

/// The table as a page.
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\nMade by `mailbell reference metrics`; a test holds it to the code.\n\n`GET /metrics` on the console listener (`127.0.0.1:7414`), as OpenMetrics. No label holds an address or a text\nof a stranger's. Of sources and consumers the first 50 names have a label of their own, the rest count as `other`. Counters begin\nat the process's start, gauges are looked up when they are asked for.\n\n| metric | type | labels | |\n|---|---|---|---|\n",
    );
    for Described { name, kind, labels, help } in TABLE {
        let (ending, kind) = match kind {
            Counter => ("_total", "counter"),
            Gauge => ("", "gauge"),
            Histogram => ("", "histogram"),
        };
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| `mailbell_{name}{ending}` | {kind} | {labels} | {help} |");
    }
    page
}
