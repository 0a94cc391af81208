//! What SNS signs, by an authority made here, and what is refused.

use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

use super::{super::Certificate, *};
use crate::{bell::sources::samples::NOW, domain::event::Auth};

const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:MyTopic";
const CERTIFICATE: &str =
    "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem";

/// A notification as SNS spells it, around what SES says; nobody signed it.
pub(in super::super) fn envelope(message: &Value) -> Value {
    let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    json!({
        "Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification", "Message": message,
        "Timestamp": "2026-11-24T10:00:00.000Z", "SignatureVersion": "2", "Signature": "", "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": format!("https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0"),
    })
}

fn subscription(kind: &str) -> Value {
    let mut asks = envelope(&Value::from("You have chosen to subscribe to the topic."));
    asks["Type"] = kind.into();
    asks["Token"] = "2336412f37fb687f5d51e6e2425e90".into();
    asks["SubscribeURL"] = format!(
        "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e2425e90"
    )
    .into();
    asks.as_object_mut().expect("an object").remove("Subject");
    asks
}

/// An authority's key, and a certificate of it for these names, valid from 2026 to 2027.
struct Signer {
    key: RsaKeyPair,
    pem: String,
}

/// A key that signs for nobody: what tests sign with makes no RSA keys.
fn pkcs8() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| STANDARD.decode(include_str!("test_key.txt").replace('\n', "")).expect("base64"))
}

impl Signer {
    fn of(name: &str) -> Self {
        let key =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8().into(), &rcgen::PKCS_RSA_SHA256).expect("a key");
        let mut own = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        own.not_before = rcgen::date_time_ymd(2026, 1, 1);
        own.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let pem = own.signed_by(&key, &issuer).expect("signed").pem();
        Self { key: RsaKeyPair::from_pkcs8(pkcs8()).expect("a key"), pem }
    }

    fn certificate(&self) -> Certificate {
        Certificate::read(self.pem.as_bytes()).expect("a certificate")
    }

    /// The request, signed as the documentation has it: the order stands here once more.
    fn sign(&self, mut envelope: Value) -> RawRequest {
        let order = match envelope["Type"].as_str().expect("a type") {
            "Notification" => ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"].as_slice(),
            _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
        };
        let signed: String =
            order.iter().filter_map(|name| Some(format!("{name}\n{}\n", envelope.get(name)?.as_str()?))).collect();
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("signs");
        envelope["Signature"] = STANDARD.encode(signature).into();
        request(&envelope)
    }
}

fn request(envelope: &Value) -> RawRequest {
    let header = |name: &str, field: &str| (name.to_owned(), envelope[field].as_str().unwrap_or_default().to_owned());
    RawRequest {
        headers: vec![header("x-amz-sns-message-type", "Type"), header("x-amz-sns-message-id", "MessageId")],
        body: envelope.to_string().into_bytes(),
        token: None,
    }
}

fn settings() -> Settings {
    Settings { topics: vec!["arn:aws:sns:eu-west-1:123456789012:other".into(), TOPIC.into()], ..Settings::default() }
}

fn judge_by(
    request: &RawRequest,
    certificate: Option<&Certificate>,
    settings: &Settings,
    now: UnixMillis,
) -> Result<Auth, Rejection> {
    let keys = Keys { secrets: &[], settings, certificate };
    Ses.verify(request, &keys, now).map(|verified| {
        assert!(verified.sent_now());
        verified.auth()
    })
}

fn judge(request: &RawRequest, signer: &Signer) -> Result<Auth, Rejection> {
    judge_by(request, Some(&signer.certificate()), &settings(), NOW)
}

#[test]
fn what_sns_signs_is_taken_with_and_without_a_subject() {
    let signer = Signer::of("sns.amazonaws.com");
    let mut envelope = envelope(&json!({"eventType": "Send", "mail": {"messageId": "m"}}));
    assert_eq!(judge(&signer.sign(envelope.clone()), &signer), Ok(Auth::RsaSha256));
    for subject in [Value::Null, Value::from("")] {
        envelope["Subject"] = subject;
        assert_eq!(judge(&signer.sign(envelope.clone()), &signer), Ok(Auth::RsaSha256));
    }
    envelope.as_object_mut().expect("an object").remove("Subject");
    assert_eq!(judge(&signer.sign(envelope), &signer), Ok(Auth::RsaSha256));
    for kind in ["SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        assert_eq!(judge(&signer.sign(subscription(kind)), &signer), Ok(Auth::RsaSha256), "{kind}");
    }
}

