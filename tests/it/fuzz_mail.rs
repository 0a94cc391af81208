//! Whatever strangers send, nothing panics, hangs or forgets its manners. `support/fuzz.rs` says how to run it for long.

use std::net::SocketAddr;

use mailbell::mail::{
    mime, quoted,
    reports::{self, Says},
    verdict,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    fuzz::{self, Fuzz},
    mail::Mail,
    smtp_peer::SmtpPeer,
};

/// Mail of every kind that is read here: plain, nested, forwarded, a delivery report, an abuse report.
const MAILS: [&str; 5] = [
    "From: =?utf-8?q?Zo=C3=AB?= <z@a.test>\r\nTo: a@b.test, \"x, y\" <c@d.test>\r\nSubject: =?iso-8859-1?b?4Q==?=\r\n\
     Message-ID: <1@a.test>\r\nReferences: <0@a.test>\r\n\tand <2@a.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\
     Content-Transfer-Encoding: quoted-printable\r\n\r\nYes=2E\r\n\r\nOn 1 Jan 2026, B <b@c.test> wrote:\r\n> no\r\n",
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"o\"\r\n\r\npreamble\r\n--o\r\n\
     Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain\r\n\r\nplain\r\n--i\r\n\
     Content-Type: text/html; charset=windows-1252\r\n\r\n<div><p>h<a href=\"http://x\">t</a></div>\r\n--i--\r\n--o\r\n\
     Content-Type: application/pdf; name*0*=utf-8''a%20; name*1=b.pdf\r\nContent-Transfer-Encoding: base64\r\n\
     Content-Disposition: attachment\r\n\r\nJVBERg==\r\n--o--\r\nepilogue\r\n",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=r\r\nFrom: MAILER-DAEMON@mx.test\r\n\r\n--r\r\n\r\n\
     Could not be delivered.\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\
     Original-Envelope-Id: env-1\r\n\r\nFinal-Recipient: rfc822; bob@c.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\
     Remote-MTA: dns; c.test\r\nDiagnostic-Code: smtp; 550 5.1.1 <bob@c.test>: no such user\r\n--r\r\n\
     Content-Type: message/rfc822\r\n\r\nMessage-ID: <1@a.test>\r\nSubject: s\r\n\r\nbody\r\n--r--\r\n",
    "Content-Type: multipart/report; report-type=feedback-report; boundary=f\r\n\r\n--f\r\n\r\nA complaint.\r\n--f\r\n\
     Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n\
     Original-Rcpt-To: <bob@c.test>\r\nReported-Domain: a.test\r\n--f\r\nContent-Type: message/rfc822\r\n\r\n\
     From: a@a.test\r\nMessage-ID: <1@a.test>\r\n\r\nx\r\n--f--\r\n",
    "Return-Path: <a@a.test>\r\nReceived: from x (y)\r\n\tby z; now\r\nAuthentication-Results: mx.test; spf=pass\r\n\
     \tsmtp.mailfrom=a@a.test; dkim=fail (x \\) y) header.d=a.test\r\nDKIM-Signature: v=1; a=rsa-sha256; d=a.test;\r\n\
     \ts=s; h=from:to; bh=AAAA; b=AAAA\r\nSubject: auto\r\nAuto-Submitted: auto-replied\r\n\r\nAm 1.1.2026 schrieb B:\r\n>x\r\n",
];
const MAIL_WORDS: &[&str] = &[
    "Content-Type: ",
    "multipart/mixed; boundary=o",
    "message/rfc822",
    "message/delivery-status",
    "message/feedback-report",
    "text/html",
    "Content-Transfer-Encoding: ",
    "base64",
    "quoted-printable",
    "--o",
    "--o--",
    "--i",
    "charset=",
    "utf-7",
    "iso-2022-jp",
    "=?utf-8?b?",
    "?=",
    "filename*0*=",
    "boundary=\"\"",
    "<div>",
    "</div>",
    "<![CDATA[",
    "&#x110000;",
    "wrote:",
    "-----Original Message-----",
    "From:",
    "> ",
    "Authentication-Results: mx.test;",
    "Action: failed",
    "Status: 5.",
    "smtp; 550 ",
];

fn mails() -> Vec<Vec<u8>> {
    MAILS.iter().map(|mail| mail.as_bytes().to_vec()).chain(fuzz::more_samples()).collect()
}

#[test]
fn fuzz_the_mime_walk() {
    let mut fuzz = Fuzz::new("mime", mails(), MAIL_WORDS);
    while let Some(input) = fuzz.next() {
        let reading = mime::read(&input);
        assert!(reading.snippet.chars().count() <= 200);
        assert!(!reading.subject.contains(['\r', '\n']));
        for file in &reading.attachments {
            let (found, bytes) =
                mime::attachment(&input, &file.name).expect("every file that is listed is found by its name");
            assert_eq!((&found, bytes.len() as u64), (file, file.size_bytes));
        }
        let reply = quoted::reply_of(&reading.text);
        assert_eq!(reply.is_empty(), reading.text.trim().is_empty());
    }
}

