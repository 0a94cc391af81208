//! One try of one message: where each recipient's mail goes, what is heard, and what that means.

use std::collections::BTreeMap;

use super::{
    Parts,
    verdict::{self, Heard, Standing},
};
use crate::{
    domain::{
        address::Address,
        event::{AcceptedBy, Detail, NewEvent, Tied},
        id::EventId,
        message::Mailbox,
        return_path::{self, return_path},
        suppression::{Suppression, SuppressionReason},
    },
    mail::{
        compose::{Automatic, Draft, compose},
        reception::{Envelope, Recipient, Unreachable},
        relay::{Answer, Broken, Handing, RelaySaid},
        simulator::{self, Aftermath},
    },
    measures,
    store::{
        StoreError,
        mailroom::NewMessage,
        outbox::{Due, DueRecipient, Ending, Outcome, Settlement, Tell},
    },
};

/// What was heard of one recipient, and what follows.
struct Told {
    heard: Heard,
    aftermath: Aftermath,
}

/// Tries `due` and records what became of it.
pub(super) async fn attempt(parts: &Parts, due: Due) -> Result<(), StoreError> {
    let mut heard: BTreeMap<i64, Told> = BTreeMap::new();
    let mut arrivals = Vec::new();
    let (mut local, mut elsewhere) = (Vec::new(), Vec::new());
    for recipient in &due.recipients {
        let domain = recipient.address.domain();
        if domain == simulator::DOMAIN {
            let (answer, aftermath) = simulator::play(recipient.address.local());
            let by = AcceptedBy::Recipient;
            let said = Heard { said: RelaySaid::OfRecipient(answer), last_word: Some(by) };
            heard.insert(recipient.seq, Told { heard: said, aftermath });
        } else if parts.domains.holds(domain) {
            local.push(recipient);
        } else {
            elsewhere.push(recipient);
        }
    }
    if !local.is_empty() || !elsewhere.is_empty() {
        match parts.blobs.get(&due.blob).await {
            Ok(raw) => {
                deliver(parts, &due, &local, &raw, &mut heard, &mut arrivals).await;
                if !elsewhere.is_empty() {
                    parts.outbox.check_term().await?;
                }
                hand_over(parts, &due, &elsewhere, &raw, &mut heard).await;
            }
            Err(error) => {
                tracing::error!(%error, message.id = %due.sent.message, "could not read a message that is to be sent");
                for recipient in local.into_iter().chain(elsewhere) {
                    let words = "the message could not be read from disk".to_owned();
                    note(&mut heard, recipient, RelaySaid::Nothing(Broken { connected: true, words }), None);
                }
            }
        }
    }
    let now = parts.clock.now();
    let mut outcomes = Vec::with_capacity(due.recipients.len());
    for recipient in &due.recipients {
        let Some(Told { heard, aftermath }) = heard.remove(&recipient.seq) else { continue };
        let mut chance = [0; 2];
        parts.entropy.fill(&mut chance);
        let standing = Standing { sent: &due.sent, recipient, now, chance: u16::from_be_bytes(chance) };
        let mut outcome = verdict::outcome(&standing, &heard, &parts.ids);
        if outcome.ending == Ending::Accepted {
            play(parts, &due, recipient, aftermath, &mut outcome, &mut arrivals).await;
        }
        measures::mail_out(match outcome.ending {
            Ending::Accepted => "accepted",
            Ending::Failed => "failed",
            Ending::RetryAt(_) => "retried",
        });
        outcomes.push(outcome);
    }
    let settlement = Settlement { message: due.sent.message.clone(), at: now, outcomes, arrivals };
    parts.outbox.settle(settlement).await?;
    parts.owed.notify_one();
    Ok(())
}

fn note(heard: &mut BTreeMap<i64, Told>, recipient: &DueRecipient, said: RelaySaid, last_word: Option<AcceptedBy>) {
    heard.insert(recipient.seq, Told { heard: Heard { said, last_word }, aftermath: Aftermath::None });
}

/// Makes the message's copies for the mailboxes here; they are stored with the try itself.
async fn deliver(
    parts: &Parts,
    due: &Due,
    recipients: &[&DueRecipient],
    raw: &[u8],
    heard: &mut BTreeMap<i64, Told>,
    arrivals: &mut Vec<NewMessage>,
) {
    let no = |code, text: String| RelaySaid::OfRecipient(Answer { code, text });
    let mut found: Vec<(&DueRecipient, Mailbox)> = Vec::new();
    for recipient in recipients {
        // What comes back to a return path comes from outside; nobody here writes to one.
        let said = if return_path::token(&recipient.address).is_some() {
            no(550, format!("5.1.1 no mailbox {} here", recipient.address))
        } else {
            match parts.reception.find(&Recipient::Address(recipient.address.clone())).await {
                Ok(mailbox) => {
                    found.push((recipient, mailbox));
                    continue;
                }
                Err(Unreachable::Store(_)) => no(451, "4.3.0 the store failed; try again later".into()),
                Err(why @ (Unreachable::Foreign(_) | Unreachable::NoMailbox(_))) => no(550, format!("5.1.1 {why}")),
            }
        };
        note(heard, recipient, said, None);
    }
    if found.is_empty() {
        return;
    }
    let mut mailboxes: Vec<Mailbox> = Vec::new();
    for (_, mailbox) in &found {
        if mailboxes.iter().all(|known| known.id != mailbox.id) {
            mailboxes.push(mailbox.clone());
        }
    }
    let from = return_path(&due.sent.token, due.sent.mailbox.domain());
    let from = from.map_or_else(|_| due.sent.mailbox.to_string(), |from| from.to_string());
    let envelope = Envelope { from, recipients: mailboxes, returned_to: Vec::new() };
    match parts.reception.prepare(&envelope, raw.to_vec(), Some(&due.blob)).await {
        Ok(new) => {
            for (recipient, mailbox) in found {
                let id = new.iter().find(|one| one.message.summary.mailbox_id == mailbox.id);
                let text = match id {
                    Some(one) => format!("2.0.0 stored as {}", one.message.summary.id),
                    None => "2.0.0 stored".to_owned(),
                };
                let said = RelaySaid::OfRecipient(Answer { code: 250, text });
                note(heard, recipient, said, Some(AcceptedBy::Recipient));
            }
            arrivals.extend(new);
        }
        Err(refusal) => {
            for (recipient, _) in found {
                note(heard, recipient, no(452, format!("4.3.1 {refusal}")), None);
            }
        }
    }
}

