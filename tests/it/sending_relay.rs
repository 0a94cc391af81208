//! Mail for elsewhere: each recipient has its own answer, what can be tried again is, and every word is kept.

use std::time::Duration;

use mailbell::{
    domain::{clock::Clock as _, message::Status, secret::Secret},
    mail::relay::{Handing, Relay, RelaySaid, Security},
};
use tempfile::TempDir;

use crate::support::{
    clock::TestClock,
    post::{Post, letter},
    relay::FakeRelay,
};

const BOB: &str = "bob@customer.test";

struct Story {
    post: Post,
    relay: FakeRelay,
    _dir: TempDir,
}

async fn story() -> Story {
    let (dir, clock, relay) = (TempDir::new().unwrap(), TestClock::default(), FakeRelay::start().await);
    let post = Post::open(dir.path(), &clock, Some(relay.port)).await;
    Story { post, relay, _dir: dir }
}

#[tokio::test]
async fn each_recipient_has_its_own_answer_and_its_words_are_kept() {
    let Story { post, relay, _dir } = story().await;
    relay.answers_for("ghost@customer.test", "550-5.1.351 Remote server returned\r\n550 5.1.351 no such <user>");
    relay.answers_for("full@customer.test", "452 4.2.2 mailbox is full");
    relay.answers_for("odd@customer.test", "554 go away");
    let id = post
        .send(letter(&[BOB, "ghost@customer.test", "full@customer.test", "odd@customer.test", "other@mailbell.test"]))
        .await;
    post.worker.run_until_idle().await.unwrap();
    assert_eq!(
        post.told().await,
        [
            "delivery bob@customer.test",
            "bounce ghost@customer.test 5.1.351 hard final",
            "bounce full@customer.test 4.2.2 soft",
            "bounce odd@customer.test 554 hard final",
            "delivery other@mailbell.test",
            "inbound other@mailbell.test Hello"
        ]
    );
    let events = post.events().await;
    assert_eq!(
        (events[0]["accepted_by"].as_str(), &events[0]["smtp_response"]),
        (Some("relay"), &"250 2.0.0 queued as 1234".into())
    );
    assert_eq!(events[1]["diagnostic"], "550 5.1.351 Remote server returned\n5.1.351 no such <user>");
    assert_eq!((&events[2]["final"], &events[2]["tied"]), (&false.into(), &"session".into()));
    assert_eq!(post.status(&id).await, Status::Queued);

    let got = relay.got();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].from, format!("<b+{}@mailbell.test>", post.token(&id).await));
    assert_eq!(got[0].to, ["<bob@customer.test>"]);
    relay.answers_for("full@customer.test", "250 2.1.5 ok");
    post.go_on().await;
    assert!(!post.go_on().await);
    assert_eq!(post.told().await.last().unwrap(), "delivery full@customer.test");
    assert_eq!(relay.got()[1].to, ["<full@customer.test>"], "nobody gets it twice");
    assert_eq!(relay.got()[1].message, got[0].message);
    assert_eq!(post.status(&id).await, Status::Sent);
}

#[tokio::test]
async fn what_nobody_takes_is_tried_for_two_days_and_told_twice() {
    let Story { post, relay, _dir } = story().await;
    relay.answers_for(BOB, "450 4.7.1 come again");
    let began = post.clock.now();
    let id = post.send(letter(&[BOB])).await;
    let mut tries = 0;
    while post.go_on().await {
        tries += 1;
    }
    assert!((90..110).contains(&tries), "{tries}");
    let span = Duration::from_millis(u64::try_from(post.clock.now().0 - began.0).unwrap());
    assert!(span >= Duration::from_hours(48) && span < Duration::from_hours(50), "{span:?}");
    assert_eq!(post.told().await, ["bounce bob@customer.test 4.7.1 soft", "bounce bob@customer.test 4.7.1 soft final"]);
    assert_eq!(post.status(&id).await, Status::SendFailed);

    // One more try, once, and what came of it is told anew.
    let agent = post.mailbox("agent@mailbell.test").await;
    let minute = Duration::from_mins(1);
    assert!(post.submission.retry(&agent, &id, BOB, minute).await.unwrap().1);
    assert_eq!(post.status(&id).await, Status::Queued);
    while post.go_on().await {}
    assert_eq!(post.told().await.len(), 3);
    assert_eq!(post.told().await[2], "bounce bob@customer.test 4.7.1 soft final");
    let used = post.submission.retry(&agent, &id, BOB, minute).await.unwrap_err();
    assert!(used.to_string().contains("one more try already"), "{used}");
}

