use std::{path::Path, time::Instant};

use mailparse::MailHeaderMap as _;
use proptest::prelude::*;

use super::{
    limits::{DEPTH_MAX, HTML_BYTES_MAX, PARTS_MAX, TEXT_BYTES_MAX},
    *,
};

fn read_text(raw: &str) -> Reading {
    read(raw.replace('\n', "\r\n").as_bytes())
}

#[test]
fn a_plain_message_is_read_whole() {
    let reading = read_text(
        "From: =?utf-8?q?=C3=84nne?= <anne@a.test>\nTo: agent@b.test, Bob <bob@b.test>\nCc: team: c@c.test, d@d.test;\n\
         Subject: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?b?4oCTIGFu?=\n =?utf-8?q?_alle?=\nMessage-ID: <3@a.test>\n\
         In-Reply-To: <2@b.test>\nReferences: <1@a.test>\n <2@b.test>\n\nHello\n\nworld  \n",
    );
    assert_eq!(reading.from.as_deref(), Some("anne@a.test"));
    assert_eq!(reading.from_name.as_deref(), Some("Änne"));
    assert_eq!(reading.to, ["agent@b.test", "bob@b.test"]);
    assert_eq!(reading.cc, ["c@c.test", "d@d.test"]);
    assert_eq!(reading.subject, "Grüße– an alle");
    assert_eq!(reading.internet_id.as_deref(), Some("3@a.test"));
    assert_eq!(reading.in_reply_to, ["2@b.test"]);
    assert_eq!(reading.references, ["1@a.test", "2@b.test"]);
    assert_eq!((reading.text.as_str(), reading.snippet.as_str()), ("Hello\n\nworld", "Hello world"));
    assert!(!reading.auto && reading.attachments.is_empty() && reading.notes.is_empty(), "{:?}", reading.notes);
}

#[test]
fn every_byte_string_is_a_message() {
    for raw in ["", "\n", "just text", "\r\n\r\nbody", ":\n:\n", "From", "From: \nTo: \nSubject:", "\0\0\0", "A: b"] {
        let reading = read(raw.as_bytes());
        assert!(reading.from.is_none(), "{raw:?}");
    }
    assert_eq!(read(b"just text").text, "just text");
    assert_eq!(read(b"just text").notes, ["the message has no header"]);
    assert_eq!(read(b"Subject: only").subject, "only");
    let garbage: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    read(&garbage);
}

#[test]
fn the_plain_form_is_the_text_and_what_is_beside_it_are_files() {
    let reading = read_text(
        "From: a@a.test\nContent-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/alternative; boundary=\"a a\"\n\n\
         --a a\n\nplain\n--a a\nContent-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<p>html</p>\n--r\n\
         Content-Type: image/png\nContent-ID: <i>\nContent-Transfer-Encoding: base64\n\niVBORw0K\n--r--\n--a a--\n\
         --m\nContent-Type: application/pdf;\n name*0*=utf-8''Ma%C3%9F; name*1=\"stab.pdf\"\nContent-Disposition: attachment\n\n%PDF\n\
         --m\nContent-Type: text/plain\n\nfooter\n--m\nContent-Type: text/plain; name=notes.txt\n\nnotes\n\
         --m\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner text\n--m\nContent-Type: application/octet-stream\n\
         Content-Disposition: attachment; filename=\"=?utf-8?q?..=2F..=2Fetc=2Fp=C3=A4ss?=\"\n\nx\n--m--\n",
    );
    assert_eq!(reading.text, "plain\n\nfooter");
    let files: Vec<(&str, &str, u64)> = reading
        .attachments
        .iter()
        .map(|file| (file.name.as_str(), file.content_type.as_str(), file.size_bytes))
        .collect();
    assert_eq!(
        files,
        [
            ("attachment-1.png", "image/png", 6),
            ("Maßstab.pdf", "application/pdf", 4),
            ("notes.txt", "text/plain", 5),
            ("attachment-4.eml", "message/rfc822", 28),
            ("päss", "application/octet-stream", 1),
        ]
    );
}

