//! Tells the operator, where the settings say so: what waits for a decision, what was set aside or given up, what fails, who
//! bounced or complained. One runs per keeper.
//!
//! # Nothing twice, nothing lost
//!
//! A look ([`looks`]) notes what is new together with how far it looked. After a quiet moment what has gathered becomes one
//! letter ([`letter`]), whose bytes and id stay the same at every try, so that a receiver knows a second copy; the mail service
//! knows its own letters by that id. Each step is a transaction of this keeper's term, and is refused once a later one has
//! begun. A letter is tried for a day, then given up where `doctor` and the audit record show it.

mod letter;
mod looks;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

pub use self::letter::{Told, text};
use super::{oversight::Oversight, upstream::Upstream};
use crate::{
    domain::{
        clock::{Clock, UnixMillis},
        notice::{NoticeKind, NoticeTarget, quoted},
    },
    ids::Ids,
    store::{
        Refusal, StoreError,
        audit::AuditLog,
        log::EventLog,
        notices::{LetterEnd, NoticeLetter, Notices},
    },
};

/// How often it is looked for something to tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What comes within so short a time after the last comes in the same letter.
const QUIET: Duration = Duration::from_secs(15);
/// Longer than this nothing waits for more to come.
const GATHER_MAX: Duration = Duration::from_mins(2);
/// Letters to one target within an hour: one every five minutes. What is over that gathers.
pub const LETTERS_PER_HOUR_MAX: u32 = 12;
/// Notices that one letter tells word by word; of more it tells how many.
const NOTICES_PER_LETTER_MAX: u32 = 50;
/// With so many waiting for a target, nothing more is looked for: it stays where it is, and is told later.
const WAITING_MAX: u32 = 2_000;
/// Letters under way at once; there are few targets.
const IN_FLIGHT_MAX: u32 = 8;
/// The first pause after a try that failed; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_secs(30);
/// The first look after a letter that is on its way by itself; then as above.
const ON_ITS_WAY_MIN: Duration = Duration::from_secs(1);
/// What is said of such a letter.
pub const ON_ITS_WAY: &str = "it is on its way";
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// A letter is tried for so long.
const TRIED_FOR: Duration = Duration::from_hours(24);
/// What is over is remembered for so long, and then forgotten.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);
/// How often that is done.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// It was told.
    Told,
    /// Others have it, and will tell when they are asked again.
    OnItsWay,
    /// Not yet, for this reason; it is tried again.
    NotYet(String),
    /// It never will be, for this reason.
    Refused(String),
}

/// The ways out, and who oversees which mailbox: other parts of the house have them.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Whether notices of this mailbox's actions go to a URL of its own.
    async fn oversees(&self, mailbox: &str) -> bool;
    /// Brings a letter to its target. Asked again with the same letter, it brings no second one where it can know that.
    async fn carry(&self, target: &NoticeTarget, letter: &NoticeLetter) -> Carried;
}

/// What telling takes.
pub struct Parts {
    /// What is to be told.
    pub notices: Arc<dyn Notices>,
    /// Bounces and complaints.
    pub log: Arc<dyn EventLog>,
    /// What was parked.
    pub audit: Arc<dyn AuditLog>,
    /// What waits for a decision.
    pub oversight: Arc<Oversight>,
    /// How webhooks fare.
    pub upstream: Arc<Upstream>,
    /// The ways out.
    pub carrier: Arc<dyn Carrier>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names letters.
    pub ids: Arc<Ids>,
    /// Where the settings say that notices go.
    pub targets: Vec<NoticeTarget>,
    /// This keeper's term.
    pub epoch: i32,
}

/// Tells the operator.
pub struct Teller {
    parts: Parts,
    /// Facts of this term that need not be noted again: what is still so at every look.
    known: BTreeSet<(String, String)>,
    webhooks_seen_at: Option<UnixMillis>,
    forgotten_at: Option<UnixMillis>,
}

impl Teller {
    /// One for a keeper's term.
    pub fn new(parts: Parts) -> Self {
        Self { parts, known: BTreeSet::new(), webhooks_seen_at: None, forgotten_at: None }
    }

