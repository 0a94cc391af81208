//! Both spellings, every vocabulary, and bodies by somebody who means harm.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    event::{BounceType, Detail, EventKind},
    id::MessageId,
};

const NOW: UnixMillis = UnixMillis(1_795_514_400_000);

fn secret() -> Secret {
    Secret::new("whsec_test")
}

fn verify<'a>(request: &'a RawRequest, secrets: &[Secret]) -> Result<Verified<'a>, Rejection> {
    MultiMail.verify(request, &Keys { secrets, settings: &Settings::default(), certificate: None }, NOW)
}

fn request(body: &str, headers: &[(&str, String)]) -> RawRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    RawRequest { headers, body: body.as_bytes().to_vec(), ..RawRequest::default() }
}

fn told(body: &str) -> Result<NewEvent, Malformed> {
    let request = request(body, &[]);
    let verified = Verified::vouch(&request, Auth::HmacSha256, false, NOW);
    MultiMail.normalise(&verified, &Settings::default()).map(|mut events| events.pop().expect("one event"))
}

const INBOUND: &str = r#"{"event_type":"inbound","event_id":"evt_1","mailbox":"Agent@MailBell.Test","message_id":"em_1",
    "thread_id":"thr_1","timestamp":"2026-11-24T10:00:00.000Z","from":"bob@example.com","to":["agent@mailbell.test"],
    "subject":"Hi","snippet":"Hello","webhook_id":"wh_1","data":{"email_id":"em_1","subject":"Hi"}}"#;

#[test]
fn a_flat_body_is_understood() {
    let event = told(INBOUND).expect("an event");
    assert_eq!(event.event_id.as_str(), "evt_1");
    assert_eq!(event.mailbox.as_deref(), Some("agent@mailbell.test"));
    assert_eq!(event.provider_kind, None);
    let Detail::Inbound { from, to, subject, snippet, .. } = event.detail else { panic!("{event:?}") };
    assert_eq!((from.as_str(), subject.as_str(), snippet.as_str()), ("bob@example.com", "Hi", "Hello"));
    assert_eq!(to, ["agent@mailbell.test"]);
}

#[test]
fn an_array_holds_several_events_in_order() {
    let told = |body: &str| {
        let request = request(body, &[]);
        let verified = Verified::vouch(&request, Auth::HmacSha256, false, NOW);
        MultiMail.normalise(&verified, &Settings::default())
    };
    let second = INBOUND.replace("evt_1", "evt_2");
    let events = told(&format!(" [{INBOUND},\n{second}]")).expect("events");
    assert_eq!(events.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>(), ["evt_1", "evt_2"]);
    assert!(told("[]").expect("none").is_empty());
    for wrong in [format!("[{INBOUND}"), format!("[{INBOUND},7]"), format!("[[{INBOUND}]]"), "[".repeat(5_000)] {
        assert!(told(&wrong).is_err(), "{wrong}");
    }
    let many = |count| format!("[{}]", vec![INBOUND; count].join(","));
    assert_eq!(told(&many(256)).map(|events| events.len()), Ok(256));
    let refused = told(&many(257)).expect_err("too many");
    assert_eq!(refused.0, "an array may have 256 events at most");
}

#[test]
fn another_webhook_s_copy_is_the_same_event() {
    assert_eq!(told(INBOUND), told(&INBOUND.replace("wh_1", "wh_2")));
}

#[test]
fn envelopes_within_envelopes_cost_no_stack() {
    for depth in [2, 100, 5_000] {
        let (open, close) = (r#"{"data":"#.repeat(depth), "}".repeat(depth));
        let body = format!(
            r#"{{"event":"email.opened","email_id":"em_1","timestamp":"2026-11-24T10:00:00Z","data":{open}7{close}}}"#
        );
        // The stack of a thread that has little: what is nested in the envelope is not looked into.
        let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || told(&body));
        let told = thread.expect("a thread").join().expect("it ends");
        assert_eq!(told.map(|event| event.detail.kind()), Ok(EventKind::Open), "{depth}");
    }
    let text = r#"{"event":"email.opened","email_id":"em_1","timestamp":"2026-11-24T10:00:00Z","data":"x"}"#;
    assert!(told(text).expect_err("no object").0.contains("`data`"));
}

