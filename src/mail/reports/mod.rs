//! Everything a returned message can say: bounces, delays, success reports and complaints, read from their bytes.
//!
//! Pure: bytes in, words out. A report comes in one of four ways, tried in this order: [`arf`] (RFC 5965 and the
//! complaints of those who never read it), [`amazon`] (JSON notices by mail), [`dsn`] (RFC 3464 and 6533), and [`text`]
//! (what mail systems write to people). [`classify`](classify::classify) turns codes and words into a reason, for live
//! replies too; its rules are data.
//!
//! Nothing in here proves anything: anyone can write such a message. What a report may cause is for the caller to
//! decide, by how it came and what it is tied to.
//!
//! What is never a bounce: automatic replies of people (RFC 3834), reading receipts (RFC 8098), ordinary mail that
//! talks about bounces, and forwarded or quoted reports.

mod addresses;
mod amazon;
mod arf;
pub mod classify;
mod codes;
mod cut;
mod dsn;
mod fields;
mod letter;
mod limits;
mod markup;
mod original;
mod parts;
mod reason;
mod signs;
mod text;
mod verdict;

use crate::domain::code::EnhancedStatusCode;

pub use reason::Reason;

/// What a message says about another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The message it is about.
    pub about: Original,
    /// What it says.
    pub says: Says,
}

/// The message that a report is about, as far as told. Every word of it can be forged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Original {
    /// Its Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// Its envelope id (RFC 3461 section 4.4), decoded.
    pub envelope_id: Option<String>,
    /// The address it was from.
    pub from: Option<String>,
    /// The addresses it was to.
    pub to: Vec<String>,
    /// Its subject.
    pub subject: Option<String>,
}

/// The two kinds of report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// What became of the message, by recipient. Never empty; a report that names no recipient has one without.
    Status(Vec<RecipientStatus>),
    /// Somebody complained about it.
    Complaint(Complaint),
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientStatus {
    /// Who it could or could not be delivered to at last: where an address forwards, the address behind it.
    pub recipient: Option<String>,
    /// Who the sender named (RFC 3464 section 2.3.1), where that is told.
    pub original_recipient: Option<String>,
    /// What was done.
    pub action: Action,
    /// The enhanced status code; concluded from the words if `code_inferred`.
    pub status: Option<EnhancedStatusCode>,
    /// The SMTP reply code. A failure or delay has this or `status`.
    pub reply_code: Option<u16>,
    /// No code was told, and `status` was concluded from the words.
    pub code_inferred: bool,
    /// Why; `other` where it worked.
    pub reason: Reason,
    /// Whether the address is dead, so that sending to it again would do harm.
    pub suppress_advised: bool,
    /// What was said, to the letter except that folded lines are joined.
    pub diagnostic: Option<String>,
    /// The server that said it.
    pub remote_mta: Option<String>,
}

/// What a mail system did with a message (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It gave up.
    Failed,
    /// It will try again.
    Delayed,
    /// It delivered it.
    Delivered,
    /// It handed it to a system that sends no such reports.
    Relayed,
    /// It sent it on to several addresses.
    Expanded,
}

/// Somebody complained (RFC 5965).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Who complained, as far as told; empty where the report hides it.
    pub recipients: Vec<String>,
    /// `abuse`, `fraud`, `virus`, `opt-out`, `auth-failure`, `not-spam` or another, in lower case. The last two are no
    /// wish to hear no more.
    pub feedback_type: String,
    /// The domain of whoever sent the report, as its From says.
    pub reporting_domain: Option<String>,
}

/// What a message says about another; none if it is no report but ordinary mail or an automatic reply.
pub fn read(raw: &[u8]) -> Option<Report> {
    let letter = letter::Letter::unparted(raw);
    if is_surely_none(&letter) { None } else { of(&letter.parted()) }
}

fn of(letter: &letter::Letter) -> Option<Report> {
    if signs::is_receipt(letter) {
        return None;
    }
    arf::read(letter).or_else(|| amazon::read(letter)).or_else(|| dsn::read(letter)).or_else(|| text::read(letter))
}

/// Whether no reader would take `letter` for a report, whatever is found in its text once that is parted from a message
/// that it may return. Nearly all mail is known so by its header, before its lines are looked at.
fn is_surely_none(letter: &letter::Letter) -> bool {
    letter.report_type.is_empty()
        && letter.feedback.is_empty()
        && letter.status.is_empty()
        && !arf::may_be_complaint(letter)
        && !amazon::may_be_notice(letter)
        && !signs::may_be_returned_mail(letter)
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
