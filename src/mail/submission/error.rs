//! Why mail was not taken in to be sent, in sentences that say what to do next.

use std::io;

use crate::{
    domain::{
        address::Address,
        clock::UnixMillis,
        id::MessageId,
        message::Status,
        suppression::{Suppression, SuppressionReason},
    },
    store::{StoreError, outbox::TooMany},
};

/// Of a suppression's note in a refusal, in characters: the sentence must still end with what to do.
const NOTE_CHARS_SHOWN: usize = 100;

/// Why mail was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// There is no such message.
    #[error("there is no email `{0}` in this mailbox; list the mailbox's emails to find it")]
    NoMessage(MessageId),
    /// It must not be replied to.
    #[error("{0}")]
    NotAnswerable(&'static str),
    /// A recipient is on the suppression list.
    #[error("{}", suppressed(.0))]
    Suppressed(Box<Suppression>),
    /// The same reply was given a moment ago.
    #[error("the same reply was given a moment ago, as `{0}`; it is not sent twice")]
    SameReply(MessageId),
    /// It would go over an hourly limit.
    #[error("{}", over_limit(too_many, *now))]
    TooMany {
        /// Which, and until when.
        too_many: TooMany,
        /// When it was asked for.
        now: UnixMillis,
    },
    /// There is no way to an address.
    #[error(
        "there is no way to {0}: it is at none of this service's domains, and no relay is set; the operator sets \
         mail.relay.host (and port, tls, username, password) in config.toml, or try an address at \
         simulator.mailbell.test"
    )]
    NoRelay(Address),
    /// It cannot be taken back or changed any more.
    #[error("the email is not scheduled any more but `{}`; only a scheduled one can be taken back or changed", .0.as_str())]
    TooLate(Status),
    /// Another try makes no sense.
    #[error("{0}")]
    NoRetry(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed.
    #[error("could not write the message to disk")]
    Disk(#[from] io::Error),
    /// It could not be composed.
    #[error("could not compose the message")]
    Compose,
}

fn suppressed(suppression: &Suppression) -> String {
    let why = match suppression.reason {
        SuppressionReason::Bounce => "mail to it bounced for good",
        SuppressionReason::Complaint => "its owner called our mail spam",
        SuppressionReason::Manual => "somebody asked for that",
    };
    let short = |note: &String| {
        note.chars().map(|char| if char.is_control() { ' ' } else { char }).take(NOTE_CHARS_SHOWN).collect::<String>()
    };
    let note = suppression.note.as_ref().map(|note| format!(" ({})", short(note)));
    format!(
        "{} is on the suppression list since {}, because {why}{}; write to somebody else, or have the operator lift it",
        suppression.address,
        suppression.created_at,
        note.unwrap_or_default(),
    )
}

fn over_limit(too_many: &TooMany, now: UnixMillis) -> String {
    let secs = retry_after_secs(too_many, now);
    match &too_many.correspondent {
        Some(address) => format!(
            "{} messages went to {address} within the last hour, which is the limit; try again in {secs} seconds",
            too_many.limit
        ),
        None => format!(
            "{} messages were sent in this thread within the last hour, which is the limit; try again in {secs} seconds",
            too_many.limit
        ),
    }
}

/// Whole seconds from `now` until there is room again.
fn retry_after_secs(too_many: &TooMany, now: UnixMillis) -> u64 {
    u64::try_from(too_many.room_at.0.saturating_sub(now.0)).unwrap_or(0).div_ceil(1000).max(1)
}

impl SubmitError {
    /// How long to wait before asking again, in whole seconds, where waiting helps.
    pub fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::TooMany { too_many, now } => Some(retry_after_secs(too_many, *now)),
            _ => None,
        }
    }
}
