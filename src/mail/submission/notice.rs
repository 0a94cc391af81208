//! Letters of the house itself to its operator: text only, marked as a program's, from a mailbox that is nobody's.
//!
//! No loops: nothing is told of what becomes of them ([`crate::store::mailroom::Mailroom::house_mailbox`]), what comes back to
//! that mailbox finds none, and they count against nobody's limits but that mailbox's own.

use super::{Letter, Place, Submission, SubmitError};
use crate::domain::{
    address::Address,
    id::MailboxId,
    message::{Mailbox, Status},
};

/// The mailbox that they are from, at the first of our domains.
const LOCAL_PART: &str = "mailbell";

/// How far a letter has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fared {
    /// It is on its way.
    Queued,
    /// Its recipient's mail system, or the relay, has it.
    Sent,
    /// It was given up.
    Failed,
}

impl Submission {
    /// Writes to the operator at `to`, once for each `id`, and answers how far that letter is.
    pub async fn notice(&self, id: &str, to: &Address, subject: &str, text: &str) -> Result<Fared, SubmitError> {
        let mailbox = self.house_mailbox().await?;
        let letter = Letter {
            to: vec![to.to_string()],
            subject: subject.to_owned(),
            markdown: text.to_owned(),
            idempotency_key: Some(id.to_owned()),
            track_opens: Some(false),
            ..Letter::default()
        };
        let taken = self.take(&mailbox, letter, Place { notice: true, ..Place::default() }).await?;
        let standing = self.with.outbox.standing(&mailbox.id, &taken.message).await?;
        Ok(match standing.map(|standing| standing.status) {
            Some(Status::Sent) => Fared::Sent,
            Some(Status::SendFailed | Status::Cancelled) => Fared::Failed,
            _ => Fared::Queued,
        })
    }

    /// Whether there is a way to `address`.
    pub fn reaches(&self, address: &Address) -> Result<(), SubmitError> {
        self.routable(std::slice::from_ref(address))
    }

    async fn house_mailbox(&self) -> Result<Mailbox, SubmitError> {
        let domain = self.with.domains.first().unwrap_or_default();
        let address: Address = format!("{LOCAL_PART}@{domain}")
            .parse()
            .map_err(|_| SubmitError::Invalid("the first of mail.domains cannot be written from".into()))?;
        let mailbox = Mailbox {
            id: MailboxId::new(self.with.ids.next("mbx_")),
            address: address.clone(),
            display_name: Some("mailbell".to_owned()),
            created_at: self.with.clock.now(),
        };
        self.with.mailroom.house_mailbox(&mailbox).await?.ok_or_else(|| {
            SubmitError::Invalid(format!(
                "{address} is a mailbox, and the house writes to its operator from there; remove that mailbox, or name a URL in \
                 operator.notify"
            ))
        })
    }
}
