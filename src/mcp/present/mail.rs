//! Mailboxes and messages as a model sees them.

use super::{ATTACHMENTS_SHOWN_MAX, AttachmentView, Clip, Fence, Fenced, Part, json, shown};
use crate::{
    bell::upstream::{Email, Mailbox, Summary},
    domain::{
        clock::UnixMillis,
        link::misleading_links,
        verdict::{Finding, Outcome, Verdict},
    },
};

/// Signatures named in one result.
const SIGNATURES_SHOWN_MAX: usize = 5;

shown! {
    /// A mailbox.
    pub(in crate::mcp) struct MailboxView {
        address: Fenced,
        mailbox_id: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        display_name: Option<Fenced>,
    }
}

impl MailboxView {
    pub(in crate::mcp) fn json(fence: &Fence, mailbox: &Mailbox, clip: Clip) -> Part {
        json(&Self {
            address: fence.code(&mailbox.address),
            mailbox_id: fence.code(mailbox.id.as_str()),
            display_name: mailbox.display_name.as_deref().map(|name| fence.text_up_to(name, clip.text_chars)),
        })
    }
}

shown! {
    /// A message in a list. The mailbox is an address, and tags are words of whoever set them.
    pub(in crate::mcp) struct SummaryView {
        message_id: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        thread_id: Option<Fenced>,
        mailbox: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        direction: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Fenced>,
        from: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        from_name: Option<Fenced>,
        to: Vec<Fenced>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        cc: Vec<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        addresses_left_out: Option<usize>,
        subject: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        snippet: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        received_at: Option<UnixMillis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        auto: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sender_written_to_before: Option<bool>,
        has_attachments: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        handled: Option<bool>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tags: Vec<Fenced>,
    }
}

impl SummaryView {
    pub(in crate::mcp) fn new(fence: &Fence, message: &Summary, clip: Clip) -> Self {
        let codes = |texts: &[String]| texts.iter().take(clip.list_items).map(|text| fence.code(text)).collect();
        let text = |text: &str| fence.text_up_to(text, clip.text_chars);
        let left_out =
            message.to.len().saturating_sub(clip.list_items) + message.cc.len().saturating_sub(clip.list_items);
        let tags = message.tags.iter().flat_map(|tags| tags.keys());
        Self {
            message_id: fence.code(message.id.as_str()),
            thread_id: message.thread_id.as_ref().map(|id| fence.code(id.as_str())),
            mailbox: fence.code(&message.mailbox.address),
            direction: message.direction.as_deref().map(|direction| fence.code(direction)),
            status: message.status.as_deref().map(|status| fence.code(status)),
            from: fence.code(&message.from),
            from_name: message.from_name.as_deref().map(text),
            to: codes(&message.to),
            cc: codes(&message.cc),
            addresses_left_out: (left_out > 0).then_some(left_out),
            subject: text(&message.subject),
            snippet: message.snippet.as_deref().filter(|snippet| !snippet.is_empty()).map(text),
            received_at: message.received_at,
            auto: message.auto.filter(|auto| *auto || message.is_inbound()),
            sender_written_to_before: message.sender_written_to_before,
            has_attachments: message.has_attachments,
            // What was sent waits for nobody.
            handled: message.handled().filter(|handled| *handled || message.is_inbound()),
            tags: tags.take(clip.list_items).map(|tag| fence.text_up_to(tag, clip.text_chars)).collect(),
        }
    }

    pub(in crate::mcp) fn json(fence: &Fence, message: &Summary, clip: Clip) -> Part {
        json(&Self::new(fence, message, clip))
    }

    /// The same in a list that names the thread itself.
    pub(in crate::mcp) fn in_thread(fence: &Fence, message: &Summary, clip: Clip) -> Part {
        json(&Self { thread_id: None, ..Self::new(fence, message, clip) })
    }
}

shown! {
    /// One check's result. The results are words of ours; a domain is the sender's.
    struct FindingView {
        result: Outcome,
        #[serde(skip_serializing_if = "Option::is_none")]
        domain: Option<Fenced>,
    }
}

impl FindingView {
    fn new(fence: &Fence, finding: &Finding) -> Self {
        Self { result: finding.result, domain: finding.domain.as_deref().map(|domain| fence.code(domain)) }
    }
}

shown! {
    /// Whether a message is from whom it says.
    struct VerdictView {
        by: Fenced,
        #[serde(skip_serializing_if = "Option::is_none")]
        spf: Option<FindingView>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        dkim: Vec<FindingView>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dmarc: Option<FindingView>,
    }
}

impl VerdictView {
    fn new(fence: &Fence, verdict: &Verdict) -> Self {
        let view = |finding: &Finding| FindingView::new(fence, finding);
        Self {
            by: fence.code(&verdict.by),
            spf: verdict.spf.as_ref().map(view),
            dkim: verdict.dkim.iter().take(SIGNATURES_SHOWN_MAX).map(view).collect(),
            dmarc: verdict.dmarc.as_ref().map(view),
        }
    }
}

shown! {
    /// A message without its text, which is shown in parts.
    pub(in crate::mcp) struct EmailHead {
        #[serde(flatten)]
        summary: SummaryView,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<AttachmentView>,
        #[serde(skip_serializing_if = "Option::is_none")]
        attachments_left_out: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        auth_results: Option<VerdictView>,
        /// Links in the whole text that name another host than they lead to.
        #[serde(skip_serializing_if = "Option::is_none")]
        misleading_links: Option<usize>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        notes: Vec<Fenced>,
    }
}

impl EmailHead {
    pub(in crate::mcp) fn new(fence: &Fence, email: &Email, clip: Clip) -> Self {
        let shown = ATTACHMENTS_SHOWN_MAX.min(clip.list_items);
        let left_out = email.attachments.len().saturating_sub(shown);
        let mut summary = email.summary.clone();
        // The text follows; its beginning need not stand there twice.
        summary.snippet = None;
        Self {
            summary: SummaryView::new(fence, &summary, clip),
            attachments: email
                .attachments
                .iter()
                .take(shown)
                .zip(1..)
                .map(|(file, number)| AttachmentView::new(fence, &email.summary.id, number, file, clip.text_chars))
                .collect(),
            attachments_left_out: (left_out > 0).then_some(left_out),
            auth_results: email.verdict.as_ref().map(|verdict| VerdictView::new(fence, verdict)),
            misleading_links: Some(misleading_links(&email.text)).filter(|count| *count > 0),
            notes: email.notes.iter().take(5).map(|note| fence.text_up_to(note, clip.text_chars)).collect(),
        }
    }
}
