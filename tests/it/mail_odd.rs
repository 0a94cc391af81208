//! Odd mail, as old, broken and hostile programs write it: each is stored to the byte, listed, and read as far as it
//! can be. All of it was written for these stories.

use std::fmt::Write as _;

use crate::support::{mail::Mail, smtp_peer::SmtpPeer};

const AGENT: &str = "agent@mailbell.test";

/// What is to be read from one: the address it is from, the subject, words of its text, and the names of its files.
struct Odd {
    what: &'static str,
    raw: &'static [u8],
    subject: &'static str,
    text: &'static str,
    files: &'static [&'static str],
}

const fn odd(
    what: &'static str,
    raw: &'static [u8],
    subject: &'static str,
    text: &'static str,
    files: &'static [&'static str],
) -> Odd {
    Odd { what, raw, subject, text, files }
}

const MAILS: &[Odd] = &[
    odd("carriage returns alone", b"From: a@b.test\rSubject: s\r\rhello\rthere\ragain\r\r\r", "s", "hello\nthere", &[]),
    odd("line feeds alone", b"From: a@b.test\nSubject: s\n\nhello\nthere\n", "s", "hello\nthere", &[]),
    odd("empty lines above it", b"\r\n\r\nFrom: a@b.test\r\nSubject: s\r\n\r\nhello", "s", "hello", &[]),
    odd("a line of a mailbox file", b"From x Mon 1 10:00\r\n>From y Mon\r\nFrom: a@b.test\r\nSubject: s\r\n\r\nhi", "s", "hi", &[]),
    odd("a line that is no field", b"From: a@b.test\r\nwhat is this\r\nSubject: s\r\n\r\nhello", "s", "hello", &[]),
    odd("no body at all", b"From: a@b.test\r\nSubject: s", "s", "", &[]),
    odd("NULs", b"From: a@b.test\0\r\nSubject: s\0t\r\n\r\nhel\0lo", "st", "hello", &[]),
    odd("eight bits in the header", b"From: Andr\xe9 <a@b.test>\r\nSubject: caf\xe9\r\n\r\ncaf\xe9", "café", "café", &[]),
    odd("a header in the charset of the text", b"From: a@b.test\r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9\xd7\xc5\xd4", "Привет", "Привет", &[]),
    odd("escapes that nobody announced", b"From: a@b.test\r\nSubject: \x1b$B$3$s$K$A$O\x1b(B\r\n\r\n\x1b$B$3$s$K$A$O\x1b(B", "こんにちは", "こんにちは", &[]),
    odd("half a type", b"From: a@b.test\r\nContent-Type: text\r\nSubject: s\r\n\r\nhello", "s", "hello", &[]),
    odd("a kind of text that nobody opens", b"From: a@b.test\r\nContent-Type: text/enriched\r\nSubject: s\r\n\r\nhello", "s", "hello", &[]),
    odd("an unknown charset", b"From: a@b.test\r\nContent-Type: text/plain; charset=x-none\r\nSubject: s\r\n\r\ncaf\xe9", "s", "café", &[]),
    odd("a comment in the encoding", b"From: a@b.test\r\nContent-Transfer-Encoding: (x) base64 (y)\r\nSubject: s\r\n\r\naGVsbG8=", "s", "hello", &[]),
    odd("base64 that ends early", b"From: a@b.test\r\nContent-Transfer-Encoding: base64\r\nSubject: s\r\n\r\naGVsbG8gd29ybGQ", "s", "hello", &[]),
    odd("base64 with a footer", b"From: a@b.test\r\nContent-Transfer-Encoding: base64\r\nSubject: s\r\n\r\naGVsbG8=\r\n\r\nsent by a list\r\n", "s", "hello", &[]),
    odd("words called base64", b"From: a@b.test\r\nContent-Transfer-Encoding: base64\r\nSubject: s\r\n\r\nhello, you there", "s", "hello, you", &[]),
    odd("broken quoted-printable", b"From: a@b.test\r\nContent-Transfer-Encoding: quoted-printable\r\nSubject: s\r\n\r\ncaf=C3=A9 =zz =", "s", "café =zz", &[]),
    odd("broken words in the header", b"From: a@b.test\r\nSubject: =?x-none?Q?abc?= =?utf-8?Q?=C3=A9?= =?utf-8?B?aGk==?=\r\n\r\nhello", "abcéhi", "hello", &[]),
    odd("uuencode in the text", b"From: a@b.test\r\nSubject: s\r\n\r\nhello\r\n\r\nbegin 644 a.txt\r\n%:&5L;&\\\r\n`\r\nend\r\nbye\r\n", "s", "bye", &["a.txt"]),
    odd("uuencode without an end", b"From: a@b.test\r\nSubject: s\r\n\r\nhello\r\n\r\nbegin 644 a.txt\r\n%:&5L;&\\\r\n", "s", "hello", &["a.txt"]),
    odd("no boundary named", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n--x--\r\n", "s", "hello", &["a.png"]),
    odd("another boundary named", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n", "s", "hello", &["a.png"]),
    odd("a boundary with blanks", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=\"b  \"\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n", "s", "hello", &[]),
    odd("closed before it began", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n--b\r\n\r\nhello\r\n--b--\r\n", "s", "hello", &[]),
    odd("an inner one never closed", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nhello\r\n--b\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n", "s", "hello", &["a.png"]),
    odd("the same boundary twice", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n--b--\r\n", "s", "hello", &[]),
    odd("a multipart in base64", b"From: a@b.test\r\nSubject: s\r\nContent-Transfer-Encoding: base64\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nLS1iCgpoZWxsbwotLWItLQo=\r\n", "s", "hello", &[]),
    odd("a text with a file name", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; name=x.txt\r\n\r\nhello\r\n--b--\r\n", "s", "hello", &["x.txt"]),
    odd("names of every kind", b"From: a@b.test\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png; name*0*=utf-8''%C3%A9; name*1=b.png\r\n\r\nx\r\n--b\r\nContent-Disposition: attachment; filename==?utf-8?Q?=C3=A9.png?=\r\n\r\nx\r\n--b\r\nContent-Disposition: attachment; filename=two words.png\r\n\r\nx\r\n--b\r\nContent-Type: image/png; name=\"caf\xe9.png\"\r\n\r\nx\r\n--b--\r\n", "s", "", &["éb.png", "é.png", "two words.png", "café.png"]),
    odd("a route before the address", b"From: <@x.test:a@b.test>\r\nSubject: s\r\n\r\nhello", "s", "hello", &[]),
    odd("the address as a comment", b"From: Ann (a@b.test)\r\nSubject: s\r\n\r\nhello", "s", "hello", &[]),
];

#[tokio::test]
async fn odd_mail_is_stored_listed_and_read() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    let mut wrong = Vec::new();
    for (index, Odd { what, raw, subject, text, files }) in MAILS.iter().enumerate() {
        peer.begin(&[AGENT]).await;
        peer.send(raw).await;
        let (code, answer) = peer.say("\r\n.").await;
        assert_eq!(code, 250, "{what}: {answer}");
        assert_eq!(mail.inbox(AGENT).await.len(), index + 1, "{what}");
        let (message, stored) = mail.newest(AGENT).await;
        assert!(stored.windows(raw.len()).any(|window| window == *raw), "{what} is not stored as it was");
        let names: Vec<&str> = message.summary.attachments.iter().map(|file| file.name.as_str()).collect();
        let read = message.summary.subject == *subject
            && message.summary.from.contains("a@b.test")
            && message.text.contains(text)
            && names == *files;
        if !read {
            wrong.push(format!("{what}: {message:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn bytes_that_are_no_mail_are_kept_too() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    let noise: Vec<u8> =
        (0..4_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).filter(|byte| *byte != b'.').collect();
    let mut deep = String::new();
    for n in 0..300 {
        write!(deep, "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n").unwrap();
    }
    let wide = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(2_000));
    let folded = format!("From: a@b.test\r\nSubject: s\r\n{}\r\n\r\nx", " y\r\n".repeat(5_000));
    for (index, raw) in [&b""[..], b"\r\n", b"hello", b":", &noise, deep.as_bytes(), wide.as_bytes(), folded.as_bytes()]
        .into_iter()
        .enumerate()
    {
        peer.begin(&[AGENT]).await;
        peer.send(raw).await;
        let (code, answer) = peer.say("\r\n.").await;
        assert_eq!(code, 250, "{answer}");
        assert_eq!(mail.inbox(AGENT).await.len(), index + 1);
        mail.newest(AGENT).await;
    }
}