    /// Tells until `shutdown`, or until another keeper has begun its term.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let clock = self.parts.clock.clone();
        loop {
            let round = tokio::select! {
                // A letter that is cut off is tried again, with the same id.
                () = shutdown.cancelled() => return,
                round = self.round() => round,
            };
            match round {
                Err(StoreError::Refused(Refusal::Superseded)) => return,
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "could not look for what the operator is to be told; looking again");
                }
                Ok(()) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = clock.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Looks, writes the letters whose time has come, and sends what is due.
    async fn round(&mut self) -> Result<(), StoreError> {
        self.forget().await?;
        let full = self.parts.notices.targets_waiting().await?.iter().any(|(_, waiting)| *waiting >= WAITING_MAX);
        if !full {
            self.look().await?;
        }
        for (target, waiting) in self.parts.notices.targets_waiting().await? {
            self.write(&target, waiting).await?;
        }
        if self.parts.oversight.rules().await?.paused {
            return Ok(());
        }
        self.send().await
    }

    async fn forget(&mut self) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        if self.forgotten_at.is_some_and(|at| at.plus(FORGET_EVERY) > now && at <= now) {
            return Ok(());
        }
        let targets: Vec<String> = self.parts.targets.iter().map(ToString::to_string).collect();
        self.parts.notices.settle_notices(self.parts.epoch, &targets, now.minus(REMEMBERED)).await?;
        self.forgotten_at = Some(now);
        Ok(())
    }

    /// Writes a letter of what waits for `target`, if it has gathered for long enough and no more than may were written.
    async fn write(&self, target: &str, all: u32) -> Result<(), StoreError> {
        let Parts { notices, clock, ids, epoch, .. } = &self.parts;
        let now = clock.now();
        // The newest of all is what quiet is measured from; the first are told.
        let waiting = notices.waiting(target, WAITING_MAX * 2).await?;
        let (Some(first), Some(last)) = (waiting.first(), waiting.last()) else { return Ok(()) };
        let asked_for = waiting.iter().any(|one| one.notice.kind == NoticeKind::Test);
        let gathered = last.made_at.plus(QUIET) <= now || first.made_at.plus(GATHER_MAX) <= now || first.made_at > now;
        if !asked_for && !gathered {
            return Ok(());
        }
        let hour = now.minus(Duration::from_hours(1));
        if !asked_for && notices.letters_since(target, hour).await? >= LETTERS_PER_HOUR_MAX {
            return Ok(());
        }
        let shown = waiting.iter().take(NOTICES_PER_LETTER_MAX as usize).map(|one| one.notice.clone()).collect();
        let id = ids.next("ntc_");
        let told = Told::new(&id, now, shown, all.saturating_sub(NOTICES_PER_LETTER_MAX));
        let letter = NoticeLetter { id, target: target.to_owned(), body: told.body(), made_at: now, tries: 0 };
        notices.write_letter(*epoch, letter, last.n).await
    }

    async fn send(&self) -> Result<(), StoreError> {
        let Parts { notices, clock, .. } = &self.parts;
        let due = notices.due_letters(clock.now(), IN_FLIGHT_MAX).await?;
        let ended: Result<Vec<()>, StoreError> =
            join_all(due.into_iter().map(|letter| self.send_one(letter))).await.into_iter().collect();
        ended.map(drop)
    }

    async fn send_one(&self, letter: NoticeLetter) -> Result<(), StoreError> {
        let Parts { notices, carrier, clock, epoch, .. } = &self.parts;
        let Ok(target) = letter.target.parse::<NoticeTarget>() else {
            let end = LetterEnd::GivenUp("its target is no place to tell anything".to_owned());
            return notices.end_letter(*epoch, &letter.id, &end, "?", clock.now()).await;
        };
        notices.holds(*epoch).await?;
        let carried = carrier.carry(&target, &letter).await;
        let now = clock.now();
        let end = match carried {
            Carried::Told => LetterEnd::Told,
            Carried::Refused(why) => LetterEnd::GivenUp(quoted(&why)),
            Carried::OnItsWay => {
                let again = now.plus(pause(ON_ITS_WAY_MIN, letter.tries));
                return notices.letter_failed(*epoch, &letter.id, ON_ITS_WAY, again).await;
            }
            Carried::NotYet(why) if letter.made_at.plus(TRIED_FOR) <= now => LetterEnd::GivenUp(quoted(&why)),
            Carried::NotYet(why) => {
                return notices
                    .letter_failed(*epoch, &letter.id, &quoted(&why), now.plus(pause(PAUSE_MIN, letter.tries)))
                    .await;
            }
        };
        if let LetterEnd::GivenUp(_) = end {
            tracing::warn!(letter.id, "a letter of notices to the operator was given up; `mailbell doctor` says why");
        }
        notices.end_letter(*epoch, &letter.id, &end, &target.shown(), now).await
    }
}

/// How long to wait after so many tries.
fn pause(first: Duration, tries: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(tries.min(16))).min(PAUSE_MAX)
}
