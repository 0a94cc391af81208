//! Ties a report that came back to the message it is about, and says what to tell of it.
//!
//! Anyone can write a report. What it says becomes an event with how it was tied; it moves the queue only where our secret
//! came back with it, and puts an address on the suppression list only where it came back to the secret envelope address.
//! A complaint may also carry our secret, or be vouched for: signed by a reporter that the operator named.

use super::reports::{Action, Complaint, RecipientStatus, Report, Says};
use crate::{
    domain::{
        address::{Address, ascii_domain},
        clock::UnixMillis,
        code::Class,
        event::{AcceptedBy, BounceType, Detail, NewEvent, Tied},
        id::EventId,
        message::Mailbox,
        return_path,
        suppression::{Suppression, SuppressionReason},
    },
    ids::Ids,
    store::{
        StoreError,
        outbox::{Ending, Outbox, Sent, Tell},
    },
};

/// Reports of complaints that are no wish to hear no more (RFC 5965 section 7.3, RFC 6650).
const NO_COMPLAINTS: [&str; 2] = ["not-spam", "auth-failure"];

/// What reports are tied with.
pub(super) struct Returned<'a> {
    pub(super) outbox: &'a dyn Outbox,
    pub(super) ids: &'a Ids,
    pub(super) now: UnixMillis,
    /// The domains of configured reporters whose signature on the report holds.
    pub(super) vouchers: Vec<&'a str>,
}

/// A report's message, as far as it is known, and how.
struct Tie {
    sent: Option<Sent>,
    tied: Tied,
}

impl Tie {
    /// Whether a secret of ours came back.
    fn is_proof(&self) -> bool {
        matches!(self.tied, Tied::Envelope | Tied::Token)
    }

    /// The recipient of ours that is meant by the first of `named` that is one.
    fn recipient<'s>(&'s self, named: impl IntoIterator<Item = &'s str>) -> Option<&'s Address> {
        let sent = self.sent.as_ref()?;
        named.into_iter().find_map(|named| {
            let named: Address = named.parse().ok()?;
            sent.recipients.iter().find(|ours| **ours == named)
        })
    }
}

impl Returned<'_> {
    /// What to tell of `report`, which came to `mailbox` by these return paths.
    pub(super) async fn tells(
        &self,
        report: &Report,
        mailbox: &Mailbox,
        returned_to: &[String],
    ) -> Result<Vec<Tell>, StoreError> {
        let tie = self.tie(report, mailbox, returned_to).await?;
        Ok(match &report.says {
            Says::Status(statuses) => statuses.iter().filter_map(|status| self.status(&tie, mailbox, status)).collect(),
            Says::Complaint(complaint) => self.complaint(&tie, mailbox, complaint),
        })
    }

    async fn tie(&self, report: &Report, mailbox: &Mailbox, returned_to: &[String]) -> Result<Tie, StoreError> {
        for token in returned_to {
            let sent = self.outbox.sent_by_token(token).await?.filter(|sent| sent.mailbox_id == mailbox.id);
            if sent.is_some() {
                return Ok(Tie { sent, tied: Tied::Envelope });
            }
        }
        let about = &report.about;
        let from: Option<Address> = about.from.as_deref().and_then(|from| from.parse().ok());
        for token in about.envelope_id.as_deref().into_iter().chain(from.as_ref().and_then(return_path::token)) {
            let sent = self.outbox.sent_by_token(token).await?;
            if sent.is_some() {
                return Ok(Tie { sent, tied: Tied::Token });
            }
        }
        if let Some(internet_id) = &about.message_id {
            let sent = self.outbox.sent_by_internet_id(&mailbox.id, internet_id).await?;
            if sent.is_some() {
                return Ok(Tie { sent, tied: Tied::Headers });
            }
        }
        Ok(Tie { sent: None, tied: Tied::None })
    }

    fn status(&self, tie: &Tie, mailbox: &Mailbox, status: &RecipientStatus) -> Option<Tell> {
        let ours = tie.recipient(status.original_recipient.as_deref().into_iter().chain(status.recipient.as_deref()));
        let shown = ours.map(ToString::to_string).or_else(|| status.recipient.clone());
        let proof = tie.is_proof() && ours.is_some();
        match status.action {
            // Still tried: no bounce, and no delivery either.
            Action::Delayed => None,
            Action::Delivered | Action::Relayed | Action::Expanded => {
                let detail = delivery(status, shown?);
                // A delivery does not say how it was tied, so without proof it must not name the message.
                let tie = if proof { tie } else { &Tie { sent: None, tied: Tied::None } };
                Some(Tell {
                    event: self.event(tie, mailbox, detail),
                    part: Some(String::new()),
                    proves: proof.then_some(Ending::Accepted),
                    suppress: None,
                })
            }
            Action::Failed => {
                let suppress = ours.filter(|_| is_dead(status) && tie.tied == Tied::Envelope).map(|address| {
                    self.suppression(tie, address, SuppressionReason::Bounce, status.diagnostic.clone())
                });
                let detail = bounce(status, shown, suppress.is_some(), tie.tied);
                Some(Tell {
                    event: self.event(tie, mailbox, detail),
                    part: Some(part("final", tie.is_proof())),
                    proves: proof.then_some(Ending::Failed),
                    suppress,
                })
            }
        }
    }

    fn complaint(&self, tie: &Tie, mailbox: &Mailbox, complaint: &Complaint) -> Vec<Tell> {
        let proof = tie.is_proof() || self.is_vouched_for(tie, complaint);
        let mut named: Vec<Option<String>> = complaint.recipients.iter().cloned().map(Some).collect();
        if named.is_empty() {
            // Providers hide who it was; a message that was for one recipient tells all the same.
            let only = tie.sent.as_ref().filter(|sent| proof && sent.recipients.len() == 1);
            named.push(only.map(|sent| sent.recipients[0].to_string()));
        }
        let unwanted = !NO_COMPLAINTS.contains(&complaint.feedback_type.as_str());
        named
            .into_iter()
            .map(|recipient| {
                let ours = tie.recipient(recipient.as_deref());
                let suppress = ours
                    .filter(|_| proof && unwanted)
                    .map(|address| self.suppression(tie, address, SuppressionReason::Complaint, None));
                let detail = Detail::Complaint {
                    recipient: ours.map(ToString::to_string).or(recipient),
                    feedback_type: Some(complaint.feedback_type.clone()),
                    tied: tie.tied,
                };
                let part = Some(part(&complaint.feedback_type, proof));
                Tell { event: self.event(tie, mailbox, detail), part, proves: None, suppress }
            })
            .collect()
    }

    /// Whether a configured reporter signed the report, is the one in its From, and names a message of ours.
    fn is_vouched_for(&self, tie: &Tie, complaint: &Complaint) -> bool {
        let from = complaint.reporting_domain.as_deref().map(ascii_domain).unwrap_or_default();
        let is_of =
            |domain: &&str| from.strip_suffix(*domain).is_some_and(|host| host.is_empty() || host.ends_with('.'));
        tie.sent.is_some() && self.vouchers.iter().any(is_of)
    }

    fn event(&self, tie: &Tie, mailbox: &Mailbox, detail: Detail) -> NewEvent {
        let about = tie.sent.as_ref();
        NewEvent {
            event_id: EventId::new(self.ids.next("evt_")),
            mailbox: Some(about.map_or(&mailbox.address, |sent| &sent.mailbox).to_string()),
            message_id: about.map(|sent| sent.message.clone()),
            thread_id: about.map(|sent| sent.thread.clone()),
            timestamp: self.now,
            provider_kind: None,
            detail,
        }
    }

    fn suppression(
        &self,
        tie: &Tie,
        address: &Address,
        reason: SuppressionReason,
        note: Option<String>,
    ) -> Suppression {
        Suppression {
            id: self.ids.next("sup_"),
            address: address.clone(),
            reason,
            note,
            mailbox: tie.sent.as_ref().map(|sent| sent.mailbox_id.clone()),
            message: tie.sent.as_ref().map(|sent| sent.message.clone()),
            created_at: self.now,
        }
    }
}

