//! What there is to tell: each record is looked through from where the look before ended, and what stands somewhere is told once
//! for as long as it stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{Parts, Teller};
use crate::{
    bell::upstream::Webhook,
    domain::{
        clock::UnixMillis,
        cursor::Seq,
        event::{BounceType, Detail, Event, EventFilter, EventKind},
        notice::{Notice, NoticeKind, NoticeTarget},
        oversight::ActionState,
    },
    store::{
        StoreError,
        audit::AuditFilter,
        log::{Order, PageRequest},
        notices::Fact,
        oversight::{Action, PENDING_MAX},
    },
};

/// Before it expires undecided, an action is told of once more: half a day is left for whoever slept.
const EXPIRES_SOON: Duration = Duration::from_hours(12);
/// Rows of a record looked through at once.
const PAGE: u32 = 200;
/// How often it is looked how webhooks fare: they are asked of the mail API.
const WEBHOOKS_EVERY: Duration = Duration::from_mins(1);
/// An endpoint that has failed for so long is worth a word; a restart takes less.
const FAILING_FOR: Duration = Duration::from_mins(5);
/// A source that has refused so many requests since it was last told of may have the wrong secret.
const REFUSED_MANY: i64 = 20;
/// A source is told of once in this time, in milliseconds: anybody can have it refuse.
const DAY_MILLIS: i64 = 86_400_000;

/// What a look has found.
#[derive(Default)]
struct Found {
    /// With the name of each fact.
    notices: Vec<(String, Notice)>,
    marks: Vec<(String, i64)>,
}

impl Found {
    fn add(&mut self, fact: String, notice: Notice) {
        self.notices.push((fact, notice));
    }

    fn mark(&mut self, what: impl Into<String>, mark: i64) {
        self.marks.push((what.into(), mark));
    }
}

impl Teller {
    /// Notes what is new.
    pub(super) async fn look(&mut self) -> Result<(), StoreError> {
        let mut facts = self.actions().await?;
        let mut found = Found::default();
        if !self.parts.targets.is_empty() {
            self.events(&mut found).await?;
            self.parked(&mut found).await?;
            self.sources(&mut found).await?;
            self.webhooks(&mut found).await?;
        }
        for (fact, notice) in found.notices {
            facts.extend(self.parts.targets.iter().map(|target| Fact {
                target: target.to_string(),
                fact: fact.clone(),
                notice: notice.clone(),
            }));
        }
        if facts.is_empty() && found.marks.is_empty() {
            return Ok(());
        }
        let known: Vec<_> = facts.iter().map(|fact| (fact.target.clone(), fact.fact.clone())).collect();
        self.parts.notices.note(self.parts.epoch, facts, found.marks, self.parts.clock.now()).await?;
        self.known.extend(known);
        Ok(())
    }

    /// Actions that wait, and those that will not much longer; also for whoever oversees their mailbox.
    async fn actions(&mut self) -> Result<Vec<Fact>, StoreError> {
        let Parts { oversight, carrier, clock, targets, .. } = &self.parts;
        let now = clock.now();
        let pending = oversight.actions(Some(ActionState::Pending), PENDING_MAX, false).await?;
        let mut overseen: BTreeMap<&str, bool> = BTreeMap::new();
        let (mut facts, mut still) = (Vec::new(), BTreeSet::new());
        for action in pending.iter().rev().filter(|action| action.expires_at > now) {
            let mut all: Vec<String> = targets.iter().map(ToString::to_string).collect();
            if let Some(mailbox) = action.mailbox.as_deref() {
                if !overseen.contains_key(mailbox) {
                    overseen.insert(mailbox, carrier.oversees(mailbox).await);
                }
                if overseen[mailbox] {
                    all.push(NoticeTarget::Mailbox(mailbox.to_owned()).to_string());
                }
            }
            let soon = action.expires_at.minus(EXPIRES_SOON) <= now;
            for kind in [NoticeKind::ApprovalWaits].into_iter().chain(soon.then_some(NoticeKind::ApprovalExpires)) {
                let fact = format!("{}:{}", kind.as_str(), action.id);
                for target in &all {
                    still.insert((target.clone(), fact.clone()));
                    if !self.known.contains(&(target.clone(), fact.clone())) {
                        facts.push(Fact {
                            target: target.clone(),
                            fact: fact.clone(),
                            notice: waits(action, kind, now),
                        });
                    }
                }
            }
        }
        // What is over need not be remembered: it does not come again.
        self.known.retain(|known| still.contains(known));
        Ok(facts)
    }

