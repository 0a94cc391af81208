//! Doing what was approved: the keeper takes each approved action, does exactly its bytes, and tells how it ended.
//!
//! # Once
//!
//! An action is marked as running before it is done and as over afterwards. Who is killed in between leaves one that runs.
//! A letter is then asked for again under the name of its action, by which the mail service knows it; so is what means the
//! same done twice. Whatever else was cut off is not done again: it is told as failed, and a person looks.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{NOTE_CHARS_MAX, Oversight, Pass, WAITS};
use crate::{
    bell::upstream::{Upstream, UpstreamError},
    domain::{
        clock::Clock,
        oversight::{ActionState, Change},
    },
    signing::digest::sha256_hex,
    store::{StoreError, oversight::Action},
};

/// How often it is looked whether somebody has decided.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Actions told of again at a start.
const RETOLD_MAX: u32 = 50;
/// Actions taken at one look.
const AT_ONCE: u32 = 20;

/// Does what was approved. One runs per keeper.
pub struct Errands {
    oversight: Arc<Oversight>,
    /// With the authority of the house, and the key of approvals.
    upstream: Arc<Upstream>,
    clock: Arc<dyn Clock>,
}

impl Errands {
    /// Errands at the mail API that `upstream` reaches.
    pub fn new(oversight: Arc<Oversight>, upstream: Arc<Upstream>) -> Self {
        let clock = oversight.parts.clock.clone();
        Self { oversight, upstream, clock }
    }

    /// Does them until `shutdown`; begins with what a predecessor was at.
    pub async fn run(self, shutdown: CancellationToken) {
        if let Err(error) = self.take_up().await {
            tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "could not take up approved actions");
        }
        while !shutdown.is_cancelled() {
            if let Err(error) = self.round().await {
                tracing::warn!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not look for approved actions"
                );
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.clock.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// What was running when a process ended: done again where that is safe.
    pub async fn take_up(&self) -> Result<(), StoreError> {
        // Who was killed between a no and the telling of it left it untold; the log knows those that it was told of.
        for state in [ActionState::Denied, ActionState::Expired] {
            for action in self.oversight.actions(Some(state), RETOLD_MAX, false).await? {
                self.oversight.tell(&action.id, state).await?;
            }
        }
        for action in self.oversight.actions(Some(ActionState::Running), AT_ONCE, true).await? {
            let again = action.effect.as_ref().is_some_and(|effect| effect.change.is_repeatable());
            if again {
                // The next round does it, unless the house is paused.
                let (from, to) = (ActionState::Running, ActionState::Approved);
                self.oversight.parts.store.move_action(&action.id, from, to, None, self.clock.moment()).await?;
            } else {
                let note = "it was cut off while it was done; look whether it was, and ask again if not";
                self.end(&action, ActionState::Failed, Some(note)).await?;
            }
        }
        Ok(())
    }

    /// Does what is approved, and ends what nobody decided in time.
    pub async fn round(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        // Each expires as long after its moment as any other after it was asked for.
        let expires_by = now.plus(WAITS);
        // Nearly always there is nothing, and the look is made some times a second.
        if !self.oversight.parts.store.has_errands(expires_by, now).await? {
            return Ok(());
        }
        let asked = self.oversight.parts.store.ask_about(expires_by).await?;
        if asked > 0 {
            tracing::info!(asked, "what was kept for later waits for an operator now");
        }
        // A few hundred at most wait, and only their heads are read.
        for action in
            self.oversight.actions(Some(ActionState::Pending), crate::store::oversight::PENDING_MAX, false).await?
        {
            if action.expires_at <= now {
                self.oversight.expire(&action.id).await?;
            }
        }
        if self.oversight.rules().await?.paused {
            return Ok(());
        }
        for action in self.oversight.actions(Some(ActionState::Approved), AT_ONCE, true).await? {
            let store = &self.oversight.parts.store;
            let (from, to) = (ActionState::Approved, ActionState::Running);
            if store.move_action(&action.id, from, to, None, self.clock.moment()).await? {
                self.finish(&action).await?;
            }
        }
        Ok(())
    }

    async fn finish(&self, action: &Action) -> Result<(), StoreError> {
        let Some(effect) = &action.effect else {
            return self.end(action, ActionState::Failed, Some("its content is gone")).await;
        };
        if sha256_hex(&effect.bytes()) != action.digest {
            let note = "what is kept is not what was shown, so it was not done";
            return self.end(action, ActionState::Failed, Some(note)).await;
        }
        let change = as_approved(&effect.change, action);
        let done = self.upstream.perform(Pass::of_the_house(change)).await;
        match done {
            Ok(message) => {
                if let Some(message) = message {
                    self.oversight.parts.store.note_message(&action.id, &message).await?;
                }
                self.end(action, ActionState::Done, None).await
            }
            // Nobody knows what became of it; the next look, or the next keeper, asks again where that is safe.
            Err(UpstreamError::Unreachable { .. } | UpstreamError::NotReady) if effect.change.is_repeatable() => {
                let (from, to) = (ActionState::Running, ActionState::Approved);
                self.oversight.parts.store.move_action(&action.id, from, to, None, self.clock.moment()).await.map(drop)
            }
            Err(error) => {
                let said = error.said().map_or_else(|| error.to_string(), |said| format!("{error}: {said}"));
                let note: String = said.chars().take(NOTE_CHARS_MAX).collect();
                self.end(action, ActionState::Failed, Some(&note)).await
            }
        }
    }

    /// Told first, and noted then: who is killed in between tells it again, and the log knows it.
    async fn end(&self, action: &Action, state: ActionState, note: Option<&str>) -> Result<(), StoreError> {
        tracing::info!(action.id = %action.id, outcome = state.as_str(), "an action is over");
        self.oversight.tell(&action.id, state).await?;
        let now = self.clock.moment();
        self.oversight.parts.store.move_action(&action.id, ActionState::Running, state, note, now).await.map(drop)
    }
}

/// The change as it is asked of the mail API: a letter has the name of its action.
fn as_approved(change: &Change, action: &Action) -> Change {
    let mut change = change.clone();
    if change.letter().is_some()
        && let Some(body) = change.body.as_object_mut()
    {
        body.insert("idempotency_key".to_owned(), Value::from(action.id.as_str()));
    }
    change
}
