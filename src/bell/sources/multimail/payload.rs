//! The body of a MultiMail webhook: its fields, flat or in a `data` envelope, and the event they tell of.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::{Malformed, Meaning, fields::Field};
use crate::{
    domain::{
        clock::UnixMillis,
        code::{Class, EnhancedStatusCode},
        event::{AcceptedBy, BounceType, Detail, EventKind, NewEvent, Tied},
        id::{EventId, MessageId, ThreadId},
    },
    signing::digest::sha256,
};

/// Events in one body; more than a house's own webhooks ever put into one.
const EVENTS_MAX: usize = 256;
/// Bytes of an id; ids in use are about 30.
const ID_BYTES_MAX: usize = 128;
/// Bytes of an address: RFC 5321 section 4.5.3.1.3.
const ADDRESS_BYTES_MAX: usize = 254;
/// Characters of an address with a name or a comment around it.
const ADDRESS_CHARS_MAX: usize = 320;
/// Characters of a name or a subject: a line of RFC 5322 section 2.1.1.
const LINE_CHARS_MAX: usize = 998;
/// Characters of a snippet.
const SNIPPET_CHARS_MAX: usize = 200;
/// Characters of what a remote server said; several lines of 512 (RFC 5321 section 4.5.3.1.5).
const DIAGNOSTIC_CHARS_MAX: usize = 4_000;
/// Bytes of a word of ours or the provider's, such as a bounce's reason.
const WORD_BYTES_MAX: usize = 128;

/// Every field that any spelling uses. What else there is, such as `webhook_id`, is read over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    event_type: Field<'a>,
    event: Field<'a>,
    event_id: Field<'a>,
    mailbox: Field<'a>,
    message_id: Field<'a>,
    email_id: Field<'a>,
    thread_id: Field<'a>,
    timestamp: Field<'a>,
    from: Field<'a>,
    from_name: Field<'a>,
    to: Field<'a>,
    subject: Field<'a>,
    snippet: Field<'a>,
    auto: Field<'a>,
    recipient: Field<'a>,
    smtp_response: Field<'a>,
    accepted_by: Field<'a>,
    bounce_code: Field<'a>,
    code_inferred: Field<'a>,
    bounce_type: Field<'a>,
    reason: Field<'a>,
    #[serde(rename = "final")]
    is_final: Field<'a>,
    suppress_advised: Field<'a>,
    suppressed: Field<'a>,
    diagnostic: Field<'a>,
    tied: Field<'a>,
    feedback_type: Field<'a>,
    machine: Field<'a>,
    provider_kind: Field<'a>,
    /// The envelope of one of the spellings; the flat fields win. It is read in a second step, because a type that holds
    /// itself is read by recursion, and a body of nested envelopes would end the process by its stack.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The events that `body` tells of: one, or as many as its array has.
pub(super) fn events(body: &[u8]) -> Result<Vec<NewEvent>, Malformed> {
    if !body.trim_ascii_start().starts_with(b"[") {
        return event(body).map(|event| vec![event]);
    }
    let bodies: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| Malformed(format!("the array of events is no JSON at line {}", error.line())))?;
    if bodies.len() > EVENTS_MAX {
        return Err(Malformed(format!("an array may have {EVENTS_MAX} events at most")));
    }
    bodies.into_iter().map(|body| event(body.get().as_bytes())).collect()
}

/// The event that `body` tells of.
pub(super) fn event(body: &[u8]) -> Result<NewEvent, Malformed> {
    // The error's message may quote the body; its place does not.
    let fields: Fields = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Malformed(format!("the body must be one JSON object with each field once; line {line}, column {column} is not"))
    })?;
    let data = match fields.data {
        Some(data) => serde_json::from_str(data.get())
            .map_err(|_| Malformed("`data` must be one JSON object with each field once".into()))?,
        None => Fields::default(),
    };
    Payload { flat: &fields, data: &data }.event()
}

/// The kind that a name in one of the vocabularies stands for.
fn kind(name: &str) -> EventKind {
    match super::ROWS.iter().find(|row| row.name == name).map(|row| row.meaning) {
        Some(Meaning::Inbound) => EventKind::Inbound,
        Some(Meaning::Delivery) => EventKind::Delivery,
        Some(Meaning::Bounce(_)) => EventKind::Bounce,
        Some(Meaning::Complaint) => EventKind::Complaint,
        Some(Meaning::Open) => EventKind::Open,
        // `approval` too: only this house decides on actions, whatever a source says.
        Some(Meaning::Other) | None => EventKind::Other,
    }
}

