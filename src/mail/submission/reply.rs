//! Replies: to whom, under which subject, in which thread, and to what there is none.

use std::{sync::Arc, time::Duration};

use super::{Letter, Place, Submission, SubmitError, Taken};
use crate::{
    domain::{
        id::MessageId,
        message::{Direction, Mailbox},
    },
    mail::mime,
    signing::digest::sha256,
    store::outbox::Reply,
};

/// An equal reply within this is the same one, given twice by mistake.
const SAME_SPAN: Duration = Duration::from_mins(1);
/// Message-IDs in `References`; long threads keep the first and the last of them.
const REFERENCES_MAX: usize = 30;

impl Submission {
    /// Takes in a reply to the message `id` of `mailbox`. Recipients and subject of `letter` follow from that message, unless an
    /// operator was shown them.
    pub async fn reply(&self, mailbox: &Mailbox, id: &MessageId, mut letter: Letter) -> Result<Taken, SubmitError> {
        let placed = self.place(mailbox, id, &mut letter).await?;
        // An operator who was shown whom it goes to has answered that question.
        if let Some(why) = placed.not_answerable.filter(|_| letter.shown.is_none()) {
            return Err(SubmitError::NotAnswerable(why));
        }
        self.take(mailbox, letter, placed.place).await
    }

    /// Where a reply to the message `id` stands, and, in `letter`, to whom it goes and under which subject.
    pub(super) async fn place(
        &self,
        mailbox: &Mailbox,
        id: &MessageId,
        letter: &mut Letter,
    ) -> Result<Placed, SubmitError> {
        let no_message = || SubmitError::NoMessage(id.clone());
        let answered = self.with.mailroom.message(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let blob = self.with.mailroom.blob_of(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let envelope_from = self.with.outbox.envelope_from(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let raw = Arc::new(self.with.blobs.get(&blob).await?);
        let reading = tokio::task::spawn_blocking(move || (mime::read(&raw), mime::answering(&raw)));
        let (reading, answering) = reading.await.map_err(|_| SubmitError::Compose)?;
        let inbound = answered.summary.direction == Direction::Inbound;
        let not_answerable = if inbound { why_not(&envelope_from, answering.auto, answering.bulk) } else { None };
        if letter.shown.is_none() {
            letter.to = if inbound {
                answering.to
            } else {
                // A word more to whom the last one went.
                answered.summary.to.clone()
            };
            if letter.to.is_empty() && !envelope_from.is_empty() && not_answerable.is_some() {
                letter.to = vec![envelope_from.clone()];
            }
            letter.subject = subject(&answered.summary.subject);
        }
        if letter.to.is_empty() {
            return Err(SubmitError::NotAnswerable(
                not_answerable.unwrap_or("this message names no sender to reply to"),
            ));
        }
        let digest = sha256(
            &serde_json::to_vec(&(
                letter.markdown.as_str(),
                &letter.cc,
                &letter.bcc,
                letter.files.iter().map(|file| (&file.name, &file.content_base64)).collect::<Vec<_>>(),
            ))
            .map_err(|_| SubmitError::Compose)?,
        );
        let mut references = reading.references;
        references.retain(|reference| Some(reference) != reading.internet_id.as_ref());
        references.extend(reading.internet_id.clone());
        if references.len() > REFERENCES_MAX {
            references.drain(1..=references.len() - REFERENCES_MAX);
        }
        let reply = Reply { to: id.clone(), digest: digest.to_vec(), same_span: SAME_SPAN };
        let place = Place {
            in_reply_to: reading.internet_id,
            references,
            reply: Some(reply),
            thread: Some(answered.summary.thread_id),
            notice: false,
        };
        Ok(Placed { place, not_answerable })
    }
}

/// A reply's place in its conversation.
pub(super) struct Placed {
    place: Place,
    /// Why it is not sent without an operator, where that is so.
    pub(super) not_answerable: Option<&'static str>,
}

/// Why a message that came in is not replied to, where that is so.
fn why_not(envelope_from: &str, auto: bool, bulk: bool) -> Option<&'static str> {
    if envelope_from.is_empty() {
        return Some(
            "this message came from the null sender, as reports and automatic answers do; it must not be replied to. \
             Write to the person with send_email if there is one",
        );
    }
    if auto {
        return Some(
            "this message was sent by a program (Auto-Submitted), and programs that answer each other never end; write to \
             the person with send_email if there is one",
        );
    }
    bulk.then_some(
        "this message is a list's or bulk mail, and a reply would reach many or nobody; write to the person with \
         send_email if there is one",
    )
}

/// `Re: ` and the subject, once.
fn subject(answered: &str) -> String {
    let has_re = answered.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    let whole = if has_re { answered.to_owned() } else { format!("Re: {answered}") };
    whole.chars().filter(|char| !char.is_control()).take(super::SUBJECT_CHARS_MAX).collect()
}