#[test]
fn an_envelope_is_understood_and_its_derived_id_is_steady() {
    let body = r#"{"event":"email.received","timestamp":"2026-03-09T14:22:00.000Z","data":{"email_id":"em_4b",
        "from":"bob@example.com","to":["agent@mailbell.test"],"subject":"Hi","direction":"inbound","has_attachments":false}}"#;
    let event = told(body).expect("an event");
    assert_eq!(event.message_id.as_ref().map(MessageId::as_str), Some("em_4b"));
    assert_eq!(event.detail.kind(), EventKind::Inbound);
    assert_eq!(event.provider_kind.as_deref(), Some("email.received"));
    assert_eq!(told(body), Ok(event.clone()));
    assert_ne!(told(&body.replace("em_4b", "em_5c")).expect("an event").event_id, event.event_id);
}

#[test]
fn every_vocabulary_ends_in_our_kinds() {
    for (name, kind) in [
        ("inbound", EventKind::Inbound),
        ("message.received", EventKind::Inbound),
        ("email.received", EventKind::Inbound),
        ("message.delivered", EventKind::Delivery),
        ("email.bounced", EventKind::Bounce),
        ("message.complained", EventKind::Complaint),
        ("email.opened", EventKind::Open),
        ("oversight.approved", EventKind::Other),
        ("approval", EventKind::Other),
        ("brand.new", EventKind::Other),
    ] {
        for field in ["event_type", "event"] {
            let body = format!(
                r#"{{"{field}":"{name}","event_id":"e","timestamp":"2026-11-24T10:00:00Z","recipient":"r@x.test"}}"#
            );
            let event = told(&body).expect("an event");
            assert_eq!(event.detail.kind(), kind, "{name}");
            assert_eq!(event.provider_kind.as_deref(), (name != kind.as_str()).then_some(name));
        }
    }
}