/// DSN, ARF and the many other ways in which mail comes back.
#[test]
fn fuzz_the_reports() {
    let mut fuzz = Fuzz::new("reports", mails(), MAIL_WORDS);
    while let Some(input) = fuzz.next() {
        match reports::read(&input).map(|report| report.says) {
            Some(Says::Status(statuses)) => assert!(!statuses.is_empty() && statuses.len() <= 1_000),
            Some(Says::Complaint(complaint)) => assert!(complaint.recipients.len() <= 1_000),
            None => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fuzz_the_verdict() {
    let clock = std::sync::Arc::new(crate::support::clock::TestClock::default());
    let trust = verdict::Trust { authserv_id: Some("mx.test".into()), peers: vec!["192.0.2.1".parse().unwrap()] };
    let judge = verdict::Judge::new(trust, None, clock);
    let peer = mailbell::mail::reception::Peer { address: "192.0.2.1".parse().unwrap(), hello: "x".into() };
    let mut fuzz = Fuzz::new("verdict", mails(), MAIL_WORDS);
    while let Some(input) = fuzz.next() {
        judge.judge(&peer, "a@a.test", std::sync::Arc::new(input)).await;
    }
}

const CONVERSATIONS: [&str; 3] = [
    "EHLO x\r\nMAIL FROM:<a@b.test> SIZE=99 BODY=8BITMIME\r\nRCPT TO:<agent@mailbell.test>\r\nDATA\r\nSubject: s\r\n\r\n..x\r\n.\r\n\
     RSET\r\nNOOP\r\n",
    "LHLO x\r\nMAIL FROM:<ü@b.test> SMTPUTF8\r\nRCPT TO:<agent@mailbell.test>\r\nRCPT TO:<other@mailbell.test>\r\nDATA\r\nx\r\n.\r\n",
    "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nRCPT TO:<@a.test:nobody@mailbell.test>\r\nVRFY x\r\nHELP\r\nDATA\r\n\r\n.\r\n",
];
const CONVERSATION_WORDS: &[&str] = &[
    "MAIL FROM:<",
    "RCPT TO:<",
    ">",
    "DATA\r\n",
    "BDAT 10 LAST",
    "AUTH PLAIN =",
    "STARTTLS",
    "EHLO [127.0.0.1]",
    "LHLO ",
    "RSET\r\n",
    " SMTPUTF8",
    " SIZE=",
    " BODY=BINARYMIME",
    " RET=HDRS ENVID=",
    " NOTIFY=NEVER ORCPT=rfc822;",
    "\r\n.\r\n",
    "\n.\n",
    "\"a b\"@",
    "@mailbell.test",
    "agent@mailbell.test",
    "..",
    "xn--",
    "\u{202e}",
    "EXPN ",
    "ETRN ",
    "QUIT\r\n",
];

/// Everything that is said to a peer that says `input` and then takes its leave.
async fn talk(addr: SocketAddr, input: &[u8]) -> String {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let said = tokio::spawn(async move {
        let mut said = Vec::new();
        // One that was sent away may see a reset; what was said before counts.
        let _ = reading.read_to_end(&mut said).await;
        said
    });
    let _ = writing.write_all(input).await;
    // Out of a message, if in one, and out of a line.
    let _ = writing.write_all(b"\r\n.\r\nQUIT\r\n").await;
    String::from_utf8_lossy(&said.await.unwrap()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn fuzz_conversations() {
    const METHODS: [&str; 10] = ["get", "post", "put", "head", "options", "connect", "delete", "patch", "trace", "pri"];
    let mail = Mail::start().await;
    let samples = CONVERSATIONS.iter().map(|talk| talk.as_bytes().to_vec()).collect();
    let mut fuzz = Fuzz::new("conversations", samples, CONVERSATION_WORDS);
    let mut turn = 0_u32;
    while let Some(input) = fuzz.next() {
        turn += 1;
        let said = talk(if turn.is_multiple_of(2) { mail.addr } else { mail.lmtp }, &input).await;
        let lines: Vec<&str> = said.split_terminator("\r\n").collect();
        assert!(lines.first().is_some_and(|line| line.starts_with("220 ")), "{said:?}");
        for line in &lines {
            let well_formed = line.len() >= 4
                && line.as_bytes()[..3].iter().all(u8::is_ascii_digit)
                && matches!(line.as_bytes()[3], b' ' | b'-')
                && !line.contains(['\r', '\n']);
            assert!(well_formed, "{line:?} to {:?}", String::from_utf8_lossy(&input));
        }
        // A conversation that broke off without a last word is one that panicked, or one with a browser.
        let last = lines.last().unwrap_or(&"");
        let text = String::from_utf8_lossy(&input).to_lowercase();
        let browser = text.lines().any(|line| METHODS.iter().any(|method| line.starts_with(method)));
        let farewell = last.starts_with("221 ") || last.starts_with("421 ");
        assert!(farewell || browser, "{said:?} to {:?}", String::from_utf8_lossy(&input));
    }
    SmtpPeer::hello(mail.addr).await.deliver(&["agent@mailbell.test"], "Subject: after all\r\n\r\nx").await;
    assert_eq!(mail.newest("agent@mailbell.test").await.0.summary.subject, "after all");
}
