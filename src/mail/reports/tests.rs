//! Reports as mail systems word them, and mail that only looks like one. All of it was written for these tests.

use proptest::prelude::*;

use super::*;

fn mail(header: &str, body: &str) -> Vec<u8> {
    format!("{header}\n\n{body}").replace('\n', "\r\n").into_bytes()
}

fn statuses(raw: &[u8]) -> Vec<RecipientStatus> {
    match read(raw).map(|report| report.says) {
        Some(Says::Status(statuses)) => statuses,
        other => panic!("no status but {other:?} of {}", String::from_utf8_lossy(raw)),
    }
}

/// Recipient, action, code, reason.
fn told(raw: &[u8]) -> Vec<(String, Action, String, Reason)> {
    let line = |said: RecipientStatus| {
        let by_reply = said.reply_code.map(|code| code.to_string());
        let code = said.status.map(|status| status.to_string()).or(by_reply).unwrap_or_default();
        (said.recipient.unwrap_or_default(), said.action, code, said.reason)
    };
    statuses(raw).into_iter().map(line).collect()
}

const DAEMON: &str = "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.ours.test>\nTo: agent@ours.test\n\
    Subject: Returned mail: see transcript for details";
const POSTMASTER: &str =
    "Return-Path: <>\nFrom: postmaster@mx.ours.test\nTo: agent@ours.test\nSubject: Undeliverable: Hello";

#[test]
fn a_standard_report_is_read_field_by_field() {
    let raw = mail(
        "From: MAILER-DAEMON@mx.ours.test\nTo: b+token@ours.test\nSubject: Undelivered Mail Returned to Sender\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b",
        "--b\n\nIt failed.\n--b\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; mx.ours.test\nOriginal-Envelope-Id: env-77\n\n\
         Original-Recipient: rfc822;ann@there.test\nFinal-Recipient: rfc822; ann@inner.test\nAction: failed\n\
         Status: 5.0.0 (permanent)\nRemote-MTA: dns; mx.there.test\n\
         Diagnostic-Code: smtp; 550-5.1.351 no such\n    mailbox (S3113)\n\n\
         Final-Recipient: utf-8; p\\x{E9}p\\x{E9}@there.test\nAction: delayed\nStatus: 4.4.1\n\n\
         Final-Recipient: rfc822; bob@there.test\nAction: delivered\nStatus: 2.1.5\n--b\n\
         Content-Type: text/rfc822-headers\n\nMessage-ID: <1@ours.test>\nFrom: agent@ours.test\n\
         To: ann@there.test\nSubject: Hello\n--b--\n",
    );
    let said = statuses(&raw);
    assert_eq!(said[0].recipient.as_deref(), Some("ann@inner.test"));
    assert_eq!(said[0].original_recipient.as_deref(), Some("ann@there.test"));
    assert_eq!(said[0].diagnostic.as_deref(), Some("550-5.1.351 no such mailbox (S3113)"));
    assert_eq!(said[0].remote_mta.as_deref(), Some("mx.there.test"));
    assert_eq!(
        told(&raw),
        [
            ("ann@inner.test".into(), Action::Failed, "5.1.351".into(), Reason::UserUnknown),
            ("pépé@there.test".into(), Action::Delayed, "4.4.1".into(), Reason::Network),
            ("bob@there.test".into(), Action::Delivered, "2.1.5".into(), Reason::Other),
        ]
    );
    let about = read(&raw).expect("a report").about;
    assert_eq!(about.message_id.as_deref(), Some("1@ours.test"));
    assert_eq!(about.envelope_id.as_deref(), Some("env-77"));
    assert_eq!((about.from.as_deref(), about.subject.as_deref()), (Some("agent@ours.test"), Some("Hello")));
}

