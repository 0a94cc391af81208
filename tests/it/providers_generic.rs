//! A sender that no dialect is written for, through the receiver.

use std::time::Duration;

use mailbell::{
    bell::sources::{
        dialect,
        settings::{Mapping, Settings},
    },
    domain::{clock::Clock as _, id::SourceName, secret::Secret},
    http::hooks,
    signing::keyed::{self, Digest},
    store::sources::Sources as _,
};

use crate::support::{
    bell::BellWing,
    http::{send, serve},
};

const SECRET: &str = "acme-secret-0123456789";
const MAPPING: &str = r#"{
    "auth": {"hmac": {"header": "X-Acme-Signature", "algorithm": "sha512", "encoding": "base64", "prefix": "v1=",
                      "signed": "{timestamp}.{body}", "timestamp_header": "X-Acme-Timestamp"}},
    "events": "/events",
    "fields": {"event": "/type", "id": "/id", "recipients": "/recipients/*/address", "diagnostic": "/reason"},
    "kinds": {"bounced": "bounce-hard"}
}"#;

#[tokio::test]
async fn a_batch_signed_as_the_mapping_says_is_taken_whole_and_once() {
    let wing = BellWing::start().await;
    let name = SourceName::new("acme");
    let settings = Settings { mapping: Some(Mapping::read(MAPPING).unwrap()), ..Settings::default() };
    wing.store.add_source(&name, "generic", Some(&Secret::new(SECRET)), wing.clock.now()).await.unwrap();
    wing.store.set_up(&name, &settings.stored()).await.unwrap();
    let addr = serve(hooks::router(wing.intake.clone())).await;
    let post = async |body: &str, secs: i64| {
        let tag = keyed::sign(Digest::Sha512, &Secret::new(SECRET), &[format!("{secs}.{body}").as_bytes()]);
        let tag = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, tag);
        let (tag, secs) = (format!("v1={tag}"), secs.to_string());
        let headers = [("x-acme-signature", tag.as_str()), ("x-acme-timestamp", &secs)];
        send(addr, "POST", "/hooks/acme", &headers, body.as_bytes()).await
    };
    let now = wing.clock.now().0 / 1000;
    let body = r#"{"events":[{"type":"bounced","id":9007199254740993,"reason":"550 5.7.1 no","recipients":[{"address":"a@b.test"},{"address":"c@d.test"}]},{"type":"odd","id":2}]}"#;
    assert_eq!(post(body, now).await.json["received"], 3);
    assert_eq!(post(body, now).await.json["duplicates"], 3);
    // Nothing of a batch is taken where a part of it is not understood.
    assert_eq!(post(r#"{"events":[{"type":"odd","id":3},{"type":"odd"}]}"#, now).await.status, 400);
    assert_eq!(post(r#"{"events":[{"type":"odd","id":3}]}"#, now).await.json["received"], 1);
    assert_eq!(post(body, now - 301).await.status, 401);
    let sample = dialect("generic").unwrap().sample(&Secret::new(SECRET), &settings, wing.clock.now()).unwrap();
    let headers: Vec<_> = sample.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(send(addr, "POST", "/hooks/acme", &headers, &sample.body).await.json["received"], 1);
    wing.clock.advance(Duration::from_secs(301));
    assert_eq!(send(addr, "POST", "/hooks/acme", &headers, &sample.body).await.status, 401);
    let events = wing.look().await.events;
    let codes: Vec<_> = events.iter().map(|leased| serde_json::to_value(&leased.event).unwrap()).collect();
    assert_eq!((&codes[0]["bounce_code"], &codes[1]["recipient"]), (&"5.7.1".into(), &"c@d.test".into()));
    assert_eq!((&codes[2]["provider_kind"], &codes[2]["auth"]), (&"odd".into(), &"hmac-sha512".into()));
}
