//! Official vectors, and what is refused.

use super::*;
use crate::bell::sources::samples::NOW;

/// svix/svix-webhooks, `rust/src/webhooks.rs`.
const SVIX: (&str, &str, i64, &str, &str) = (
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
    1_649_367_553,
    r#"{"email":"test@example.com","username":"test_user"}"#,
    "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
);
/// standard-webhooks, `libraries/*/tests`.
const STANDARD: (&str, &str, i64, &str, &str) = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1_614_265_330,
    r#"{"test": 2432232314}"#,
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
);

fn request(family: &str, id: &str, timestamp: &str, body: &str, signatures: &str) -> RawRequest {
    let header = |name: &str, value: &str| (format!("{family}-{name}"), value.to_owned());
    RawRequest {
        headers: vec![header("id", id), header("timestamp", timestamp), header("signature", signatures)],
        body: body.as_bytes().to_vec(),
        ..RawRequest::default()
    }
}

fn judge(request: &RawRequest, secrets: &[&str], now_secs: i64) -> Result<Auth, Rejection> {
    let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    let keys = Keys { secrets: &secrets, settings: &Settings::default(), certificate: None };
    verify(request, &keys, UnixMillis(now_secs * 1000)).map(|verified| verified.auth())
}

#[test]
fn official_vectors_hold_under_both_names() {
    for (secret, id, at, body, signature) in [SVIX, STANDARD] {
        for family in ["svix", "webhook"] {
            let good = request(family, id, &at.to_string(), body, signature);
            for now in [at - 300, at, at + 300] {
                assert_eq!(judge(&good, &[secret], now), Ok(Auth::HmacSha256));
            }
            assert_eq!(
                judge(&good, &["whsec_other0000000000", secret], at),
                Ok(Auth::HmacSha256),
                "several live secrets"
            );
            let several = format!("v1,AAAA v1a,AAAA {signature}");
            assert!(judge(&request(family, id, &at.to_string(), body, &several), &[secret], at).is_ok());
        }
    }
}

#[test]
fn each_forgery_is_refused() {
    let (secret, id, at, body, signature) = SVIX;
    let secs = at.to_string();
    let judge_of = |request: RawRequest, now| judge(&request, &[secret], now);
    let good = || request("svix", id, &secs, body, signature);
    assert_eq!(judge_of(good(), at - 301), Err(Rejection::Stale));
    assert_eq!(judge_of(good(), at + 301), Err(Rejection::Stale));
    assert_eq!(judge(&good(), &[STANDARD.0], at), Err(Rejection::Wrong));
    assert_eq!(judge(&good(), &[], at), Err(Rejection::Wrong));
    let changed = body.replace("test@", "best@");
    assert_eq!(judge_of(request("svix", id, &secs, &changed, signature), at), Err(Rejection::Wrong));
    assert_eq!(judge_of(request("svix", "msg_2", &secs, body, signature), at), Err(Rejection::Wrong));
    assert_eq!(judge_of(request("svix", id, &secs, body, &signature.replace("v1,", "v2,")), at), Err(Rejection::Wrong));
    assert_eq!(
        judge_of(request("svix", id, &secs, body, &signature.replace("v1,", "v1a,")), at),
        Err(Rejection::Wrong)
    );
    for timestamp in ["", "-1", "+1649367553", "01649367553", "1649367553.0", "1e9", "99999999999999999999"] {
        assert_eq!(judge_of(request("svix", id, timestamp, body, signature), at), Err(Rejection::Stale), "{timestamp}");
    }
    for missing in 0..3 {
        let mut request = good();
        request.headers.remove(missing);
        assert_eq!(judge_of(request, at), Err(Rejection::Missing));
    }
    let mut doubled = good();
    doubled.headers.push(("svix-timestamp".into(), secs.clone()));
    assert_eq!(judge_of(doubled, at), Err(Rejection::Missing));
    // The signature of one family with the time of the other.
    let mut mixed = good();
    mixed.headers[1].0 = "webhook-timestamp".into();
    assert_eq!(judge_of(mixed, at), Err(Rejection::Missing));
    let long = format!("{}{signature}", "v1,AAAA ".repeat(999));
    assert_eq!(judge_of(request("svix", id, &secs, body, &long), at), Err(Rejection::TooMany));
}

#[test]
fn a_public_key_vouches_only_for_its_own_signatures() {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes");
    let public = format!("whpk_{}", BASE64.encode(pair.public_key().as_ref()));
    let secs = NOW.0 / 1000;
    let signed = format!("v1a,{}", BASE64.encode(pair.sign(format!("msg_1.{secs}.{{}}").as_bytes())));
    let of = |signature: &str| request("webhook", "msg_1", &secs.to_string(), "{}", signature);
    assert_eq!(judge(&of(&signed), &[&public], secs), Ok(Auth::Ed25519));
    assert_eq!(judge(&of(&signed.replace("v1a,", "v1,")), &[&public], secs), Err(Rejection::Wrong));
    // Anybody can make an HMAC with a key that is public.
    let forged = standard_webhooks::sign(&Secret::new(&public), "msg_1", secs, b"{}");
    assert_eq!(judge(&of(&forged), &[&public], secs), Err(Rejection::Wrong));
    let forged = standard_webhooks::sign(&Secret::new(public.replace("whpk_", "whsec_")), "msg_1", secs, b"{}");
    assert_eq!(judge(&of(&forged), &[&public], secs), Err(Rejection::Wrong));
}

#[test]
fn a_sample_is_vouched_for() {
    let secret = Secret::new(STANDARD.0);
    for dialect in [&StandardWebhooks as &dyn Dialect, &resend::Resend, &agentmail::AgentMail] {
        let request = dialect.sample(&secret, &Settings::default(), NOW).expect("a sample");
        let keys = Keys { secrets: std::slice::from_ref(&secret), settings: &Settings::default(), certificate: None };
        let verified = dialect.verify(&request, &keys, NOW).expect("vouched for");
        let events = dialect.normalise(&verified, &Settings::default()).expect("understood");
        assert_eq!(events[0].provider_kind.as_deref(), Some(SAMPLE), "{}", dialect.name());
    }
}
