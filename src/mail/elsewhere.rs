//! What a message in a mailbox that is not ours says. Nothing is known there of what was sent, so what a report tells is tied
//! to nothing, and suppresses nobody.

use super::{
    mime::{self, Reading},
    reports::{self, Action, Complaint, RecipientStatus, Says},
    returned, threading,
};
use crate::domain::event::{Detail, Tied};

/// A message, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub reading: Reading,
    /// The Message-IDs that it is about, answers or refers to, the nearest first.
    pub ancestors: Vec<String>,
    /// What it reports on another message; empty where it is mail like any other.
    pub reports: Vec<Detail>,
}

/// Reads `raw`. It takes time in proportion to its length: too long for an async thread.
pub fn read(raw: &[u8]) -> Found {
    let reading = mime::read(raw);
    let mut ancestors = threading::ancestors(&reading.in_reply_to, &reading.references);
    let mut told = Vec::new();
    if let Some(report) = reports::read(raw) {
        told = match &report.says {
            Says::Status(statuses) => statuses.iter().filter_map(status).collect(),
            Says::Complaint(complaint) => complaints(complaint),
        };
        ancestors.splice(0..0, report.about.message_id.filter(|_| !told.is_empty()));
    }
    Found { reading, ancestors, reports: told }
}

fn status(status: &RecipientStatus) -> Option<Detail> {
    let recipient = status.recipient.clone().or_else(|| status.original_recipient.clone());
    match status.action {
        // Still tried: no bounce, and no delivery either.
        Action::Delayed => None,
        Action::Delivered | Action::Relayed | Action::Expanded => Some(returned::delivery(status, recipient?)),
        Action::Failed => Some(returned::bounce(status, recipient, false, Tied::None)),
    }
}

fn complaints(complaint: &Complaint) -> Vec<Detail> {
    let mut named: Vec<Option<String>> = complaint.recipients.iter().cloned().map(Some).collect();
    if named.is_empty() {
        named.push(None);
    }
    let told = named.into_iter().map(|recipient| Detail::Complaint {
        recipient,
        feedback_type: Some(complaint.feedback_type.clone()),
        tied: Tied::None,
    });
    told.collect()
}
