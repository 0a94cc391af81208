//! What the receiver answers, to whom, and what is then on disk.

use std::time::Duration;

use mailbell::{
    domain::{
        clock::{Clock as _, UnixMillis},
        cursor::Seq,
        event::{Auth, EventFilter, NewEvent},
        id::SourceName,
        secret::Secret,
    },
    http::hooks,
    signing::standard_webhooks,
    store::{
        log::{EventLog as _, Ingested, Order, PageRequest},
        received::Told,
        sources::{Quarantine as _, Sources as _},
    },
};
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    bell::{BellWing, SECRET, body, inbound, signature},
    http::{Answer, read, send, serve},
};

const HOOK: &str = "/hooks/multimail";

struct Receiver {
    wing: BellWing,
    addr: std::net::SocketAddr,
}

impl Receiver {
    async fn start() -> Self {
        let wing = BellWing::start().await;
        let addr = serve(hooks::router(wing.intake.clone())).await;
        Self { wing, addr }
    }

    async fn post(&self, body: &[u8]) -> Answer {
        send(self.addr, "POST", HOOK, &[("X-MultiMail-Signature", &signature(body))], body).await
    }

    async fn log(&self) -> Vec<NewEvent> {
        let all = PageRequest {
            filter: EventFilter::default(),
            after: Seq::ZERO,
            before: None,
            order: Order::Ascending,
            limit: 100,
        };
        self.wing.store.page(&all).await.unwrap().into_iter().map(|event| event.fact).collect()
    }

    async fn quarantined(&self) -> Vec<(String, i64)> {
        let kept = self.wing.store.quarantined(10).await.unwrap();
        kept.into_iter().map(|kept| (kept.reason, kept.times)).collect()
    }
}