    /// Mail that came back for good, and complaints.
    async fn events(&self, found: &mut Found) -> Result<(), StoreError> {
        let Parts { notices, log, targets, .. } = &self.parts;
        let head = log.extent().await?.head;
        let Some(mark) = notices.mark("events").await? else {
            found.mark("events", head.0);
            return Ok(());
        };
        if mark >= head.0 {
            return Ok(());
        }
        let filter = EventFilter { kinds: vec![EventKind::Bounce, EventKind::Complaint], ..EventFilter::default() };
        let request = PageRequest { filter, after: Seq(mark), before: None, order: Order::Ascending, limit: PAGE };
        let events = log.page(&request).await?;
        for event in &events {
            // No loop: what became of our own letters is told where those are.
            let ours = |recipient: &Option<String>| {
                recipient.as_ref().is_some_and(|recipient| {
                    targets.iter().any(|target| matches!(target, NoticeTarget::Address(address) if address.as_str() == recipient.to_lowercase()))
                })
            };
            let notice = match &event.fact.detail {
                Detail::Bounce {
                    recipient,
                    bounce_code,
                    bounce_type: BounceType::Hard,
                    r#final: true,
                    reason,
                    diagnostic,
                    ..
                } if !ours(recipient) => {
                    let says = format!("mail from {} came back for good", mailbox_of(event));
                    of_event(NoticeKind::HardBounce, event, &says)
                        .quoting("recipient", recipient.as_deref().unwrap_or_default())
                        .quoting("code", bounce_code)
                        .quoting("reason", reason.as_deref().unwrap_or_default())
                        .quoting("diagnostic", diagnostic.as_deref().unwrap_or_default())
                }
                Detail::Complaint { recipient, .. } if !ours(recipient) => {
                    let says = format!("somebody called mail from {} spam", mailbox_of(event));
                    of_event(NoticeKind::Complaint, event, &says)
                        .quoting("recipient", recipient.as_deref().unwrap_or_default())
                }
                _ => continue,
            };
            found.add(format!("event:{}", event.seq.0), notice);
        }
        let last = events.last().map_or(mark, |event| event.seq.0);
        // A page that is not full has seen all up to the head that was there before it.
        found.mark("events", if events.len() < PAGE as usize { last.max(head.0) } else { last });
        Ok(())
    }

    /// Events that an agent escalated, or that were handed out too often.
    async fn parked(&self, found: &mut Found) -> Result<(), StoreError> {
        let Parts { notices, audit, log, .. } = &self.parts;
        let head = audit.head().await?.id;
        let Some(mark) = notices.mark("audit").await? else {
            found.mark("audit", head);
            return Ok(());
        };
        if mark >= head {
            return Ok(());
        }
        let filter = AuditFilter { what: vec!["settled".into(), "parked".into()], ..AuditFilter::default() };
        let (rows, looked) = audit.entries(&filter, mark, PAGE).await?;
        for row in &rows {
            let (escalated, list) = match row.entry["act"].as_str() {
                Some(act) => (act == "escalate", &row.entry["parked"]),
                None => (false, &row.entry["seqs"]),
            };
            let consumer = row.entry["consumer"].as_str().or(row.entry["consumers"][0].as_str()).unwrap_or("?");
            for seq in list.as_array().into_iter().flatten().filter_map(Value::as_i64) {
                let (kind, how) = if escalated {
                    (NoticeKind::EventEscalated, "an agent escalated")
                } else {
                    (NoticeKind::EventParked, "too many attempts set aside")
                };
                let todo = "`mailbell consumers parked` shows it, and `mailbell consumers requeue` puts it back";
                let notice = match log.event(Seq(seq)).await? {
                    Some(event) => {
                        let what = event.fact.detail.kind().as_str();
                        let says = format!(
                            "{how} event {seq} ({what} of {}) in consumer {consumer}; {todo}",
                            mailbox_of(&event)
                        );
                        let subject =
                            if let Detail::Inbound { subject, .. } = &event.fact.detail { subject } else { "" };
                        Notice::new(kind, row.at, says).quoting("subject", subject)
                    }
                    None => Notice::new(kind, row.at, format!("{how} event {seq} in consumer {consumer}; {todo}")),
                };
                found.add(format!("audit:{}:{seq}", row.id), notice);
            }
        }
        if looked > mark {
            found.mark("audit", looked);
        }
        Ok(())
    }

