//! Takes mail in to be sent: checks it, composes it, writes its bytes, queues it. The worker in `outbox` does the rest.
//!
//! No loops: a reply says that it is a program's, and a program's, a list's or a bounce's mail is not replied to; what
//! one mailbox sends to one correspondent, and in one thread, within an hour has a limit, whoever asks.

mod draft;
mod error;
mod later;
mod notice;
mod reply;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

pub use draft::{ATTACHMENTS_MAX, GivenFile, MARKDOWN_BYTES_MAX, RECIPIENTS_MAX, SUBJECT_CHARS_MAX};
pub use error::SubmitError;
pub use later::{Change, RETRY_DELAY_MAX};
pub use notice::Fared;

use super::{blobs::Blobs, compose::Automatic, domains::Domains, markdown, simulator, tracking::Tracking};
use crate::{
    domain::{
        address::Address,
        clock::{Clock, UnixMillis},
        id::{MessageId, ThreadId},
        message::{Mailbox, Status},
        office::GateTiming,
        return_path::{TOKEN_CHARS, return_path},
    },
    ids::Ids,
    signing::digest::sha256_hex,
    store::{
        mailroom::Mailroom,
        outbox::{HourlyLimits, NewOutbound, Outbox, Reply, Submitted},
    },
};

/// A conversation between a person and an agent has a handful of mails an hour; two programs that answer each other end
/// here.
pub const HOURLY_LIMITS: HourlyLimits = HourlyLimits { per_correspondent: 20, per_thread: 20 };
/// How long an idempotency key holds, as the service documents it.
const KEY_SPAN: Duration = Duration::from_hours(24);
/// The same for what an operator has approved, or is told: whoever does it may be away for long between doing and noting it.
const APPROVED_KEY_SPAN: Duration = Duration::from_hours(400 * 24);
/// The longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// A message may be scheduled so far ahead; beyond it a wrong year is likelier than a plan.
const AHEAD_MAX: Duration = Duration::from_hours(366 * 24);

/// What a submission works with.
pub struct Parts {
    /// The queue.
    pub outbox: Arc<dyn Outbox>,
    /// Mailboxes and messages.
    pub mailroom: Arc<dyn Mailroom>,
    /// Raw messages.
    pub blobs: Blobs,
    /// Ids and secrets.
    pub ids: Arc<Ids>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The domains whose mail stays here.
    pub domains: Arc<Domains>,
    /// Whether there is a relay for all others.
    pub relays: bool,
    /// The largest message, in bytes.
    pub message_bytes_max: usize,
    /// Makes tracking images.
    pub tracking: Arc<Tracking>,
    /// Rung after something was queued.
    pub queued: Arc<Notify>,
}

/// Takes mail in to be sent.
pub struct Submission {
    with: Parts,
}

/// What is asked for: a letter.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// To whom.
    pub to: Vec<String>,
    /// Copies.
    pub cc: Vec<String>,
    /// Copies that no header names.
    pub bcc: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The text, in Markdown.
    pub markdown: String,
    /// What goes along as files.
    pub files: Vec<GivenFile>,
    /// The caller's name for this request.
    pub idempotency_key: Option<String>,
    /// When to send it; at once otherwise.
    pub send_at: Option<UnixMillis>,
    /// What comes first where it is sent later and needs an approval; as its mailbox has it otherwise.
    pub gate_timing: Option<GateTiming>,
    /// Whether it carries a tracking image; as its mailbox has it otherwise.
    pub track_opens: Option<bool>,
    /// Whether its head says that an AI wrote it.
    pub ai_disclosure: bool,
    /// Of a letter that an operator has approved: what was shown. Nothing of the letter is then worked out anew.
    pub shown: Option<Shown>,
}

/// What an operator was shown of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The SHA-256 of its HTML, in hexadecimal.
    pub html_sha256: String,
}

/// A letter as it would be sent.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The letter, with everybody it goes to, and its subject.
    pub letter: Letter,
    /// Its HTML.
    pub html: String,
    /// Why a reply is not sent without an operator, where that is so.
    pub not_answerable: Option<&'static str>,
}

/// A letter that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The message.
    pub message: MessageId,
    /// Its thread.
    pub thread: ThreadId,
    /// Whether it is scheduled or queued.
    pub status: Status,
    /// Whether an earlier request of the same key had it taken in already.
    pub again: bool,
}

/// How a letter stands in a conversation.
#[derive(Default)]
struct Place {
    in_reply_to: Option<String>,
    /// The oldest first.
    references: Vec<String>,
    reply: Option<Reply>,
    /// The thread of what is answered, for where no Message-ID leads to it.
    thread: Option<ThreadId>,
    /// Whether the house itself writes to its operator.
    notice: bool,
}

impl Submission {
    /// A submission.
    pub fn new(with: Parts) -> Self {
        Self { with }
    }

    /// Takes in a letter from `mailbox`.
    pub async fn send(&self, mailbox: &Mailbox, letter: Letter) -> Result<Taken, SubmitError> {
        self.take(mailbox, letter, Place::default()).await
    }

