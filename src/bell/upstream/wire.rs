//! The mail API's JSON, in every spelling known of it; nothing of it is seen outside.
//!
//! Public descriptions of the API disagree (`id`, `message_id` or `email_id`; `markdown`, `body` or `body_text`), and
//! hosted answers leave out what the embedded service tells, so every field has a default and only an id must be there.

mod webhooks;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

pub(super) use self::webhooks::{Deliveries, DeliveryBody, ProbeBody, RotationBody, WebhookBody, Webhooks};
use super::{
    mail::{Attachment, Email, Mailbox, Summary},
    sending::{Sent, Suppression},
};
use crate::domain::{
    address::as_logged,
    clock::UnixMillis,
    id::{MailboxId, MessageId, ThreadId},
    verdict::Verdict,
};

#[derive(Deserialize)]
pub(super) struct Mailboxes {
    pub(super) mailboxes: Vec<MailboxBody>,
}

#[derive(Deserialize)]
pub(super) struct MailboxBody {
    id: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    display_name: Option<String>,
}

impl From<MailboxBody> for Mailbox {
    fn from(body: MailboxBody) -> Self {
        let display_name = body.display_name.filter(|name| !name.is_empty());
        Self { id: MailboxId::new(body.id), address: as_logged(&body.address), display_name }
    }
}

/// `emails` and `messages` may both be there, with the same content.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    emails: Option<Vec<EmailBody>>,
    #[serde(default)]
    messages: Option<Vec<EmailBody>>,
    #[serde(default, deserialize_with = "text_or_number")]
    pub(super) cursor: Option<String>,
}

impl Page {
    pub(super) fn take(&mut self) -> Vec<EmailBody> {
        self.emails.take().or_else(|| self.messages.take()).unwrap_or_default()
    }
}

/// Aliases of one field may stand side by side, so each is a field of its own: serde's `alias` would call that a duplicate.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct EmailBody {
    id: Option<String>,
    message_id: Option<String>,
    email_id: Option<String>,
    thread_id: Option<String>,
    direction: Option<String>,
    status: Option<String>,
    from: Option<String>,
    from_address: Option<String>,
    from_name: Option<String>,
    #[serde(deserialize_with = "list_or_one")]
    to: Option<Vec<String>>,
    #[serde(deserialize_with = "list_or_one")]
    to_addresses: Option<Vec<String>>,
    #[serde(deserialize_with = "list_or_one")]
    cc: Option<Vec<String>>,
    subject: Option<String>,
    snippet: Option<String>,
    #[serde(deserialize_with = "moment")]
    received_at: Option<UnixMillis>,
    #[serde(deserialize_with = "moment")]
    created_at: Option<UnixMillis>,
    auto: Option<bool>,
    sender_written_to_before: Option<bool>,
    report: Option<bool>,
    has_attachments: Option<bool>,
    attachments: Option<Vec<AttachmentBody>>,
    #[serde(deserialize_with = "tags")]
    tags: Option<BTreeMap<String, String>>,
    markdown: Option<String>,
    body_text: Option<String>,
    text_body: Option<String>,
    body: Option<String>,
    extracted_text: Option<String>,
    #[serde(deserialize_with = "verdict")]
    auth_results: Option<Verdict>,
    notes: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AttachmentBody {
    name: Option<String>,
    filename: Option<String>,
    size: Option<u64>,
    size_bytes: Option<u64>,
    content_type: Option<String>,
}

impl EmailBody {
    /// None without an id: there would be no way to speak of it.
    pub(super) fn summary(&self, mailbox: &Mailbox) -> Option<Summary> {
        let id = self.id.as_ref().or(self.message_id.as_ref()).or(self.email_id.as_ref())?;
        let attached = self.attachments.as_ref().is_some_and(|attachments| !attachments.is_empty());
        Some(Summary {
            id: MessageId::new(id),
            mailbox: mailbox.clone(),
            thread_id: self.thread_id.as_ref().map(ThreadId::new),
            direction: self.direction.clone(),
            status: self.status.clone(),
            from: self.from.clone().or_else(|| self.from_address.clone()).unwrap_or_default(),
            from_name: self.from_name.clone().filter(|name| !name.is_empty()),
            to: self.to.clone().or_else(|| self.to_addresses.clone()).unwrap_or_default(),
            cc: self.cc.clone().unwrap_or_default(),
            subject: self.subject.clone().unwrap_or_default(),
            snippet: self.snippet.clone(),
            received_at: self.received_at.or(self.created_at),
            auto: self.auto,
            sender_written_to_before: self.sender_written_to_before,
            report: self.report == Some(true),
            has_attachments: self.has_attachments.unwrap_or(attached),
            tags: self.tags.clone(),
        })
    }

