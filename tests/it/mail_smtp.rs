//! A peer hands mail over by SMTP, well and badly.

use std::time::Duration;

use mailbell::{
    domain::message::{MessageFilter, MessagePage},
    store::mailroom::Mailroom as _,
};

use crate::support::{mail::Mail, smtp_peer::SmtpPeer};

const AGENT: &str = "agent@mailbell.test";

#[tokio::test]
async fn a_message_is_stored_before_it_is_acknowledged() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::connect(mail.addr).await;
    assert_eq!(peer.reply().await, (220, "mx.mailbell.test ESMTP mailbell".into()));
    let (code, extensions) = peer.say("EHLO peer.test").await;
    assert_eq!(code, 250);
    assert_eq!(extensions, "mx.mailbell.test\nSIZE 26214400\n8BITMIME\nPIPELINING\nENHANCEDSTATUSCODES\nSMTPUTF8");
    let id =
        peer.deliver(&[AGENT], "From: Ann <ann@a.test>\r\nSubject: Hi\r\n\r\nHello\r\n..dot\r\nbare\nlf\rcr").await;

    let (message, raw) = mail.newest(AGENT).await;
    assert_eq!(message.summary.id.as_str(), id);
    assert_eq!((message.summary.from.as_str(), message.summary.subject.as_str()), ("ann@a.test", "Hi"));
    assert_eq!(message.text, "Hello\n.dot\nbare\nlf\ncr");
    assert_eq!(
        String::from_utf8(raw).unwrap(),
        "Return-Path: <ann@a.test>\r\nReceived: from peer.test ([127.0.0.1])\r\n\tby mx.mailbell.test (mailbell) with ESMTP;\r\n\
         \tTue, 24 Nov 2026 10:00:00 +0000\r\nFrom: Ann <ann@a.test>\r\nSubject: Hi\r\n\r\nHello\r\n.dot\r\nbare\nlf\rcr\r\n"
    );
    assert_eq!(peer.say("QUIT").await.0, 221);
    assert_eq!(peer.closed().await, "");
}

#[tokio::test]
async fn the_webhook_worker_is_told_after_the_commit() {
    let mail = Mail::start().await;
    let told = mail.stored.notified();
    SmtpPeer::hello(mail.addr).await.deliver(&[AGENT], "Subject: x\r\n\r\nx").await;
    told.await;
}

#[tokio::test]
async fn commands_may_come_together_or_byte_by_byte() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.send(b"MAIL FROM:<ann@a.test> SIZE=20\r\nRCPT TO:<agent@mailbell.test>\r\nRCPT TO:<nobody@mailbell.test>\r\nDATA\r\n").await;
    for code in [250, 250, 550, 354] {
        assert_eq!(peer.reply().await.0, code);
    }
    peer.send(b"Subject: one\r\n\r\none\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<agent@mailbell.test>\r\nDATA\r\n").await;
    for code in [250, 250, 250, 354] {
        assert_eq!(peer.reply().await.0, code);
    }
    for byte in b"Subject: two\r\n\r\n..two\r\n.\r\nNOOP\r\n" {
        peer.send(&[*byte]).await;
    }
    assert_eq!(peer.reply().await.0, 250);
    assert_eq!(peer.reply().await.0, 250);
    let subjects: Vec<String> = mail.inbox(AGENT).await.into_iter().map(|message| message.subject).collect();
    assert_eq!(subjects, ["two", "one"]);
    assert_eq!(mail.newest(AGENT).await.0.text, ".two");
}

#[tokio::test]
async fn the_first_line_of_a_message_may_be_its_end() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.begin(&[AGENT]).await;
    assert_eq!(peer.say(".").await.0, 250);
    let (message, _) = mail.newest(AGENT).await;
    assert_eq!((message.summary.subject.as_str(), message.text.as_str()), ("", ""));
    assert_eq!(message.summary.from, "ann@a.test");
}

#[tokio::test]
async fn nothing_but_crlf_dot_crlf_ends_a_message() {
    let mail = Mail::start().await;
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r\r\n"] {
        let mut peer = SmtpPeer::hello(mail.addr).await;
        let smuggled = format!(
            "Subject: outer\r\n\r\nx{end}MAIL FROM:<evil@a.test>\r\nRCPT TO:<agent@mailbell.test>\r\nDATA\r\nSubject: inner\r\n"
        );
        peer.deliver(&["other@mailbell.test"], &smuggled).await;
        assert_eq!(mail.newest("other@mailbell.test").await.0.summary.subject, "outer", "{end:?}");
        assert_eq!(peer.say("QUIT").await.0, 221);
    }
    assert_eq!(mail.inbox("other@mailbell.test").await.len(), 6);
    assert_eq!(mail.inbox(AGENT).await, []);
}