#[test]
fn giving_up_on_a_transient_failure_keeps_the_action_and_the_code_apart() {
    let raw = mail(
        "From: MAILER-DAEMON@mx.ours.test\nSubject: Undelivered\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b",
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\n\
         Final-Recipient: rfc822; ann@there.test\nAction: failed\nStatus: 4.4.1\n\
         Diagnostic-Code: X-Postfix; connect to there.test[192.0.2.1]:25: Connection refused\n--b--\n",
    );
    let said = &statuses(&raw)[0];
    assert_eq!((said.action, said.suppress_advised, said.code_inferred), (Action::Failed, false, false));
    assert_eq!(told(&raw)[0].2, "4.4.1");
}

#[test]
fn mail_systems_that_write_to_people_are_understood() {
    let failed = |code: &str, reason| [("ann@there.test".to_owned(), Action::Failed, code.to_owned(), reason)];
    for (header, body, code, reason) in [
        (
            POSTMASTER,
            "Hi. This is the James mail server at mx.ours.test.\nI'm afraid I wasn't able to deliver your message to \
             the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n\
             Failed recipient(s):\nann@there.test\n\nError message:\n550 - Requested action not taken: no such user here\n\n\
             Message details:\n  Subject: Hello\n  MAIL FROM: agent@ours.test\n  RCPT TO: ann@there.test\n  From: agent@ours.test\n",
            "550",
            Reason::UserUnknown,
        ),
        (
            POSTMASTER,
            "This Message was undeliverable due to the following reason:\n\nEach of the following recipients was rejected by \
             a remote mail server.\nThe reasons given by the server are included.\n\n    Recipient: <ann@there.test>\n    \
             Reason:    5.2.2 over quota\n\nPlease reply to postmaster@ours.test\nif you feel this message to be in error.\n",
            "5.2.2",
            Reason::MailboxFull,
        ),
        (
            POSTMASTER,
            "Your message could not be sent.\nA transcript of the attempts to send the message follows.\nThe number of \
             attempts made: 1\nAddressed To: ann@there.test\n\nThu 29 Apr 2010 23:34:45 +0900\nFailed to send to identified \
             host,\nann@there.test: [192.0.2.5], 550 ann@there.test... No such user\n--- Message non-deliverable.\n",
            "550",
            Reason::UserUnknown,
        ),
        (
            POSTMASTER,
            "The message that you sent was undeliverable to the following:\n\n\tann@there.test (user not found)\n",
            "5.1.1",
            Reason::UserUnknown,
        ),
        (
            POSTMASTER,
            "Invalid final delivery userid: ann@there.test\n\nOriginal message follows.\n\nFrom: agent@ours.test\n",
            "5.1.1",
            Reason::UserUnknown,
        ),
        (
            POSTMASTER,
            "Your message\n\n  To:      Ann\n  Subject: Hello\n\ndid not reach the following recipient(s):\n\n\
             ann@there.test on Thu, 9 May 2005 23:34:45 +0900\n    The recipient's mailbox is full\n    \
             <mx.there.test #5.2.2 smtp;552 5.2.2 quota>\n",
            "5.2.2",
            Reason::MailboxFull,
        ),
        (
            POSTMASTER,
            "Delivery has failed to these recipients or groups:\n\nAnn Ash<mailto:ann@there.test>\n\n\
             Diagnostic information for administrators:\nGenerating server: a.prod.outlook.com\n\nann@there.test\n\
             #550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n\nOriginal message headers:\n\nReceived: from a\n",
            "5.1.1",
            Reason::UserUnknown,
        ),
        (
            DAEMON,
            "   ----- The following addresses had permanent fatal errors -----\n<ann@there.test>\n\n   \
             ----- Transcript of session follows -----\n... while talking to mx.there.test.:\n>>> RCPT To:<bob@there.test>\n\
             <<< 250 2.1.5 Ok\n>>> RCPT To:<ann@there.test>\n<<< 554 5.7.1 <ann@there.test>: Relay access denied\n",
            "5.7.1",
            Reason::RelayingDenied,
        ),
        (
            POSTMASTER,
            "This report relates to a message you sent with the following header fields:\n\n  Message-id: <1@ours.test>\n  \
             Date: Thu, 29 Apr 2010 23:34:45 +0900\n  From: Agent <agent@ours.test>\n  To: ann@there.test\n  Subject: Hello\n\n\
             Your message cannot be delivered to the following recipients:\n\n  Recipient address: ann@there.test\n  \
             Reason: Illegal host/domain name found\n\n",
            "5.1.2",
            Reason::HostUnknown,
        ),
        (
            "From: Mail Delivery System <Mailer-Daemon@ours.test>\nX-Failed-Recipients: ann@there.test\nSubject: Mail delivery failed",
            "A message that you sent could not be delivered:\n\n  inner@there.test\n    (generated from ann@there.test)\n    \
             host mx.there.test [192.0.2.1]: 550 5.7.26 DMARC check failed\n\n------ This is a copy of the message ------\n",
            "5.7.26",
            Reason::AuthFailure,
        ),
    ] {
        assert_eq!(told(&mail(header, body)), failed(code, reason), "{body}");
    }
}