#[test]
fn html_is_the_text_where_the_plain_form_is_missing_or_blank() {
    let html =
        "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>Gr=C3=BC=C3=9Fe</p>";
    assert_eq!(read_text(&format!("From: a@a.test\n{html}")).text, "Grüße");
    let alternative = format!(
        "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n\n--b\n{html}\n--b--\n"
    );
    let reading = read_text(&alternative);
    assert_eq!((reading.text.as_str(), reading.snippet.as_str()), ("Grüße", "Grüße"));
}

#[test]
fn an_attachment_is_found_by_the_name_it_is_listed_under() {
    let raw = b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\ntext\r\n--m\r\nContent-Type: image/gif\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nR0lG\r\n--m--\r\n";
    let (listed, bytes) = attachment(raw, "attachment-1.gif").expect("it is there");
    assert_eq!((listed.size_bytes, bytes), (3, b"GIF".to_vec()));
    assert!(attachment(raw, "attachment-2.gif").is_none());
}

#[test]
fn automatic_replies_are_known_by_their_header() {
    for (header, auto) in [
        ("Auto-Submitted: auto-replied", true),
        ("auto-submitted: auto-generated; reason=x", true),
        ("Auto-Submitted: no", false),
        ("Auto-Submitted: NO (really)", false),
        ("X-Autoreply: yes", true),
        ("X-Autorespond: out of office", true),
        ("Precedence: auto_reply", true),
        ("Precedence: bulk", false),
        ("List-Id: <l.a.test>", false),
        ("Subject: auto-replied", false),
    ] {
        assert_eq!(read_text(&format!("{header}\nFrom: a@a.test\n\nx")).auto, auto, "{header}");
    }
}

#[test]
fn line_ends_in_encoded_words_do_not_reach_a_subject() {
    let reading = read_text("Subject: =?utf-8?q?a=0D=0ABcc:_x?=\nFrom: =?utf-8?q?n=0Am?= <a@a.test>\n\nx");
    assert_eq!((reading.subject.as_str(), reading.from_name.as_deref()), ("a  Bcc: x", Some("n m")));
}

/// Multiparts, each the only part of the one before.
fn multiparts(depth: usize) -> String {
    let levels: Vec<String> =
        (0..depth).map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n")).collect();
    levels.concat()
}

#[test]
fn over_a_limit_the_rest_is_noted_and_not_read() {
    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", "--b\n\nx\n".repeat(PARTS_MAX + 10));
    let reading = read_text(&many);
    assert_eq!(reading.text.matches('x').count(), PARTS_MAX - 1);
    assert_eq!(reading.notes, [format!("parts beyond the first {PARTS_MAX} were not read")]);

    let deep = multiparts(DEPTH_MAX + 10);
    let reading = read_text(&format!("Subject: deep\n{deep}\n\ninmost"));
    assert_eq!((reading.subject.as_str(), reading.text.as_str()), ("deep", ""));
    assert_eq!(reading.notes, [format!("parts nested deeper than {DEPTH_MAX} were not read")]);

    let header = format!("Subject: early\n{}From: late@a.test\n\nbody", "X: y\n".repeat(1_500));
    let reading = read_text(&header);
    assert_eq!((reading.subject.as_str(), reading.from, reading.text.as_str()), ("early", None, "body"));
    assert!(reading.notes[0].starts_with("the header is longer"), "{:?}", reading.notes);

    let long = format!("Subject: s\n\n{}", "é".repeat(TEXT_BYTES_MAX));
    let reading = read_text(&long);
    assert_eq!(reading.text.len(), TEXT_BYTES_MAX);
    assert_eq!(reading.notes, ["the text was cut at 1 MiB"]);

    let html = format!("Content-Type: text/html\n\n<p>a</p>{}<p>z</p>", " ".repeat(HTML_BYTES_MAX));
    let reading = read_text(&html);
    assert_eq!((reading.text.as_str(), reading.notes), ("a", vec!["the HTML was cut at 1 MiB".to_owned()]));

    let crowd = format!("To: {}\n\nx", (0..300).map(|n| format!("p{n}@a.test")).collect::<Vec<_>>().join(",\n "));
    let reading = read_text(&crowd);
    assert_eq!(
        (reading.to.len(), reading.notes),
        (200, vec!["To names 100 more addresses than the 200 that are shown".to_owned()])
    );
}

