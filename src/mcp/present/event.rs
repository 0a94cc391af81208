//! An event as a model sees it: flat, with every foreign word fenced.

use super::{Clip, Fence, Fenced, Part, json, shown};
use crate::domain::{
    clock::UnixMillis,
    event::{AcceptedBy, Auth, BounceType, Detail, Event, EventKind, Tied},
};

shown! {
    /// The fields of `Event` of the documentation; `attempt` where it is leased.
    pub(in crate::mcp) struct EventView {
        seq: i64,
        event_id: Fenced,
        event_type: EventKind,
        source: Fenced,
        auth: Auth,
        #[serde(skip_serializing_if = "Option::is_none")]
        mailbox: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thread_id: Option<Fenced>,
        timestamp: UnixMillis,
        received_at: UnixMillis,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_kind: Option<Fenced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        #[serde(flatten)]
        detail: DetailView,
    }
}

shown! {
    #[serde(untagged)]
    enum DetailView {
        Inbound {
            from: Fenced,
            #[serde(skip_serializing_if = "Option::is_none")]
            from_name: Option<Fenced>,
            to: Vec<Fenced>,
            #[serde(skip_serializing_if = "is_zero")]
            to_left_out: usize,
            subject: Fenced,
            snippet: Fenced,
            auto: bool,
        },
        Delivery {
            recipient: Fenced,
            #[serde(skip_serializing_if = "Option::is_none")]
            smtp_response: Option<Fenced>,
            #[serde(skip_serializing_if = "Option::is_none")]
            accepted_by: Option<AcceptedBy>,
        },
        Bounce {
            recipient: Option<Fenced>,
            bounce_code: Fenced,
            code_inferred: bool,
            bounce_type: BounceType,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<Fenced>,
            r#final: bool,
            suppress_advised: bool,
            suppressed: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            diagnostic: Option<Fenced>,
            tied: Tied,
        },
        Complaint {
            recipient: Option<Fenced>,
            #[serde(skip_serializing_if = "Option::is_none")]
            feedback_type: Option<Fenced>,
            tied: Tied,
        },
        Open {
            #[serde(skip_serializing_if = "Option::is_none")]
            recipient: Option<Fenced>,
            machine: Option<bool>,
        },
        Approval {
            action_id: Fenced,
            outcome: Fenced,
        },
        Other {},
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl EventView {
    /// `event` behind `fence`; `attempt` 0 says that it is not leased.
    pub(in crate::mcp) fn new(fence: &Fence, event: &Event, attempt: u32, clip: Clip) -> Self {
        let code = |text: &Option<String>| text.as_deref().map(|text| fence.code(text));
        let fact = &event.fact;
        Self {
            seq: event.seq.0,
            event_id: fence.code(fact.event_id.as_str()),
            event_type: fact.detail.kind(),
            source: fence.code(event.source.as_str()),
            auth: event.auth,
            mailbox: code(&fact.mailbox),
            message_id: fact.message_id.as_ref().map(|id| fence.code(id.as_str())),
            thread_id: fact.thread_id.as_ref().map(|id| fence.code(id.as_str())),
            timestamp: fact.timestamp,
            received_at: event.received_at,
            provider_kind: fact.provider_kind.as_deref().map(|kind| fence.text_up_to(kind, clip.text_chars)),
            attempt: (attempt > 0).then_some(attempt),
            detail: DetailView::of(fence, &fact.detail, clip),
        }
    }

    /// The same as a part of a list.
    pub(in crate::mcp) fn json(fence: &Fence, event: &Event, attempt: u32, clip: Clip) -> Part {
        json(&Self::new(fence, event, attempt, clip))
    }
}

impl DetailView {
    fn of(fence: &Fence, detail: &Detail, clip: Clip) -> Self {
        let code = |text: &Option<String>| text.as_deref().map(|text| fence.code(text));
        let text = |text: &str| fence.text_up_to(text, clip.text_chars);
        match detail {
            Detail::Inbound { from, from_name, to, subject, snippet, auto } => Self::Inbound {
                from: fence.code(from),
                from_name: from_name.as_deref().map(text),
                to: to.iter().take(clip.list_items).map(|to| fence.code(to)).collect(),
                to_left_out: to.len().saturating_sub(clip.list_items),
                subject: text(subject),
                snippet: text(snippet),
                auto: *auto,
            },
            Detail::Delivery { recipient, smtp_response, accepted_by } => Self::Delivery {
                recipient: fence.code(recipient),
                smtp_response: smtp_response.as_deref().map(text),
                accepted_by: *accepted_by,
            },
            Detail::Bounce {
                recipient,
                bounce_code,
                code_inferred,
                bounce_type,
                reason,
                r#final,
                suppress_advised,
                suppressed,
                diagnostic,
                tied,
            } => Self::Bounce {
                recipient: code(recipient),
                bounce_code: fence.code(bounce_code),
                code_inferred: *code_inferred,
                bounce_type: *bounce_type,
                reason: code(reason),
                r#final: *r#final,
                suppress_advised: *suppress_advised,
                suppressed: *suppressed,
                diagnostic: diagnostic.as_deref().map(text),
                tied: *tied,
            },
            Detail::Complaint { recipient, feedback_type, tied } => {
                Self::Complaint { recipient: code(recipient), feedback_type: code(feedback_type), tied: *tied }
            }
            Detail::Open { recipient, machine } => Self::Open { recipient: code(recipient), machine: *machine },
            Detail::Approval { action_id, outcome } => {
                Self::Approval { action_id: fence.code(action_id.as_str()), outcome: fence.code(outcome) }
            }
            Detail::Other {} => Self::Other {},
        }
    }
}