#[test]
fn several_recipients_share_what_is_said_once() {
    let body = "Your message was not delivered to:\n\n  ann@there.test\n  bob@there.test\n\nbecause:\n\n  550 5.7.1 denied by policy\n";
    let all = told(&mail(POSTMASTER, body));
    assert_eq!(all.iter().map(|told| told.0.as_str()).collect::<Vec<_>>(), ["ann@there.test", "bob@there.test"]);
    assert!(all.iter().all(|told| told.2 == "5.7.1"), "{all:?}");
}

#[test]
fn a_warning_is_no_bounce() {
    let body = "    **********************************************\n    **      THIS IS A WARNING MESSAGE ONLY      **\n    \
        **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **\n    **********************************************\n\n   \
        ----- The following addresses had transient non-fatal errors -----\n<ann@there.test>\n\n   \
        ----- Transcript of session follows -----\n<ann@there.test>... Deferred: Connection timed out with mx.there.test.\n\
        Warning: message still undelivered after 4 hours\nWill keep trying until message is 5 days old\n";
    let header = "From: MAILER-DAEMON@ours.test\nSubject: Warning: could not send message for past 4 hours";
    let said = &statuses(&mail(header, body))[0];
    assert_eq!((said.action, said.reason, said.suppress_advised), (Action::Delayed, Reason::Network, false));
}

#[test]
fn a_report_that_a_gateway_wrapped_is_unwrapped() {
    let raw = mail(
        &format!("{DAEMON}\nContent-Type: multipart/mixed; boundary=o"),
        "--o\n\n----- The following addresses had permanent delivery errors -----\n\n--o\nContent-Type: message/rfc822\n\n\
         From: MAILER-DAEMON@inner.test\nContent-Type: multipart/report; report-type=delivery-status; boundary=i\n\n\
         --i\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nFinal-Recipient: rfc822; ann@there.test\n\
         Action: failed\nStatus: 5.1.1\n--i--\n\n--o--\n",
    );
    assert_eq!(told(&raw), [("ann@there.test".into(), Action::Failed, "5.1.1".into(), Reason::UserUnknown)]);
}

