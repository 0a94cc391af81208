//! Payloads as the providers document them, with what an agent is told of each beside them; and bodies by those who mean
//! harm.

use proptest::prelude::*;
use serde_json::Value;

use super::{Dialect, Malformed, RawRequest, Verified, dialect, settings::Settings};
use crate::domain::{
    clock::UnixMillis,
    event::{Auth, NewEvent},
};

pub(super) const NOW: UnixMillis = UnixMillis(1_795_514_400_000);

/// What a vouched-for request tells.
pub(super) fn told(
    dialect: &dyn Dialect,
    headers: &[(&str, &str)],
    body: &[u8],
    settings: &Settings,
) -> Result<Vec<NewEvent>, Malformed> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = RawRequest { headers, body: body.to_vec(), ..RawRequest::default() };
    dialect.normalise(&Verified::vouch(&request, Auth::HmacSha256, true, NOW), settings)
}

const SIGNED: [(&str, &str); 3] = [("svix-id", "msg_1"), ("svix-timestamp", "1795514400"), ("svix-signature", "v1,")];

/// Runs a table: a list of objects with a `payload`, or the `message` of an envelope of SNS, and the events that it `tells`, of which the named fields count.
fn run(name: &str, table: &str, at_least: usize) {
    let table: Vec<Value> = serde_json::from_str(table).expect("a table");
    assert!(table.len() >= at_least, "{name}");
    let speaker = dialect(name).expect("a dialect");
    for case in table {
        let body = match case.get("message") {
            Some(message) => super::ses::tests::envelope(message).to_string(),
            None => case["payload"].to_string(),
        };
        let settings = match case.get("settings") {
            Some(settings) => Settings::read(&settings.to_string()).expect("settings"),
            None => Settings::default(),
        };
        let events =
            told(speaker, &SIGNED, body.as_bytes(), &settings).unwrap_or_else(|error| panic!("{error}: {body}"));
        let again = told(speaker, &SIGNED, body.as_bytes(), &settings).expect("the same");
        assert_eq!(events, again, "{name}: a repetition is known as one");
        let expected = case["tells"].as_array().expect("a list of events");
        assert_eq!(events.len(), expected.len(), "{name}: {body}\n{events:#?}");
        for (event, expected) in events.iter().zip(expected) {
            let event = serde_json::to_value(event).expect("an event is JSON");
            for (field, value) in expected.as_object().expect("fields") {
                let said = event.get(field).unwrap_or(&Value::Null);
                assert_eq!(said, value, "{name}: {field} of {body}\n{event:#}");
            }
        }
        let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(ids.len(), events.len(), "{name}: each event has an id of its own");
    }
}

macro_rules! tables {
    ($($test:ident: $name:literal, $file:literal;)*) => {
        $(#[test]
        fn $test() {
            run($name, include_str!(concat!("samples/", $file)), 8);
        })*
    };
}

tables! {
    resend_s_payloads: "resend", "resend.json";
    agentmail_s_payloads: "agentmail", "agentmail.json";
    sendgrid_s_payloads: "sendgrid", "sendgrid.json";
    mailgun_s_payloads: "mailgun", "mailgun.json";
    postmark_s_payloads: "postmark", "postmark.json";
    ses_s_payloads: "ses", "ses.json";
    generic_payloads: "generic", "generic.json";
    standard_payloads: "standard-webhooks", "standard_webhooks.json";
}

/// JSON of the shapes that dialects look into, with any values at the ends.
fn anything() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "type",
        "event",
        "event_type",
        "event-data",
        "signature",
        "data",
        "bounce",
        "message",
        "headers",
        "recipients",
        "to",
        "from",
        "timestamp",
        "created_at",
        "email_id",
        "delivery-status",
        "code",
        "RecordType",
        "Recipient",
        "MessageID",
        "Details",
        "Message",
        "Type",
        "mail",
        "eventType",
        "notificationType",
        "deliveryDelay",
        "receipt",
        "content",
        "destination",
        "bouncedRecipients",
        "email",
        "reason",
        "delivery",
        "complaint",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "email.bounced",
            "message.bounced",
            "Bounce",
            "DeliveryDelay",
            "Received",
            "failed",
            "bounce",
            "5.1.1",
            "a@b.test"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic_a_dialect(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for speaker in super::DIALECTS {
            hostile(speaker, &body);
        }
    }

    #[test]
    fn no_json_panics_a_dialect(body in anything()) {
        for speaker in super::DIALECTS {
            hostile(speaker, body.to_string().as_bytes());
        }
    }
}

fn hostile(speaker: &dyn Dialect, body: &[u8]) {
    let settings = match speaker.name() {
        "generic" => {
            let mapping = r#"{"mapping": {"auth": {"hmac": {"header": "x-sig"}}, "fields": {"event": "/type", "id": ["/email", "/data/code"],
                "id_from": ["/from", "/to", "/event", "/data"], "recipients": ["/recipients/*/email", "/to"], "message_id": "/message",
                "timestamp": "/timestamp", "machine": "/reason"}, "kinds": {"Bounce": "bounce-hard", "failed": "inbound"}}}"#;
            Settings::read(mapping).expect("settings")
        }
        _ => Settings::default(),
    };
    // What SNS carries is looked into too.
    let inside = String::from_utf8_lossy(body);
    let inside = super::ses::tests::envelope(&Value::from(inside.as_ref())).to_string();
    let bodies: &[&[u8]] = if speaker.name() == "ses" { &[body, inside.as_bytes()] } else { &[body] };
    let kinds = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
    for (kind, body) in kinds.iter().flat_map(|kind| bodies.iter().map(move |body| (*kind, *body))) {
        let headers = [("content-type", kind), SIGNED[0], SIGNED[1], SIGNED[2]];
        if let Ok(events) = told(speaker, &headers, body, &settings) {
            for event in events {
                let id = event.event_id.as_str();
                assert!(!id.is_empty() && id.len() <= 128, "{}: {id:?}", speaker.name());
            }
        }
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = RawRequest { headers, body: body.to_vec(), token: None };
        let secrets = [crate::domain::secret::Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
        let keys = super::Keys { secrets: &secrets, settings: &settings, certificate: None };
        assert!(speaker.verify(&request, &keys, NOW).is_err(), "{}", speaker.name());
    }
}