    /// Sources that refuse what comes.
    async fn sources(&self, found: &mut Found) -> Result<(), StoreError> {
        let Parts { notices, clock, .. } = &self.parts;
        let now = clock.now();
        for (source, times) in notices.refused_by_source().await? {
            let what = format!("refused:{source}");
            let before = notices.mark(&what).await?;
            let fresh = times - before.unwrap_or(0);
            if fresh < 0 {
                found.mark(what, times);
            } else if fresh >= REFUSED_MANY {
                let says = format!(
                    "the source {source} has refused {fresh} requests: its secret may be another than the sender's, or somebody \
                     forges; `mailbell source list` shows the reasons"
                );
                found.add(
                    format!("{what}:{}", now.0.div_euclid(DAY_MILLIS)),
                    Notice::new(NoticeKind::SourceFailing, now, says),
                );
                found.mark(what, times);
            }
        }
        Ok(())
    }

    /// Webhooks whose endpoints fail, and deliveries that were given up.
    async fn webhooks(&mut self, found: &mut Found) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        if self.webhooks_seen_at.is_some_and(|at| at.plus(WEBHOOKS_EVERY) > now && at <= now) {
            return Ok(());
        }
        self.webhooks_seen_at = Some(now);
        let webhooks = match self.parts.upstream.webhooks().await {
            Ok(webhooks) => webhooks,
            Err(error) => {
                tracing::debug!(%error, "could not look how webhooks fare");
                return Ok(());
            }
        };
        for webhook in webhooks {
            let Webhook { id, fare, .. } = &webhook;
            if let Some(dead) = fare.dead {
                let (what, dead) = (format!("dead:{id}"), i64::from(dead));
                let before = self.parts.notices.mark(&what).await?;
                let fresh = dead - before.unwrap_or(0);
                if fresh > 0 {
                    let says = format!(
                        "{fresh} deliveries of webhook {id} were given up; `mailbell webhook deliveries --webhook {id} --status \
                         failed` shows them, and `mailbell webhook replay` sends one again"
                    );
                    found.add(format!("{what}:{}:{dead}", now.0), Notice::new(NoticeKind::DeliveriesDead, now, says));
                }
                if fresh != 0 {
                    found.mark(what, dead);
                }
            }
            if let Some(since) = fare.failing_since.filter(|since| since.plus(FAILING_FOR) <= now) {
                let says = format!("webhook {id} has failed since {since}; `mailbell webhook test {id}` tries it");
                let notice = Notice::new(NoticeKind::WebhookFailing, now, says)
                    .quoting("endpoint", &host(&webhook.endpoint_url))
                    .quoting("failure", fare.last_failure.as_deref().unwrap_or_default());
                found.add(format!("failing:{id}:{}", since.0), notice);
            }
        }
        Ok(())
    }
}

fn waits(action: &Action, kind: NoticeKind, now: UnixMillis) -> Notice {
    let of = action.mailbox.as_ref().map(|mailbox| format!(" for {mailbox}")).unwrap_or_default();
    let says = match kind {
        NoticeKind::ApprovalExpires => format!("{} still waits{of}, and expires {}", action.id, action.expires_at),
        _ => format!("{} waits for a decision{of} until {}", action.id, action.expires_at),
    };
    let says = format!("{says}; `mailbell approvals show {}` shows all of it", action.id);
    let at = if kind == NoticeKind::ApprovalWaits { action.created_at } else { now };
    let notice = Notice { action_id: Some(action.id.to_string()), ..Notice::new(kind, at, says) };
    notice.quoting("asks", &action.summary).quoting("asker", &action.asker)
}

fn of_event(kind: NoticeKind, event: &Event, says: &str) -> Notice {
    let message = event.fact.message_id.as_ref();
    let notice = Notice::new(kind, event.fact.timestamp, format!("{says} (event {})", event.seq.0));
    notice.quoting("message_id", message.map_or("", |message| message.as_str()))
}

fn mailbox_of(event: &Event) -> String {
    crate::domain::notice::quoted(event.fact.mailbox.as_deref().unwrap_or("no mailbox"))
}

/// Of a URL its host: the rest may be a secret.
fn host(endpoint: &str) -> String {
    let url = endpoint.parse::<url::Url>().ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| endpoint.to_owned())
}
