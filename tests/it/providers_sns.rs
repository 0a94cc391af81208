//! Amazon SES over SNS, through the receiver: certificates are fetched once and from nowhere else, subscriptions confirmed, and
//! what became of mail told once. The authority is made here.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mailbell::{
    bell::{
        fetch::{Fetch as _, FetchError, Providers},
        sources::settings::Settings,
    },
    domain::{
        clock::Clock as _,
        id::{MessageId, SourceName},
    },
    http::hooks,
    reach::Reach,
    store::{
        received::ReceivedMail as _,
        sources::{Records as _, Sources as _},
    },
};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

use crate::support::{
    bell::BellWing,
    clock::TestClock,
    http::{Answer, send, serve},
    provider::{Here, host},
};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:mail-events";
const CERTIFICATE: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem";

struct House {
    wing: BellWing,
    addr: std::net::SocketAddr,
    name: SourceName,
    key: RsaKeyPair,
}

/// The certificate of a signer for SNS.
fn certificate(pkcs8: &[u8]) -> String {
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), &rcgen::PKCS_RSA_SHA256).unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(authority, rcgen::KeyPair::generate().unwrap());
    let own = rcgen::CertificateParams::new(vec!["sns.amazonaws.com".into()]).unwrap();
    own.signed_by(&key, &issuer).unwrap().pem()
}

impl House {
    async fn start() -> Self {
        let pkcs8 = include_str!("../../src/bell/sources/ses/test_key.txt").replace('\n', "");
        let pkcs8 = STANDARD.decode(pkcs8).unwrap();
        let wing = BellWing::start().await;
        wing.web.put(CERTIFICATE, Ok(&certificate(&pkcs8)));
        let name = SourceName::new("amazon");
        wing.store.add_source(&name, "ses", None, wing.clock.now()).await.unwrap();
        let settings = Settings { topics: vec![TOPIC.into()], ..Settings::default() };
        wing.store.set_up(&name, &settings.stored()).await.unwrap();
        let addr = serve(hooks::router(wing.intake.clone())).await;
        Self { wing, addr, name, key: RsaKeyPair::from_pkcs8(&pkcs8).unwrap() }
    }

    fn envelope(&self, id: &str, message: &str) -> Value {
        json!({
            "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": message,
            "Timestamp": self.wing.clock.now().to_string(), "SignatureVersion": "2", "SigningCertURL": CERTIFICATE,
        })
    }

    fn signed(&self, mut envelope: Value) -> Value {
        let order = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
        let lines = order.iter().filter_map(|name| Some(format!("{name}\n{}\n", envelope.get(name)?.as_str()?)));
        let signed: String = lines.collect();
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        envelope["Signature"] = STANDARD.encode(signature).into();
        envelope
    }

    async fn post(&self, envelope: &Value) -> Answer {
        let headers = [
            ("content-type", "text/plain; charset=UTF-8"),
            ("x-amz-sns-message-type", envelope["Type"].as_str().unwrap()),
            ("x-amz-sns-message-id", envelope["MessageId"].as_str().unwrap()),
        ];
        send(self.addr, "POST", "/hooks/amazon", &headers, envelope.to_string().as_bytes()).await
    }

    async fn tell(&self, id: &str, message: &Value) -> Answer {
        self.post(&self.signed(self.envelope(id, &message.to_string()))).await
    }

    /// What was refused, when each count is written.
    async fn refused(&self) -> Vec<(String, i64)> {
        let history = self.wing.store.history(&self.name).await.unwrap();
        history.refused.into_iter().map(|(reason, times, _)| (reason, times)).collect()
    }
}