#[tokio::test]
async fn a_signed_event_is_stored_once_however_often_it_comes() {
    let receiver = Receiver::start().await;
    let first = receiver.post(&body(&inbound(1))).await;
    assert_eq!((first.status, first.json.to_string()), (200, r#"{"duplicates":0,"received":1}"#.into()));
    let again = receiver.post(&body(&inbound(1))).await;
    assert_eq!((again.status, again.json.to_string()), (200, r#"{"duplicates":1,"received":0}"#.into()));
    assert_eq!(receiver.log().await, [inbound(1)]);
}

#[tokio::test]
async fn a_narrower_webhook_s_copy_is_a_duplicate() {
    let receiver = Receiver::start().await;
    let copy = |webhook: &str| {
        let mut body: serde_json::Value = serde_json::from_slice(&body(&inbound(1))).unwrap();
        body["webhook_id"] = webhook.into();
        serde_json::to_vec(&body).unwrap()
    };
    assert_eq!(receiver.post(&copy("wh_account")).await.json["received"], 1);
    assert_eq!(receiver.post(&copy("wh_mailbox")).await.json["duplicates"], 1);
    assert_eq!(receiver.quarantined().await, []);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_acknowledged_and_set_aside() {
    let receiver = Receiver::start().await;
    receiver.post(&body(&inbound(1))).await;
    let other = NewEvent { event_id: inbound(1).event_id, ..inbound(2) };
    for times in 1..=2 {
        let answer = receiver.post(&body(&other)).await;
        assert_eq!((answer.status, &answer.json["received"], &answer.json["duplicates"]), (200, &0.into(), &0.into()));
        assert!(answer.json["quarantined"].as_str().unwrap().contains("other content"));
        assert_eq!(receiver.quarantined().await[0].1, times);
    }
    assert_eq!(receiver.log().await, [inbound(1)]);
}

#[tokio::test]
async fn whoever_has_not_the_secret_gets_one_answer_and_leaves_no_trace() {
    let receiver = Receiver::start().await;
    let sent = body(&inbound(1));
    let right = signature(&sent);
    let mut changed = sent.clone();
    *changed.last_mut().unwrap() ^= 1;
    let forged = [
        (sent.as_slice(), None),
        (sent.as_slice(), Some("")),
        (sent.as_slice(), Some("sha256=")),
        (sent.as_slice(), Some(&right[..62])),
        (changed.as_slice(), Some(right.as_str())),
    ];
    for (body, signature) in forged {
        let headers: Vec<_> = signature.iter().map(|signature| ("x-multimail-signature", *signature)).collect();
        let answer = send(receiver.addr, "POST", HOOK, &headers, body).await;
        assert_eq!((answer.status, &answer.json["error"]), (401, &"the signature is missing or wrong".into()));
    }
    assert_eq!((receiver.log().await, receiver.quarantined().await), (vec![], vec![]));
    assert_eq!(receiver.post(&sent).await.status, 200);
}

#[tokio::test]
async fn an_unknown_source_is_not_found() {
    let receiver = Receiver::start().await;
    let sent = body(&inbound(1));
    let answer =
        send(receiver.addr, "POST", "/hooks/nobody", &[("x-multimail-signature", &signature(&sent))], &sent).await;
    assert_eq!((answer.status, &answer.json["error"]), (404, &"there is no source of this name".into()));
}

#[tokio::test]
async fn only_post_is_taken_and_only_here() {
    let receiver = Receiver::start().await;
    for method in ["GET", "PUT", "DELETE"] {
        let answer = send(receiver.addr, method, HOOK, &[], b"").await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: post"), "{}", answer.head);
        assert!(answer.json["error"].is_string());
    }
    assert_eq!(send(receiver.addr, "POST", "/elsewhere", &[], b"").await.status, 404);
}

#[tokio::test]
async fn a_signed_body_that_cannot_be_read_is_told_why_and_kept() {
    let receiver = Receiver::start().await;
    let answer = receiver.post(br#"{"event_type":"inbound","event_id":"evt_1"}"#).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json["error"].as_str().unwrap().contains("`timestamp` must be RFC 3339"), "{:?}", answer.json);
    let kept = receiver.wing.store.quarantined(10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].body, br#"{"event_type":"inbound","event_id":"evt_1"}"#);
}

#[tokio::test]
async fn a_name_that_is_no_text_is_no_source_s() {
    let receiver = Receiver::start().await;
    let answer = send(receiver.addr, "POST", "/hooks/%ff", &[], b"{}").await;
    assert_eq!((answer.status, &answer.json["error"]), (404, &"there is no source of this name".into()));
}

#[tokio::test]
async fn a_body_over_the_limit_is_read_over_so_that_its_sender_sees_the_answer() {
    let receiver = Receiver::start().await;
    let mut fits = body(&inbound(1));
    fits.resize(1 << 20, b' ');
    assert_eq!(receiver.post(&fits).await.status, 200);
    for excess in [1, 3 << 20] {
        let answer = receiver.post(&vec![b' '; (1 << 20) + excess]).await;
        assert_eq!(
            (answer.status, &answer.json["error"]),
            (413, &"a body for this source is at most 1048576 bytes".into())
        );
    }
    assert_eq!(receiver.quarantined().await, []);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let receiver = Receiver::start().await;
    let mut stream = tokio::net::TcpStream::connect(receiver.addr).await.unwrap();
    let head = format!("POST {HOOK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    while receiver.wing.clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    receiver.wing.clock.advance(Duration::from_secs(30));
    assert_eq!(read(&mut stream).await.status, 408);
}

#[tokio::test]
async fn an_event_from_beyond_the_horizon_needs_a_signature_with_a_time() {
    let receiver = Receiver::start().await;
    let week = Duration::from_hours(7 * 24);
    let now = receiver.wing.clock.now();
    let at = |n, timestamp| body(&NewEvent { timestamp, ..inbound(n) });

    assert_eq!(receiver.post(&at(1, now.minus(week))).await.json["received"], 1);
    let old = at(2, now.minus(week + Duration::from_millis(1)));
    let answer = receiver.post(&old).await;
    assert_eq!((answer.status, &answer.json["received"]), (200, &0.into()));
    assert!(answer.json["quarantined"].as_str().unwrap().contains("older than 7 days"));
    assert_eq!(receiver.quarantined().await.len(), 1);

    let secs = now.0 / 1000;
    let timed = standard_webhooks::sign(&Secret::new(SECRET), "evt_2", secs, &old);
    let headers = [("webhook-id", "evt_2"), ("webhook-timestamp", &secs.to_string()), ("webhook-signature", &timed)];
    assert_eq!(send(receiver.addr, "POST", HOOK, &headers, &old).await.json["received"], 1);
}

#[tokio::test]
async fn a_source_added_or_removed_elsewhere_counts_at_once() {
    let receiver = Receiver::start().await;
    let second = receiver.wing.second().await;
    let (name, secret) = (SourceName::new("other"), Secret::new("whsec_other"));
    let sent = body(&inbound(1));
    let signature = mailbell::signing::multimail::sign(&secret, &sent);
    let post =
        || async { send(receiver.addr, "POST", "/hooks/other", &[("x-multimail-signature", &signature)], &sent).await };

    assert_eq!(post().await.status, 404);
    second.store.add_source(&name, "multimail", None, second.clock.now()).await.unwrap();
    assert_eq!(post().await.status, 401);
    second.store.add_secret(&name, &secret, None, second.clock.now()).await.unwrap();
    assert_eq!(post().await.json["received"], 1);
    second.store.remove_source(&name).await.unwrap();
    assert_eq!(post().await.status, 404);
    second.store.add_source(&name, "multimail", Some(&secret), second.clock.now()).await.unwrap();
    assert_eq!(post().await.json["duplicates"], 1, "a source added anew knows its duplicates");
    second.store.remove_source(&name).await.unwrap();
    second.store.add_source(&name, "klingon", Some(&secret), second.clock.now()).await.unwrap();
    let answer = post().await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: "));
}

#[tokio::test]
async fn of_a_source_removed_elsewhere_nothing_is_kept() {
    let receiver = Receiver::start().await;
    let second = receiver.wing.second().await;
    receiver.post(&body(&inbound(1))).await;
    second.store.remove_source(&SourceName::new("multimail")).await.unwrap();
    let old = body(&NewEvent { timestamp: UnixMillis(0), ..inbound(2) });
    for sent in [&body(&inbound(3)), &old, &b"{}".to_vec()] {
        assert_eq!(receiver.post(sent).await.status, 404);
    }
    assert_eq!(receiver.log().await.len(), 1);
    assert_eq!(receiver.wing.store.quarantined(10).await.unwrap().len(), 0);
}

#[tokio::test]
async fn posts_that_share_a_commit_are_each_taken_by_the_sources_that_they_were_judged_by() {
    let wing = BellWing::start().await;
    let version = wing.store.version().await.unwrap();
    let posts = (0..8).map(|n| {
        let (store, now) = (wing.store.clone(), wing.clock.now());
        let told = vec![Told { event: inbound(n), message: None }];
        let judged_by = [Some(version), Some(version - 1), None][n % 3];
        async move { store.take_in(&SourceName::new("multimail"), Auth::HmacSha256, now, told, judged_by).await }
    });
    for (n, ending) in futures::future::join_all(posts).await.into_iter().enumerate() {
        match ending.unwrap().as_deref() {
            None => assert_eq!(n % 3, 1),
            Some(told) => {
                assert_ne!(n % 3, 1);
                let [Ingested::Fresh(seq)] = told else { panic!("{told:?}") };
                assert_eq!(wing.store.event(*seq).await.unwrap().unwrap().fact, inbound(n));
            }
        }
    }
    assert_eq!(wing.store.extent().await.unwrap().head, Seq(5));
}
