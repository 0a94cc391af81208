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
    /// Takes in a reply to the message `id` of `mailbox`. Recipients and subject of `letter` follow from that message.
    pub async fn reply(&self, mailbox: &Mailbox, id: &MessageId, mut letter: Letter) -> Result<Taken, SubmitError> {
        let no_message = || SubmitError::NoMessage(id.clone());
        let answered = self.with.mailroom.message(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let blob = self.with.mailroom.blob_of(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let envelope_from = self.with.outbox.envelope_from(&mailbox.id, id).await?.ok_or_else(no_message)?;
        let raw = Arc::new(self.with.blobs.get(&blob).await?);
        let reading = tokio::task::spawn_blocking(move || (mime::read(&raw), mime::answering(&raw)));
        let (reading, answering) = reading.await.map_err(|_| SubmitError::Compose)?;
        if answered.summary.direction == Direction::Inbound {
            if envelope_from.is_empty() {
                return Err(SubmitError::NotAnswerable(
                    "this message came from the null sender, as reports and automatic answers do; it must not be replied \
                     to. Write to the person with send_email if there is one",
                ));
            }
            if answering.auto {
                return Err(SubmitError::NotAnswerable(
                    "this message was sent by a program (Auto-Submitted), and programs that answer each other never end; \
                     write to the person with send_email if there is one",
                ));
            }
            if answering.bulk {
                return Err(SubmitError::NotAnswerable(
                    "this message is a list's or bulk mail, and a reply would reach many or nobody; write to the person \
                     with send_email if there is one",
                ));
            }
            letter.to = answering.to;
        } else {
            // A word more to whom the last one went.
            letter.to.clone_from(&answered.summary.to);
        }
        if letter.to.is_empty() {
            return Err(SubmitError::NotAnswerable("this message names no sender to reply to"));
        }
        letter.subject = subject(&answered.summary.subject);
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
        let place = Place { in_reply_to: reading.internet_id, references, reply: Some(reply) };
        self.take(mailbox, letter, place).await
    }
}

/// `Re: ` and the subject, once.
fn subject(answered: &str) -> String {
    let has_re = answered.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    let whole = if has_re { answered.to_owned() } else { format!("Re: {answered}") };
    whole.chars().filter(|char| !char.is_control()).take(super::SUBJECT_CHARS_MAX).collect()
}
