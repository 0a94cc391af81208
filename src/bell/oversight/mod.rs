//! Oversight: the one gate that every change passes, and what waits behind it for the person in charge.
//!
//! # Why the gate stands at the request
//!
//! A tool that changes something ends in a request to the mail API, and so does whoever speaks to that API with a key.
//! [`Oversight::admit`] judges the request itself, so that both meet one judgement. What passes becomes a [`Pass`], which
//! nothing else makes and without which the client of the API sends no change: a tool that forgot the gate does not compile.
//!
//! # What an operator says yes to
//!
//! An [`Effect`] is made when the change is asked for: recipients resolved, text and HTML as they will be sent, files by
//! digest, the URL as it is. Its bytes are kept and never change; the operator approves their digest, and those bytes are
//! what is done ([`errands`]).

mod errands;
mod summary;
mod upgrades;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use self::summary::{summary, texts};
pub use self::{errands::Errands, upgrades::ASKS_MAX};
use crate::{
    domain::{
        allow_hosts::AllowHosts,
        clock::{Clock, UnixMillis},
        cursor::Cursor,
        event::{Auth, Detail, NewEvent},
        id::{ActionId, EventId, MessageId, SourceName},
        key::ApiKey,
        office::GateTiming,
        oversight::{ActionState, Change, Effect, Facts, OversightMode, Rules, Verdict, judge},
        secret::Secret,
    },
    ids::Ids,
    signing::digest::{sha256, sha256_hex},
    store::{
        StoreError,
        audit::{self, AuditFilter, AuditLog},
        log::EventLog,
        oversight::{Action, Decided, Decider, Decision, Kept, NewAction, Oversights, PENDING_MAX},
        tokens::{TokenScope, Tokens},
    },
    wake::Bell,
};

/// How long an action waits before it is over undecided: a long weekend.
pub const WAITS: Duration = Duration::from_hours(72);
/// How long an operator's code changes a mode.
const CODE_HOLDS: Duration = Duration::from_hours(24);
/// The source in whose name the house tells of approvals.
const SOURCE: &str = "mailbell";
/// Characters of an operator's note, or of why an action failed.
const NOTE_CHARS_MAX: usize = 500;
/// The note on what waited when the account was closed.
pub const CLOSED: &str = "the account was closed";

/// What oversight is made of.
pub struct Parts {
    /// What is set, and what waits.
    pub store: Arc<dyn Oversights>,
    /// Who the operator is.
    pub tokens: Arc<dyn Tokens>,
    /// Where outcomes are told.
    pub log: Arc<dyn EventLog>,
    /// What was done.
    pub audit: Arc<dyn AuditLog>,
    /// Rung for them.
    pub bell: Bell,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names actions.
    pub ids: Arc<Ids>,
    /// Where webhooks may go without anybody's approval.
    pub allowed: AllowHosts,
}

/// The gate, and what waits behind it.
pub struct Oversight {
    parts: Parts,
    upgrades: upgrades::Asks,
}

/// A change that the gate has let through. Only this module makes one.
#[derive(Debug)]
pub struct Pass(Change);

impl Pass {
    /// What may be done.
    pub fn change(&self) -> &Change {
        &self.0
    }

    /// What the house itself does, such as having itself told of mail. No agent asks for it.
    pub(in crate::bell) fn of_the_house(change: Change) -> Self {
        Self(change)
    }
}

/// What the gate says.
#[derive(Debug)]
pub enum Admitted {
    /// It may be done now.
    Pass(Pass),
    /// It waits for an operator: say what it comes to, and have it kept with [`Oversight::hold`].
    Hold(Change),
    /// It is not done; in a sentence.
    Refused(String),
}

/// A change that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its action.
    pub action: ActionId,
    /// A place in the log before which nothing is told of it; none where another gate keeps it.
    pub after: Option<Cursor>,
    /// When an operator is asked, where that is later.
    pub asked_at: Option<UnixMillis>,
}

/// Why a change was not kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HoldError {
    /// Too much waits.
    #[error(
        "{PENDING_MAX} actions, or 256 MiB of them, wait for an operator already, so this was not taken; wait for some to be decided"
    )]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who asks for a change, for the operator to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker(pub String);

impl Asker {
    /// The bearer of a key of the mail API.
    pub fn key(key: &ApiKey) -> Self {
        Self(format!("the API key `{}`", key.name))
    }
}

impl Oversight {
    /// A gate.
    pub fn new(parts: Parts) -> Self {
        Self { parts, upgrades: upgrades::Asks::default() }
    }

    /// What the operator has set.
    pub async fn rules(&self) -> Result<Rules, StoreError> {
        self.parts.store.rules().await
    }

