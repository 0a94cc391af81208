//! What is signed, what is refused, and routes.

use super::*;
use crate::{bell::sources::samples::NOW, domain::event::Detail};

const KEY: &str = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0";
const TOKEN: &str = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0";

fn signed(key: &str, secs: i64, field: &str) -> RawRequest {
    let signature = token::sign(&Secret::new(key), &secs.to_string(), TOKEN);
    let mut body = serde_json::json!({
        "signature": {"timestamp": secs.to_string(), "token": TOKEN},
        "event-data": {"event": "opened", "id": "Ase7i2zsRYeDXztHGENqRA", "timestamp": secs, "recipient": "alice@example.com"},
    });
    body["signature"][field] = signature.into();
    RawRequest { body: body.to_string().into_bytes(), ..RawRequest::default() }
}

fn judge(request: &RawRequest, keys: &[&str]) -> Result<String, Rejection> {
    let secrets: Vec<_> = keys.iter().map(|key| Secret::new(*key)).collect();
    let keys = Keys { secrets: &secrets, settings: &Settings::default(), certificate: None };
    let verified = Mailgun.verify(request, &keys, NOW)?;
    assert_eq!(verified.auth(), Auth::SignedToken);
    Ok(verified.once().expect("a token").to_owned())
}

#[test]
fn a_signature_vouches_for_its_token_by_any_live_key_and_the_account_s_above() {
    let now = NOW.0 / 1000;
    for secs in [now - 300, now, now + 300] {
        assert_eq!(judge(&signed(KEY, secs, "signature"), &["other", KEY]), Ok(format!("{secs}{TOKEN}")));
        assert!(judge(&signed(KEY, secs, "parent-signature"), &[KEY]).is_ok());
    }
    for secs in [now - 301, now + 301] {
        assert_eq!(judge(&signed(KEY, secs, "signature"), &[KEY]), Err(Rejection::Stale));
    }
    assert_eq!(judge(&signed(KEY, now, "signature"), &["other"]), Err(Rejection::Wrong));
    assert_eq!(judge(&signed(KEY, now, "signed"), &[KEY]), Err(Rejection::Missing));
    let text = String::from_utf8(signed(KEY, now, "signature").body).expect("text");
    let with = |from: &str, to: &str| RawRequest { body: text.replace(from, to).into_bytes(), ..RawRequest::default() };
    assert_eq!(judge(&with(TOKEN, &TOKEN.replace('a', "b")), &[KEY]), Err(Rejection::Wrong));
    assert_eq!(judge(&with(TOKEN, &"x".repeat(1000)), &[KEY]), Err(Rejection::Missing));
    assert_eq!(judge(&with("token", "taken"), &[KEY]), Err(Rejection::Missing));
}

#[test]
fn a_route_s_message_is_one_event_for_each_recipient() {
    let secs = (NOW.0 / 1000).to_string();
    let signature = token::sign(&Secret::new(KEY), &secs, TOKEN);
    let fields = [
        ("recipient", "a@mg.test,b@mg.test"),
        ("sender", "bob@example.com"),
        ("from", "Bob <bob@example.com>"),
        ("To", "a@mg.test, b@mg.test"),
        ("subject", "Hi"),
        ("body-plain", "Hello\n> quoted"),
        ("stripped-text", "Hello"),
        ("message-headers", r#"[["Auto-Submitted","auto-replied"],["Subject","Hi"]]"#),
        ("Message-Id", "<m1@example.com>"),
        ("timestamp", &secs),
        ("token", TOKEN),
        ("signature", &signature),
    ];
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let multipart: String = fields
        .iter()
        .map(|(name, value)| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .chain(["--x--\r\n".to_owned()])
        .collect();
    let mut ids = Vec::new();
    for (kind, body) in [("application/x-www-form-urlencoded", encoded), ("multipart/form-data; boundary=x", multipart)]
    {
        let request = RawRequest {
            headers: vec![("content-type".into(), kind.into())],
            body: body.into_bytes(),
            ..RawRequest::default()
        };
        assert!(judge(&request, &[KEY]).is_ok(), "{kind}");
        let verified = Verified::vouch(&request, Auth::SignedToken, true, NOW);
        let events = Mailgun.normalise(&verified, &Settings::default()).expect("understood");
        assert_eq!(events.len(), 2);
        assert_eq!((events[1].mailbox.as_deref(), events[1].timestamp), (Some("b@mg.test"), NOW));
        let Detail::Inbound { from_name, to, snippet, auto, .. } = &events[0].detail else { panic!("{events:?}") };
        assert_eq!((from_name.as_deref(), to.len(), snippet.as_str(), *auto), (Some("Bob"), 2, "Hello", true));
        ids.push(events.iter().map(|event| event.event_id.clone()).collect::<Vec<_>>());
    }
    assert_eq!(ids[0], ids[1], "the same message in either form");
    assert_ne!(ids[0][0], ids[0][1]);
}
