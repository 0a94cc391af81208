//! What becomes of mail once it is in: messages, threads, tags, and what the two ends of the wing can build and hand
//! over.

use std::collections::BTreeMap;

use mailbell::{
    domain::{
        clock::UnixMillis,
        id::{MessageId, ThreadId},
        message::Status,
    },
    mail::{
        compose::{Automatic, Draft, File, compose},
        mailroom::NotAdded,
        relay::hand_over,
    },
    store::mailroom::{Added, Mailroom as _},
};

use crate::support::{mail::Mail, smtp_peer::SmtpPeer};

const AGENT: &str = "agent@mailbell.test";

fn letter(id: &str, answers: &[&str]) -> String {
    let references = if answers.is_empty() {
        String::new()
    } else {
        format!("References: {}\r\n", answers.iter().map(|id| format!("<{id}>")).collect::<Vec<_>>().join("\r\n "))
    };
    format!("From: a@a.test\r\nMessage-ID: <{id}>\r\n{references}Subject: {id}\r\n\r\nx")
}

#[tokio::test]
async fn answers_find_their_thread_in_whatever_order_they_come() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    for (id, answers) in [
        ("first@a", &[][..]),
        ("answer@a", &["first@a"]),
        ("later@a", &["first@a", "answer@a"]),
        ("alone@a", &[]),
        // These two answer a message that comes after them.
        ("early@b", &["missing@b"]),
        ("sibling@b", &["missing@b"]),
        ("missing@b", &[]),
        // Through an ancestor that was never seen.
        ("far@a", &["first@a", "unseen@a"]),
        ("further@a", &["unseen@a"]),
    ] {
        peer.deliver(&[AGENT, "other@mailbell.test"], &letter(id, answers)).await;
    }
    let mailbox = mail.mailbox(AGENT).await.id;
    let mut threads: BTreeMap<ThreadId, Vec<String>> = BTreeMap::new();
    for message in mail.inbox(AGENT).await.into_iter().rev() {
        threads.entry(message.thread_id).or_default().push(message.subject);
    }
    let told: Vec<&Vec<String>> = threads.values().collect();
    assert_eq!(
        told,
        [
            &vec!["first@a", "answer@a", "later@a", "far@a", "further@a"],
            &vec!["alone@a"],
            &vec!["early@b", "sibling@b", "missing@b"],
        ]
    );
    for (thread, subjects) in &threads {
        let shown = mail.store.thread(&mailbox, thread).await.unwrap();
        assert_eq!(shown.into_iter().map(|message| message.subject).collect::<Vec<_>>(), *subjects);
    }
    let other = mail.mailbox("other@mailbell.test").await.id;
    let (thread, _) = threads.first_key_value().unwrap();
    assert_eq!(mail.store.thread(&other, thread).await.unwrap(), [], "threads are a mailbox's own");
}

#[tokio::test]
async fn tags_are_added_replaced_and_removed() {
    let mail = Mail::start().await;
    let id = MessageId::new(SmtpPeer::hello(mail.addr).await.deliver(&[AGENT], &letter("1@a", &[])).await);
    let mailbox = mail.mailbox(AGENT).await.id;
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let put =
        async |pairs: &[(&str, &str)], replace| mail.store.put_tags(&mailbox, &id, &map(pairs), replace).await.unwrap();
    assert_eq!(put(&[("a", "1"), ("b", "2")], false).await, Some(map(&[("a", "1"), ("b", "2")])));
    assert_eq!(put(&[("b", "3"), ("c", "\"4\"")], false).await, Some(map(&[("a", "1"), ("b", "3"), ("c", "\"4\"")])));
    assert_eq!(mail.inbox(AGENT).await[0].tags, map(&[("a", "1"), ("b", "3"), ("c", "\"4\"")]));
    assert_eq!(put(&[("d", "")], true).await, Some(map(&[("d", "")])));
    assert!(mail.store.delete_tag(&mailbox, &id, "d").await.unwrap());
    assert!(!mail.store.delete_tag(&mailbox, &id, "d").await.unwrap());
    let other = mail.mailbox("other@mailbell.test").await.id;
    assert_eq!(
        mail.store.put_tags(&other, &id, &map(&[("a", "1")]), false).await.unwrap(),
        None,
        "not in that mailbox"
    );
    assert_eq!(mail.inbox(AGENT).await[0].tags, map(&[]));
}

#[tokio::test]
async fn reading_marks_a_message_and_only_that_one() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    let id = MessageId::new(peer.deliver(&[AGENT], &letter("1@a", &[])).await);
    peer.deliver(&[AGENT], &letter("2@a", &[])).await;
    let (mailbox, other) = (mail.mailbox(AGENT).await.id, mail.mailbox("other@mailbell.test").await.id);
    assert!(!mail.store.mark_read(&other, &id).await.unwrap());
    assert!(mail.store.mark_read(&mailbox, &id).await.unwrap());
    assert!(mail.store.mark_read(&mailbox, &id).await.unwrap(), "a second time is no error");
    let statuses: Vec<Status> = mail.inbox(AGENT).await.into_iter().map(|message| message.status).collect();
    assert_eq!(statuses, [Status::Unread, Status::Read]);
    assert_eq!(mail.store.mailbox_of(&id).await.unwrap(), Some(mailbox));
    assert_eq!(mail.store.mailbox_of(&MessageId::new("em_none")).await.unwrap(), None);
}