#[tokio::test]
async fn mail_for_nobody_here_is_refused_and_nothing_is_handed_on() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    assert_eq!(peer.say("MAIL FROM:<ann@a.test>").await.0, 250);
    assert_eq!(
        peer.say("RCPT TO:<ghost@mailbell.test>").await,
        (550, "5.1.1 no mailbox ghost@mailbell.test here".into())
    );
    let (code, text) = peer.say("RCPT TO:<bob@elsewhere.test>").await;
    assert_eq!((code, text.as_str()), (550, "5.7.1 relaying denied: elsewhere.test is not a domain of this server"));
    for trick in [
        "RCPT TO:<\"bob@elsewhere.test\"@mailbell.test>",
        "RCPT TO:<bob%elsewhere.test@mailbell.test>",
        "RCPT TO:<@mailbell.test:bob@elsewhere.test>",
    ] {
        assert!(matches!(peer.say(trick).await.0, 501 | 550), "{trick}");
    }
    assert_eq!(peer.say("DATA").await.0, 554);
    assert_eq!(peer.say("RCPT TO:<Agent@MAILBELL.test>").await.0, 250);
}

#[tokio::test]
async fn one_message_for_two_mailboxes_is_one_in_each_and_one_file() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.begin(&[AGENT, "other@mailbell.test", AGENT]).await;
    peer.send(b"Subject: both\r\n\r\nx\r\n").await;
    let (code, text) = peer.say(".").await;
    assert_eq!(code, 250);
    assert!(text.ends_with("and 1 more"), "{text}");
    let mut ids = Vec::new();
    for address in [AGENT, "other@mailbell.test"] {
        let inbox = mail.inbox(address).await;
        assert_eq!((inbox.len(), inbox[0].subject.as_str()), (1, "both"));
        assert_eq!(mail.newest(address).await.0.text.trim(), "x");
        let mailbox = mail.mailbox(address).await.id;
        let blob = mail.store.blob_of(&mailbox, &inbox[0].id).await.unwrap();
        ids.push((inbox[0].id.clone(), inbox[0].thread_id.clone(), blob));
    }
    assert!(ids[0].0 != ids[1].0 && ids[0].1 != ids[1].1, "{ids:?}");
    assert_eq!(ids[0].2, ids[1].2);
}

#[tokio::test]
async fn the_postmaster_is_always_in() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.deliver(&["postmaster@second.test"], "Subject: second\r\n\r\nx").await;
    peer.deliver(&["Postmaster"], "Subject: bare\r\n\r\nx").await;
    assert_eq!(mail.inbox(AGENT).await.len(), 2, "the oldest mailbox stands in");
    mail.clock.advance(Duration::from_secs(1));
    mail.add("first@second.test").await;
    peer.deliver(&["postmaster@second.test"], "Subject: second\r\n\r\nx").await;
    assert_eq!(mail.inbox("first@second.test").await.len(), 1, "the oldest of the domain stands in");
    mail.add("postmaster@second.test").await;
    peer.deliver(&["postmaster@second.test"], "Subject: second\r\n\r\nx").await;
    assert_eq!(mail.inbox("postmaster@second.test").await.len(), 1);
}

#[tokio::test]
async fn a_browser_is_not_talked_to() {
    let mail = Mail::start().await;
    for verb in ["GET / HTTP/1.1", "POST /hooks HTTP/1.1", "CONNECT x:25 HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let mut peer = SmtpPeer::connect(mail.addr).await;
        assert_eq!(peer.reply().await.0, 220);
        peer.send(format!("{verb}\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@a.test>\r\n").as_bytes()).await;
        assert_eq!(peer.closed().await, "", "{verb}");
    }
}

#[tokio::test]
async fn a_peer_that_breaks_off_leaves_nothing() {
    let mail = Mail::start().await;
    for part in ["", "Subject: half\r\n\r\nhalf", "Subject: half\r\n\r\nhalf\r\n.", "Subject: half\r\n\r\nhalf\r\n.\r"]
    {
        let mut peer = SmtpPeer::hello(mail.addr).await;
        peer.begin(&[AGENT]).await;
        peer.send(part.as_bytes()).await;
        drop(peer);
    }
    // A later conversation comes to its end, so the earlier ones have been looked at too, or never will be.
    SmtpPeer::hello(mail.addr).await.deliver(&["other@mailbell.test"], "Subject: x\r\n\r\nx").await;
    mail.shutdown.cancel();
    mail.serving.await.unwrap();
    let page = MessagePage { filter: MessageFilter::default(), before: None, limit: 9 };
    let agent = mail.store.mailbox_at(&AGENT.parse().unwrap()).await.unwrap().unwrap();
    let left = mail.store.messages(&agent.id, &page).await.unwrap();
    assert_eq!(left, []);
}
