//! Calls that go on as tasks after their requests have ended (SEP-2663, `io.modelcontextprotocol/tasks`).
//!
//! A server alone says which call becomes a task, and only to a client that has declared with that very call that it takes
//! tasks. Such a client looks for the result by `tasks/get`, and may end the task by `tasks/cancel`.
//!
//! # What holds
//!
//! - A task is its principal's: for anybody else it is not there, nor can its id be guessed.
//! - It ends with whoever would fetch its result: with the principal's token, with the client at stdin, with the keeper's term,
//!   and where nobody looks for it any more. So an agent that is gone is handed nothing.
//! - It is known until its time to live is over, whatever became of it. What a wait has leased stays leased whether its
//!   result is fetched or not, and comes again once the lease has run out.
//! - Where there is no room for one more, the call is answered as it is for clients that take none.
//! - They lie in memory: a server that starts anew knows none of them, and no lease of theirs lasts beyond its time.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rmcp::{
    model::CreateTaskResult,
    task_manager::{TaskContext, TaskFuture, TaskManager, TaskOptions},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Principal;
use crate::domain::clock::Clock;

/// A call that is answered within this is no task: its client hears sooner than by its first look.
pub(super) const ANSWERED_IN_CALL: Duration = POLL;
/// How often a client is asked to look: an event waits no longer for its agent, and a look costs little more than a ping.
const POLL: Duration = Duration::from_secs(1);
/// Whoever has not looked for so long, a hundred times as long as was asked, has most likely crashed.
const UNWATCHED: Duration = Duration::from_mins(2);
/// How long a task is known beyond the time it may take: as long as a lease runs by default, after which its result holds
/// a token that is worth nothing.
const KEPT: Duration = Duration::from_mins(10);
/// Tasks of one principal, at work or done and still known: more than the workers behind one token have at once.
const TASKS_OF_ONE_MAX: usize = 100;
/// Tasks in all, whosoever: a result of the largest kind has some 80 KB, so all of them together take tens of megabytes.
const TASKS_MAX: usize = 1_000;

/// What a task that is at work says of itself.
const AT_WORK: &str = "waiting";
/// What one says that was given up.
const GIVEN_UP: &str = "ended: nobody had looked for it in two minutes";

/// The tasks of a server; clones share them.
#[derive(Clone)]
pub(super) struct Tasks {
    kept: Arc<Mutex<Vec<Kept>>>,
    at_work: TaskTracker,
    clock: Arc<dyn Clock>,
}

struct Kept {
    owner: Principal,
    place: Arc<()>,
    /// None while the call may still be answered as a call.
    task: Option<Known>,
}

struct Known {
    id: String,
    /// Of this task alone. It forgets by a clock of its own, and only when it is asked: letting go of it is surer.
    manager: TaskManager,
    /// How often its principal has asked for it.
    looks: Arc<AtomicU64>,
    /// When its time to live is over, in milliseconds of the boot clock.
    until_millis: i64,
}

impl Tasks {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let at_work = TaskTracker::new();
        // It can be waited for at any time, whatever comes later.
        at_work.close();
        Self { kept: Arc::default(), at_work, clock }
    }

    /// Room for one more task of `owner`, which ends when `left` is cancelled; none where there are as many as may be.
    pub(super) fn slot(&self, owner: &Principal, left: CancellationToken) -> Option<Slot> {
        let mut kept = self.kept();
        let of_owner = kept.iter().filter(|kept| kept.owner.is(owner)).count();
        if of_owner >= TASKS_OF_ONE_MAX || kept.len() >= TASKS_MAX {
            tracing::debug!("there is no room for one more task; the call is answered as a call");
            return None;
        }
        let place = Arc::new(());
        kept.push(Kept { owner: owner.clone(), place: place.clone(), task: None });
        Some(Slot { tasks: self.clone(), place, owner: owner.clone(), left })
    }

    /// What knows the task `id`, where that is a task of `owner`.
    pub(super) fn of(&self, owner: &Principal, id: &str) -> Option<TaskManager> {
        let kept = self.kept();
        let mut tasks = kept.iter().filter(|kept| kept.owner.is(owner)).filter_map(|kept| kept.task.as_ref());
        let task = tasks.find(|task| task.id == id)?;
        task.looks.fetch_add(1, Ordering::Relaxed);
        Some(task.manager.clone())
    }

    /// Resolves when none is at work.
    pub(super) async fn over(&self) {
        self.at_work.wait().await;
    }

    /// Those that are known now.
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        let now = self.clock.boot_millis();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| match &kept.task {
            Some(task) if task.until_millis <= now => {
                // Whatever still runs has had more than its time.
                task.manager.shutdown();
                false
            }
            // One at work hears of it by itself, and gives back what it may have leased.
            Some(_) => !kept.owner.has_ended(),
            None => true,
        });
        kept
    }
}

/// Room for a task of one principal. Dropped without a task, it is free again.
pub struct Slot {
    tasks: Tasks,
    place: Arc<()>,
    owner: Principal,
    left: CancellationToken,
}

impl Slot {
    /// Has `work` go on as a task that takes at most `lasts`; the answer to its call.
    ///
    /// `cancelled` is cancelled by `tasks/cancel`, and when nobody is there any more to fetch the result or has looked for it
    /// in two to four minutes. `work` is then waited for, and says itself how it ended.
    pub fn begin(
        self,
        lasts: Duration,
        cancelled: CancellationToken,
        work: impl FnOnce(TaskContext) -> TaskFuture,
    ) -> CreateTaskResult {
        let lives = lasts.saturating_add(KEPT);
        let options = TaskOptions::new()
            .with_ttl_ms(millis(lives))
            .with_poll_interval_ms(millis(POLL))
            .with_status_message(AT_WORK);
        let manager = TaskManager::new();
        let (at_work, owner, left) = (self.tasks.at_work.token(), self.owner.clone(), self.left.clone());
        let looks = Arc::new(AtomicU64::new(0));
        let unwatched = unwatched(self.tasks.clock.clone(), looks.clone());
        let task = manager.spawn(options, |context| {
            let mut work = work(context.clone());
            Box::pin(async move {
                let _at_work = at_work;
                tokio::select! {
                    // Looked at first: what nobody would fetch is not begun.
                    biased;
                    () = left.cancelled() => {}
                    () = owner.ended() => {}
                    () = context.cancelled() => {}
                    ended = &mut work => return ended,
                    () = unwatched => context.set_status_message(GIVEN_UP),
                }
                cancelled.cancel();
                work.await
            })
        });
        let until_millis = self.tasks.clock.boot_millis().saturating_add_unsigned(millis(lives));
        let known = Known { id: task.task_id.clone(), manager, looks, until_millis };
        if let Some(kept) = self.tasks.kept().iter_mut().find(|kept| Arc::ptr_eq(&kept.place, &self.place)) {
            kept.task = Some(known);
        }
        CreateTaskResult::new(task)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.tasks.kept().retain(|kept| kept.task.is_some() || !Arc::ptr_eq(&kept.place, &self.place));
    }
}

/// Resolves when nobody has looked for a while.
async fn unwatched(clock: Arc<dyn Clock>, looks: Arc<AtomicU64>) {
    loop {
        let seen = looks.load(Ordering::Relaxed);
        clock.sleep(UNWATCHED).await;
        if looks.load(Ordering::Relaxed) == seen {
            return;
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
