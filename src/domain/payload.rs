//! The body of a webhook: one object that serves both the seed's flat readers and the service's enveloped ones.
//!
//! The flat fields of the event come first. Beside them stand `event` (the same kind in the subscriber's words),
//! `email_id`, `webhook_id`, and `data`, an envelope for those who look there. No key means two things.

use serde::Serialize;

use super::{
    clock::UnixMillis,
    event::{Detail, NewEvent},
    id::{EventId, MessageId, ThreadId, WebhookId},
    webhook::Vocabulary,
};

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(flatten)]
    fact: &'a NewEvent,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_id: Option<&'a MessageId>,
    webhook_id: &'a WebhookId,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Inbound,
    Outbound,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email_id: Option<&'a MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a ThreadId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<&'a str>,
    direction: Direction,
    #[serde(flatten)]
    part: Part<'a>,
}

/// What the envelope holds by kind; our own words for the rest stand in the flat fields.
#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Inbound { from: &'a str, to: &'a [String], subject: &'a str, snippet: &'a str },
    About { recipient: Option<&'a str> },
    Bare {},
}

/// The event type of a probe: none that anything can happen as.
pub const PROBE: &str = "probe";

/// The body of a probe to `webhook`: an event of its own type, which nobody takes for mail.
///
/// # Panics
///
/// Never: texts make JSON.
pub fn probe(event_id: &EventId, webhook: &WebhookId, at: UnixMillis) -> Vec<u8> {
    #[derive(Serialize)]
    struct Probe<'a> {
        event_type: &'a str,
        event_id: &'a EventId,
        timestamp: UnixMillis,
        event: &'a str,
        webhook_id: &'a WebhookId,
    }
    let probe = Probe { event_type: PROBE, event_id, timestamp: at, event: PROBE, webhook_id: webhook };
    serde_json::to_vec(&probe).expect("texts make JSON")
}

/// The body that tells `webhook` of `event`. It is made once and stored: what is signed is what is sent, at every attempt.
///
/// # Panics
///
/// Never: texts, numbers and keys that are texts always make JSON.
pub fn body(event: &NewEvent, webhook: &WebhookId, vocabulary: Vocabulary) -> Vec<u8> {
    let (direction, part) = match &event.detail {
        Detail::Inbound { from, to, subject, snippet, .. } => {
            (Direction::Inbound, Part::Inbound { from, to, subject, snippet })
        }
        Detail::Delivery { recipient, .. } => (Direction::Outbound, Part::About { recipient: Some(recipient) }),
        Detail::Bounce { recipient, .. } | Detail::Complaint { recipient, .. } | Detail::Open { recipient, .. } => {
            (Direction::Outbound, Part::About { recipient: recipient.as_deref() })
        }
        Detail::Approval { .. } | Detail::Other {} => (Direction::Outbound, Part::Bare {}),
    };
    let payload = Payload {
        fact: event,
        event: vocabulary.word(event.detail.kind()),
        email_id: event.message_id.as_ref(),
        webhook_id: webhook,
        data: Data {
            email_id: event.message_id.as_ref(),
            thread_id: event.thread_id.as_ref(),
            mailbox: event.mailbox.as_deref(),
            direction,
            part,
        },
    };
    serde_json::to_vec(&payload).expect("texts, numbers and keys that are texts always make JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{clock::UnixMillis, event::BounceType, event::Tied, id::EventId};

    fn event(detail: Detail) -> NewEvent {
        NewEvent {
            event_id: EventId::new("evt_1"),
            mailbox: Some("agent@mailbell.test".into()),
            message_id: Some(MessageId::new("em_1")),
            thread_id: Some(ThreadId::new("thr_1")),
            timestamp: UnixMillis(1_764_000_000_007),
            provider_kind: None,
            detail,
        }
    }

    #[test]
    fn an_inbound_body_serves_flat_and_enveloped_readers() {
        let event = event(Detail::Inbound {
            from: "bob@example.com".into(),
            from_name: Some("Bob".into()),
            to: vec!["agent@mailbell.test".into()],
            subject: "Hi \"there\"".into(),
            snippet: "Hello".into(),
            auto: false,
        });
        let bytes = body(&event, &WebhookId::new("wh_1"), Vocabulary::Email);
        let value: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(
            value,
            json!({
                "event_id": "evt_1", "event_type": "inbound", "event": "email.received", "mailbox": "agent@mailbell.test",
                "message_id": "em_1", "email_id": "em_1", "thread_id": "thr_1", "webhook_id": "wh_1",
                "timestamp": "2025-11-24T16:00:00.007Z", "from": "bob@example.com", "from_name": "Bob",
                "to": ["agent@mailbell.test"], "subject": "Hi \"there\"", "snippet": "Hello", "auto": false,
                "data": {
                    "email_id": "em_1", "thread_id": "thr_1", "mailbox": "agent@mailbell.test", "direction": "inbound",
                    "from": "bob@example.com", "to": ["agent@mailbell.test"], "subject": "Hi \"there\"", "snippet": "Hello",
                },
            })
        );
        // The log takes it back as the event it was: our own receiver reads the same body.
        assert_eq!(serde_json::from_slice::<NewEvent>(&bytes).expect("an event"), event);
    }

    #[test]
    fn a_bounce_body_tells_the_recipient_in_both_places() {
        let event = event(Detail::Bounce {
            recipient: Some("nobody@example.com".into()),
            bounce_code: "5.1.1".into(),
            code_inferred: false,
            bounce_type: BounceType::Hard,
            reason: None,
            r#final: true,
            suppress_advised: true,
            suppressed: false,
            diagnostic: Some("550 no such user".into()),
            tied: Tied::Session,
        });
        let value: Value =
            serde_json::from_slice(&body(&event, &WebhookId::new("wh_1"), Vocabulary::Plain)).expect("JSON");
        assert_eq!(value["event"], "bounce");
        assert_eq!(value["bounce_code"], "5.1.1");
        assert_eq!(value["data"]["recipient"], "nobody@example.com");
        assert_eq!(value["data"]["direction"], "outbound");
    }
}
