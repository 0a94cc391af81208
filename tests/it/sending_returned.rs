//! What comes back: a report at the secret return path is proof, one that only knows the Message-ID is told and changes
//! nothing, and neither makes an inbound event.

use mailbell::{
    domain::{event::BounceType, id::MessageId, message::Status, return_path, suppression::SuppressionReason},
    mail::reception::{Envelope, Peer, Recipient},
    store::suppressions::Suppressions as _,
};
use tempfile::TempDir;

use crate::support::{
    clock::TestClock,
    post::{FRONT, Post, REPORTER, front, letter},
    relay::FakeRelay,
};

const AGENT: &str = "agent@mailbell.test";
const BOB: &str = "bob@customer.test";

struct Story {
    post: Post,
    relay: FakeRelay,
    _dir: TempDir,
}

/// A house that has sent one message to Bob by a relay that reports.
async fn story(to: &[&str]) -> (Story, MessageId) {
    let (dir, clock, relay) = (TempDir::new().unwrap(), TestClock::default(), FakeRelay::start().await);
    relay.offers_dsn();
    let post = Post::open(dir.path(), &clock, Some(relay.port)).await;
    let id = post.send(letter(to)).await;
    post.worker.run_until_idle().await.unwrap();
    (Story { post, relay, _dir: dir }, id)
}

/// A report as the null sender brings it to `to`.
async fn returns(post: &Post, to: &str, raw: &str) -> MessageId {
    let address = to.parse().unwrap();
    let mailbox = post.reception.find(&Recipient::Address(address)).await.unwrap();
    let returned_to = return_path::token(&to.parse().unwrap()).map(str::to_owned).into_iter().collect();
    let envelope = Envelope { from: String::new(), recipients: vec![mailbox], returned_to };
    post.reception.receive(&envelope, raw.replace('\n', "\r\n").into_bytes()).await.unwrap().messages.remove(0)
}

fn dsn(fields: &str, recipient: &str, original: &str) -> String {
    format!(
        "From: MAILER-DAEMON@relay.test (Mail Delivery System)
To: agent@mailbell.test
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"

--b1
Content-Type: text/plain

This is the mail system at host relay.test.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.test
{fields}
Final-Recipient: rfc822; {recipient}

--b1
Content-Type: message/rfc822-headers

{original}
--b1--
"
    )
    .replace("\n\nFinal-Recipient", "\nFinal-Recipient")
}

fn complaint(from: &str, original: &str) -> String {
    format!(
        "From: {from}
To: agent@mailbell.test
Subject: abuse
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=\"b1\"

--b1
Content-Type: text/plain

An email abuse report.

--b1
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: x/1
Version: 1
Original-Rcpt-To: {BOB}

--b1
Content-Type: message/rfc822

{original}

Hello
--b1--
"
    )
}

/// The fields of a status: those of the message, then those of the recipient.
fn failed(code: &str, words: &str) -> String {
    format!("\nAction: failed\nStatus: {code}\nDiagnostic-Code: smtp; {words}")
}