#[test]
fn what_is_no_report_is_none() {
    for (header, body) in [
        ("From: Ann <ann@there.test>\nSubject: Away\nAuto-Submitted: auto-replied", "I cannot be reached until May."),
        (
            "Return-Path: <>\nFrom: ann@there.test\nSubject: Automatic reply: Hello\nAuto-Submitted: auto-replied",
            "I have left the company; my mailbox is no longer in use. Please contact bob@there.test.",
        ),
        (
            "From: Ann <ann@there.test>\nSubject: Re: Undeliverable: Hello\nIn-Reply-To: <1@ours.test>",
            "Strange, bob@there.test works for me.\n\n> <bob@there.test>: 550 5.1.1 User unknown\n",
        ),
        (
            "From: Ann <ann@there.test>\nSubject: Fwd: Returned mail: see transcript for details",
            "Look at this:\n\n   ----- The following addresses had permanent fatal errors -----\n<bob@there.test>\n\
             (reason: 550 5.1.1 User unknown)\n",
        ),
        (
            "From: Parcels <noreply@parcels.test>\nSubject: Delivery failed: your parcel",
            "We could not deliver your parcel 550 to your address.\nContact us at help@parcels.test\n",
        ),
        (
            "From: Deliverability Weekly <news@list.test>\nList-Id: <news.list.test>\nSubject: Bounced mail explained",
            "A 550 5.1.1 reply such as <user@example.test>: User unknown means the mailbox does not exist.\n",
        ),
        (
            "From: Postmaster <postmaster@there.test>\nSubject: Our new mail server",
            "Dear all, the new server rejects spam with 550. Mail to old@there.test is not delivered any more.\n",
        ),
        (
            "From: postmaster@there.test\nSubject: Delivered: Hello",
            "Your message was delivered to the following recipient(s):\n\nann@there.test on Thu, 9 May 2005\n",
        ),
        (
            "From: ann@there.test\nSubject: Read: Hello\n\
             Content-Type: multipart/report; report-type=disposition-notification; boundary=b",
            "--b\n\nread\n--b\nContent-Type: message/disposition-notification\n\n\
             Final-Recipient: rfc822;ann@there.test\nDisposition: manual-action/MDN-sent-manually; displayed\n--b--\n",
        ),
        (
            "From: Ann <ann@there.test>\nSubject: the report\nContent-Type: multipart/mixed; boundary=b",
            "--b\n\nsee attached\n--b\nContent-Type: message/rfc822\n\nFrom: MAILER-DAEMON@x.test\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=i\n\n--i\n\
             Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; bob@there.test\nAction: failed\nStatus: 5.1.1\n--i--\n\n--b--\n",
        ),
    ] {
        let report = read(&mail(header, body));
        assert_eq!(report, None, "{header}");
    }
}

#[test]
fn complaints_of_every_form_are_read() {
    let complaint = |raw: &[u8]| match read(raw).map(|report| (report.about, report.says)) {
        Some((about, Says::Complaint(complaint))) => (about, complaint),
        other => panic!("no complaint but {other:?}"),
    };
    let standard = mail(
        "From: <abuse@isp.test>\nSubject: FW: x\nContent-Type: multipart/report; report-type=feedback-report; boundary=b",
        "--b\n\nreport\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: Abuse\nUser-Agent: X/1\nVersion: 1\n\
         Original-Envelope-Id: env-9\nOriginal-Rcpt-To: <ann@isp.test>\n--b\nContent-Type: message/rfc822\n\n\
         Message-ID: <1@ours.test>\nTo: ann@isp.test\n\nhi\n--b--\n",
    );
    let (about, said) = complaint(&standard);
    assert_eq!((said.feedback_type.as_str(), said.recipients), ("abuse", vec!["ann@isp.test".to_owned()]));
    assert_eq!(said.reporting_domain.as_deref(), Some("isp.test"));
    assert_eq!((about.message_id.as_deref(), about.envelope_id.as_deref()), (Some("1@ours.test"), Some("env-9")));

    let attached = mail(
        "From: staff@hotmail.com\nSubject: complaint about message from 192.0.2.1\nContent-Type: multipart/mixed; boundary=b",
        "--b\nContent-Type: message/rfc822\n\nX-HmXmrOriginalRecipient: ann@isp.test\nMessage-ID: <2@ours.test>\n\nhi\n--b--\n",
    );
    assert_eq!(complaint(&attached).1.recipients, ["ann@isp.test"]);

    let unsubscribe = mail("From: Ann <ann@isp.test>\nSubject: unsubscribe\nX-Apple-Unsubscribe: true", "");
    let (_, said) = complaint(&unsubscribe);
    assert_eq!((said.feedback_type.as_str(), said.recipients), ("opt-out", vec!["ann@isp.test".to_owned()]));
}

