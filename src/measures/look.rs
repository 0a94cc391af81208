//! What is looked up when somebody asks.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::{Labels, bounded, table};

/// How the house stands at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says what each measure tells, once")]
pub struct Look {
    pub term: i64,
    pub paused: bool,
    pub disk_free_bytes: Option<i64>,
    pub log_head: i64,
    pub log_tail: i64,
    pub quarantine: i64,
    pub actions_pending: i64,
    pub consumers: Vec<ConsumerLook>,
    /// Of the embedded mail service, where there is one.
    pub mail: Option<MailLook>,
}

/// How a consumer stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says what each measure tells, once")]
pub struct ConsumerLook {
    pub name: String,
    pub lag: i64,
    pub oldest_seconds: i64,
    pub leased: i64,
    pub parked: i64,
}

/// How the embedded mail service stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table says what each measure tells, once")]
pub struct MailLook {
    pub deliveries_pending: i64,
    pub oldest_seconds: i64,
    pub deliveries_dead: i64,
    pub lines_failing: i64,
    pub queued: i64,
    pub overdue_seconds: i64,
    pub suppressions: i64,
}

/// A consumer's measures, by the name of each.
type OfConsumer = (&'static str, fn(&ConsumerLook) -> i64);

const OF_CONSUMERS: [OfConsumer; 4] = [
    ("consumer_lag", |look| look.lag),
    ("consumer_oldest_seconds", |look| look.oldest_seconds),
    ("consumer_leased", |look| look.leased),
    ("consumer_parked", |look| look.parked),
];

impl Look {
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        let mut set = |name, value: i64| {
            let gauge = Gauge::<i64>::default();
            gauge.set(value);
            table::register(&mut registry, name, gauge);
        };
        set("term", self.term);
        set("paused", self.paused.into());
        if let Some(free) = self.disk_free_bytes {
            set("disk_free_bytes", free);
        }
        set("log_head", self.log_head);
        set("log_tail", self.log_tail);
        set("quarantine", self.quarantine);
        set("actions_pending", self.actions_pending);
        if let Some(mail) = &self.mail {
            set("webhook_deliveries_pending", mail.deliveries_pending);
            set("webhook_oldest_seconds", mail.oldest_seconds);
            set("webhook_deliveries_dead", mail.deliveries_dead);
            set("webhook_lines_failing", mail.lines_failing);
            set("mail_queued", mail.queued);
            set("mail_overdue_seconds", mail.overdue_seconds);
            set("suppressions", mail.suppressions);
        }
        for (name, value) in OF_CONSUMERS {
            let family = prometheus_client::metrics::family::Family::<Labels, Gauge>::default();
            for (consumer, looks) in self.by_label() {
                // Of an age the greatest counts, of all else the sum.
                let values = looks.into_iter().map(value);
                let one = if name.ends_with("_seconds") { values.max().unwrap_or(0) } else { values.sum() };
                family.get_or_create(&vec![("consumer", consumer)]).set(one);
            }
            table::register(&mut registry, name, family);
        }
        registry
    }

    fn by_label(&self) -> BTreeMap<String, Vec<&ConsumerLook>> {
        let mut known = BTreeSet::new();
        let mut by_label: BTreeMap<String, Vec<&ConsumerLook>> = BTreeMap::new();
        for consumer in &self.consumers {
            by_label.entry(bounded(&mut known, &consumer.name)).or_default().push(consumer);
        }
        by_label
    }
}