    /// A letter from `mailbox` as it would be sent; nothing is kept of it. A reply's recipients and subject follow from the
    /// message `answered`.
    pub async fn preview(
        &self,
        mailbox: &Mailbox,
        answered: Option<&MessageId>,
        mut letter: Letter,
    ) -> Result<Preview, SubmitError> {
        let mut not_answerable = None;
        if let Some(answered) = answered {
            let placed = self.place(mailbox, answered, &mut letter).await?;
            not_answerable = placed.not_answerable;
        }
        let people = draft::People::read(&letter.to, &letter.cc, &letter.bcc)?;
        due_at(letter.send_at, self.with.clock.now())?;
        self.routable(&people.all)?;
        draft::check(&letter.subject, &letter.markdown, &letter.files)?;
        letter.track_opens = Some(self.with.tracking.is_wanted(&mailbox.id, letter.track_opens).await?);
        let html = markdown::html(&letter.markdown);
        Ok(Preview { letter, html, not_answerable })
    }

    async fn take(&self, mailbox: &Mailbox, letter: Letter, place: Place) -> Result<Taken, SubmitError> {
        if letter.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
            return Err(SubmitError::Invalid(format!("`idempotency_key` has 1 to {KEY_BYTES_MAX} bytes")));
        }
        let key_span = if letter.shown.is_some() || place.notice { APPROVED_KEY_SPAN } else { KEY_SPAN };
        if let Some(shown) = &letter.shown
            && sha256_hex(markdown::html(&letter.markdown).as_bytes()) != shown.html_sha256
        {
            return Err(SubmitError::Invalid(
                "this letter would now be sent as other HTML than the operator was shown, so it was not sent".into(),
            ));
        }
        let now = self.with.clock.now();
        let due = due_at(letter.send_at, now)?;
        let status = if due > now { Status::Scheduled } else { Status::Queued };
        let people = draft::People::read(&letter.to, &letter.cc, &letter.bcc)?;
        self.routable(&people.all)?;
        let internet_id = format!("{}@{}", self.with.ids.next("m-"), mailbox.address.domain());
        let id = MessageId::new(self.with.ids.next("em_"));
        let made = self
            .make(draft::Making {
                id: id.clone(),
                mailbox: mailbox.clone(),
                people: people.clone(),
                subject: letter.subject,
                markdown: letter.markdown,
                files: letter.files,
                internet_id: internet_id.clone(),
                in_reply_to: place.in_reply_to.clone(),
                references: place.references.clone(),
                auto: match (place.notice, &place.reply) {
                    (true, _) => Automatic::Generated,
                    (false, Some(_)) => Automatic::Replied,
                    (false, None) => Automatic::No,
                },
                text_only: place.notice,
                track_opens: letter.track_opens,
                ai_disclosure: letter.ai_disclosure,
                thread: place.thread.unwrap_or_else(|| ThreadId::new(self.with.ids.next("thr_"))),
                status,
                at: now,
            })
            .await?;
        let token: String = self.with.ids.secret("").chars().take(TOKEN_CHARS).collect();
        let envelope_from = return_path(&token, mailbox.address.domain())
            .map_err(|_| SubmitError::Invalid("the mailbox's domain is too long to send from".into()))?;
        let mut references: Vec<String> = place.references.into_iter().rev().collect();
        if let Some(answered) = place.in_reply_to {
            references.retain(|id| *id != answered);
            references.insert(0, answered);
        }
        let submitted = self
            .with
            .outbox
            .submit(NewOutbound {
                message: made.message,
                raw: made.raw,
                internet_id,
                references,
                token,
                envelope_from,
                bcc: letter.bcc,
                track_opens: letter.track_opens,
                recipients: people.all,
                due_at: due,
                idempotency_key: letter.idempotency_key,
                key_span,
                reply: place.reply,
                limits: HOURLY_LIMITS,
            })
            .await?;
        match submitted {
            Submitted::Fresh(thread) => {
                self.with.queued.notify_one();
                Ok(Taken { message: id, thread, status, again: false })
            }
            Submitted::Before { message, thread } => Ok(Taken { message, thread, status, again: true }),
            Submitted::SameReply(before) => Err(SubmitError::SameReply(before)),
            Submitted::Suppressed(suppression) => Err(SubmitError::Suppressed(suppression)),
            Submitted::TooMany(too_many) => Err(SubmitError::TooMany { too_many, now }),
        }
    }

    /// Whether there is a way to each address.
    fn routable(&self, addresses: &[Address]) -> Result<(), SubmitError> {
        let elsewhere = addresses.iter().find(|address| {
            let domain = address.domain();
            domain != simulator::DOMAIN && !self.with.domains.holds(domain)
        });
        match elsewhere {
            Some(address) if !self.with.relays => Err(SubmitError::NoRelay(address.clone())),
            _ => Ok(()),
        }
    }
}

/// When a letter is to be tried first.
fn due_at(send_at: Option<UnixMillis>, now: UnixMillis) -> Result<UnixMillis, SubmitError> {
    let due_at = send_at.unwrap_or(now).max(now);
    if due_at > now.plus(AHEAD_MAX) {
        return Err(SubmitError::Invalid("`send_at` may be a year ahead at most".into()));
    }
    Ok(due_at)
}