#[test]
fn notices_in_json_are_read_even_where_lines_are_broken() {
    let header = "From: SES <no-reply@sns.amazonaws.com>\nSubject: AWS Notification Message";
    let notice = |inner: &str| {
        let outer = serde_json::json!({ "Type": "Notification", "Message": inner }).to_string();
        let (one, two) = outer.split_at(60);
        mail(header, &format!("{one}\n {two}\n\n--\nIf you wish to stop\n"))
    };
    let bounce = r#"{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":"ann@there.test","status":"5.1.1","action":"failed","diagnosticCode":"smtp; 550 5.1.1 user unknown"}]},"mail":{"source":"agent@ours.test","commonHeaders":{"messageId":"<1@ours.test>","subject":"Hello"}}}"#;
    assert_eq!(told(&notice(bounce)), [("ann@there.test".into(), Action::Failed, "5.1.1".into(), Reason::UserUnknown)]);
    let complaint = r#"{"notificationType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"ann@there.test"}],"complaintFeedbackType":"abuse"}}"#;
    assert!(matches!(read(&notice(complaint)).map(|report| report.says), Some(Says::Complaint(_))));
}

#[test]
fn hostile_reports_are_read_within_bounds() {
    let group = |n| format!("Final-Recipient: rfc822; u{n}@there.test\nAction: failed\nStatus: 5.1.1\n\n");
    let many = (0..5_000).map(group).collect::<Vec<_>>().concat();
    let header = "From: MAILER-DAEMON@x.test\nContent-Type: multipart/report; report-type=delivery-status; boundary=b";
    let raw =
        mail(header, &format!("--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\n{many}--b--\n"));
    assert_eq!(statuses(&raw).len(), limits::RECIPIENTS_MAX);

    let long = format!("<ann@there.test>:\n550 5.1.1 {}\n", "no ".repeat(100_000));
    let said = statuses(&mail(DAEMON, &long));
    assert!(said[0].diagnostic.as_ref().is_some_and(|words| words.len() <= limits::DIAGNOSTIC_BYTES_MAX));

    // Numbers at every step, in one line and in many.
    for codes in ["550 ".repeat(60_000), "5.1.1 ".repeat(40_000), "550\n".repeat(60_000), "@b.test <a".repeat(20_000)] {
        assert!(!statuses(&mail(DAEMON, &format!("Could not be delivered to <ann@there.test>\n{codes}"))).is_empty());
    }

    let list = (0..20_000).map(|n| format!("u{n}@there.test\n")).collect::<Vec<_>>().concat();
    assert!(statuses(&mail(DAEMON, &format!("Could not be delivered to:\n{list}"))).len() <= limits::RECIPIENTS_MAX);
}

/// Pieces that mail systems use; put together at random they make nonsense that reaches every reader.
const PIECES: [&str; 24] = [
    "From: MAILER-DAEMON@x.test\r\n",
    "Subject: Undeliverable\r\n",
    "Return-Path: <>\r\n",
    "X-Failed-Recipients: a@b.test\r\n",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
    "\r\n",
    "--b\r\n",
    "--b--\r\n",
    "Content-Type: message/delivery-status\r\n",
    "Content-Type: message/feedback-report\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: text/html\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Final-Recipient: rfc822; a@b.test\r\n",
    "Action: failed\r\n",
    "Status: 5.1.1\r\n",
    "Diagnostic-Code: smtp; 550 5.1.1 é no\r\n",
    "<a@b.test>:\r\n",
    "550 5.1.1 User unknown\r\n",
    "<<< 550-5.7.1 denied\r\n",
    "--- Below this line is a copy of the message.\r\n",
    "Original-Rcpt-To: a@b.test\r\n",
    "\u{1b}$B$3$s\u{1b}(B\r\n",
    "{\"notificationType\":\"Bounce\",\"bounce\":{}}",
];

/// Fields that speak for a report and against one.
const FIELDS: [&str; 24] = [
    "From: Ann <ann@there.test>\r\n",
    "From: postmaster@there.test\r\n",
    "From: MAILER-DAEMON@there.test\r\n",
    "From: staff@hotmail.com\r\n",
    "Subject: Hello\r\n",
    "Subject: Undeliverable\r\n",
    "Subject: Re: Undeliverable\r\n",
    "Subject: Out of office\r\n",
    "Subject: complaint about message from 192.0.2.1\r\n",
    "X-MLServer: fml\r\nSubject: Loop Alert\r\n",
    "Return-Path: <>\r\n",
    "Return-Path: <ann@there.test>\r\n",
    "X-Failed-Recipients: a@b.test\r\n",
    "X-Apple-Unsubscribe: true\r\n",
    "List-Id: <list.there.test>\r\n",
    "In-Reply-To: <1@ours.test>\r\n",
    "Content-Type: text/html\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: message/delivery-status\r\n",
    "Content-Type: message/feedback-report\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n",
    "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n",
    "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n",
];

