//! A change that waits for an operator, and what comes of it where a person is there who may be asked.

use std::time::Duration;

use rmcp::model::{CallToolResponse, CallToolResult};
use tokio_util::sync::CancellationToken;

use super::{Failure, Rooms};
use crate::{
    bell::oversight::Held,
    domain::{consumer::LeaseToken, id::ActionId, oversight::ActionState},
    mcp::{
        elicitation::{self, ANSWER_WAITS, ANSWER_WAITS_WITH_PROGRESS, Person, Said},
        present::{self, Fence, Fenced, sentence, shown},
        progress::Progress,
    },
    store::{
        audit::Entry,
        oversight::{Action, Decided, Decider, Decision},
    },
};

/// How long a call waits for what was approved to be done: the keeper takes it within a moment, unless it is paused.
const DONE_WITHIN: Duration = Duration::from_secs(20);
/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

shown! {
    /// What a person who was asked has approved.
    struct Approved {
        status: &'static str,
        action_id: Fenced,
        message_id: Option<Fenced>,
        cursor: Fenced,
        note: &'static str,
    }
}

/// A call whose change waits.
pub(super) struct Asking<'a> {
    pub(super) rooms: &'a Rooms,
    pub(super) fence: &'a Fence,
    pub(super) person: Option<&'a Person>,
    pub(super) progress: Option<&'a Progress>,
    pub(super) cancelled: &'a CancellationToken,
}