/// Each of these ends or stalls a reader that recurses, or that looks at what it has seen again and again.
#[test]
fn hostile_shapes_cost_time_in_proportion() {
    let nested = "Content-Type: message/rfc822\n\n".repeat(100_000);
    let digests = "Content-Type: multipart/digest; boundary=b\n\n--b\n".repeat(20_000);
    let multiparts = multiparts(20_000);
    let words = format!("Subject: {}\n\nx", "=?utf-8?q?a?= ".repeat(20_000));
    let people = format!("To: {}\n\nx", "a <a@a.test>, ".repeat(20_000));
    let groups = format!("To: {}\n\nx", "g: (".repeat(20_000));
    let fields = "A: b\n".repeat(100_000);
    let references = format!("References: {}\n\nx", "<a@a.test> ".repeat(20_000));
    for raw in [nested, digests, multiparts, words, people, groups, fields, references] {
        let began = Instant::now();
        read(raw.as_bytes());
        assert!(began.elapsed().as_secs() < 5, "{} took {:?}", &raw[..40], began.elapsed());
    }
}

#[test]
fn subjects_agree_with_another_parser() {
    let words = [
        "plain",
        "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        "=?iso-2022-jp?b?GyRCJDMkcyRLJEEkTxsoQg==?=",
        "=?koi8-r?b?8NLJ18XU?=",
        "a\r\n b",
    ];
    for first in words {
        for second in words {
            let raw = format!("From: a@a.test\r\nSubject: {first} x {second}\r\n\r\nx");
            let other = mailparse::parse_mail(raw.as_bytes()).expect("read");
            assert_eq!(Some(read(raw.as_bytes()).subject), other.headers.get_first_value("Subject"), "{raw}");
        }
    }
}

/// Real bounces and complaints, where they are at hand: they are not part of the repository.
#[test]
fn real_mail_is_read() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let mut read_messages = 0;
    for set in ["bounces-dev", "arf-dev"] {
        let Ok(files) = std::fs::read_dir(corpora.join(set).join("raw")) else { continue };
        for file in files {
            let raw = std::fs::read(file.expect("listed").path()).expect("a file");
            let reading = read(&raw);
            assert!(reading.snippet.chars().count() <= 200);
            read_messages += usize::from(!reading.text.is_empty() || !reading.attachments.is_empty());
        }
    }
    if read_messages == 0 {
        eprintln!("skipped: no corpora at {}", corpora.display());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(read(&raw).snippet.chars().count() <= 200);
    }

    #[test]
    fn no_mail_like_text_panics(raw in "((From|To|Subject|Content-Type|Content-Transfer-Encoding|Message-ID|References): \
        (multipart/mixed; boundary=b|text/html|message/rfc822|base64|quoted-printable|[ -~]{0,20})\r?\n|--b(--)?\r?\n|\r?\n|=[0-9A-F=]{0,3}|<[a-z/]{0,6}>|[ -~é\u{1F600}]{0,10}){0,40}") {
        let reading = read(raw.as_bytes());
        for file in &reading.attachments {
            prop_assert!(!file.name.is_empty());
        }
    }
}

#[test]
fn of_multiparts_that_are_encoded_one_is_decoded() {
    let level = |n: u8, within: &str| {
        let (hex, quoted) = (format!("=2D-b{n}"), "Content-Transfer-Encoding: quoted-printable");
        format!("Content-Type: multipart/mixed; boundary=b{n}\r\n{quoted}\r\n\r\n{hex}\r\n{within}\r\n{hex}--\r\n")
    };
    assert_eq!(read(level(0, "\r\nhello").as_bytes()).text, "hello");
    let twice = read(level(0, &level(1, "\r\nhello").replace('=', "=3D")).as_bytes());
    assert!(twice.text.starts_with("--b1") || twice.text.starts_with("=2D-b1"), "{}", twice.text);
}

#[test]
fn a_sender_encoded_whole_is_read_in_its_two_parts() {
    // `Zoë Example <zoe@customer.test>`, as Python's older API encodes it.
    let reading = read_text("From: =?utf-8?b?Wm/DqyBFeGFtcGxlIDx6b2VAY3VzdG9tZXIudGVzdD4=?=\nSubject: Hi\n\nHi\n");
    assert_eq!(
        (reading.from.as_deref(), reading.from_name.as_deref()),
        (Some("zoe@customer.test"), Some("Zoë Example"))
    );
}