/// What stands below them.
const BODIES: [&str; 20] = [
    "\r\n",
    "Hello\r\n",
    "--b\r\n\r\n",
    "--b\r\nContent-Type: text/html\r\n\r\n<p>",
    "--b\r\nContent-Type: message/rfc822\r\n\r\nTo: a@b.test\r\n",
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n",
    "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n",
    "Reporting-MTA: dns; there.test\r\n\r\n",
    "Final-Recipient: rfc822; a@b.test\r\n",
    "Action: failed\r\nStatus: 5.1.1\r\n",
    "It could not be delivered to:\r\n",
    "<a@b.test>: 550 5.1.1 User unknown\r\n",
    "a@b.test was automatically rejected\r\n",
    "It was delivered to a@b.test\r\n",
    "--- Below this line is a copy of the message.\r\n",
    "Original message follows.\r\n",
    "Received: from a\r\nTo: a@b.test\r\nSubject: Hello\r\n",
    "Message-ID: <1@ours.test>\r\n",
    "{\"notificationType\":\"Bounce\",\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"a@b.test\"}]}}\r\n",
    "{\"notificationType\":\"Complaint\",\"complaint\":{}}\r\n",
];

#[test]
fn ordinary_mail_is_known_by_its_header() {
    for (header, body, known) in [
        ("From: Ann <ann@there.test>\nTo: agent@ours.test\nSubject: Hello", "Hi!\n", true),
        (
            "From: ann@there.test\nSubject: Re: Undeliverable\nIn-Reply-To: <1@ours.test>",
            "> 550 5.1.1 <a@b.test>\n",
            true,
        ),
        (
            "From: ann@there.test\nSubject: Hello\nContent-Type: multipart/alternative; boundary=b",
            "--b\n\nHi!\n--b\nContent-Type: text/html\n\n<p>Hi!\n--b--\n",
            true,
        ),
        ("Return-Path: <>\nFrom: ann@there.test\nSubject: Hello", "Hi!\n", false),
        ("From: ann@there.test\nSubject: Hello", "{}\n", false),
    ] {
        assert_eq!(is_surely_none(&letter::Letter::unparted(&mail(header, body))), known, "{header}");
    }
}

proptest! {
    #[test]
    fn mail_that_is_known_by_its_header_is_no_report(
        fields in proptest::collection::vec(proptest::sample::select(&FIELDS[..]), 0..6),
        bodies in proptest::collection::vec(proptest::sample::select(&BODIES[..]), 0..10),
    ) {
        let raw = format!("{}\r\n{}", fields.concat(), bodies.concat());
        prop_assert_eq!(read(raw.as_bytes()), of(&letter::Letter::open(raw.as_bytes())));
    }

    #[test]
    fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read(&raw);
    }

    #[test]
    fn no_mixture_of_pieces_panics(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40),
        cut in 0usize..3_000,
        noise in proptest::collection::vec((0usize..3_000, any::<u8>()), 0..8),
    ) {
        let mut raw = pieces.concat().into_bytes();
        for (at, byte) in noise {
            if let Some(place) = raw.get_mut(at) {
                *place = byte;
            }
        }
        raw.truncate(cut);
        if let Some(Report { says: Says::Status(statuses), .. }) = read(&raw) {
            prop_assert!(!statuses.is_empty());
            for said in statuses {
                let failed = matches!(said.action, Action::Failed | Action::Delayed);
                prop_assert!(!failed || said.status.is_some() || said.reply_code.is_some());
            }
        }
    }
}
