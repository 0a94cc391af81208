//! What is owed to endpoints: claim the head of a line, record what came of it, go on with the next.
//!
//! A line is one mailbox towards one endpoint. Only its oldest pending delivery can be claimed, so order holds whoever
//! asks; a claim is a lease on the line, and a stale token changes nothing.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::StoreError;
use crate::domain::{
    clock::{BootTime, UnixMillis},
    event::NewEvent,
    id::{DeliveryId, EventId, WebhookId},
    message::Mailbox,
    secret::Secret,
    webhook::{Endpoint, SignatureFormat},
};

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct ClaimLines {
    /// The token of the lease, made by the caller and never used before.
    pub token: String,
    /// At most so many lines.
    pub limit: u32,
    /// So many lines of one endpoint may be leased at once, those leased before included.
    pub per_endpoint_max: u32,
    /// So many of them may be lines of replays.
    pub replays_per_endpoint_max: u32,
    /// Whether our own receiver can be reached now; its lines are left alone while it cannot.
    pub own_reachable: bool,
    /// Whether anything goes to others than our own receiver.
    pub others: bool,
    /// The wall clock, for what is due.
    pub now: UnixMillis,
    /// The boot clock, for leases.
    pub boot: BootTime,
    /// How long the lease runs.
    pub lease_millis: i64,
    /// What the worker knows of the time since it asked last.
    pub since: Since,
}

/// What passed between two looks of a worker, and how long it lets a line wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// How long it was at work with something owed, in milliseconds: added to the running time.
    pub ran_millis: i64,
    /// By how much the wall clock was set, in milliseconds: retries keep their distance.
    pub stepped_millis: i64,
    /// No line waits longer than this, in milliseconds of the wall clock.
    pub wait_millis_max: i64,
}

/// How long a delivery is tried, in milliseconds of running time from its making: a day. The first try after that is the last.
pub const TRIED_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// No more is counted between two looks of the worker, in milliseconds: one that is due, and that a busy machine is late for.
pub const COUNTED_MILLIS_MAX: i64 = 90_000;

/// What a worker gets.
#[derive(Debug, Clone, Default)]
pub struct ClaimedLines {
    /// The heads of the lines that are now leased.
    pub owed: Vec<Owed>,
    /// Whether lines that are due were left out, for want of room or of a share for their endpoint.
    pub left_out: bool,
    /// When the next line falls due after now, or a secret is to be forgotten, if any will: nothing else needs to be asked
    /// before, unless the bell rings or an attempt ends.
    pub next_due_at: Option<UnixMillis>,
    /// When the next lease runs out, whoever holds it, in milliseconds from now: then its line may be free.
    pub next_expiry_millis: Option<i64>,
    /// Whether anything is owed at all: then running time passes, and the worker must look often enough to count it.
    pub waiting: bool,
}

/// One delivery to make: the head of a line, with all that sending it takes.
#[derive(Debug, Clone)]
pub struct Owed {
    /// The delivery.
    pub id: DeliveryId,
    /// Its place in the order of sending.
    pub seq: i64,
    /// The line it heads.
    pub line: i64,
    /// The token that holds the line.
    pub token: String,
    /// Where to.
    pub endpoint: Endpoint,
    /// For which webhook.
    pub webhook: WebhookId,
    /// Its live secrets, the newest first.
    pub secrets: Vec<Secret>,
    /// How it wants its signature spelled.
    pub signature_format: SignatureFormat,
    /// The event.
    pub event_id: EventId,
    /// The body, to the byte.
    pub body: Vec<u8>,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Whether its time was over before this try, which then is its last.
    pub last: bool,
    /// The delivery that it repeats on demand.
    pub replay_of: Option<DeliveryId>,
    /// How often in a row the line has failed.
    pub failures: u32,
    /// Whether the line has a failure on record, which a delivery that is made takes back.
    pub failed: bool,
    /// What follows it in the line and was taken with it, in order: our own receiver gets all in one post, others one after
    /// another.
    pub followers: VecDeque<Follower>,
}

/// A delivery behind the head of its line, for the same webhook, that was never tried.
#[derive(Debug, Clone)]
pub struct Follower {
    /// The delivery.
    pub id: DeliveryId,
    /// Its place in the order of sending.
    pub seq: i64,
    /// The event.
    pub event_id: EventId,
    /// The body, to the byte.
    pub body: Vec<u8>,
}

impl Owed {
    /// Has the first follower, if there is one, head the line, after the head was delivered.
    pub fn follow(&mut self) {
        let Some(Follower { id, seq, event_id, body }) = self.followers.pop_front() else { return };
        (self.id, self.seq, self.event_id, self.body) = (id, seq, event_id, body);
        (self.attempt, self.failed, self.replay_of) = (1, false, None);
    }
}

/// Followers that go along in one post to our own receiver: with the head, a batch that shares a commit there.
pub const FOLLOWERS_MAX_OWN: u32 = 63;
/// Followers of others: what is made before the store is asked what is next.
pub const FOLLOWERS_MAX: u32 = 31;
/// Deliveries of a line that were made and may not be written down yet, when one more is begun: what a crash may have posted again.
pub const UNRECORDED_MAX: usize = 15;
/// What followers weigh together, in bytes: half of what our receiver takes, so that the head has its place too.
pub const FOLLOWERS_BYTES_MAX: usize = 512 << 10;