/// Hands the message to the relay.
async fn hand_over(
    parts: &Parts,
    due: &Due,
    recipients: &[&DueRecipient],
    raw: &[u8],
    heard: &mut BTreeMap<i64, Told>,
) {
    if recipients.is_empty() {
        return;
    }
    let nothing = |words: &str| RelaySaid::Nothing(Broken { connected: false, words: words.to_owned() });
    let addresses: Vec<Address> = recipients.iter().map(|recipient| recipient.address.clone()).collect();
    let from = return_path(&due.sent.token, due.sent.mailbox.domain());
    let (said, reports) = match (&parts.relay, from) {
        (Some(relay), Ok(from)) => {
            let handing = Handing { from: &from, envelope_id: &due.sent.token, recipients: &addresses, message: raw };
            let handed = relay.hand(&*parts.clock, &handing).await;
            (handed.said, handed.reports)
        }
        // It was there when the message was queued.
        (None, _) => (vec![nothing("no relay is configured any more; set mail.relay.host"); recipients.len()], false),
        (_, Err(_)) => (vec![nothing("the mailbox's domain is too long for a return path"); recipients.len()], false),
    };
    // Where the relay reports, its yes is not the last word: that comes back, and is told then.
    let last_word = (!reports).then_some(AcceptedBy::Relay);
    for (recipient, said) in recipients.iter().zip(said) {
        note(heard, recipient, said, last_word);
    }
}

/// What follows at the simulator.
async fn play(
    parts: &Parts,
    due: &Due,
    recipient: &DueRecipient,
    aftermath: Aftermath,
    outcome: &mut Outcome,
    arrivals: &mut Vec<NewMessage>,
) {
    let now = parts.clock.now();
    let sent = &due.sent;
    let event = |detail| NewEvent {
        event_id: EventId::new(parts.ids.next("evt_")),
        mailbox: Some(sent.mailbox.to_string()),
        message_id: Some(sent.message.clone()),
        thread_id: Some(sent.thread.clone()),
        timestamp: now,
        provider_kind: None,
        detail,
    };
    let address = recipient.address.to_string();
    match aftermath {
        Aftermath::None => {}
        // The simulator's complaints suppress nobody: an agent that tries things out wants to try them twice.
        Aftermath::Complaint => outcome.tells.push(Tell {
            event: event(Detail::Complaint {
                recipient: Some(address),
                feedback_type: Some("abuse".into()),
                tied: Tied::Session,
            }),
            part: Some("abuse".into()),
            proves: None,
            suppress: None,
        }),
        Aftermath::Open => outcome.tells.push(Tell {
            event: event(Detail::Open { recipient: Some(address), machine: Some(false) }),
            part: Some(now.to_string().chars().take(10).collect()),
            proves: None,
            suppress: None,
        }),
        Aftermath::Away => {
            let raw = compose(&Draft {
                from: &recipient.address,
                from_name: Some("mailbell simulator"),
                to: std::slice::from_ref(&sent.mailbox),
                cc: &[],
                subject: "Out of office",
                text: "I am away and will read your mail when I am back.\n",
                html: None,
                auto: Automatic::Replied,
                ai_disclosure: false,
                date: now,
                internet_id: &format!("{}@{}", parts.ids.next("away-"), simulator::DOMAIN),
                in_reply_to: Some(&sent.internet_id),
                references: std::slice::from_ref(&sent.internet_id),
                files: &[],
            });
            // RFC 3834 section 3.3: an automatic answer comes from the null sender.
            let envelope =
                Envelope { from: String::new(), recipients: vec![due.mailbox.clone()], returned_to: Vec::new() };
            match parts.reception.prepare(&envelope, raw, None).await {
                Ok(new) => arrivals.extend(new),
                Err(error) => tracing::warn!(%error, "the simulator's answer could not be put into the mailbox"),
            }
        }
    }
}

/// The entry that a live answer puts on the suppression list.
pub(super) fn suppression(standing: &Standing<'_>, id: String, note: &str) -> Suppression {
    Suppression {
        id,
        address: standing.recipient.address.clone(),
        reason: SuppressionReason::Bounce,
        note: Some(note.to_owned()),
        mailbox: Some(standing.sent.mailbox_id.clone()),
        message: Some(standing.sent.message.clone()),
        created_at: standing.now,
    }
}