#[tokio::test]
async fn a_retry_before_giving_up_only_moves_the_next_try() {
    let Story { post, relay, _dir } = story().await;
    relay.answers_for(BOB, "450 4.7.1 come again");
    let id = post.send(letter(&[BOB])).await;
    post.worker.run_until_idle().await.unwrap();
    let agent = post.mailbox("agent@mailbell.test").await;
    for _ in 0..2 {
        let (at, again) = post.submission.retry(&agent, &id, BOB, Duration::from_secs(10)).await.unwrap();
        assert_eq!((at, again), (post.clock_in(10), false));
    }
    assert_eq!(post.worker.run_until_idle().await.unwrap(), Some(post.clock_in(10)));
    let stranger = post.submission.retry(&agent, &id, "x@customer.test", Duration::ZERO).await.unwrap_err();
    assert!(stranger.to_string().contains("not sent to that recipient"), "{stranger}");
}

#[tokio::test]
async fn lost_connections_are_tried_again_and_the_docs_say_when_it_is_twice() {
    let Story { post, relay, _dir } = story().await;
    relay.hangs_up(true);
    let id = post.send(letter(&[BOB])).await;
    post.go_on().await;
    let events = post.events().await;
    assert_eq!((&events[0]["bounce_code"], &events[0]["code_inferred"]), (&"4.4.2".into(), &true.into()));
    assert!(events[0]["diagnostic"].as_str().unwrap().contains("while sending the message"), "{}", events[0]);
    // Killed here, or not: SMTP cannot tell whether the relay has it.
    let post = post.reopened().await;
    relay.hangs_up(false);
    post.worker.run_until_idle().await.unwrap();
    assert_eq!(post.told().await, ["bounce bob@customer.test 4.4.2 soft", "delivery bob@customer.test"]);
    assert_eq!(post.status(&id).await, Status::Sent);
    let got = relay.got();
    assert_eq!((got.len(), &got[0].message), (2, &got[1].message), "the same Message-ID both times");
}

#[tokio::test]
async fn a_refusal_of_us_is_no_bounce_of_theirs_and_one_of_the_message_suppresses_nobody() {
    let Story { post, relay, _dir } = story().await;
    relay.greets(Some("554 5.7.1 your address is blocked"));
    post.send(letter(&[BOB])).await;
    post.go_on().await;
    assert_eq!(post.told().await, ["bounce bob@customer.test 5.7.1 soft"], "it may be mended");
    relay.greets(None);
    relay.answers_mail(Some("550 5.1.1 no such sender"));
    post.go_on().await;
    assert_eq!(post.told().await.last().unwrap(), "bounce bob@customer.test 5.1.1 hard final");
    relay.answers_mail(None);
    relay.answers_message(Some("554 5.7.1 spam"));
    post.send(letter(&[BOB])).await;
    post.worker.run_until_idle().await.unwrap();
    assert_eq!(post.told().await.last().unwrap(), "bounce bob@customer.test 5.7.1 hard final");
    relay.answers_message(None);
    post.send(letter(&[BOB])).await;
    post.worker.run_until_idle().await.unwrap();
    assert_eq!(post.told().await.last().unwrap(), "delivery bob@customer.test");
}

#[tokio::test]
async fn a_relay_that_reports_is_asked_to_and_its_yes_is_not_the_last_word() {
    let Story { post, relay, _dir } = story().await;
    relay.offers_dsn();
    let id = post.send(letter(&[BOB])).await;
    post.worker.run_until_idle().await.unwrap();
    assert_eq!(post.told().await, [""; 0]);
    assert_eq!(post.status(&id).await, Status::Sent);
    let token = post.token(&id).await;
    let got = relay.got().remove(0);
    assert_eq!(got.from, format!("<b+{token}@mailbell.test> RET=HDRS ENVID={token}"));
    assert_eq!(got.to, ["<bob@customer.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@customer.test"]);
}

#[tokio::test]
async fn a_dead_address_is_suppressed_by_a_live_answer_and_its_queue_is_cancelled() {
    let Story { post, relay, _dir } = story().await;
    relay.answers_for(BOB, "450 4.7.1 come again");
    let waiting = post.send(letter(&[BOB])).await;
    post.worker.run_until_idle().await.unwrap();
    relay.answers_for(BOB, "550 5.1.1 user unknown");
    post.send(letter(&[BOB])).await;
    post.worker.run_until_idle().await.unwrap();
    let event = post.events().await.pop().unwrap();
    assert_eq!((&event["suppressed"], &event["suppress_advised"]), (&true.into(), &true.into()));
    assert_eq!(post.status(&waiting).await, Status::Cancelled);
    let agent = post.mailbox("agent@mailbell.test").await;
    let refused = post.submission.send(&agent, letter(&[BOB])).await.unwrap_err().to_string();
    assert!(refused.contains("bounced for good") && refused.contains("550 5.1.1 user unknown"), "{refused}");
    assert!(!post.go_on().await);
}