/// What came back from an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A response of this status.
    Status(u16),
    /// None, and why, in a word of ours such as `timeout`.
    Fault(String),
}

/// One HTTP try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which, from 1.
    pub number: u32,
    /// When it began.
    pub at: UnixMillis,
    /// What came of it.
    pub answer: Answer,
    /// How long it took.
    pub duration_millis: i64,
    /// How much of the response was read, and dropped.
    pub response_bytes: u64,
}

/// What an attempt means for its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The delivery is made.
    Delivered,
    /// It is tried again, then.
    RetryAt(UnixMillis),
    /// It is given up. A next head whose time is over too gets its one try at once; another may be sent at `next_at`.
    Dead {
        /// When the line's next head may be sent, if it has time left.
        next_at: UnixMillis,
    },
    /// The endpoint says that it is gone: its webhooks are disabled, and what they are owed is set aside.
    Gone,
}

/// How a worker stays with a line after a delivery that was made, or was given up.
#[derive(Debug, Clone)]
pub enum Stay {
    /// It has the next delivery already.
    Following {
        /// Where it is about to run out of what follows: the place of the last that it has. It asks for what comes after that.
        last: Option<i64>,
    },
    /// It asks for the next head.
    Asking {
        /// How the lease runs on, where it would end too soon.
        renewal: Option<Renewal>,
    },
}

/// A lease that runs on.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The boot clock now.
    pub boot: BootTime,
    /// How long it runs from now.
    pub lease_millis: i64,
}

/// What became of a record.
#[derive(Debug, Clone)]
pub enum Recorded {
    /// It is in the store, and the line is free, or its worker's as before.
    Kept,
    /// It is in the store, and the line's next head is leased under the same token.
    Next(Box<Owed>),
    /// It is in the store, the line is its worker's as before, and this comes after what follows there already: nothing, where
    /// that has to be asked for as the line's next head.
    More(VecDeque<Follower>),
    /// Another worker has the line now; nothing was changed.
    Stale,
}

/// What is known of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Its place in the order of sending; the cursor of a list.
    pub seq: i64,
    /// The webhook, which may be gone since.
    pub webhook: WebhookId,
    /// Where to.
    pub endpoint: Endpoint,
    /// The mailbox whose event it is.
    pub mailbox: String,
    /// The event.
    pub event_id: EventId,
    /// Its kind, in our words.
    pub event_type: String,
    /// The delivery that it repeats on demand.
    pub replay_of: Option<DeliveryId>,
    /// How far it is.
    pub state: State,
    /// Tries begun.
    pub attempts: u32,
    /// When it began to be owed.
    pub created_at: UnixMillis,
    /// When it was last tried.
    pub last_attempt_at: Option<UnixMillis>,
    /// When it is tried next, if it heads its line and its webhook is on.
    pub next_attempt_at: Option<UnixMillis>,
    /// The last tries, the oldest first, at most [`ATTEMPTS_SHOWN_MAX`].
    pub tries: Vec<Attempt>,
}

/// A list shows the last of a delivery's tries; in 24 hours there are some forty.
pub const ATTEMPTS_SHOWN_MAX: u32 = 10;

/// Tries kept of one delivery, the last ones. Its 24 hours hold about sixty; operators' clocks and crashes may add some.
pub const ATTEMPTS_KEPT_MAX: u32 = 100;

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only this webhook's.
    pub webhook: Option<WebhookId>,
    /// Only those that are so far.
    pub state: Option<State>,
    /// Only those that tell of one of these events.
    pub events: Option<Vec<EventId>>,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Still owed.
    Pending,
    /// Answered with a 2xx.
    Delivered,
    /// Given up, and kept.
    Dead,
}

/// Deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync + 'static {
    /// Owes `event` to every webhook that wants it, in a transaction of its own, and answers how many that are. An event of
    /// a message that is stored in the same breath is fanned out by the mailroom instead.
    async fn owe(&self, mailbox: &Mailbox, event: &NewEvent) -> Result<u32, StoreError>;

    /// Leases lines whose heads are due, the longest due first within an endpoint.
    async fn claim_lines(&self, claim: &ClaimLines) -> Result<ClaimedLines, StoreError>;

    /// Has it written down what came of an attempt, in the order of the calls: that is under way when this returns, and the
    /// future answers once it is on the disk. With `stay`, a line that goes on at once stays leased.
    fn record(
        &self,
        owed: &Owed,
        attempt: &Attempt,
        verdict: &Verdict,
        stay: Option<&Stay>,
    ) -> BoxFuture<'static, Result<Recorded, StoreError>>;

    /// Rises with whatever may change what is owed or how it is sent, before whoever did it hears that it is done: what was
    /// taken before is then to be looked at again.
    fn changes(&self) -> u64;

    /// Ends every lease. Only for a worker that knows that no other is at work: the keeper's, when it begins.
    async fn void_leases(&self) -> Result<(), StoreError>;

    /// Fails where another keeper has taken over, so that nothing may be posted any more.
    async fn check_term(&self) -> Result<(), StoreError>;

    /// Deliveries, the newest first: those of `filter` before `before`, at most `limit`.
    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;
}
