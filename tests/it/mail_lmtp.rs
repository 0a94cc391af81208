//! An MTA hands mail over by LMTP, and by SMTPUTF8 in any script.

use crate::support::{
    mail::{Mail, limits},
    smtp_peer::SmtpPeer,
};

const AGENT: &str = "agent@mailbell.test";
const OTHER: &str = "other@mailbell.test";

async fn lhlo(mail: &Mail) -> SmtpPeer {
    let mut peer = SmtpPeer::connect(mail.lmtp).await;
    assert_eq!(peer.reply().await, (220, "mx.mailbell.test LMTP mailbell".into()));
    let (code, extensions) = peer.say("LHLO mta.test").await;
    assert_eq!(code, 250);
    assert!(extensions.ends_with("8BITMIME\nPIPELINING\nENHANCEDSTATUSCODES\nSMTPUTF8"), "{extensions}");
    peer
}

#[tokio::test]
async fn each_recipient_that_was_taken_gets_a_reply_of_its_own() {
    let mail = Mail::start().await;
    let mut peer = lhlo(&mail).await;
    assert_eq!(peer.say("MAIL FROM:<ann@a.test>").await.0, 250);
    for (recipient, code) in [(OTHER, 250), ("ghost@mailbell.test", 550), (AGENT, 250), ("Other@mailbell.test", 250)] {
        assert_eq!(peer.say(&format!("RCPT TO:<{recipient}>")).await.0, code, "{recipient}");
    }
    assert_eq!(peer.say("DATA").await.0, 354);
    // What follows at once proves that no reply is missing and none too many.
    peer.send(b"Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n").await;
    let mut stored = Vec::new();
    for _ in 0..3 {
        let (code, text) = peer.reply().await;
        assert_eq!(code, 250, "{text}");
        stored.push(text.split_whitespace().last().unwrap().to_owned());
    }
    assert_eq!(peer.reply().await, (250, "2.0.0 here".into()));
    let id = async |address: &str| mail.inbox(address).await.remove(0).id.to_string();
    let (other, agent) = (id(OTHER).await, id(AGENT).await);
    assert_eq!(stored, [other.clone(), agent, other]);
    assert_eq!(mail.inbox(OTHER).await.len(), 1, "a mailbox named twice has the message once");
    let raw = String::from_utf8(mail.newest(AGENT).await.1).unwrap();
    assert!(raw.contains("by mx.mailbell.test (mailbell) with LMTP;"), "{raw}");
}

#[tokio::test]
async fn a_message_that_is_not_taken_is_refused_to_each() {
    let mut limits = limits();
    limits.message_bytes_max = 100;
    let mail = Mail::with(limits).await;
    let mut peer = lhlo(&mail).await;
    peer.begin(&[AGENT, OTHER]).await;
    peer.send(&b"0123456789\r\n".repeat(20)).await;
    peer.send(b".\r\nNOOP\r\n").await;
    for code in [552, 552, 250] {
        assert_eq!(peer.reply().await.0, code);
    }
    assert_eq!(mail.inbox(AGENT).await, []);
}

#[tokio::test]
async fn the_two_protocols_do_not_answer_to_each_others_hello() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::connect(mail.lmtp).await;
    peer.reply().await;
    assert_eq!(peer.say("EHLO x").await, (500, "5.5.1 this is LMTP, not SMTP; say LHLO".into()));
    assert_eq!(peer.say("DATA").await.0, 503);
    let mut peer = SmtpPeer::hello(mail.addr).await;
    assert_eq!(peer.say("LHLO x").await.0, 500);
}

#[tokio::test]
async fn mail_comes_in_any_script_where_its_sender_asks_for_it() {
    let mail = Mail::start().await;
    mail.add("grüße@mailbell.test").await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    assert_eq!(peer.say("MAIL FROM:<δοκιμή@παράδειγμα.test> SMTPUTF8").await.0, 250);
    let (code, text) = peer.say("RCPT TO:<niemand.ü@mailbell.test>").await;
    assert_eq!((code, text.as_str()), (550, "5.1.1 no mailbox niemand.ü@mailbell.test here"));
    assert_eq!(peer.say("RCPT TO:<Grüße@mailbell.test>").await.0, 250);
    assert_eq!(peer.say("DATA").await.0, 354);
    let letter =
        "From: Δοκιμή <δοκιμή@παράδειγμα.test>\r\nTo: grüße@mailbell.test\r\nSubject: Καλημέρα\r\n\r\nγεια\r\n.";
    assert_eq!(peer.say(letter).await.0, 250);
    let (message, raw) = mail.newest("grüße@mailbell.test").await;
    assert_eq!(message.summary.from, "δοκιμή@παράδειγμα.test");
    assert_eq!((message.summary.subject.as_str(), message.text.as_str()), ("Καλημέρα", "γεια"));
    assert_eq!(message.summary.to, ["grüße@mailbell.test"]);
    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.starts_with("Return-Path: <δοκιμή@παράδειγμα.test>\r\n"), "{raw}");
    assert!(raw.contains("with UTF8SMTP;"), "{raw}");

    // Without asking, nobody's address may be in another script; and broken UTF-8 is no command.
    assert_eq!(peer.say("MAIL FROM:<δοκιμή@παράδειγμα.test>").await.0, 550);
    assert_eq!(peer.say("MAIL FROM:<ann@a.test>").await.0, 250);
    assert_eq!(peer.say("RCPT TO:<grüße@mailbell.test>").await.0, 553);
    peer.send(b"RCPT TO:<gr\xfc@mailbell.test>\r\n").await;
    assert_eq!(peer.reply().await.0, 500);
}