    /// Judges a change. `loopback`: whether who asks may have webhooks sent to this machine; `tags`: those of the message
    /// whose tags it sets.
    pub async fn admit(
        &self,
        change: Change,
        loopback: bool,
        tags: std::collections::BTreeMap<String, String>,
    ) -> Result<Admitted, StoreError> {
        let facts = Facts { allowed: self.parts.allowed.clone(), loopback, tags };
        let weight = change.weight(&facts);
        let rules = self.rules().await?;
        Ok(match judge(&rules, change.mailbox.as_deref(), weight) {
            Verdict::Pass => Admitted::Pass(Pass(change)),
            Verdict::Hold => Admitted::Hold(change),
            Verdict::Refuse(sentence) => Admitted::Refused(sentence),
        })
    }

    /// Keeps what waits for an operator, with all of it that a person should see. One like it that waits already stands for
    /// both.
    pub async fn hold(&self, mut change: Change, shown: Value, asker: &Asker) -> Result<Held, HoldError> {
        let Parts { store, log, clock, ids, .. } = &self.parts;
        // A letter is known by its action when it is sent; its asker's own name for it is how a second asking is known.
        let is_letter = change.letter().is_some();
        let name = change.body.as_object_mut().filter(|_| is_letter).and_then(|body| body.remove("idempotency_key"));
        let alike = match name.as_ref().and_then(Value::as_str) {
            Some(name) => json!([change.mailbox, name]),
            None => json!([change.method, change.path, change.query, change.body]),
        };
        let later = asked_later(&change, &shown).filter(|&at| at > clock.now());
        let summary = summary(&change, &shown);
        let recipients = ["to", "cc", "bcc"].iter().flat_map(|name| texts(&shown, name)).map(str::to_owned).collect();
        let mailbox = change.mailbox.clone();
        let effect = Effect { change, shown }.bytes();
        let extent = log.extent().await?;
        let after = Some(Cursor { log: extent.log, seq: extent.head });
        let now = clock.now();
        let action = ActionId::new(ids.next("act_"));
        let new = NewAction {
            id: action.clone(),
            digest: sha256_hex(&effect),
            effect,
            alike: sha256_hex(alike.to_string().as_bytes()),
            named: name.is_some(),
            summary,
            asker: asker.0.clone(),
            mailbox,
            recipients,
            now,
            later: later.is_some(),
            expires_at: later.unwrap_or(now).plus(WAITS),
        };
        match store.keep_action(new).await? {
            Kept::Fresh => {
                tracing::info!(action.id = %action, "a change waits for an operator");
                Ok(Held { action, after, asked_at: later })
            }
            Kept::Alike(action) => Ok(Held { action, after, asked_at: later }),
            Kept::Full => Err(HoldError::Full),
        }
    }

    /// Whether `token` is the operator's.
    pub async fn is_operator(&self, token: &Secret) -> Result<bool, StoreError> {
        let bearer = self.parts.tokens.principal(sha256(token.expose().as_bytes())).await?;
        Ok(bearer.is_some_and(|bearer| bearer.scope == TokenScope::Operator))
    }

    /// An action, with its effect while it is not over.
    pub async fn action(&self, id: &ActionId) -> Result<Option<Action>, StoreError> {
        self.parts.store.action(id).await
    }

    /// Which message an approved letter became, where that is known.
    pub async fn message_of(&self, id: &ActionId) -> Result<Option<MessageId>, StoreError> {
        self.parts.store.message_of(id).await
    }

    /// Actions in that state, or in any, the newest first.
    pub async fn actions(
        &self,
        state: Option<ActionState>,
        limit: u32,
        whole: bool,
    ) -> Result<Vec<Action>, StoreError> {
        self.parts.store.actions(state, limit, whole).await
    }

    /// What was asked for and became this message, the newest first.
    pub async fn actions_about(&self, message: &MessageId, limit: u32) -> Result<Vec<Action>, StoreError> {
        self.parts.store.actions_about(message, limit).await
    }

    /// Decides for the operator, whom the caller has made sure of. What is approved is done by the keeper; a no is told at
    /// once.
    pub async fn decide(
        &self,
        id: &ActionId,
        decision: &Decision,
        by: &Decider,
        note: Option<&str>,
    ) -> Result<Decided, StoreError> {
        let note: Option<String> = note.map(|note| note.chars().take(NOTE_CHARS_MAX).collect());
        let now = self.parts.clock.moment();
        let decided = self.parts.store.decide(id, decision, by, note.as_deref(), now).await?;
        if decided == Decided::Done && *decision == Decision::Deny {
            self.tell(id, ActionState::Denied).await?;
        }
        if decided == Decided::Over(ActionState::Expired) {
            self.expire(id).await?;
        }
        Ok(decided)
    }

    /// Puts something on record; answers with its entry's id once it is on disk.
    pub async fn record(&self, entry: audit::Entry) -> Result<i64, StoreError> {
        self.parts.audit.record(entry, self.parts.clock.now()).await
    }

