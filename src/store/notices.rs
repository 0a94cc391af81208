//! What the operator is to be told, and the letters in which it is: kept until it is told or given up.
//!
//! A fact is noted in one transaction with how far its record was looked through, once for each target, so that whoever is killed
//! notes nothing twice and loses nothing. A letter's bytes are made once; whoever is killed between sending and noting it sends
//! the same bytes under the same id.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{clock::UnixMillis, notice::Notice, secret::Secret};

/// Something to be told to one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Where it is told.
    pub target: String,
    /// Names it: a target is told of it once.
    pub fact: String,
    /// What is told.
    pub notice: Notice,
}

/// What waits for a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place; it rises.
    pub n: i64,
    /// What is told.
    pub notice: Notice,
    /// Since when it waits.
    pub made_at: UnixMillis,
}

/// A letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeLetter {
    /// By it a receiver knows a second copy.
    pub id: String,
    /// Where it goes.
    pub target: String,
    /// What is sent, to the byte.
    pub body: String,
    /// When it was made.
    pub made_at: UnixMillis,
    /// How often it was tried.
    pub tries: u32,
}

/// How a letter ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterEnd {
    /// It was told.
    Told,
    /// It was given up, for this reason.
    GivenUp(String),
}

/// How it stands with one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStanding {
    /// Which.
    pub target: String,
    /// Notices that wait, in a letter or for one.
    pub waiting: u32,
    /// When it was last told something.
    pub told_at: Option<UnixMillis>,
    /// When a letter was last given up.
    pub given_up_at: Option<UnixMillis>,
    /// Why the last letter that failed did, and whether that one is still tried.
    pub failure: Option<(String, bool)>,
}

/// What the operator is to be told. What takes an `epoch` changes nothing once a later term has begun.
#[async_trait]
pub trait Notices: Send + Sync + 'static {
    /// Fails where a later term than `epoch` has begun: what is sent by one that is over may be told twice.
    async fn holds(&self, epoch: i32) -> Result<(), StoreError>;
    /// Up to where a record was looked through; none: never.
    async fn mark(&self, what: &str) -> Result<Option<i64>, StoreError>;
    /// Notes what is to be told, unless its target knows it, and up to where records were looked through.
    async fn note(
        &self,
        epoch: i32,
        facts: Vec<Fact>,
        marks: Vec<(String, i64)>,
        now: UnixMillis,
    ) -> Result<(), StoreError>;
    /// Targets for which something waits, each with how much.
    async fn targets_waiting(&self) -> Result<Vec<(String, u32)>, StoreError>;
    /// What waits for a letter to `target`, the oldest first.
    async fn waiting(&self, target: &str, limit: u32) -> Result<Vec<Waiting>, StoreError>;
    /// How many letters were made for `target` since then.
    async fn letters_since(&self, target: &str, since: UnixMillis) -> Result<u32, StoreError>;
    /// Keeps a letter that tells what waits up to the place `through`.
    async fn write_letter(&self, epoch: i32, letter: NoticeLetter, through: i64) -> Result<(), StoreError>;
    /// Letters that are due, the oldest first.
    async fn due_letters(&self, now: UnixMillis, limit: u32) -> Result<Vec<NoticeLetter>, StoreError>;
    /// Notes that a letter was not told yet, and when it is tried again.
    async fn letter_failed(&self, epoch: i32, id: &str, failure: &str, due_at: UnixMillis) -> Result<(), StoreError>;
    /// Ends a letter; the audit record tells of it, with `shown` for its target.
    async fn end_letter(
        &self,
        epoch: i32,
        id: &str,
        end: &LetterEnd,
        shown: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError>;
    /// Forgets what is over since before `before`, and all that waits for targets other than `targets` and mailboxes'. Without
    /// targets also up to where records were looked through, so that whoever is named later is told from then on.
    async fn settle_notices(&self, epoch: i32, targets: &[String], before: UnixMillis) -> Result<(), StoreError>;
    /// How it stands with each target.
    async fn notice_standing(&self) -> Result<Vec<TargetStanding>, StoreError>;
    /// The state of a letter that tells the fact of that name to `target`: `waiting`, `told` or `given_up`, and why not; none
    /// while there is no such letter.
    async fn letter_of(&self, target: &str, fact: &str) -> Result<Option<(String, Option<String>)>, StoreError>;
    /// The secret of that name that signs, which is `fresh` where there is none yet.
    async fn notice_secret(&self, name: &str, fresh: Secret) -> Result<Secret, StoreError>;
    /// Requests that each source refused so far.
    async fn refused_by_source(&self) -> Result<Vec<(String, i64)>, StoreError>;
}