struct Payload<'s, 'a> {
    flat: &'s Fields<'a>,
    data: &'s Fields<'a>,
}

impl<'s, 'a> Payload<'s, 'a> {
    fn field(&self, pick: impl Fn(&'s Fields<'a>) -> &'s Field<'a>) -> &'s Field<'a> {
        pick(self.flat).or(pick(self.data))
    }

    fn event(&self) -> Result<NewEvent, Malformed> {
        let name = match self.field(|f| &f.event_type).name("event_type", WORD_BYTES_MAX)? {
            Some(name) => name,
            None => self.field(|f| &f.event).name("event", WORD_BYTES_MAX)?.ok_or_else(|| {
                Malformed("`event_type` (or `event`) must name the event, such as inbound or message.received".into())
            })?,
        };
        let kind = kind(name);
        let timestamp = self.field(|f| &f.timestamp).name("timestamp", WORD_BYTES_MAX)?;
        let timestamp: UnixMillis = timestamp.and_then(|text| text.parse().ok()).ok_or_else(|| {
            Malformed("`timestamp` must be RFC 3339 with an offset, such as 2026-11-24T10:00:00.000Z".into())
        })?;
        let message_id = match self.field(|f| &f.message_id).name("message_id", ID_BYTES_MAX)? {
            Some(id) => Some(id),
            None => self.field(|f| &f.email_id).name("email_id", ID_BYTES_MAX)?,
        };
        let recipient = self.field(|f| &f.recipient).prose("recipient", ADDRESS_CHARS_MAX)?;
        let event_id = match (self.field(|f| &f.event_id).name("event_id", ID_BYTES_MAX)?, message_id) {
            (Some(id), _) => id.to_owned(),
            (None, Some(message)) => {
                derived_id(&[name, message, recipient.as_deref().unwrap_or_default(), &timestamp.to_string()])
            }
            (None, None) => {
                return Err(Malformed(
                    "`event_id`, or else `message_id` or `email_id`, must say what is told of".into(),
                ));
            }
        };
        let mailbox = self.field(|f| &f.mailbox).name("mailbox", ADDRESS_BYTES_MAX)?.map(str::to_lowercase);
        let thread_id = self.field(|f| &f.thread_id).name("thread_id", ID_BYTES_MAX)?;
        let given = self.field(|f| &f.provider_kind).name("provider_kind", WORD_BYTES_MAX)?;
        let own_name = (name != kind.as_str()).then_some(name);
        Ok(NewEvent {
            event_id: EventId::new(event_id),
            mailbox,
            message_id: message_id.map(MessageId::new),
            thread_id: thread_id.map(ThreadId::new),
            timestamp,
            provider_kind: given.or(own_name).map(str::to_owned),
            detail: self.detail(kind, recipient)?,
        })
    }

    fn detail(&self, kind: EventKind, recipient: Option<String>) -> Result<Detail, Malformed> {
        Ok(match kind {
            EventKind::Inbound => Detail::Inbound {
                from: self.field(|f| &f.from).prose("from", ADDRESS_CHARS_MAX)?.unwrap_or_default(),
                from_name: self.field(|f| &f.from_name).prose("from_name", LINE_CHARS_MAX)?,
                to: self.field(|f| &f.to).texts("to", ADDRESS_CHARS_MAX)?,
                subject: self.field(|f| &f.subject).prose("subject", LINE_CHARS_MAX)?.unwrap_or_default(),
                snippet: self.field(|f| &f.snippet).prose("snippet", SNIPPET_CHARS_MAX)?.unwrap_or_default(),
                auto: self.field(|f| &f.auto).flag("auto")?.unwrap_or(false),
            },
            EventKind::Delivery => Detail::Delivery {
                recipient: self
                    .addressee(recipient)?
                    .ok_or_else(|| Malformed("`recipient` must say whom the message was delivered to".into()))?,
                smtp_response: self.field(|f| &f.smtp_response).prose("smtp_response", DIAGNOSTIC_CHARS_MAX)?,
                accepted_by: match self.field(|f| &f.accepted_by).name("accepted_by", WORD_BYTES_MAX)? {
                    Some("recipient") => Some(AcceptedBy::Recipient),
                    Some("relay") => Some(AcceptedBy::Relay),
                    _ => None,
                },
            },
            EventKind::Bounce => self.bounce(recipient)?,
            EventKind::Complaint => Detail::Complaint {
                recipient: self.addressee(recipient)?,
                feedback_type: self.field(|f| &f.feedback_type).prose("feedback_type", WORD_BYTES_MAX)?,
                tied: self.tied()?,
            },
            EventKind::Open => Detail::Open { recipient, machine: self.field(|f| &f.machine).flag("machine")? },
            EventKind::Approval | EventKind::Other => Detail::Other {},
        })
    }

