//! Our words in the spellings of every client there is: the API's documentation, its SDK, its MCP server, the seed.
//!
//! Where they differ, an answer carries each name with the same value; `facts` that this service does not have are null.

use serde_json::{Map, Value, json};

use crate::{
    domain::{
        message::{Direction, Mailbox, Message, MessageSummary},
        webhook::{Scope, Webhook},
    },
    mail::{api::ThreadView, quoted},
    store::{
        deliveries::{Answer, Attempt, Delivery, State},
        opens::OpenDay,
    },
};

pub(super) fn mailbox(mailbox: &Mailbox) -> Value {
    json!({
        "id": mailbox.id,
        "mailbox_id": mailbox.id,
        "tenant_id": "local",
        "address": mailbox.address,
        "display_name": mailbox.display_name,
        "oversight_mode": "gated_send",
        "auto_cc": null,
        "auto_bcc": null,
        "forward_inbound": 0,
        "webhook_url": null,
        "oversight_webhook_url": null,
        "signature_block": null,
        // Documented as epoch milliseconds, unlike every other time of this API.
        "created_at": mailbox.created_at.0,
        "is_active": 1,
        // Without it MultiMail's MCP server nags about setup in every result.
        "mcp_configured": 1,
    })
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn email_fields(email: &MessageSummary) -> Map<String, Value> {
    let attachments: Vec<_> = email
        .attachments
        .iter()
        .map(|file| {
            json!({
                "name": file.name,
                "filename": file.name,
                "size": file.size_bytes,
                "size_bytes": file.size_bytes,
                "content_type": file.content_type,
            })
        })
        .collect();
    let shape = json!({
        "id": email.id,
        "message_id": email.id,
        "email_id": email.id,
        "mailbox_id": email.mailbox_id,
        "thread_id": email.thread_id,
        "direction": direction(email.direction),
        "status": email.status.as_str(),
        "from": email.from,
        "from_address": email.from,
        "from_name": email.from_name,
        "to": email.to,
        "to_addresses": email.to,
        "cc": email.cc,
        "subject": email.subject,
        "snippet": email.snippet,
        "received_at": email.received_at,
        "created_at": email.received_at,
        "auto": email.auto,
        "has_attachments": !email.attachments.is_empty(),
        "attachments": attachments,
        "tags": email.tags,
        "spam_score": null,
        "spam_verdict": null,
        "delivered_at": null,
        "bounced_at": null,
        "bounce_type": null,
    });
    match shape {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// An email in a list: no body.
pub(super) fn email_summary(email: &MessageSummary) -> Value {
    Value::Object(email_fields(email))
}

/// An email with its text, under each name that somebody looks for it.
pub(super) fn email(mailbox: &Mailbox, message: &Message) -> Value {
    let mut fields = email_fields(&message.summary);
    for name in ["markdown", "body_text", "text_body", "body"] {
        fields.insert(name.to_owned(), json!(message.text));
    }
    fields.insert("extracted_text".to_owned(), json!(quoted::reply_of(&message.text)));
    fields.insert("mailbox".to_owned(), json!(mailbox.address));
    fields.insert("notes".to_owned(), json!(message.notes));
    fields.insert("auth_results".to_owned(), json!(message.verdict));
    fields.insert("approved_at".to_owned(), Value::Null);
    fields.insert("approved_by".to_owned(), Value::Null);
    Value::Object(fields)
}

/// Who opened an email on a day.
pub(super) fn open_day(day: &OpenDay) -> Value {
    json!({
        "recipient": day.recipient,
        "fetches": day.fetches,
        "by_machines": day.by_machines,
        "first_at": day.first_at,
        "last_at": day.last_at,
    })
}

pub(super) fn thread(thread: &ThreadView) -> Value {
    let emails: Vec<_> = thread.emails.iter().map(email_summary).collect();
    json!({
        "thread_id": thread.id,
        "message_count": emails.len(),
        "participants": thread.participants,
        "last_activity": thread.last_activity,
        "has_unanswered_inbound": thread.has_unanswered_inbound,
        "messages": emails,
        "emails": emails,
    })
}

/// A webhook without its secret.
pub(super) fn webhook(webhook: &Webhook) -> Map<String, Value> {
    let url = webhook.endpoint.to_string();
    let events: Vec<_> = webhook.kinds.iter().map(|kind| webhook.vocabulary.word(*kind)).collect();
    let (scope, mailbox_id, mailbox, domain) = match &webhook.scope {
        Scope::Mailbox { id, address } => ("mailbox", Some(id), Some(address), None),
        Scope::Domain(domain) => ("domain", None, None, Some(domain)),
        Scope::Account => ("account", None, None, None),
    };
    let shape = json!({
        "id": webhook.id,
        "webhook_id": webhook.id,
        "url": url,
        "endpoint_url": url,
        "events": events,
        "scope": scope,
        "mailbox_id": mailbox_id,
        "mailbox": mailbox,
        "domain": domain,
        "description": webhook.description,
        "signature_format": webhook.signature_format.as_str(),
        "status": if webhook.disabled.is_some() { "disabled" } else { "enabled" },
        "disabled_at": webhook.disabled.as_ref().map(|disabled| disabled.at),
        "disabled_reason": webhook.disabled.as_ref().map(|disabled| &disabled.why),
        "created_at": webhook.created_at,
    });
    match shape {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

pub(super) fn delivery(delivery: &Delivery) -> Value {
    let last = delivery.tries.last().map(|attempt| &attempt.answer);
    let response_status = match last {
        Some(Answer::Status(status)) => Some(status),
        Some(Answer::Fault(_)) | None => None,
    };
    json!({
        "id": delivery.id,
        "delivery_id": delivery.id,
        "webhook_id": delivery.webhook,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "mailbox": delivery.mailbox,
        "url": delivery.endpoint.to_string(),
        "status": match delivery.state {
            State::Pending => "pending",
            State::Delivered => "delivered",
            // Ours is a dead letter; theirs has failed.
            State::Dead => "failed",
        },
        "attempts": delivery.attempts,
        "response_status": response_status,
        "created_at": delivery.created_at,
        "last_attempt_at": delivery.last_attempt_at,
        "next_attempt_at": delivery.next_attempt_at,
        "attempt_log": delivery.tries.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn attempt(attempt: &Attempt) -> Value {
    let (response_status, error) = match &attempt.answer {
        Answer::Status(status) => (Some(status), None),
        Answer::Fault(fault) => (None, Some(fault)),
    };
    json!({
        "attempt": attempt.number,
        "at": attempt.at,
        "response_status": response_status,
        "error": error,
        "duration_ms": attempt.duration_millis,
        "response_bytes": attempt.response_bytes,
    })
}
