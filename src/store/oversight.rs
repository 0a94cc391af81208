//! Oversight: what the operator has set, and the actions that wait for a decision.

use std::fmt;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    clock::{Moment, UnixMillis},
    id::{ActionId, MessageId},
    oversight::{ActionState, Effect, OversightMode, Rules},
};

/// Actions that may wait at once: no person looks through more, and an agent that asks for more is astray.
pub const PENDING_MAX: u32 = 1_000;
/// Bytes that what waits may hold together: 256 MiB, seven letters of the largest size.
pub const PENDING_BYTES_MAX: u64 = 256 << 20;
/// How long the lease under which a change was asked for runs once that is over, in milliseconds: as long as a lease that
/// nobody gave a length, for its holder to hear of it and to ack.
pub const ANSWERED_MILLIS: i64 = 600_000;

/// A change that an agent asked for and that somebody has to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Its id.
    pub id: ActionId,
    /// How far it has come.
    pub state: ActionState,
    /// What is done; none once it is over.
    pub effect: Option<Effect>,
    /// The SHA-256 of the effect's bytes.
    pub digest: String,
    /// For people, in a line.
    pub summary: String,
    /// Who asked.
    pub asker: String,
    /// The mailbox it concerns, where it is one.
    pub mailbox: Option<String>,
    /// When it was asked for.
    pub created_at: UnixMillis,
    /// Until when somebody may decide.
    pub expires_at: UnixMillis,
    /// When somebody did.
    pub decided_at: Option<UnixMillis>,
    /// The operator's words, or why it failed.
    pub note: Option<String>,
}

/// An action to be kept.
#[derive(Debug, Clone)]
pub struct NewAction {
    /// Its id.
    pub id: ActionId,
    /// The effect, to the byte.
    pub effect: Vec<u8>,
    /// The SHA-256 of that.
    pub digest: String,
    /// Equal for two that ask for the same.
    pub alike: String,
    /// Whether the asker named it, so that it is known again even when it is over.
    pub named: bool,
    /// For people, in a line.
    pub summary: String,
    /// Who asks.
    pub asker: String,
    /// The mailbox it concerns.
    pub mailbox: Option<String>,
    /// To whom it would go, of a letter.
    pub recipients: Vec<String>,
    /// Now.
    pub now: UnixMillis,
    /// Whether its moment comes before an operator is asked.
    pub later: bool,
    /// Until when somebody may decide.
    pub expires_at: UnixMillis,
}

/// What became of an action to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It waits now.
    Fresh,
    /// This one asks for the same, and is not over, or has the same name.
    Alike(ActionId),
    /// As many wait as may.
    Full,
}

/// An operator's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, to what has this digest.
    Approve {
        /// Of what was shown.
        digest: String,
    },
    /// No.
    Deny,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It stands.
    Done,
    /// There is no such action.
    Unknown,
    /// It is past deciding.
    Over(ActionState),
    /// What was shown is not what is kept.
    OtherDigest,
}

/// A person who decides or sets something, by where they said it; in the audit record as it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// By a command, with the operator token.
    Terminal,
    /// At the mail API, with the key of this name.
    Api(String),
    /// In the console, in the session of this name.
    Console(String),
    /// Asked by elicitation, behind the token of this name.
    Elicitation(String),
    /// The house itself, which goes on with what somebody had decided before.
    House,
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal => f.write_str("cli"),
            Self::Api(key) => write!(f, "rest:{key}"),
            Self::Console(session) => write!(f, "console:{session}"),
            Self::Elicitation(principal) => write!(f, "elicitation:{principal}"),
            Self::House => f.write_str("house"),
        }
    }
}

/// What the operator has set, and what waits. Each change of it is put on record in its transaction.
#[async_trait]
pub trait Oversights: Send + Sync + 'static {
    /// What is set.
    async fn rules(&self) -> Result<Rules, StoreError>;
    /// Sets the mode of a mailbox, which without one follows the house again; or of the house, which then has one.
    async fn set_mode(
        &self,
        mailbox: Option<&str>,
        mode: Option<OversightMode>,
        by: &Decider,
        now: UnixMillis,
    ) -> Result<(), StoreError>;
    /// Has everything but taking mail in stand still, or go on.
    async fn set_paused(&self, paused: bool, by: &Decider, now: UnixMillis) -> Result<(), StoreError>;

    /// Keeps an action, unless one like it is there.
    async fn keep_action(&self, new: NewAction) -> Result<Kept, StoreError>;
    /// The action of that id.
    async fn action(&self, id: &ActionId) -> Result<Option<Action>, StoreError>;
    /// Actions in that state, or in any, the newest first, without their effects unless `whole`.
    async fn actions(&self, state: Option<ActionState>, limit: u32, whole: bool) -> Result<Vec<Action>, StoreError>;
    /// Actions that became this message, the newest first, without their effects.
    async fn actions_about(&self, message: &MessageId, limit: u32) -> Result<Vec<Action>, StoreError>;
    /// Whether anything is approved, was kept for later and expires at `expires_by` or before, or waits and has expired `now`.
    async fn has_errands(&self, expires_by: UnixMillis, now: UnixMillis) -> Result<bool, StoreError>;
    /// Has an operator asked about those that were kept for later and that expire at `expires_by` or before; answers with
    /// how many.
    async fn ask_about(&self, expires_by: UnixMillis) -> Result<u64, StoreError>;
    /// Decides on one that waits, or was kept for later, and has not expired.
    async fn decide(
        &self,
        id: &ActionId,
        decision: &Decision,
        by: &Decider,
        note: Option<&str>,
        now: Moment,
    ) -> Result<Decided, StoreError>;
    /// Moves an action from one state to another; false if it was not in the first. What is over loses its effect, and the
    /// lease that it kept ends soon.
    async fn move_action(
        &self,
        id: &ActionId,
        from: ActionState,
        to: ActionState,
        note: Option<&str>,
        now: Moment,
    ) -> Result<bool, StoreError>;

    /// Notes which message an approved letter became.
    async fn note_message(&self, id: &ActionId, message: &MessageId) -> Result<(), StoreError>;
    /// Which message an approved letter became, where that is known.
    async fn message_of(&self, id: &ActionId) -> Result<Option<MessageId>, StoreError>;

    /// Keeps the hash of a word that changes a mailbox's mode once.
    async fn keep_code(
        &self,
        sha256: [u8; 32],
        mailbox: &str,
        mode: OversightMode,
        expires_at: UnixMillis,
        by: &Decider,
        now: UnixMillis,
    ) -> Result<(), StoreError>;
    /// Uses it up for `by`, and sets the mode; none if it is not one of this mailbox that still holds.
    async fn use_code(
        &self,
        sha256: [u8; 32],
        mailbox: &str,
        by: &str,
        now: UnixMillis,
    ) -> Result<Option<OversightMode>, StoreError>;
}