#[tokio::test]
async fn a_report_at_the_return_path_is_a_hard_bounce_that_suppresses_and_no_inbound() {
    let (Story { post, relay: _relay, _dir }, id) = story(&[BOB]).await;
    let back = format!("b+{}@mailbell.test", post.token(&id).await);
    let raw = dsn(&failed("5.1.1", "550 5.1.1 <bob@customer.test> user unknown"), BOB, "Subject: Hello");
    let stored = returns(&post, &back, &raw).await;
    assert_eq!(post.told().await, ["bounce bob@customer.test 5.1.1 hard final"]);
    let event = post.events().await.remove(0);
    assert_eq!((&event["tied"], &event["suppressed"]), (&"envelope".into(), &true.into()));
    assert_eq!((&event["message_id"], &event["mailbox"]), (&id.as_str().into(), &AGENT.into()));
    assert_eq!(event["reason"], "user_unknown");
    assert_eq!(event["diagnostic"], "550 5.1.1 <bob@customer.test> user unknown");
    assert_eq!(post.status(&id).await, Status::SendFailed);
    let bounced = post.message(AGENT, &id).await.summary.bounced.unwrap();
    assert_eq!((bounced.at, bounced.bounce_type), (post.clock_in(0), BounceType::Hard));
    assert_eq!(post.message(AGENT, &stored).await.summary.subject, "Undelivered Mail Returned to Sender");
    let listed = post.store.suppression_of(&BOB.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(listed.message, Some(id));
    returns(&post, &back, &raw).await;
    assert_eq!(post.told().await.len(), 1, "a report that comes twice is told once");
}

#[tokio::test]
async fn success_comes_as_a_delivery_and_an_envelope_id_ties_but_suppresses_nobody() {
    let (Story { post, relay: _relay, _dir }, id) = story(&[BOB, "ann@customer.test"]).await;
    let token = post.token(&id).await;
    let fields = format!(
        "Original-Envelope-Id: {token}\n\nAction: delivered\nStatus: 2.0.0\nDiagnostic-Code: smtp; 250 2.0.0 Ok"
    );
    returns(&post, AGENT, &dsn(&fields, BOB, "Subject: Hello")).await;
    let fields = format!("Original-Envelope-Id: {token}\n{}", failed("5.1.1", "550 5.1.1 user unknown"));
    returns(&post, AGENT, &dsn(&fields, "ann@customer.test", "Subject: Hello")).await;
    assert_eq!(post.told().await, ["delivery bob@customer.test", "bounce ann@customer.test 5.1.1 hard final"]);
    let events = post.events().await;
    assert_eq!((&events[0]["accepted_by"], &events[0]["message_id"]), (&"recipient".into(), &id.as_str().into()));
    assert_eq!((&events[1]["tied"], &events[1]["suppressed"]), (&"token".into(), &false.into()));
    assert_eq!((&events[1]["suppress_advised"], post.status(&id).await), (&true.into(), Status::Sent));
}

#[tokio::test]
async fn forged_reports_with_the_right_message_id_are_told_and_change_nothing() {
    let (Story { post, relay: _relay, _dir }, id) = story(&[BOB]).await;
    let original = format!("Message-ID: <{}>\nFrom: {AGENT}\nTo: {BOB}\nSubject: Hello", post.internet_id(&id).await);
    let bounce = dsn(&failed("5.1.1", "550 5.1.1 user unknown"), BOB, &original);
    returns(&post, AGENT, &bounce).await;
    let complaint = complaint("fbl@evil.test", &original);
    returns(&post, AGENT, &complaint).await;
    assert_eq!(post.told().await, ["bounce bob@customer.test 5.1.1 hard final", "complaint bob@customer.test"]);
    for event in post.events().await {
        assert_eq!((&event["tied"], &event["message_id"]), (&"headers".into(), &id.as_str().into()), "{event}");
        assert_ne!(event["suppressed"], true);
    }
    assert_eq!(post.status(&id).await, Status::Sent);
    assert_eq!(post.message(AGENT, &id).await.summary.bounced, None);
    assert_eq!(post.store.suppressions(None, 10).await.unwrap(), []);

    // The true ones are told all the same, and a complaint with our secret suppresses.
    let back = format!("b+{}@mailbell.test", post.token(&id).await);
    returns(&post, &back, &complaint).await;
    let event = post.events().await.pop().unwrap();
    assert_eq!((&event["event_type"], &event["tied"]), (&"complaint".into(), &"envelope".into()));
    assert_eq!(post.store.suppressions(None, 10).await.unwrap().len(), 1);
    returns(&post, &back, &bounce).await;
    assert_eq!(post.events().await.pop().unwrap()["tied"], "envelope");
}

#[tokio::test]
async fn what_cannot_be_tied_is_told_with_what_is_known_and_delays_are_mail() {
    let (Story { post, relay: _relay, _dir }, id) = story(&[BOB]).await;
    returns(&post, AGENT, &dsn(&failed("4.4.1", "connection timed out"), "x@y.test", "Subject: other")).await;
    let event = post.events().await.remove(0);
    assert_eq!(post.told().await, ["bounce x@y.test 4.4.1 soft final"]);
    assert_eq!((&event["tied"], event.get("message_id")), (&"none".into(), None));
    let back = format!("b+{}@mailbell.test", post.token(&id).await);
    returns(&post, &back, &dsn("\nAction: delayed\nStatus: 4.4.1", BOB, "Subject: Hello")).await;
    assert_eq!(post.told().await[1], "inbound agent@mailbell.test Undelivered Mail Returned to Sender");
    let answer =
        "From: bob@customer.test\nTo: agent@mailbell.test\nSubject: Away\nAuto-Submitted: auto-replied\n\nI am away.\n";
    returns(&post, &back, answer).await;
    assert_eq!(post.told().await[2], "inbound agent@mailbell.test Away");
    assert_eq!(post.status(&id).await, Status::Sent);
    let unknown = format!("b+{}@mailbell.test", "0".repeat(40)).parse().unwrap();
    assert!(post.reception.find(&Recipient::Address(unknown)).await.is_err());
}

#[tokio::test]
async fn a_complaint_of_a_configured_reporter_suppresses_if_it_signed_it_and_names_a_message_of_ours() {
    let (Story { post, relay: _relay, _dir }, id) = story(&[BOB, "ann@customer.test"]).await;
    let ours = format!("Message-ID: <{}>\nFrom: {AGENT}\nTo: {BOB}\nSubject: Hello", post.internet_id(&id).await);
    let agent = post.mailbox(AGENT).await;
    let comes = async |peer: Option<Peer>, dkim: &str, from: &str, original: &str| {
        let results = format!("Authentication-Results: {FRONT}; {dkim}\nReceived: from x by {FRONT}\n");
        let trace = "Return-Path: <>\nReceived: from x\n\tby us;\n\tnow\n";
        let raw = format!("{trace}{results}{}", complaint(from, original)).replace('\n', "\r\n").into_bytes();
        let envelope = Envelope { from: String::new(), recipients: vec![agent.clone()], returned_to: vec![] };
        match peer {
            Some(peer) => post.reception.receive_from(&peer, &envelope, raw).await.unwrap(),
            None => post.reception.receive(&envelope, raw).await.unwrap(),
        };
        post.store.suppressions(None, 10).await.unwrap()
    };
    let signed = format!("dkim=pass header.d={REPORTER}");
    let from = format!("complaints@{REPORTER}");
    let stranger = Peer { address: "198.51.100.9".parse().unwrap(), hello: FRONT.into() };
    for (peer, dkim, from, original) in [
        (None, signed.as_str(), from.as_str(), ours.as_str()),
        (Some(stranger), &signed, &from, &ours),
        (Some(front()), "dkim=none", &from, &ours),
        (Some(front()), &signed.replace("pass", "fail"), &from, &ours),
        (Some(front()), "dkim=pass header.d=provider.test", &from, &ours),
        (Some(front()), &format!("dkim=pass header.d=x.{REPORTER}"), &from, &ours),
        (Some(front()), "dkim=pass header.d=evil.test", "fbl@evil.test", &ours),
        (Some(front()), &signed, "fbl@evil.test", &ours),
        (Some(front()), &signed, &from, "Message-ID: <not@ours>\nSubject: Hello"),
    ] {
        assert_eq!(comes(peer, dkim, from, original).await, [], "{dkim} {from} {original}");
    }
    let before = post.events().await.len();
    let listed = comes(Some(front()), &signed, &from, &ours).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].address.as_str(), &listed[0].message), (BOB, &Some(id.clone())));
    assert_eq!(listed[0].reason, SuppressionReason::Complaint);
    let events = post.events().await;
    assert_eq!(events.len(), before + 1, "it is told beside those that proved nothing");
    let event = events.last().unwrap();
    assert_eq!((&event["event_type"], &event["tied"]), (&"complaint".into(), &"headers".into()));
    assert_eq!((&event["recipient"], &event["message_id"]), (&BOB.into(), &id.as_str().into()));
}