fn bounce(feedback: &str) -> Value {
    let jane = json!({"emailAddress": "jane@example.com", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 no such user"});
    json!({
        "eventType": "Bounce", "mail": {"messageId": "m", "source": "agent@mailbell.test", "destination": ["jane@example.com"]},
        "bounce": {"feedbackId": feedback, "bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [jane],
                   "timestamp": "2026-11-24T10:00:00.000Z"},
    })
}

#[tokio::test]
async fn a_bounce_is_told_once_however_often_and_under_whatever_id_it_comes() {
    let house = House::start().await;
    let first = house.tell("one", &bounce("f1")).await;
    assert_eq!((first.status, &first.json["received"]), (200, &1.into()), "{:?}", first.json);
    assert_eq!(house.tell("one", &bounce("f1")).await.json["duplicates"], 1);
    assert_eq!(house.tell("two", &bounce("f1")).await.json["duplicates"], 1);
    assert_eq!(house.tell("three", &bounce("f2")).await.json["received"], 1);
    assert_eq!(house.wing.web.asked(), [CERTIFICATE], "once");
    let events = house.wing.look().await.events;
    let told = serde_json::to_value(&events[0].event).unwrap();
    assert_eq!((&told["auth"], &told["bounce_code"]), (&"rsa-sha256".into(), &"5.1.1".into()));
    // An hour and more later, what was signed is too old to count.
    let old = house.signed(house.envelope("four", &bounce("f3").to_string()));
    house.wing.clock.advance(Duration::from_secs(3_901));
    assert_eq!(house.post(&old).await.status, 401);
}

#[tokio::test]
async fn a_certificate_is_fetched_once_for_all_who_need_it_and_again_after_a_day() {
    let house = House::start().await;
    let posts = (0..20).map(|n| (n.to_string(), bounce(&format!("f{n}")))).collect::<Vec<_>>();
    let answers = futures::future::join_all(posts.iter().map(|(id, message)| house.tell(id, message))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(house.wing.web.asked().len(), 1);
    house.wing.clock.advance(Duration::from_hours(24));
    assert_eq!(house.tell("later", &bounce("later")).await.status, 200);
    assert_eq!(house.wing.web.asked().len(), 2);
}

#[tokio::test]
async fn nothing_is_fetched_for_a_stranger_and_little_for_one_who_knows_the_topic() {
    let house = House::start().await;
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut envelope = house.envelope("one", "x");
        envelope["Signature"] = "AAAA".into();
        change(&mut envelope);
        envelope
    };
    let other = "arn:aws:sns:eu-west-1:123456789012:another";
    assert_eq!(house.post(&forged(&|envelope| envelope["TopicArn"] = other.into())).await.status, 401);
    let inside = "https://169.254.169.254/x.pem";
    assert_eq!(house.post(&forged(&|envelope| envelope["SigningCertURL"] = inside.into())).await.status, 401);
    let raw = [("x-amz-sns-rawdelivery", "true")];
    assert_eq!(send(house.addr, "POST", "/hooks/amazon", &raw, br#"{"eventType":"Send"}"#).await.status, 401);
    assert!(house.wing.web.asked().is_empty());

    let missing = "https://sns.eu-west-1.amazonaws.com/missing.pem";
    house.wing.web.put(missing, Err(404));
    assert_eq!(house.post(&forged(&|envelope| envelope["SigningCertURL"] = missing.into())).await.status, 401);
    let page = "https://sns.eu-west-1.amazonaws.com/page.pem";
    house.wing.web.put(page, Ok("<html>"));
    assert_eq!(house.post(&forged(&|envelope| envelope["SigningCertURL"] = page.into())).await.status, 401);
    let unreachable =
        forged(&|envelope| envelope["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com/x.pem".into());
    for _ in 0..18 {
        let answer = house.post(&unreachable).await;
        assert_eq!(answer.status, 503, "SNS tries again then");
        assert!(answer.head.contains("retry-after"));
    }
    assert_eq!(house.wing.web.asked().len(), 20);
    let answer = house.post(&unreachable).await;
    assert_eq!(answer.json["error"], "too many certificates were named within a minute; send it again later");
    assert_eq!(house.wing.web.asked().len(), 20);
    house.wing.clock.advance(Duration::from_mins(1));
    assert_eq!(house.tell("two", &bounce("f")).await.status, 200);

    house.wing.clock.advance(Duration::from_secs(2));
    assert_eq!(house.post(&forged(&|_| {})).await.status, 401);
    let refused = house.refused().await;
    for reason in ["topic that this source is not set to", "certificate that is none", "turn raw message delivery off"]
    {
        assert!(refused.iter().any(|(said, _)| said.contains(reason)), "{reason}: {refused:?}");
    }
}

#[tokio::test]
async fn a_subscription_is_confirmed_for_a_topic_of_the_source_and_told() {
    let house = House::start().await;
    let asks = |id: &str, kind: &str, topic: &str| {
        let mut asks = house.envelope(id, "You have chosen to subscribe.");
        asks["Type"] = kind.into();
        asks["TopicArn"] = topic.into();
        asks["Token"] = "t0".into();
        asks["SubscribeURL"] =
            format!("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token=t0").into();
        house.signed(asks)
    };
    let (subscribe, other) = ("SubscriptionConfirmation", "arn:aws:sns:eu-west-1:123456789012:another");
    assert_eq!(house.post(&asks("one", subscribe, other)).await.status, 401);
    assert!(house.wing.web.asked().is_empty());
    let asked = asks("one", subscribe, TOPIC);
    let url = asked["SubscribeURL"].as_str().unwrap().to_owned();
    assert_eq!(house.post(&asked).await.status, 503, "it could not be confirmed");
    house.wing.web.put(&url, Ok("<ConfirmSubscriptionResponse/>"));
    let confirmed = house.post(&asked).await;
    assert_eq!((confirmed.status, &confirmed.json["received"]), (200, &1.into()));
    assert_eq!(house.wing.web.asked(), [CERTIFICATE, &url, &url]);
    // The end of one is told too, and nothing is asked for.
    assert_eq!(house.post(&asks("two", "UnsubscribeConfirmation", TOPIC)).await.json["received"], 1);
    assert_eq!(house.wing.web.asked().len(), 3);
    let events = house.wing.look().await.events;
    let names: Vec<_> = events.iter().map(|leased| leased.event.fact.provider_kind.as_deref()).collect();
    assert_eq!(names, [Some(subscribe), Some("UnsubscribeConfirmation")]);
    // One that was signed and yet leads elsewhere is kept for the operator.
    let mut elsewhere = asks("three", subscribe, TOPIC);
    elsewhere["SubscribeURL"] = "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic".into();
    let refused = house.post(&house.signed(elsewhere)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(house.wing.web.asked().len(), 3);
}

#[tokio::test]
async fn a_message_that_came_in_is_kept_with_what_the_notification_carries() {
    let house = House::start().await;
    let raw = "From: Bob <bob@example.com>\r\nTo: agent@mailbell.test\r\nSubject: Order 7\r\nMessage-ID: <m1@example.com>\r\n\r\nYes\r\n";
    let notification = |id: &str, content: Option<String>| {
        let common = json!({"from": ["Bob <bob@example.com>"], "to": ["agent@mailbell.test"], "subject": "Order 7"});
        json!({
            "notificationType": "Received", "content": content,
            "mail": {"messageId": id, "source": "bob@example.com", "timestamp": "2026-11-24T10:00:00.000Z", "commonHeaders": common},
            "receipt": {"recipients": ["agent@mailbell.test"], "action": {"type": "SNS", "encoding": "BASE64"}},
        })
    };
    assert_eq!(house.tell("one", &notification("ses-1", Some(STANDARD.encode(raw)))).await.json["received"], 1);
    assert_eq!(house.tell("two", &notification("ses-2", None)).await.json["received"], 1);
    let kept = async |id| house.wing.store.received_text(&MessageId::new(id)).await.unwrap().unwrap();
    let whole = kept("ses-1").await;
    assert_eq!((whole.body.trim(), whole.message.fields.subject.as_str()), ("Yes", "Order 7"));
    let head = kept("ses-2").await;
    assert!(head.body.is_empty() && head.message.fields.notes[0].contains("S3"), "{head:?}");
}

#[tokio::test]
async fn a_certificate_is_taken_only_from_a_host_that_proves_its_name() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\npem";
    let clock = Arc::new(TestClock::default());
    let sns = "sns.eu-west-1.amazonaws.com";
    let (port, root) = host(sns, |_| OK.to_owned()).await;
    let url = format!("https://{sns}:{port}/x.pem").parse().unwrap();
    let trusting = |root: &str, reach| {
        let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
        Providers::trusting(clock.clone(), vec![root], Arc::new(Here), reach)
    };
    assert_eq!(trusting(&root, Reach::Own).get(&url).await.unwrap(), b"pem");
    assert!(trusting(&root, Reach::Public).get(&url).await.is_err(), "the name leads inside");
    let (stranger, other_root) = host(sns, |_| OK.to_owned()).await;
    assert!(trusting(&other_root, Reach::Own).get(&url).await.is_err(), "from a root that is not trusted");
    let strange = format!("https://{sns}:{stranger}/x.pem").parse().unwrap();
    assert!(trusting(&root, Reach::Own).get(&strange).await.is_err());
    let (other, other_root) = host("evil.test", |_| OK.to_owned()).await;
    let other = format!("https://{sns}:{other}/x.pem").parse().unwrap();
    assert!(trusting(&other_root, Reach::Own).get(&other).await.is_err(), "another name's certificate");
    let plain = format!("http://{sns}:{port}/x.pem").parse().unwrap();
    assert!(trusting(&root, Reach::Own).get(&plain).await.is_err(), "https alone");
    let literal = "https://169.254.169.254/x.pem".parse().unwrap();
    assert!(matches!(trusting(&root, Reach::Public).get(&literal).await, Err(FetchError::Address)));

    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: https://evil.test/\r\ncontent-length: 0\r\n\r\n";
    let (moved, root) = host(sns, |_| elsewhere.to_owned()).await;
    let moved = format!("https://{sns}:{moved}/x.pem").parse().unwrap();
    assert!(matches!(trusting(&root, Reach::Own).get(&moved).await, Err(FetchError::Status(302))));
}
