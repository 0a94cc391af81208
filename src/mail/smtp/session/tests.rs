use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::{clock::UnixMillis, id::MailboxId};

fn session() -> Session {
    speaking(Dialect::Smtp)
}

fn speaking(dialect: Dialect) -> Session {
    let limits = SmtpLimits {
        hostname: "mailbell.test".into(),
        message_bytes_max: 1_000,
        connections_max: 1,
        idle: Duration::from_secs(1),
    };
    Session::new(dialect, Arc::new(limits))
}

/// Answers for the world: there is room, and every mailbox is there but `nobody@…`.
fn say(session: &mut Session, line: &str) -> Step {
    match session.command(format!("{line}\r\n").as_bytes()) {
        Step::Sender { .. } => session.sender_answered(Ok(())),
        Step::Recipient(recipient) => {
            let address = match recipient {
                Recipient::Postmaster => "postmaster@mailbell.test".parse().expect("an address"),
                Recipient::Address(address) => address,
            };
            let found = if address.local() == "nobody" {
                Err(Reply::new(550, "5.1.1", "no"))
            } else {
                let id = MailboxId::new(address.as_str());
                Ok(Mailbox { id, address, display_name: None, created_at: UnixMillis(0) })
            };
            session.recipient_answered(found)
        }
        step => step,
    }
}

/// The code that a line is answered with, such as `250 2.1.0`; `354` where the message may come.
fn code(session: &mut Session, line: &str) -> String {
    match say(session, line) {
        Step::Say(reply) | Step::End(reply) => {
            let mut words = Vec::new();
            reply.write(&mut words);
            let words = String::from_utf8(words).expect("text");
            let parts: Vec<&str> = words.split([' ', '-']).take(2).collect();
            if reply.enhanced.is_empty() { parts[0].to_owned() } else { parts.join(" ") }
        }
        Step::Message => "354".into(),
        Step::Drop => "closed".into(),
        step @ (Step::Sender { .. } | Step::Recipient(_)) => panic!("unanswered: {step:?}"),
    }
}