#[test]
fn the_code_of_a_bounce_outweighs_its_label() {
    for (said, code, bounce_type, inferred) in [
        (r#""bounce_code":"5.1.1""#, "5.1.1", BounceType::Hard, false),
        (r#""bounce_code":"4.2.2","bounce_type":"hard""#, "4.2.2", BounceType::Soft, false),
        (r#""bounce_code":"550 5.1.1 no such user""#, "5.1.1", BounceType::Hard, false),
        (r#""bounce_code":"smtp;550 5.1.351 x""#, "5.1.351", BounceType::Hard, false),
        (r#""bounce_code":550"#, "550", BounceType::Hard, false),
        (r#""bounce_code":"","bounce_type":"soft""#, "4.0.0", BounceType::Soft, true),
        (r#""bounce_code":"nonsense""#, "5.0.0", BounceType::Hard, true),
    ] {
        let body = format!(r#"{{"event_type":"bounce","event_id":"e","timestamp":"2026-11-24T10:00:00Z",{said}}}"#);
        let event = told(&body).expect("an event");
        let Detail::Bounce { bounce_code, bounce_type: found, code_inferred, r#final, .. } = event.detail else {
            panic!("{said}")
        };
        assert_eq!((bounce_code.as_str(), found, code_inferred), (code, bounce_type, inferred), "{said}");
        assert_eq!(r#final, bounce_type == BounceType::Hard, "{said}");
    }
}

#[test]
fn numbers_beyond_2_53_keep_their_digits() {
    let body = r#"{"event_type":"open","event_id":9007199254740993,"timestamp":"2026-11-24T10:00:00Z"}"#;
    assert_eq!(told(body).expect("an event").event_id.as_str(), "9007199254740993");
}

#[test]
fn what_is_wrong_is_said_by_name_and_never_repeated() {
    let long = "x".repeat(129);
    for (body, word) in [
        ("", "JSON object"),
        (r#"{"event_type":"SECRET"} SECRET"#, "JSON object"),
        (r#"{"event_id":"a","event_id":"SECRET"}"#, "each field once"),
        (r#"{"event_id":"SECRET"}"#, "event_type"),
        (r#"{"event_type":"inbound","event_id":"SECRET"}"#, "timestamp"),
        (r#"{"event_type":"inbound","timestamp":"2026-11-24T10:00:00Z"}"#, "event_id"),
        (r#"{"event_type":{"SECRET":1}}"#, "event_type"),
        (r#"{"event_type":"inbound","event_id":"LONG","timestamp":"2026-11-24T10:00:00Z"}"#, "128 bytes"),
        (
            r#"{"event_type":"inbound","event_id":"e","timestamp":"2026-11-24T10:00:00Z","auto":"SECRET"}"#,
            "true or false",
        ),
        (r#"{"event_type":"delivery","event_id":"e","timestamp":"2026-11-24T10:00:00Z"}"#, "recipient"),
    ] {
        let malformed = told(&body.replace("LONG", &long)).expect_err(body);
        assert!(malformed.0.contains(word), "{body}: {malformed}");
        assert!(!malformed.0.contains("SECRET"), "{body}: {malformed}");
    }
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let body = INBOUND.replace("Hello", &"ü".repeat(300));
    let Detail::Inbound { snippet, .. } = told(&body).expect("an event").detail else { panic!() };
    assert_eq!(snippet, "ü".repeat(200));
}

#[test]
fn any_live_secret_vouches_in_either_spelling_of_either_header() {
    let digest = multimail::sign(&secret(), INBOUND.as_bytes());
    let secrets = [Secret::new("whsec_other"), secret()];
    for (header, value) in [
        ("x-multimail-signature", digest.clone()),
        ("x-multimail-signature", format!("sha256={digest}")),
        ("x-multimail-signature-256", format!("sha256={digest}")),
    ] {
        let request = request(INBOUND, &[(header, value)]);
        let verified = verify(&request, &secrets).expect("vouched for");
        assert!(!verified.sent_now(), "a signature over the body alone has no time");
        assert_eq!(verify(&request, &secrets[..1]).err(), Some(Rejection::Wrong));
        assert_eq!(verify(&request, &[]).err(), Some(Rejection::Wrong));
    }
    assert_eq!(verify(&request(INBOUND, &[]), &secrets).err(), Some(Rejection::Missing));
}

#[test]
fn a_standard_signature_vouches_for_the_time_within_five_minutes() {
    let now_secs = NOW.0 / 1000;
    let signed = |at: i64| {
        let signature = standard_webhooks::sign(&secret(), "evt_1", at, INBOUND.as_bytes());
        request(
            INBOUND,
            &[
                ("webhook-id", "evt_1".to_owned()),
                ("webhook-timestamp", at.to_string()),
                ("webhook-signature", signature),
            ],
        )
    };
    for at in [now_secs, now_secs - 300, now_secs + 300] {
        let request = signed(at);
        assert!(verify(&request, &[secret()]).expect("vouched for").sent_now(), "{at}");
    }
    for at in [now_secs - 301, now_secs + 301, 0, i64::MIN, i64::MAX] {
        assert_eq!(verify(&signed(at), &[secret()]).err(), Some(Rejection::Missing), "{at}");
    }
    // A stale standard signature does not take away what the other one proves.
    let mut both = signed(now_secs - 301);
    both.headers.push(("x-multimail-signature".to_owned(), multimail::sign(&secret(), INBOUND.as_bytes())));
    assert!(!verify(&both, &[secret()]).expect("vouched for").sent_now());
    // Nor does a fresh one that somebody else made.
    let mut forged = signed(now_secs);
    forged.body.push(b' ');
    assert_eq!(verify(&forged, &[secret()]).err(), Some(Rejection::Wrong));
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let request = RawRequest { body, ..RawRequest::default() };
        let _ = MultiMail.normalise(&Verified::vouch(&request, Auth::HmacSha256, false, NOW), &Settings::default());
    }

    #[test]
    fn no_object_panics_and_what_is_understood_is_bounded(
        kind in "(inbound|delivery|bounce|complaint|open|email\\.bounced|.{0,9})",
        fields in prop::collection::vec(
            ("(event_id|mailbox|message_id|thread_id|from|to|subject|snippet|auto|recipient|bounce_code|bounce_type|reason|final|diagnostic|machine|data)",
             "(null|true|-7|1e9|18446744073709551615|\\[\\]|\\[1,\"a@b\",null\\]|\\{\\}|\\{\"to\":\"x\"\\}|\"[a-zA-Z@. ü5]{0,140}\")"),
            0..8),
    ) {
        let kind = serde_json::to_string(&kind).expect("a text");
        let fields = fields.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect::<Vec<_>>().concat();
        let body = format!("{{\"event_type\":{kind},\"timestamp\":\"2026-11-24T10:00:00Z\"{fields}}}");
        if let Ok(event) = told(&body) {
            prop_assert!(!event.event_id.as_str().is_empty() && event.event_id.as_str().len() <= 128);
            prop_assert!(event.mailbox.is_none_or(|mailbox| mailbox == mailbox.to_lowercase()));
        }
    }
}
