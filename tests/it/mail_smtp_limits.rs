//! The SMTP listener where peers ask for too much, or too slowly, and where the house has too little.

use std::{sync::atomic::Ordering, time::Duration};

use mailbell::mail::smtp::SmtpLimits;

use crate::support::{
    mail::{Mail, limits},
    smtp_peer::SmtpPeer,
};

const AGENT: &str = "agent@mailbell.test";

/// Lets others run until `true`; whoever waits for what never comes is ended by the test's own time limit.
async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_the_conversation_goes_on() {
    let mail = Mail::with(SmtpLimits { message_bytes_max: 1_000, ..limits() }).await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    assert_eq!(
        peer.say("MAIL FROM:<ann@a.test> SIZE=1001").await,
        (552, "5.3.4 the message is larger than 1000 bytes".into())
    );
    peer.begin(&[AGENT]).await;
    peer.send("x".repeat(300_000).as_bytes()).await;
    assert_eq!(peer.say("\r\n.").await.0, 552);
    assert_eq!(mail.inbox(AGENT).await, []);
    peer.deliver(&[AGENT], &format!("Subject: fits\r\n\r\n{}", "x".repeat(1_000 - 19))).await;
    assert_eq!(mail.inbox(AGENT).await.len(), 1);
}

#[tokio::test]
async fn a_message_of_20_mib_is_taken() {
    let mail = Mail::start().await;
    let line = format!("{}\r\n", "A".repeat(76));
    let body = line.repeat((20 << 20) / line.len());
    let message = format!(
        "Subject: big\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee the file\r\n--b\r\n\
         Content-Type: application/zip; name=big.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}--b--"
    );
    SmtpPeer::hello(mail.addr).await.deliver(&[AGENT], &message).await;
    let (stored, raw) = mail.newest(AGENT).await;
    assert_eq!((stored.summary.subject.as_str(), stored.summary.snippet.as_str()), ("big", "see the file"));
    assert_eq!(stored.summary.attachments[0].size_bytes, (body.len() / 78 * 76 / 4 * 3) as u64);
    assert!(raw.ends_with(b"--b--\r\n") && raw.len() > message.len());
}

#[tokio::test]
async fn a_line_that_is_too_long_is_no_command() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    assert_eq!(peer.say(&"x".repeat(100_000)).await, (500, "5.5.2 the line is too long".into()));
    assert_eq!(peer.say("NOOP").await.0, 250);
}

#[tokio::test]
async fn a_message_that_goes_round_in_circles_is_ended() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.deliver(&[AGENT], &format!("{}\r\nx", "Received: from x\r\n".repeat(50))).await;
    peer.begin(&[AGENT]).await;
    peer.send("Received: from x\r\n".repeat(51).as_bytes()).await;
    assert_eq!(peer.say("\r\n.").await.0, 554);
    assert_eq!(mail.inbox(AGENT).await.len(), 1);
}

#[tokio::test]
async fn below_the_free_space_floor_mail_is_refused_for_now() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    let floor = 1 << 20;
    mail.space.0.store(floor + 99, Ordering::Relaxed);
    let (code, text) = peer.say("MAIL FROM:<ann@a.test> SIZE=100").await;
    assert_eq!((code, &text[..5]), (452, "4.3.1"));
    peer.begin(&[AGENT]).await;
    // It was enough when the message was announced, and is not when it has come.
    mail.space.0.store(floor, Ordering::Relaxed);
    assert_eq!(peer.say("Subject: x\r\n\r\nx\r\n.").await.0, 452);
    assert_eq!(mail.inbox(AGENT).await, []);
    mail.space.0.store(u64::MAX, Ordering::Relaxed);
    peer.deliver(&[AGENT], "Subject: x\r\n\r\nx").await;
}

#[tokio::test]
async fn a_silent_peer_is_sent_away() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    let mut sending = SmtpPeer::hello(mail.addr).await;
    sending.begin(&[AGENT]).await;
    // One waits for each conversation's next bytes, one for the end of the message.
    until(|| mail.clock.sleepers() >= 3).await;
    mail.clock.advance(Duration::from_secs(301));
    assert_eq!(peer.reply().await.0, 421);
    let (code, text) = sending.reply().await;
    assert_eq!((code, &text[..5]), (421, "4.4.2"));
    assert_eq!((peer.closed().await, sending.closed().await), (String::new(), String::new()));
    assert_eq!(mail.inbox(AGENT).await, []);
}

#[tokio::test]
async fn a_house_that_is_full_says_so_and_has_room_again() {
    let mail = Mail::with(SmtpLimits { connections_max: 1, ..limits() }).await;
    let mut first = SmtpPeer::hello(mail.addr).await;
    let mut second = SmtpPeer::connect(mail.addr).await;
    let (code, text) = second.reply().await;
    assert_eq!((code, &text[..5]), (421, "4.3.2"));
    assert_eq!(second.closed().await, "");
    assert_eq!(first.say("QUIT").await.0, 221);
    assert_eq!(first.closed().await, "");
    loop {
        // The place is given back after the connection is closed.
        let mut third = SmtpPeer::connect(mail.addr).await;
        if third.reply().await.0 == 220 {
            break;
        }
    }
}

#[tokio::test]
async fn at_the_end_silent_peers_are_sent_away_and_a_message_under_way_may_end() {
    let mail = Mail::start().await;
    let mut idle = SmtpPeer::hello(mail.addr).await;
    let mut quick = SmtpPeer::hello(mail.addr).await;
    quick.begin(&[AGENT]).await;
    let mut slow = SmtpPeer::hello(mail.addr).await;
    slow.begin(&[AGENT]).await;
    mail.shutdown.cancel();
    let (code, text) = idle.reply().await;
    assert_eq!((code, &text[..5]), (421, "4.3.2"));
    assert_eq!(quick.say("Subject: quick\r\n\r\nx\r\n.").await.0, 250);
    assert_eq!(quick.reply().await.0, 421);
    // Four wait: the house for its conversations; the slow one for bytes, for its message, and for the end of grace.
    until(|| mail.clock.sleepers() >= 4).await;
    mail.clock.advance(Duration::from_secs(2));
    assert_eq!(slow.reply().await.0, 421);
    mail.serving.await.unwrap();
    assert!(tokio::net::TcpStream::connect(mail.addr).await.is_err());
}
