//! Providers' webhooks through the receiver: what is answered, and what is then in the log.

use std::time::Duration;

use mailbell::{
    bell::sources::{dialect, settings::Settings},
    domain::{clock::Clock as _, id::SourceName, secret::Secret},
    http::hooks,
    signing::token,
    store::sources::{Records as _, Sources as _},
};

use crate::support::{
    bell::BellWing,
    http::{Answer, send, serve},
};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct House {
    wing: BellWing,
    addr: std::net::SocketAddr,
    name: SourceName,
}

impl House {
    async fn of(speaks: &str) -> Self {
        let wing = BellWing::start().await;
        let name = SourceName::new("acme");
        wing.store.add_source(&name, speaks, Some(&Secret::new(KEY)), wing.clock.now()).await.unwrap();
        let addr = serve(hooks::router(wing.intake.clone())).await;
        Self { wing, addr, name }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        send(self.addr, "POST", &format!("/hooks/acme{path}"), headers, body).await
    }

    async fn refused(&self) -> Vec<(String, i64)> {
        let history = self.wing.store.history(&self.name).await.unwrap();
        history.refused.into_iter().map(|(reason, times, _)| (reason, times)).collect()
    }
}

#[tokio::test]
async fn a_sample_of_each_dialect_comes_through_once() {
    for speaks in ["standard-webhooks", "resend", "agentmail", "mailgun", "postmark", "sendgrid-inbound"] {
        let house = House::of(speaks).await;
        let now = house.wing.clock.now();
        let sample = dialect(speaks).unwrap().sample(&Secret::new(KEY), &Settings::default(), now).unwrap();
        let path = sample.token.as_ref().map(|token| format!("/{}", token.expose())).unwrap_or_default();
        let headers: Vec<_> = sample.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let first = house.post(&path, &headers, &sample.body).await;
        assert_eq!((first.status, &first.json["received"]), (200, &1.into()), "{speaks}: {:?}", first.json);
        let again = house.post(&path, &headers, &sample.body).await;
        assert_eq!((again.status, &again.json["duplicates"]), (200, &1.into()), "{speaks}");
        let mut other = sample.body.clone();
        other[0] ^= 1;
        let bare = house.post("", &[], &other).await;
        assert_eq!(bare.status, 401, "{speaks}");
        assert_eq!(house.refused().await.len(), 1, "{speaks}");
    }
}

fn mailgun(token_text: &str, secs: i64, id: &str) -> Vec<u8> {
    let signature = token::sign(&Secret::new(KEY), &secs.to_string(), token_text);
    let body = serde_json::json!({
        "signature": {"timestamp": secs.to_string(), "token": token_text, "signature": signature},
        "event-data": {"event": "complained", "id": id, "timestamp": secs, "recipient": "a@b.test"},
    });
    body.to_string().into_bytes()
}

#[tokio::test]
async fn a_mailgun_token_counts_once_for_the_events_that_it_came_with() {
    let house = House::of("mailgun").await;
    let secs = house.wing.clock.now().0 / 1000;
    assert_eq!(house.post("", &[], &mailgun("t1", secs, "one")).await.json["received"], 1);
    // Mailgun did not hear our answer and sends the same again.
    assert_eq!(house.post("", &[], &mailgun("t1", secs, "one")).await.json["duplicates"], 1);
    assert_eq!(house.post("", &[], &mailgun("t1", secs, "forged")).await.status, 401);
    assert_eq!(house.refused().await, [("the request's single-use token was used before".to_owned(), 1)]);
    assert_eq!(house.post("", &[], &mailgun("t2", secs, "two")).await.json["received"], 1);
    // Long after, when the token is forgotten, its time is over.
    house.wing.clock.advance(Duration::from_hours(1));
    assert_eq!(house.post("", &[], &mailgun("t1", secs, "forged")).await.status, 401);
    let unread = mailgun("t3", secs + 3600, "x");
    let unread = String::from_utf8(unread).unwrap().replace("event-data", "event-date");
    assert_eq!(house.post("", &[], unread.as_bytes()).await.status, 406, "which keeps Mailgun from trying again");
}

#[tokio::test]
async fn a_stranger_s_large_body_is_not_read_where_the_head_tells() {
    let house = House::of("postmark").await;
    let large = vec![b' '; 3 << 20];
    assert_eq!(house.post("/wrong", &[], &large).await.status, 401);
    let mut body =
        br#"{"RecordType":"Open","MessageID":"m","Recipient":"a@b.test","ReceivedAt":"2026-11-24T10:00:00Z"}"#.to_vec();
    body.resize(41 << 20, b' ');
    let basic = "Basic eDp3aHNlY19NZktROXI4R0tZcXJUd2pVUEQ4SUxQWklvMkxhTGFTdw==";
    assert_eq!(house.post("", &[("authorization", basic)], &body).await.json["received"], 1);
}

#[tokio::test]
async fn an_old_secret_vouches_until_its_time_and_no_longer() {
    let house = House::of("postmark").await;
    let store = &house.wing.store;
    let now = house.wing.clock.now();
    store.retire_secrets(&house.name, now.plus(Duration::from_mins(1)), now).await.unwrap();
    store.add_secret(&house.name, &Secret::new("new-secret-0123456789"), None, now).await.unwrap();
    let event = |n: u32| format!(r#"{{"RecordType":"Open","MessageID":"{n}","ReceivedAt":"2026-11-24T10:00:00Z"}}"#);
    assert_eq!(house.post(&format!("/{KEY}"), &[], event(1).as_bytes()).await.status, 200);
    assert_eq!(house.post("/new-secret-0123456789", &[], event(2).as_bytes()).await.status, 200);
    house.wing.clock.advance(Duration::from_mins(1));
    assert_eq!(house.post(&format!("/{KEY}"), &[], event(3).as_bytes()).await.status, 401);
    assert_eq!(house.post("/new-secret-0123456789", &[], event(3).as_bytes()).await.status, 200);
}