#[tokio::test]
async fn an_internationalised_domain_is_one_address_in_every_spelling() {
    const U: &str = "Kunde@Müller.test";
    const A: &str = "kunde@xn--mller-kva.test";
    let (Story { post, relay, _dir }, id) = story(&[U]).await;
    assert_eq!(relay.got()[0].to.len(), 1);
    assert!(relay.got()[0].to[0].starts_with(&format!("<{A}>")), "{:?}", relay.got());
    let back = format!("b+{}@mailbell.test", post.token(&id).await);
    // The report names the address as people write it.
    returns(&post, &back, &dsn(&failed("5.1.1", "550 5.1.1 user unknown"), U, "Subject: Hello")).await;
    assert_eq!(post.told().await, [format!("bounce {A} 5.1.1 hard final")]);
    assert_eq!(post.status(&id).await, Status::SendFailed);
    for spelling in [U, A, "kunde@XN--MLLER-KVA.test", "kunde@mu\u{308}ller.test"] {
        let agent = post.mailbox(AGENT).await;
        let refused = post.submission.send(&agent, letter(&[spelling])).await.unwrap_err().to_string();
        assert!(refused.contains("suppress"), "{spelling}: {refused}");
    }
    // The settings say `Bücher.test`.
    for ours in ["postmaster@bücher.test", "postmaster@xn--bcher-kva.test", "Postmaster@BÜCHER.test"] {
        post.reception.find(&Recipient::Address(ours.parse().unwrap())).await.expect(ours);
    }
}