#[tokio::test]
async fn without_a_relay_mail_for_elsewhere_is_refused_with_what_to_set() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let agent = post.mailbox("agent@mailbell.test").await;
    let refused = post.submission.send(&agent, letter(&[BOB])).await.unwrap_err().to_string();
    assert!(refused.contains(BOB) && refused.contains("mail.relay.host"), "{refused}");
    assert!(post.inbox("agent@mailbell.test").await.is_empty());
}

#[tokio::test]
async fn tls_is_verified_and_a_password_goes_only_over_it() {
    let (relay, clock) = (FakeRelay::start().await, TestClock::default());
    let trusted = relay.offers_tls().into_bytes();
    let [from, to] = ["b+1@mailbell.test", BOB].map(|address| address.parse().unwrap());
    let handing = Handing { from: &from, envelope_id: "e1", recipients: std::slice::from_ref(&to), message: b"x\r\n" };
    let with = |host: &str, security, ca: Option<Vec<u8>>| Relay {
        host: host.into(),
        port: relay.port,
        security,
        credentials: Some(("user".into(), Secret::new("pass"))),
        hello: "mailbell.test".into(),
        ca,
    };
    let taken = with("localhost", Security::StartTls, Some(trusted.clone())).hand(&clock, &handing).await;
    assert!(matches!(&taken.said[..], [RelaySaid::OfMessage(answer)] if answer.code == 250), "{taken:?}");
    let got = relay.got();
    // user and pass, as RFC 4616 puts them.
    assert_eq!((got[0].tls, got[0].auth.as_deref()), (true, Some("AUTH PLAIN AHVzZXIAcGFzcw==")));
    for (wrong, said) in [
        (with("localhost", Security::StartTls, None), "while asking for TLS"),
        (with("127.0.0.1", Security::StartTls, Some(trusted)), "while asking for TLS"),
        (with("localhost", Security::None, None), "a password goes only over TLS"),
        (with("localhost", Security::Implicit, None), "while connecting"),
    ] {
        let handed = wrong.hand(&clock, &handing).await;
        assert!(matches!(&handed.said[..], [RelaySaid::Nothing(broken)] if broken.words.contains(said)), "{handed:?}");
    }
    assert_eq!(relay.got().len(), 1);
    let bare = FakeRelay::start().await;
    let stripped =
        Relay { port: bare.port, ..with("localhost", Security::StartTls, None) }.hand(&clock, &handing).await;
    assert!(format!("{stripped:?}").contains("offers no STARTTLS"), "{stripped:?}");
}

#[tokio::test]
async fn every_line_of_an_answer_is_kept_whatever_its_bytes_and_is_understood_across_them() {
    let Story { post, relay, _dir } = story().await;
    relay.answers_for(BOB, "550-5.0.0  Der Empfänger \"<bob>\"\r\n550-5.0.0 user\r\n550 5.0.0 unknown   (x)");
    relay.answers_for("two@customer.test", "451-wait\r\n451-\r\n451 4.7.1 a while");
    relay.answers_message(Some("250-2.0.0 queued\r\n250 2.0.0 as 77"));
    relay.answers_for_in_bytes("gb@customer.test", b"550 5.1.1 \xd3\xc3\xbb\xa7\xb2\xbb\xb4\xe6\xd4\xda");
    post.send(letter(&[BOB, "two@customer.test", "gb@customer.test", "good@customer.test"])).await;
    post.worker.run_until_idle().await.unwrap();
    let events = post.events().await;
    let words: Vec<_> = events.iter().map(|event| event.get("diagnostic").or(event.get("smtp_response"))).collect();
    assert_eq!(words[0].unwrap(), "550 5.0.0  Der Empfänger \"<bob>\"\n5.0.0 user\n5.0.0 unknown   (x)");
    assert_eq!(words[1].unwrap(), "451 wait\n\n4.7.1 a while");
    let foreign = words[2].unwrap().as_str().unwrap();
    assert!(foreign.starts_with("550 5.1.1 ") && foreign.contains('\u{fffd}'), "{foreign:?}");
    assert_eq!(words[3].unwrap(), "250 2.0.0 queued\n2.0.0 as 77");
    assert_eq!(events[0]["reason"], "user_unknown", "the words are read across line ends: {}", events[0]);
    assert_eq!(events[2]["bounce_code"], "5.1.1", "an answer in another charset is an answer: {}", events[2]);
}
