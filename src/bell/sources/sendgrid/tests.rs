//! The official vector with its trailing CRLF, what is refused, and the form.

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use super::{inbound::InboundParse, *};
use crate::{
    bell::sources::samples::told,
    domain::{event::Detail, secret::Secret},
};

/// sendgrid/sendgrid-go, `helpers/eventwebhook/eventwebhook_test.go`.
const PUBLIC_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
const SIGNED: &str = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
const AT: i64 = 1_600_112_502;
const BODY: &str = "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n";

fn request(timestamp: &str, body: &str, signature: &str) -> RawRequest {
    let headers = vec![(SIGNATURE.to_owned(), signature.to_owned()), (TIMESTAMP.to_owned(), timestamp.to_owned())];
    RawRequest { headers, body: body.as_bytes().to_vec(), ..RawRequest::default() }
}

fn judge(request: &RawRequest, key: &str, now_secs: i64) -> Result<Auth, Rejection> {
    let secrets = [Secret::new("not a key at all"), Secret::new(key)];
    let keys = Keys { secrets: &secrets, settings: &Settings::default(), certificate: None };
    SendGrid.verify(request, &keys, UnixMillis(now_secs * 1000)).map(|verified| verified.auth())
}

#[test]
fn the_official_vector_holds_with_its_crlf_and_not_without() {
    let at = AT.to_string();
    assert_eq!(judge(&request(&at, BODY, SIGNED), PUBLIC_KEY, AT + 300), Ok(Auth::EcdsaP256));
    assert_eq!(judge(&request(&at, BODY.trim_end(), SIGNED), PUBLIC_KEY, AT), Err(Rejection::Wrong));
    assert_eq!(judge(&request(&at, &BODY.replace("world", "wor1d"), SIGNED), PUBLIC_KEY, AT), Err(Rejection::Wrong));
    assert_eq!(judge(&request("1600112503", BODY, SIGNED), PUBLIC_KEY, AT), Err(Rejection::Wrong));
    for now in [AT - 301, AT + 301] {
        assert_eq!(judge(&request(&at, BODY, SIGNED), PUBLIC_KEY, now), Err(Rejection::Stale));
    }
    for missing in 0..2 {
        let mut request = request(&at, BODY, SIGNED);
        request.headers.remove(missing);
        assert_eq!(judge(&request, PUBLIC_KEY, AT), Err(Rejection::Missing));
    }
    let settings = Settings { tolerance_secs: Some(3600), ..Settings::default() };
    let (secrets, request) = ([Secret::new(PUBLIC_KEY)], request(&at, BODY, SIGNED));
    let keys = Keys { secrets: &secrets, settings: &settings, certificate: None };
    assert!(SendGrid.verify(&request, &keys, UnixMillis((AT + 3600) * 1000)).is_ok(), "a source may tolerate more");
}

#[test]
fn another_key_s_signature_and_an_hmac_with_the_public_key_are_refused() {
    let chance = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &chance).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &chance).expect("a key");
    let own = ecdsa::public_key_text(pair.public_key().as_ref());
    let signed = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        pair.sign(&chance, format!("{AT}{BODY}").as_bytes()).expect("a signature"),
    );
    let request_of = |signature: &str| request(&AT.to_string(), BODY, signature);
    assert_eq!(judge(&request_of(&signed), &own, AT), Ok(Auth::EcdsaP256));
    assert_eq!(judge(&request_of(&signed), PUBLIC_KEY, AT), Err(Rejection::Wrong));
    let hmac = crate::signing::token::sign(&Secret::new(PUBLIC_KEY), &AT.to_string(), BODY);
    assert_eq!(judge(&request_of(&hmac), PUBLIC_KEY, AT), Err(Rejection::Wrong));
    // Nor is the public key a shared secret.
    let token = RawRequest { token: Some(Secret::new(PUBLIC_KEY)), ..request_of("") };
    assert!(judge(&token, PUBLIC_KEY, AT).is_err());
}