    /// The clock that the record is kept by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// Says no to all that waits, because what it is about is gone. Done again, it does nothing more.
    pub async fn end_what_waits(&self, by: &Decider, note: &str) -> Result<(), StoreError> {
        for state in [ActionState::Scheduled, ActionState::Pending] {
            for action in self.actions(Some(state), PENDING_MAX, false).await? {
                self.decide(&action.id, &Decision::Deny, by, Some(note)).await?;
            }
        }
        Ok(())
    }

    /// What is on record before the entry `before`, or at its end: `limit` entries at most, the newest first.
    pub async fn record_before(&self, before: Option<i64>, limit: u32) -> Result<Vec<audit::Row>, StoreError> {
        let before = match before {
            Some(before) => before,
            None => self.parts.audit.head().await?.id + 1,
        };
        let after = (before - 1 - i64::from(limit)).max(0);
        let (mut rows, _) = self.parts.audit.entries(&AuditFilter::default(), after, limit).await?;
        rows.retain(|row| row.id < before);
        rows.reverse();
        Ok(rows)
    }

    /// The first `limit` entries that are on record after the entry `after`, the oldest first.
    pub async fn record_after(&self, after: i64, limit: u32) -> Result<Vec<audit::Row>, StoreError> {
        Ok(self.parts.audit.entries(&AuditFilter::default(), after, limit).await?.0)
    }

    /// Sets the mode of a mailbox, or of the house, for the operator.
    pub async fn set_mode(
        &self,
        mailbox: Option<&str>,
        mode: Option<OversightMode>,
        by: &Decider,
    ) -> Result<(), StoreError> {
        self.parts.store.set_mode(mailbox, mode, by, self.parts.clock.now()).await
    }

    /// Has everything but taking mail in stand still, or go on, for the operator.
    pub async fn set_paused(&self, paused: bool, by: &Decider) -> Result<(), StoreError> {
        self.parts.store.set_paused(paused, by, self.parts.clock.now()).await
    }

    /// A word by which an agent may have the mode of `mailbox` changed, once and within a day.
    pub async fn code(&self, mailbox: &str, mode: OversightMode, by: &Decider) -> Result<Secret, StoreError> {
        let code = Secret::new(self.parts.ids.secret("up_"));
        let now = self.parts.clock.now();
        let sha256 = sha256(code.expose().as_bytes());
        self.parts.store.keep_code(sha256, mailbox, mode, now.plus(CODE_HOLDS), by, now).await?;
        Ok(code)
    }

    /// Counts that an operator is asked for another mode of `mailbox`; or says in how many seconds one may be again.
    pub fn ask_upgrade(&self, mailbox: &str) -> Result<(), u64> {
        self.upgrades.count(mailbox, self.parts.clock.boot_millis())
    }

    /// Uses such a word up for `asker`; none where it is none, or no more.
    pub async fn use_code(
        &self,
        code: &str,
        mailbox: &str,
        asker: &Asker,
    ) -> Result<Option<OversightMode>, StoreError> {
        self.parts.store.use_code(sha256(code.as_bytes()), mailbox, &asker.0, self.parts.clock.now()).await
    }

    async fn expire(&self, id: &ActionId) -> Result<(), StoreError> {
        let (from, to, now) = (ActionState::Pending, ActionState::Expired, self.parts.clock.moment());
        // Whoever approved it in the meantime was first.
        if self.parts.store.move_action(id, from, to, None, now).await? {
            self.tell(id, to).await?;
        }
        Ok(())
    }

    /// Tells in the log how an action ended, once.
    async fn tell(&self, id: &ActionId, state: ActionState) -> Result<(), StoreError> {
        let Some(outcome) = state.outcome() else { return Ok(()) };
        let Parts { store, log, clock, bell, .. } = &self.parts;
        let action = store.action(id).await?;
        let now = clock.now();
        // The same however often it is told.
        let decided_at = action.as_ref().and_then(|action| action.decided_at).unwrap_or(now);
        let mailbox = action.and_then(|action| action.mailbox);
        let event = NewEvent {
            // By it the log has it once.
            event_id: EventId::new(format!("evt_{id}")),
            mailbox: mailbox.clone(),
            message_id: None,
            thread_id: None,
            timestamp: decided_at,
            provider_kind: None,
            detail: Detail::Approval { action_id: id.clone(), outcome: outcome.to_owned() },
        };
        log.append(&SourceName::new(SOURCE), Auth::Internal, now, vec![event]).await?;
        bell.ring_event(mailbox.as_deref());
        Ok(())
    }
}

/// When an operator is asked about a letter whose moment comes first: at that moment.
fn asked_later(change: &Change, shown: &Value) -> Option<UnixMillis> {
    let says = |name: &str| shown.get(name).and_then(Value::as_str);
    change.letter()?;
    let later = says("gate_timing")? == GateTiming::ScheduleFirst.as_str();
    says("send_at")?.parse().ok().filter(|_| later)
}