#[test]
fn conversations_go_by_the_book() {
    let cases: &[&[(&str, &str)]] = &[
        &[
            ("EHLO client.test", "250"),
            ("MAIL FROM:<ann@a.test> SIZE=999 BODY=8BITMIME", "250 2.1.0"),
            ("RCPT TO:<agent@mailbell.test>", "250 2.1.5"),
            ("DATA", "354"),
        ],
        &[
            ("HELO client.test", "250"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("RCPT TO:<Postmaster>", "250 2.1.5"),
            ("DATA", "354"),
        ],
        &[
            ("mail from:<a@b.test>", "503 5.5.1"),
            ("ehlo x", "250"),
            ("rcpt to:<a@b.test>", "503 5.5.1"),
            ("data", "503 5.5.1"),
        ],
        &[
            ("EHLO x", "250"),
            ("MAIL FROM:<a@b.test>", "250 2.1.0"),
            ("MAIL FROM:<a@b.test>", "503 5.5.1"),
            ("RCPT TO:<nobody@mailbell.test>", "550 5.1.1"),
            ("DATA", "554 5.5.1"),
            ("RSET", "250 2.0.0"),
            ("DATA", "503 5.5.1"),
            ("MAIL FROM:<a@b.test>", "250 2.1.0"),
            ("EHLO again", "250"),
            ("RCPT TO:<a@mailbell.test>", "503 5.5.1"),
        ],
        &[
            ("EHLO x", "250"),
            ("MAIL FROM:<a@b.test> SIZE=1001", "552 5.3.4"),
            ("MAIL FROM:<a@b.test> SIZE=1000", "250 2.1.0"),
            ("RCPT TO:<a@mailbell.test> NOTIFY=NEVER", "555 5.5.4"),
        ],
        &[
            ("EHLO x", "250"),
            ("MAIL FROM:<ü@b.test>", "550 5.6.7"),
            ("MAIL FROM:<a@b.test> BODY=BINARYMIME", "555 5.5.4"),
            ("MAIL FROM:<a@b.test> RET=HDRS", "555 5.5.4"),
            ("MAIL FROM:<a@b.test> SIZE=many", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> X=Y", "555 5.5.4"),
            ("MAIL FROM:a@b.test", "501 5.5.2"),
            ("MAIL FROM:<a b>", "501 5.1.7"),
            ("MAIL", "501 5.5.2"),
        ],
        &[
            ("EHLO x", "250"),
            ("MAIL FROM:<a@b.test>", "250 2.1.0"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<nonsense>", "501 5.1.3"),
            ("RCPT TO:<a@-b.test>", "501 5.1.3"),
        ],
        &[
            ("NOOP", "250 2.0.0"),
            ("NOOP with words", "250 2.0.0"),
            ("VRFY ann", "252 2.1.5"),
            ("EXPN list", "502 5.5.1"),
            ("HELP", "214 2.0.0"),
            ("HELP mail", "214 2.0.0"),
            ("STARTTLS", "502 5.5.1"),
            ("AUTH PLAIN", "502 5.5.1"),
            ("LHLO x", "500 5.5.1"),
            ("XYZZY", "500 5.5.1"),
            ("", "500 5.5.1"),
            ("EHLO", "501 5.5.2"),
            ("NO\0OP", "500 5.5.2"),
            ("NOOP \u{fc}", "500 5.5.2"),
            ("VRFY \u{fc}", "252 2.1.5"),
            ("VRFY \u{fc}\u{85}", "500 5.5.2"),
            ("QUIT", "221 2.0.0"),
        ],
        &[
            ("EHLO x", "250"),
            ("MAIL FROM:<grüße@b.test> SMTPUTF8 BODY=8BITMIME", "250 2.1.0"),
            ("RCPT TO:<ünna@mailbell.test>", "250 2.1.5"),
            ("DATA", "354"),
        ],
        &[
            ("HELO x", "250"),
            ("MAIL FROM:<a@b.test> SMTPUTF8", "555 5.5.4"),
            ("MAIL FROM:<a@b.test>", "250 2.1.0"),
            ("RCPT TO:<ünna@mailbell.test>", "553 5.6.7"),
        ],
        &[("GET / HTTP/1.1", "closed")],
        &[("post /v1 HTTP/1.1", "closed")],
    ];
    for lines in cases {
        let mut session = session();
        for (line, expected) in *lines {
            assert_eq!(code(&mut session, line), *expected, "{line:?} in {lines:?}");
        }
    }
}

#[test]
fn lmtp_differs_in_its_hello() {
    let mut session = speaking(Dialect::Lmtp);
    for (line, expected) in [
        ("EHLO x", "500 5.5.1"),
        ("HELO x", "500 5.5.1"),
        ("MAIL FROM:<a@b.test>", "503 5.5.1"),
        ("LHLO x", "250"),
        ("MAIL FROM:<a@b.test>", "250 2.1.0"),
        ("RCPT TO:<nobody@mailbell.test>", "550 5.1.1"),
        ("DATA", "503 5.5.1"),
        ("RCPT TO:<agent@mailbell.test>", "250 2.1.5"),
        ("RCPT TO:<nobody@mailbell.test>", "550 5.1.1"),
        ("RCPT TO:<other@mailbell.test>", "250 2.1.5"),
        ("RCPT TO:<Agent@mailbell.test>", "250 2.1.5"),
        ("DATA", "354"),
    ] {
        assert_eq!(code(&mut session, line), expected, "{line}");
    }
    assert_eq!(session.taken(), [0, 1, 0], "a reply for each that was taken, in their order");
    assert_eq!(session.handed_over().with, "LMTP");
}

#[test]
fn a_mailbox_named_twice_gets_one_message() {
    let mut session = session();
    for line in [
        "EHLO x",
        "MAIL FROM:<a@b.test>",
        "RCPT TO:<a@mailbell.test>",
        "RCPT TO:<A@Mailbell.Test>",
        "RCPT TO:<b@mailbell.test>",
    ] {
        say(&mut session, line);
    }
    let envelope = session.end_message();
    let recipients: Vec<&str> = envelope.recipients.iter().map(|mailbox| mailbox.address.as_str()).collect();
    assert_eq!((envelope.from.as_str(), recipients), ("a@b.test", vec!["a@mailbell.test", "b@mailbell.test"]));
}

#[test]
fn the_recipient_after_the_hundredth_is_for_later() {
    let mut session = session();
    say(&mut session, "EHLO x");
    say(&mut session, "MAIL FROM:<a@b.test>");
    for number in 0..RECIPIENTS_MAX {
        assert_eq!(code(&mut session, &format!("RCPT TO:<r{number}@mailbell.test>")), "250 2.1.5");
    }
    assert_eq!(code(&mut session, "RCPT TO:<late@mailbell.test>"), "452 4.5.3");
    assert_eq!(code(&mut session, "DATA"), "354");
}

#[test]
fn a_peer_that_is_wrong_too_often_is_sent_away() {
    let mut session = session();
    for _ in 1..COMPLAINTS_MAX {
        assert_eq!(code(&mut session, "NONSENSE"), "500 5.5.1");
    }
    assert!(matches!(say(&mut session, "NONSENSE"), Step::End(reply) if reply.code() == 421));
}

#[test]
fn commands_without_a_message_are_counted() {
    let mut session = session();
    for _ in 0..COMMANDS_BETWEEN_MAX {
        assert_eq!(code(&mut session, "NOOP"), "250 2.0.0");
    }
    assert!(matches!(say(&mut session, "NOOP"), Step::End(reply) if reply.code() == 421));
}

#[test]
fn no_room_is_said_before_the_message_comes() {
    let mut session = session();
    say(&mut session, "EHLO x");
    assert_eq!(session.command(b"MAIL FROM:<a@b.test> SIZE=7\r\n"), Step::Sender { bytes: 7 });
    let no_room = Reply::new(452, "4.3.1", "full");
    assert_eq!(session.sender_answered(Err(no_room.clone())), Step::Say(no_room));
    assert_eq!(code(&mut session, "RCPT TO:<a@mailbell.test>"), "503 5.5.1");
}

proptest! {
    #[test]
    fn no_bytes_panic(lines in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "(EHLO|HELO|MAIL FROM:|RCPT TO:|DATA|RSET|VRFY|AUTH|BDAT|NOOP)[ -~]{0,40}".prop_map(String::into_bytes),
            "(MAIL FROM|RCPT TO):<[ -~]{0,20}@[ -~]{0,20}>( [A-Z0-9]{1,8}=[ -~]{0,10}){0,3}".prop_map(String::into_bytes),
        ],
        0..30,
    )) {
        let mut session = session();
        for line in lines {
            let step = session.command(&line);
            match step {
                Step::Sender { .. } => _ = session.sender_answered(Ok(())),
                Step::Recipient(_) => _ = session.recipient_answered(Err(Reply::new(550, "5.1.1", "no"))),
                Step::Message => _ = session.end_message(),
                Step::Say(reply) | Step::End(reply) => {
                    let mut words = Vec::new();
                    reply.write(&mut words);
                    let text = String::from_utf8_lossy(&words);
                    prop_assert!(text.ends_with("\r\n") && text.lines().count() == reply.lines.len());
                }
                Step::Drop => {}
            }
        }
    }
}