fn form(fields: &[(&str, &str)]) -> Vec<NewEvent> {
    let mut body = fields
        .iter()
        .map(|(name, value)| format!("--xYzZY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .collect::<Vec<_>>()
        .concat();
    body.push_str("--xYzZY\r\nContent-Disposition: form-data; name=\"attachment1\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n\u{1}\u{2}\r\n--xYzZY--\r\n");
    let headers = [("content-type", "multipart/form-data; boundary=xYzZY")];
    told(&InboundParse, &headers, body.as_bytes(), &Settings::default()).expect("understood")
}

const HEADERS: &str = "Received: by mx0031p1las1.sendgrid.net with SMTP id x Tue, 24 Nov 2026 09:59:58 +0000 (UTC); Tue, 24 Nov 2026 09:59:58 +0000 (UTC)\nReceived: from there; Mon, 1 Jan 2001 00:00:00 +0000\nDate: Mon, 1 Jan 2001 00:00:00 +0000\nMessage-ID: <m1@example.com>\nSubject: Hi\n there";

#[test]
fn a_parsed_message_is_one_event_for_each_recipient() {
    let events = form(&[
        ("headers", HEADERS),
        ("from", "Bob <bob@example.com>"),
        ("to", "a@parse.test, \"B, the second\" <b@parse.test>"),
        ("subject", "Hi there"),
        ("text", "Hello\r\nworld"),
        ("envelope", r#"{"to":["A@parse.test","b@parse.test"],"from":"bob@example.com"}"#),
        ("charsets", r#"{"to":"UTF-8"}"#),
    ]);
    assert_eq!(
        events.iter().map(|one| one.mailbox.as_deref()).collect::<Vec<_>>(),
        [Some("a@parse.test"), Some("b@parse.test")]
    );
    assert_ne!(events[0].event_id, events[1].event_id);
    assert_eq!(
        events[0].timestamp.to_string(),
        "2026-11-24T09:59:58.000Z",
        "our provider's trace, not the sender's date"
    );
    assert_eq!(events[0].message_id.as_ref().map(crate::domain::id::MessageId::as_str), Some("m1@example.com"));
    let Detail::Inbound { from, from_name, to, subject, snippet, auto } = &events[0].detail else {
        panic!("{events:?}")
    };
    assert_eq!((from.as_str(), from_name.as_deref()), ("bob@example.com", Some("Bob")));
    assert_eq!(*to, ["a@parse.test", "b@parse.test"]);
    assert_eq!((subject.as_str(), snippet.as_str(), *auto), ("Hi there", "Hello world", false));
}

#[test]
fn a_raw_message_is_read_from_its_head() {
    let raw = format!("{HEADERS}\nFrom: bob@example.com\nTo: a@parse.test\nAuto-Submitted: auto-replied\n\nI am away");
    let events = form(&[
        ("email", &raw.replace('\n', "\r\n")),
        ("envelope", r#"{"to":["a@parse.test"],"from":"bob@example.com"}"#),
    ]);
    let Detail::Inbound { from, subject, snippet, auto, .. } = &events[0].detail else { panic!("{events:?}") };
    assert_eq!(
        (from.as_str(), subject.as_str(), snippet.as_str(), *auto),
        ("bob@example.com", "Hi there", "I am away", true)
    );
    assert_eq!(events[0].mailbox.as_deref(), Some("a@parse.test"));
}

#[test]
fn what_is_no_form_is_malformed() {
    for (kind, body) in [
        ("application/json", "{}"),
        ("multipart/form-data", "--x--"),
        ("multipart/form-data; boundary=x", "nothing"),
        ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"from\"\r\n\r\nunfinished"),
        ("application/x-www-form-urlencoded", "a=b"),
    ] {
        let told = told(&InboundParse, &[("content-type", kind)], body.as_bytes(), &Settings::default());
        assert!(told.is_err(), "{kind} {body}");
    }
}