#[tokio::test]
async fn a_mailbox_goes_with_its_messages_and_its_address_is_free_again() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    let id = MessageId::new(peer.deliver(&[AGENT], &letter("1@a", &[])).await);
    let mailbox = mail.mailbox(AGENT).await.id;
    mail.store.put_tags(&mailbox, &id, &BTreeMap::from([("a".into(), "b".into())]), false).await.unwrap();
    assert!(mail.rooms.remove(&mailbox).await.unwrap());
    assert!(!mail.rooms.remove(&mailbox).await.unwrap());
    assert_eq!(mail.store.mailbox_of(&id).await.unwrap(), None);
    assert_eq!(peer.say("MAIL FROM:<a@a.test>").await.0, 250);
    assert_eq!(peer.say("RCPT TO:<agent@mailbell.test>").await.0, 550);
    mail.add(AGENT).await;
    assert_eq!(mail.inbox(AGENT).await, []);
}

#[tokio::test]
async fn a_mailbox_that_goes_while_its_message_comes_is_no_loss_for_others() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.begin(&[AGENT]).await;
    mail.rooms.remove(&mail.mailbox(AGENT).await.id).await.unwrap();
    let (code, text) = peer.say("Subject: x\r\n\r\nx\r\n.").await;
    assert_eq!((code, &text[..5]), (451, "4.3.0"));
    peer.deliver(&["other@mailbell.test"], &letter("1@a", &[])).await;
}

#[tokio::test]
async fn mailboxes_are_ours_and_each_address_has_one() {
    let mail = Mail::start().await;
    let again = mail.rooms.add("AGENT@Mailbell.test".parse().unwrap(), Some("Other".into())).await.unwrap();
    assert_eq!(again, Added::Exists(mail.mailbox(AGENT).await));
    let foreign = mail.rooms.add("a@b.test".parse().unwrap(), None).await.unwrap_err();
    assert!(matches!(foreign, NotAdded::ForeignDomain { .. }));
    assert_eq!(
        foreign.to_string(),
        "b.test is not a domain of this service; use one of: mailbell.test, second.test, or add it first: POST /v1/domains, or \
         mail.domains in config.toml"
    );
    let named = mail.rooms.add("a@second.test".parse().unwrap(), Some(" Ann ".into())).await.unwrap();
    assert!(matches!(named, Added::Fresh(mailbox) if mailbox.display_name.as_deref() == Some("Ann")));
    assert!(matches!(
        mail.rooms.add("b@second.test".parse().unwrap(), Some("a\nb".into())).await,
        Err(NotAdded::DisplayName)
    ));
    let all: Vec<String> = mail.rooms.list().await.unwrap().iter().map(|mailbox| mailbox.address.to_string()).collect();
    assert_eq!(all, ["a@second.test", "agent@mailbell.test", "other@mailbell.test"]);
}

#[tokio::test]
async fn what_is_composed_is_handed_over_and_every_recipient_has_an_answer() {
    let mail = Mail::start().await;
    let from = "ann@a.test".parse().unwrap();
    let to = [AGENT, "ghost@mailbell.test", "x@elsewhere.test"].map(|address| address.parse().unwrap());
    let message = compose(&Draft {
        from: &from,
        from_name: Some("Ann"),
        to: &to[..1],
        cc: &[],
        html: None,
        auto: Automatic::No,
        ai_disclosure: false,
        subject: "Grüße",
        text: ".first line begins with a dot\n.\nend",
        date: UnixMillis(1_795_514_400_000),
        internet_id: "1@a.test",
        in_reply_to: None,
        references: &[],
        files: &[File { name: "a.txt", content_type: "text/plain", bytes: b"file" }],
    });
    let handed = hand_over(mail.addr, Some(&from), &to, &message).await.unwrap();
    let codes: Vec<u16> = handed.recipients.iter().map(|(_, answer)| answer.code).collect();
    assert_eq!(codes, [250, 550, 550]);
    assert_eq!(handed.recipients[1].1.text, "5.1.1 no mailbox ghost@mailbell.test here");
    let (stored, _) = mail.newest(AGENT).await;
    assert_eq!(handed.message.unwrap().text, format!("2.0.0 stored as {}", stored.summary.id));
    assert_eq!(stored.text, ".first line begins with a dot\n.\nend");
    assert_eq!((stored.summary.subject.as_str(), stored.summary.attachments[0].name.as_str()), ("Grüße", "a.txt"));

    let nobody = hand_over(mail.addr, None, &to[1..], &message).await.unwrap();
    assert_eq!(nobody.message, None, "a message for nobody is not sent");
}