    fn bounce(&self, recipient: Option<String>) -> Result<Detail, Malformed> {
        let said = self.field(|f| &f.bounce_code).prose("bounce_code", WORD_BYTES_MAX)?;
        let said = said.as_deref().and_then(code);
        let kind = match self.field(|f| &f.bounce_type).name("bounce_type", WORD_BYTES_MAX)? {
            Some("soft" | "transient") => Some(BounceType::Soft),
            Some("hard" | "permanent") => Some(BounceType::Hard),
            _ => None,
        };
        let inferred = self.field(|f| &f.code_inferred).flag("code_inferred")?;
        // The code outweighs the label; where neither is given, a bounce is taken as permanent.
        let (bounce_code, bounce_type, code_inferred) = match (said, kind) {
            (Some((code, by_code)), kind) => {
                (code, by_code.or(kind).unwrap_or(BounceType::Hard), inferred.unwrap_or(false))
            }
            (None, Some(BounceType::Soft)) => ("4.0.0".to_owned(), BounceType::Soft, true),
            (None, Some(BounceType::Hard) | None) => ("5.0.0".to_owned(), BounceType::Hard, true),
        };
        Ok(Detail::Bounce {
            recipient: self.addressee(recipient)?,
            bounce_code,
            code_inferred,
            bounce_type,
            reason: self.field(|f| &f.reason).prose("reason", WORD_BYTES_MAX)?,
            r#final: self.field(|f| &f.is_final).flag("final")?.unwrap_or(bounce_type == BounceType::Hard),
            suppress_advised: self.field(|f| &f.suppress_advised).flag("suppress_advised")?.unwrap_or(false),
            suppressed: self.field(|f| &f.suppressed).flag("suppressed")?.unwrap_or(false),
            diagnostic: self.field(|f| &f.diagnostic).prose("diagnostic", DIAGNOSTIC_CHARS_MAX)?,
            tied: self.tied()?,
        })
    }

    /// The recipient, or else the one address that the message went to.
    fn addressee(&self, recipient: Option<String>) -> Result<Option<String>, Malformed> {
        if recipient.is_some() {
            return Ok(recipient);
        }
        let mut to = self.field(|f| &f.to).texts("to", ADDRESS_CHARS_MAX)?;
        Ok(if to.len() == 1 { to.pop() } else { None })
    }

    fn tied(&self) -> Result<Tied, Malformed> {
        Ok(match self.field(|f| &f.tied).name("tied", WORD_BYTES_MAX)? {
            Some("session") => Tied::Session,
            Some("envelope") => Tied::Envelope,
            Some("token") => Tied::Token,
            Some("headers") => Tied::Headers,
            _ => Tied::None,
        })
    }
}

/// The code in a text, with what its first digit says: an enhanced status code, or else a reply code.
fn code(text: &str) -> Option<(String, Option<BounceType>)> {
    let words = || text.split_ascii_whitespace();
    if let Some(code) = words().find_map(|word| word.parse::<EnhancedStatusCode>().ok()) {
        let bounce_type = match code.class() {
            Class::Permanent => Some(BounceType::Hard),
            Class::Transient => Some(BounceType::Soft),
            Class::Success => None,
        };
        return Some((code.to_string(), bounce_type));
    }
    words().find_map(|word| match word.as_bytes() {
        [b'5', b'0'..=b'9', b'0'..=b'9'] => Some((word.to_owned(), Some(BounceType::Hard))),
        [b'4', b'0'..=b'9', b'0'..=b'9'] => Some((word.to_owned(), Some(BounceType::Soft))),
        _ => None,
    })
}

/// An id for an event whose source gives it none: the same for the same event whenever it is told, so that a repetition
/// is known as one.
fn derived_id(parts: &[&str]) -> String {
    let digest = sha256(parts.join("\0").as_bytes());
    format!("derived_{}", hex::encode(&digest[..16]))
}