/// What to tell of a message that was handed on or over.
pub(super) fn delivery(status: &RecipientStatus, recipient: String) -> Detail {
    let accepted_by = match status.action {
        Action::Delivered => AcceptedBy::Recipient,
        _ => AcceptedBy::Relay,
    };
    Detail::Delivery { recipient, smtp_response: status.diagnostic.clone(), accepted_by: Some(accepted_by) }
}

/// What to tell of a failure.
pub(super) fn bounce(status: &RecipientStatus, recipient: Option<String>, suppressed: bool, tied: Tied) -> Detail {
    let (code, bounce_type) = code(status);
    Detail::Bounce {
        recipient,
        code_inferred: status.code_inferred || code.is_none(),
        bounce_code: code.unwrap_or_else(|| "5.0.0".to_owned()),
        bounce_type,
        reason: Some(status.reason.as_str().to_owned()),
        r#final: true,
        suppress_advised: is_dead(status),
        suppressed,
        diagnostic: status.diagnostic.clone(),
        tied,
    }
}

/// Whether a failure says that sending to the address again would do harm.
fn is_dead(status: &RecipientStatus) -> bool {
    code(status).1 == BounceType::Hard && status.suppress_advised
}

/// The code of a failure, and the type by its class: the enhanced code's, or else the reply code's.
fn code(status: &RecipientStatus) -> (Option<String>, BounceType) {
    let reply =
        status.reply_code.map(|code| if (400..500).contains(&code) { BounceType::Soft } else { BounceType::Hard });
    let by_status = status.status.and_then(|code| match code.class() {
        Class::Permanent => Some(BounceType::Hard),
        Class::Transient => Some(BounceType::Soft),
        // A failure with a code of success says nothing of its kind.
        Class::Success => None,
    });
    let text = status.status.map(|code| code.to_string()).or_else(|| status.reply_code.map(|code| code.to_string()));
    (text, by_status.or(reply).unwrap_or(BounceType::Hard))
}

/// What was not proved is told beside what is, and must not stand in its way.
fn part(part: &str, proof: bool) -> String {
    if proof { part.to_owned() } else { format!("{part} unproved") }
}