impl Asking<'_> {
    /// What is told of a change that waits, once a person that is there has been asked; and with what the call ends, where that
    /// is a question. The lease that it was asked for under waits with it.
    pub(super) async fn waits(
        &self,
        held: &Held,
        lease: Option<LeaseToken>,
    ) -> (CallToolResult, Option<CallToolResponse>) {
        match self.asked(held, lease).await {
            Ok(asked) => asked,
            Err(failure) => (present::failure(self.fence, &failure.sentence(self.fence)), None),
        }
    }

    async fn asked(
        &self,
        held: &Held,
        lease: Option<LeaseToken>,
    ) -> Result<(CallToolResult, Option<CallToolResponse>), Failure> {
        if let Some(lease) = lease {
            self.rooms.settling.hold_for_action(&lease, &held.action).await?;
        }
        let pending = self.pending(held).await?;
        // What another gate keeps is not ours to approve.
        let (Some(person), Some(_)) = (self.person, &held.after) else { return Ok((pending, None)) };
        let Some(action) = self.rooms.oversight.action(&held.action).await? else { return Ok((pending, None)) };
        if action.state != ActionState::Pending {
            return Ok((pending, None));
        }
        let own_fence = Fence::new(self.rooms.ids());
        let Some(shown) = elicitation::shown(&own_fence, &action) else { return Ok((pending, None)) };
        if !person.is_asked_in_call() {
            let question = person.question(&self.rooms.seal, &action, shown, self.rooms.clock.now());
            return Ok((pending, Some(question.into())));
        }
        let clock = &self.rooms.clock;
        let patience = if self.progress.is_some() { ANSWER_WAITS_WITH_PROGRESS } else { ANSWER_WAITS };
        // Begun before the question is: who answers has no more time than that.
        let late = clock.sleep(patience);
        let over = async {
            let beat = async {
                match self.progress {
                    Some(progress) => match progress.beat(clock).await {},
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = late => {}
                () = self.cancelled.cancelled() => {}
                () = beat => {}
            }
        };
        let said = person.ask(shown, over).await;
        Ok((self.decided(person, &action.id, &action.digest, said, pending).await?, None))
    }

    /// What comes of an answer that came with a call that was made once more; none where this call is no answer.
    pub(super) async fn answered(&self) -> Option<Result<CallToolResult, Failure>> {
        let person = self.person?;
        let (question, said) = person.answered(&self.rooms.seal, self.rooms.clock.now())?;
        let Some(question) = question else {
            return Some(Err(Failure::Told(
                "nothing was approved and nothing was done: this `requestState` is not of a question that this call was asked, or \
                 its time is over. Call again without it"
                    .into(),
            )));
        };
        let (id, held) = (question.action(), Held { action: question.action(), after: None, asked_at: None });
        let told = async {
            let pending = self.pending(&held).await?;
            self.decided(person, &id, &question.digest, said, pending).await
        };
        Some(told.await)
    }

    async fn pending(&self, held: &Held) -> Result<CallToolResult, Failure> {
        let cursor = match &held.after {
            Some(cursor) => cursor.clone(),
            None => self.rooms.waiting.head_cursor().await?,
        };
        Ok(present::pending(self.fence, held, &cursor.to_string()))
    }

    async fn decided(
        &self,
        person: &Person,
        id: &ActionId,
        digest: &str,
        said: Said,
        pending: CallToolResult,
    ) -> Result<CallToolResult, Failure> {
        let said = if person.is_there() { said } else { Said::NoAnswer };
        let Rooms { oversight, audit, clock, waiting, .. } = self.rooms;
        let entry = Entry::Asked {
            action: id.to_string(),
            digest: digest.to_owned(),
            principal: person.name().to_owned(),
            answer: said.as_str(),
        };
        // On record before it has an effect.
        audit.record(entry, clock.now()).await?;
        if said != Said::Approve {
            return Ok(pending);
        }
        let before = waiting.head_cursor().await?;
        let by = Decider::Elicitation(person.name().to_owned());
        let decision = Decision::Approve { digest: digest.to_owned() };
        match oversight.decide(id, &decision, &by, None).await? {
            Decided::Done => {}
            Decided::Over(state) => {
                return Err(Failure::Told(sentence!(
                    "nothing was approved and nothing was done now: action {} is {} already",
                    self.fence.code(id.as_str()),
                    state.as_str(),
                )));
            }
            Decided::Unknown | Decided::OtherDigest => {
                return Err(Failure::Told(
                    "nothing was approved: what was shown is not what waits. Call again to ask anew".into(),
                ));
            }
        }
        let action = self.done(id).await?;
        let (state, note) = action.map_or((ActionState::Approved, None), |action| (action.state, action.note));
        if let Some(why) = note.filter(|_| state == ActionState::Failed) {
            return Err(Failure::Told(sentence!(
                "a person approved it, and it could not be done: {}",
                self.fence.text_up_to(&why, 300)
            )));
        }
        let message = oversight.message_of(id).await?;
        Ok(present::result(
            self.fence,
            Approved {
                status: if state == ActionState::Done { "done" } else { "approved" },
                action_id: self.fence.code(id.as_str()),
                message_id: message.map(|message| self.fence.code(message.as_str())),
                cursor: self.fence.code(&before.to_string()),
                note: if state == ActionState::Done {
                    "the person before this program approved it, and it is done; to hear what becomes of a message, \
                     wait_for_event with its `message_id` and `cursor` as `after`"
                } else {
                    "the person before this program approved it, and it will be done; to hear of it, wait_for_event with this \
                     `action_id` and `cursor` as `after`"
                },
            },
        ))
    }

    /// The action once it is over; none where that takes too long. It is looked at, for its event is in the log before the reason
    /// of a failure is noted.
    async fn done(&self, id: &ActionId) -> Result<Option<Action>, Failure> {
        let Rooms { oversight, clock, .. } = self.rooms;
        let late = clock.sleep(DONE_WITHIN);
        tokio::pin!(late);
        loop {
            if let Some(action) = oversight.action(id).await?.filter(|action| action.state.outcome().is_some()) {
                return Ok(Some(action));
            }
            tokio::select! {
                () = clock.sleep(LOOK_EVERY) => {}
                () = &mut late => return Ok(None),
                () = self.cancelled.cancelled() => return Ok(None),
            }
        }
    }
}