#[test]
fn the_first_version_signs_by_sha_1_and_can_be_refused() {
    // By openssl dgst -sha1 -sign, for ring signs with it no more.
    let mut old = envelope(&json!({"eventType": "Send"}));
    old["SignatureVersion"] = "1".into();
    old["Signature"] = include_str!("test_sha1.txt").replace('\n', "").into();
    let (old, signer) = (request(&old), Signer::of("sns.amazonaws.com"));
    assert_eq!(judge(&old, &signer), Ok(Auth::RsaSha1));
    let strict = Settings { sha256_only: true, ..settings() };
    assert_eq!(judge_by(&old, Some(&signer.certificate()), &strict, NOW), Err(Rejection::Wrong));
    assert_eq!(Ses.certificate(&old, &strict, NOW), Err(Rejection::Wrong), "and then nothing is fetched");
    let confuse = |request: &RawRequest, from: &str, to: &str| {
        let body = String::from_utf8(request.body.clone()).expect("text");
        let body = body.replace(&format!(r#""SignatureVersion":"{from}""#), &format!(r#""SignatureVersion":"{to}""#));
        judge(&RawRequest { body: body.into_bytes(), ..request.clone() }, &signer)
    };
    let new = signer.sign(envelope(&json!({"eventType": "Send"})));
    assert_eq!(confuse(&new, "2", "1"), Err(Rejection::Wrong));
    assert_eq!(confuse(&old, "1", "2"), Err(Rejection::Wrong));
    for version in ["", "0", "3", "none", "01"] {
        assert_eq!(confuse(&new, "2", version), Err(Rejection::Wrong), "{version:?}");
    }
}

#[test]
fn what_is_changed_or_missing_is_refused() {
    let signer = Signer::of("sns.amazonaws.com");
    let good = signer.sign(envelope(&json!({"eventType": "Send", "mail": {"messageId": "m"}})));
    for at in 0..good.body.len() {
        let mut body = good.body.clone();
        body[at] ^= 1;
        let changed = RawRequest { body, ..good.clone() };
        // The rest of an envelope (how to unsubscribe) is not signed, and not read either.
        assert!(judge(&changed, &signer).is_err() || told_alike(&changed, &good), "byte {at}");
    }
    let read = |request: &RawRequest| serde_json::from_slice::<Value>(&request.body).expect("JSON");
    for field in
        ["Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL"]
    {
        let mut without = read(&good);
        without.as_object_mut().expect("an object").remove(field);
        let without = RawRequest { body: without.to_string().into_bytes(), ..good.clone() };
        assert_eq!(judge(&without, &signer), Err(Rejection::Missing), "{field}");
    }
    let mut twice = String::from_utf8(good.body.clone()).expect("text");
    twice.insert_str(1, r#""Message":"other","#);
    assert_eq!(judge(&RawRequest { body: twice.into_bytes(), ..good.clone() }, &signer), Err(Rejection::Missing));
    let mut many = read(&good);
    many["Signature"] = vec![many["Signature"].clone(); 1_000].into();
    assert_eq!(
        judge(&RawRequest { body: many.to_string().into_bytes(), ..good.clone() }, &signer),
        Err(Rejection::Missing)
    );
    for at in 0..2 {
        let mut headless = good.clone();
        headless.headers.remove(at);
        assert_eq!(judge(&headless, &signer), Err(Rejection::Missing));
        let mut other = good.clone();
        other.headers[at].1 = "SubscriptionConfirmation".into();
        assert_eq!(judge(&other, &signer), Err(Rejection::Wrong));
    }
    // A notification whose parts are those of a subscription, and the other way round.
    let mut dressed = read(&signer.sign(subscription("SubscriptionConfirmation")));
    dressed["Type"] = "UnsubscribeConfirmation".into();
    assert_eq!(judge(&request(&dressed), &signer), Err(Rejection::Wrong));
    dressed["Type"] = "Notification".into();
    assert_eq!(judge(&request(&dressed), &signer), Err(Rejection::Wrong));
    dressed["Type"] = "Anything".into();
    assert_eq!(judge(&request(&dressed), &signer), Err(Rejection::Missing));
}

fn told_alike(one: &RawRequest, other: &RawRequest) -> bool {
    let told = |request: &RawRequest| {
        let verified = Verified::vouch(request, Auth::RsaSha256, true, NOW);
        Ses.normalise(&verified, &settings()).expect("understood")
    };
    told(one) == told(other)
}

#[test]
fn sns_tries_for_an_hour_and_a_signature_counts_no_longer() {
    let signer = Signer::of("sns.amazonaws.com");
    let good = signer.sign(envelope(&json!({"eventType": "Send"})));
    for (secs, fine) in [(-301, false), (-300, true), (0, true), (3_900, true), (3_901, false)] {
        let judged = judge_by(&good, Some(&signer.certificate()), &settings(), UnixMillis(NOW.0 + secs * 1000));
        assert_eq!(judged.is_ok(), fine, "{secs}: {judged:?}");
    }
    let mut undated = envelope(&json!({"eventType": "Send"}));
    undated["Timestamp"] = "lately".into();
    assert_eq!(judge(&signer.sign(undated), &signer), Err(Rejection::Stale));
}

#[test]
fn raw_delivery_is_refused_for_what_it_is() {
    let raw = |headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        RawRequest { headers, body: br#"{"eventType":"Send","mail":{}}"#.to_vec(), token: None }
    };
    let signer = Signer::of("sns.amazonaws.com");
    assert_eq!(judge(&raw(&[("x-amz-sns-rawdelivery", "true")]), &signer), Err(Rejection::Raw));
    assert_eq!(judge(&raw(&[]), &signer), Err(Rejection::Missing));
}

#[test]
fn only_a_certificate_of_sns_that_is_valid_now_counts() {
    for name in [
        "sns.amazonaws.com",
        "sns.us-west-2.amazonaws.com",
        "SNS.amazonaws.com",
        "sns-signing.ap-east-1.amazonaws.com",
        "sns-us-gov-west-1.amazonaws.com",
        "sns.cn-north-1.amazonaws.com.cn",
    ] {
        let signer = Signer::of(name);
        assert_eq!(judge(&signer.sign(envelope(&Value::from("x"))), &signer), Ok(Auth::RsaSha256), "{name}");
    }
    for name in [
        "amazonaws.com",
        "s3.amazonaws.com",
        "mysns.amazonaws.com",
        "sns.amazonaws.com.evil.test",
        "snsamazonaws.com",
        "bucket.s3.amazonaws.com",
        "sns.bucket.s3.amazonaws.com",
    ] {
        let signer = Signer::of(name);
        assert_eq!(judge(&signer.sign(envelope(&Value::from("x"))), &signer), Err(Rejection::Certificate), "{name}");
    }
    let signer = Signer::of("sns.amazonaws.com");
    for (at, secs) in [("2025-12-31T23:59:59Z", -1), ("2027-01-01T00:00:01Z", 1)] {
        let now: UnixMillis = at.parse().expect("a time");
        let mut then = envelope(&Value::from("x"));
        then["Timestamp"] = at.into();
        let judged = judge_by(&signer.sign(then), Some(&signer.certificate()), &settings(), now);
        assert_eq!(judged, Err(Rejection::Certificate), "{secs}");
    }
    assert_eq!(
        judge_by(&signer.sign(envelope(&Value::from("x"))), None, &settings(), NOW),
        Err(Rejection::Certificate)
    );
    let elliptic = rcgen::generate_simple_self_signed(["sns.amazonaws.com".to_owned()]).expect("a certificate");
    for wrong in
        [elliptic.cert.pem().as_bytes(), signer.pem.replace("CERTIFICATE", "PUBLIC KEY").as_bytes(), b"", b"-----"]
    {
        assert_eq!(Certificate::read(wrong), None);
    }
}

#[test]
fn a_certificate_lies_at_the_topic_s_own_sns_and_is_named_after_the_topic_is_known() {
    let names = |url: &str, topic: &str, settings: &Settings| {
        let mut envelope = envelope(&Value::from("x"));
        envelope["SigningCertURL"] = url.into();
        envelope["TopicArn"] = topic.into();
        Ses.certificate(&request(&envelope), settings, NOW)
    };
    assert_eq!(names(CERTIFICATE, TOPIC, &settings()), Ok(CERTIFICATE.parse().ok()));
    let china = "arn:aws-cn:sns:cn-north-1:123456789012:t";
    let chinese = Settings { topics: vec![china.into()], ..Settings::default() };
    let url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem";
    assert_eq!(names(url, china, &chinese), Ok(url.parse().ok()));
    for elsewhere in [
        "http://sns.us-west-2.amazonaws.com/x.pem",
        "https://sns.us-west-2.amazonaws.com:8443/x.pem",
        "https://user@sns.us-west-2.amazonaws.com/x.pem",
        "https://:secret@sns.us-west-2.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.us-west-2.amazonaws.com.cn/x.pem",
        "https://sns.us-west-2.amazonaws.com.evil.test/x.pem",
        "https://sns.us-west-2.amazonaws.com./x.pem",
        "https://sns.us-west-2.amazonaws.com@evil.test/x.pem",
        "https://evil.test/sns.us-west-2.amazonaws.com/x.pem",
        "https://bucket.s3.amazonaws.com/x.pem",
        "https://169.254.169.254/x.pem",
        "https://sns.us-west-2.amazonaws.com/x.crt",
        "https://sns.us-west-2.amazonaws.com/?x.pem",
        "https://sns.us-west-2.amazonaws.com/x.pem?y",
        "https://sns.us-west-2.amazonaws.com/x.pem#y",
        "file:///etc/x.pem",
        "",
    ] {
        assert_eq!(names(elsewhere, TOPIC, &settings()), Err(Rejection::Certificate), "{elsewhere}");
    }
    assert_eq!(names(CERTIFICATE, "arn:aws:sns:us-west-2:123456789012:Another", &settings()), Err(Rejection::Topic));
    assert_eq!(names(CERTIFICATE, TOPIC, &Settings::default()), Err(Rejection::Topic));
}

#[test]
fn a_subscription_is_confirmed_where_its_topic_is() {
    let asks = |change: &dyn Fn(&mut Value)| {
        let mut asks = subscription("SubscriptionConfirmation");
        change(&mut asks);
        let request = request(&asks);
        let verified = Verified::vouch(&request, Auth::RsaSha256, true, NOW);
        Ses.confirmation(&verified)
    };
    let url = asks(&|_| {}).expect("understood").expect("a subscription");
    assert_eq!(url.host_str(), Some("sns.us-west-2.amazonaws.com"));
    assert_eq!(asks(&|asks| asks["Type"] = "UnsubscribeConfirmation".into()), Ok(None));
    for (from, to) in [
        ("us-west-2.amazonaws", "eu-west-1.amazonaws"),
        ("https", "http"),
        ("sns.us-west-2.amazonaws.com", "evil.test"),
        ("ConfirmSubscription", "DeleteTopic"),
        (":MyTopic", ":Another"),
    ] {
        let elsewhere = asks(&|asks| {
            asks["SubscribeURL"] = asks["SubscribeURL"].as_str().expect("a URL").replace(from, to).into();
        });
        assert!(elsewhere.is_err(), "{to}");
    }
}

#[test]
fn topics_are_told_apart_from_what_is_none() {
    let with = |topic: &str| Ses.check(&Settings { topics: vec![topic.to_owned()], ..Settings::default() });
    for topic in [
        TOPIC,
        "arn:aws-us-gov:sns:us-gov-west-1:123456789012:mail_events-1",
        "arn:aws-cn:sns:cn-north-1:123456789012:t",
    ] {
        assert_eq!(with(topic), Ok(()), "{topic}");
    }
    for topic in [
        "",
        "MyTopic",
        "arn:aws:sqs:us-west-2:123456789012:MyTopic",
        "arn:aws:sns:us-west-2:1234:MyTopic",
        "arn:aws:sns:us-west-2@evil.test/:123456789012:MyTopic",
        "arn:aws:sns:us-west-2:123456789012:MyTopic:c9135db0",
        "arn:evil:sns:us-west-2:123456789012:MyTopic",
        "arn:aws:sns::123456789012:MyTopic",
    ] {
        assert!(with(topic).expect_err(topic).contains("write its ARN"), "{topic}");
    }
    assert!(Ses.check(&Settings::default()).expect_err("none").contains("--topic"));
}