    pub(super) fn email(self, mailbox: &Mailbox) -> Option<Email> {
        let summary = self.summary(mailbox)?;
        let text = self.markdown.or(self.body_text).or(self.text_body).or(self.body).unwrap_or_default();
        let attachments = self.attachments.unwrap_or_default().into_iter().map(Attachment::from).collect();
        Some(Email {
            summary,
            text,
            extracted_text: self.extracted_text,
            verdict: self.auth_results,
            attachments,
            notes: self.notes.unwrap_or_default(),
        })
    }
}

impl From<AttachmentBody> for Attachment {
    fn from(body: AttachmentBody) -> Self {
        Self {
            name: body.name.or(body.filename).unwrap_or_default(),
            content_type: body.content_type.unwrap_or_default(),
            size_bytes: body.size.or(body.size_bytes).unwrap_or(0),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AttachmentLink {
    pub(super) url: String,
}

#[derive(Deserialize)]
pub(super) struct Tags {
    #[serde(default, deserialize_with = "tags")]
    pub(super) tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SentBody {
    id: Option<String>,
    message_id: Option<String>,
    email_id: Option<String>,
    thread_id: Option<String>,
    status: Option<String>,
}

impl SentBody {
    pub(super) fn sent(self) -> Option<Sent> {
        Some(Sent {
            id: MessageId::new(self.id.or(self.message_id).or(self.email_id)?),
            thread_id: self.thread_id.map(ThreadId::new),
            status: self.status.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RetryBody {
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "moment")]
    pub(super) next_attempt_at: Option<UnixMillis>,
}

#[derive(Deserialize)]
pub(super) struct Suppressions {
    #[serde(default)]
    pub(super) suppressions: Vec<SuppressionBody>,
    #[serde(default, deserialize_with = "text_or_number")]
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SuppressionBody {
    address: Option<String>,
    email_address: Option<String>,
    reason: Option<String>,
    note: Option<String>,
    #[serde(deserialize_with = "moment")]
    created_at: Option<UnixMillis>,
}

impl SuppressionBody {
    pub(super) fn suppression(self) -> Option<Suppression> {
        Some(Suppression {
            address: self.address.or(self.email_address)?,
            reason: self.reason,
            note: self.note,
            created_at: self.created_at,
        })
    }
}

/// RFC 3339 text or epoch milliseconds; anything else tells no time.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMillis>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text.parse().ok(),
        serde_json::Value::Number(number) => number.as_i64().map(UnixMillis),
        _ => None,
    })
}

/// A verdict as the embedded service tells it; another shape tells nothing.
fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Verdict>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(deserializer)?).ok())
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) if !text.is_empty() => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A list of texts, or one text with commas in it.
fn list_or_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
        serde_json::Value::Array(items) => {
            Some(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
        }
        _ => None,
    })
}

/// A map of tags, or a list of their names.
fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Object(map) => Some(map.into_iter().map(|(key, value)| (key, text(value))).collect()),
        serde_json::Value::Array(items) => Some(items.into_iter().map(|item| (text(item), "true".into())).collect()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn mailbox() -> Mailbox {
        Mailbox { id: MailboxId::new("mbx_1"), address: "agent@mailbell.test".into(), display_name: None }
    }

    #[test]
    fn every_known_spelling_of_a_message_gives_the_same() {
        let spec = json!({"id": "em_1", "from": "a@b.test", "to": ["c@d.test"], "subject": "s", "markdown": "text",
            "received_at": "2026-11-24T10:00:00.000Z", "tags": {"handled": "true"}, "direction": "inbound"});
        let legacy = json!({"email_id": "em_1", "from_address": "a@b.test", "to_addresses": "c@d.test", "subject": "s",
            "text_body": "text", "created_at": 1_795_514_400_000_i64, "tags": ["handled"], "direction": "inbound"});
        let both = json!({"id": "em_1", "message_id": "em_1", "email_id": "em_1", "from": "a@b.test",
            "from_address": "a@b.test", "to": ["c@d.test"], "to_addresses": ["c@d.test"], "subject": "s",
            "markdown": "text", "body": "text", "body_text": "text", "received_at": "2026-11-24T10:00:00.000Z",
            "created_at": "2026-11-24T10:00:00.000Z", "tags": {"handled": "true"}, "direction": "inbound"});
        let read = |value| serde_json::from_value::<EmailBody>(value).expect("readable").email(&mailbox());
        let email = read(spec).expect("it has an id");
        assert_eq!((email.text.as_str(), email.summary.handled()), ("text", Some(true)));
        assert_eq!(read(legacy), Some(email.clone()));
        assert_eq!(read(both), Some(email));
    }

    proptest! {
        #[test]
        fn no_field_of_a_wrong_type_panics(number in any::<i64>(), text in ".{0,20}") {
            for odd in [json!(number), json!(text), json!(null), json!([number, text]), json!({"a": number})] {
                let body = json!({"id": "em_1", "received_at": odd, "tags": odd, "to": odd});
                let email = serde_json::from_value::<EmailBody>(body).expect("readable").email(&mailbox());
                prop_assert!(email.is_some());
            }
        }
    }
}
