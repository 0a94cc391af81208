//! Every part that a filter can have and every pair of them, each with values of events that are in the log.

use mailbell::domain::{
    event::{Detail, EventFilter, EventKind, NewEvent},
    grant::Mailboxes,
};

use crate::logs::{BUSY, IDLE, Keys, LONG_AGO, fact, mix};

/// How many events are looked at for one that has what a filter needs.
const LOOKS_MAX: u64 = 100_000;

/// A sort of filter, and the events whose values it takes.
pub(super) struct Asked {
    pub(super) name: String,
    parts: Vec<Part>,
    /// In the smallest log.
    pub(super) events: Vec<u64>,
    /// Whether it is the same filter in every log.
    pub(super) fixed: bool,
}

/// A part of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Action,
    Message,
    Thread,
    Mailbox,
    Domain,
    Kind,
    Kinds,
    /// A reader who sees two mailboxes, of which one is idle.
    Within,
    Busy,
    BusyDomain,
    Idle,
    Complaint,
}

impl Part {
    const PAIRED: [(Self, &'static str); 7] = [
        (Self::Action, "action"),
        (Self::Message, "message"),
        (Self::Thread, "thread"),
        (Self::Mailbox, "mailbox"),
        (Self::Domain, "domain"),
        (Self::Kind, "kind"),
        (Self::Kinds, "kinds"),
    ];

    /// Narrows `filter` to what `event` has.
    fn narrow(self, filter: &mut EventFilter, event: &NewEvent) {
        match self {
            Self::Action => {
                if let Detail::Approval { action_id, .. } = &event.detail {
                    filter.action_id = Some(action_id.clone());
                }
            }
            Self::Message => filter.message_id.clone_from(&event.message_id),
            Self::Thread => filter.thread_id.clone_from(&event.thread_id),
            Self::Mailbox => filter.mailbox.clone_from(&event.mailbox),
            Self::Domain => {
                let domain = event.mailbox.as_deref().and_then(|mailbox| mailbox.rsplit_once('@'));
                filter.domain = domain.map(|(_, domain)| domain.to_owned());
            }
            Self::Kind => filter.kinds = vec![event.detail.kind()],
            Self::Kinds => {
                filter.kinds = vec![EventKind::Bounce, EventKind::Complaint, EventKind::Inbound, event.detail.kind()];
                filter.kinds.sort_unstable();
                filter.kinds.dedup();
            }
            Self::Within => {
                filter.within = Mailboxes::only(vec![event.mailbox.clone().unwrap_or_default(), IDLE.to_owned()]);
            }
            Self::Busy => filter.mailbox = Some(BUSY.to_owned()),
            Self::BusyDomain => filter.domain = BUSY.rsplit_once('@').map(|(_, domain)| domain.to_owned()),
            Self::Idle => filter.mailbox = Some(IDLE.to_owned()),
            Self::Complaint => filter.kinds = vec![EventKind::Complaint],
        }
    }

    fn is_of(self, event: &NewEvent) -> bool {
        self != Self::Action || event.detail.kind() == EventKind::Approval
    }
}

impl Asked {
    fn new(name: String, parts: Vec<Part>, rows: u64, picks: u64, fixed: bool) -> Self {
        let mut asked = Self { name, parts, events: Vec::new(), fixed };
        asked.events = (0..picks).map(|pick| asked.like(pick, rows)).collect();
        asked
    }

    /// The filter with the values of the event number `n`.
    pub(super) fn filter(&self, n: u64) -> EventFilter {
        let event = fact(n, Keys::Time);
        let mut filter = EventFilter::default();
        for part in &self.parts {
            part.narrow(&mut filter, &event);
        }
        filter
    }

    /// An event in the later half of a log of `rows` that has what the filter needs; another one for every `seed`.
    pub(super) fn like(&self, seed: u64, rows: u64) -> u64 {
        let pick = |look| rows / 2 + mix(seed.wrapping_mul(LOOKS_MAX).wrapping_add(look)) % (rows / 2);
        let fits = |n: &u64| {
            let event = fact(*n, Keys::Time);
            self.parts.iter().all(|part| part.is_of(&event))
        };
        (0..LOOKS_MAX).map(pick).find(fits).unwrap_or(rows / 2)
    }
}

/// None, every part, every pair of parts; and what is hardest to find.
pub(super) fn all(rows: u64, picks: u64) -> Vec<Asked> {
    let mut asked = vec![Asked::new("nothing".into(), Vec::new(), rows, picks, false)];
    for (place, (part, name)) in Part::PAIRED.iter().enumerate() {
        asked.push(Asked::new((*name).into(), vec![*part], rows, picks, false));
        for (other, other_name) in &Part::PAIRED[place + 1..] {
            if (*part, *other) != (Part::Kind, Part::Kinds) {
                asked.push(Asked::new(format!("{name} + {other_name}"), vec![*part, *other], rows, picks, false));
            }
        }
    }
    let hard = [
        ("an idle mailbox", vec![Part::Idle], true),
        ("a busy mailbox + a kind long ago", vec![Part::Busy, Part::Complaint], true),
        ("a busy domain + a kind long ago", vec![Part::BusyDomain, Part::Complaint], true),
        ("a reader of two mailboxes", vec![Part::Within], false),
        ("a reader of two mailboxes + kind", vec![Part::Within, Part::Kind], false),
    ];
    asked.extend(hard.map(|(name, parts, fixed)| Asked::new(name.into(), parts, rows.min(LONG_AGO), picks, fixed)));
    asked
}
