//! Lists of a mailbox: filters, pages that stand still while mail comes in, and what `since_id` promises.

use std::{collections::BTreeMap, time::Duration};

use mailbell::{
    domain::{
        id::MessageId,
        message::{Direction, MessageFilter, MessagePage, Status},
    },
    store::mailroom::Mailroom as _,
};

use crate::support::{mail::Mail, smtp_peer::SmtpPeer};

const AGENT: &str = "agent@mailbell.test";

/// Five messages, a minute apart; their ids, the oldest first.
async fn five(mail: &Mail) -> Vec<MessageId> {
    let mut peer = SmtpPeer::hello(mail.addr).await;
    let mut ids = Vec::new();
    for (subject, sender, body) in [
        ("Invoice 100%", "Ann <ann@a.test>", "\r\nx"),
        ("Invoice 1000", "Bob <bob@b.test>", "\r\nx"),
        ("invoice_x", "ann@a.test", "Content-Type: image/png\r\n\r\nx"),
        ("Größe", "\"Cy Ann\" <cy@c.test>", "\r\nx"),
        ("Last", "dan@d.test", "\r\nx"),
    ] {
        let message = format!("From: {sender}\r\nSubject: {subject}\r\n{body}");
        ids.push(MessageId::new(peer.deliver(&[AGENT], &message).await));
        mail.clock.advance(Duration::from_mins(1));
    }
    ids
}

#[tokio::test]
async fn every_filter_narrows() {
    let mail = Mail::start().await;
    let ids = five(&mail).await;
    let mailbox = mail.mailbox(AGENT).await.id;
    mail.store.mark_read(&mailbox, &ids[0]).await.unwrap();
    mail.store.put_tags(&mailbox, &ids[1], &BTreeMap::from([("vip".into(), "1".into())]), false).await.unwrap();
    let inbox = mail.inbox(AGENT).await;
    let none = MessageFilter::default;
    let cases = [
        (none(), vec![4, 3, 2, 1, 0]),
        (MessageFilter { status: Some(Status::Unread), ..none() }, vec![4, 3, 2, 1]),
        (MessageFilter { status: Some(Status::Read), ..none() }, vec![0]),
        (MessageFilter { direction: Some(Direction::Inbound), ..none() }, vec![4, 3, 2, 1, 0]),
        (MessageFilter { direction: Some(Direction::Outbound), ..none() }, vec![]),
        (MessageFilter { sender: Some("ANN".into()), ..none() }, vec![3, 2, 0]),
        (MessageFilter { subject_contains: Some("invoice".into()), ..none() }, vec![2, 1, 0]),
        (MessageFilter { subject_contains: Some("100%".into()), ..none() }, vec![0]),
        (MessageFilter { subject_contains: Some("invoice_".into()), ..none() }, vec![2]),
        (MessageFilter { subject_contains: Some("GRÖß".into()), ..none() }, vec![3]),
        (MessageFilter { has_attachments: Some(true), ..none() }, vec![2]),
        (MessageFilter { has_attachments: Some(false), ..none() }, vec![4, 3, 1, 0]),
        (MessageFilter { tag: Some("vip".into()), ..none() }, vec![1]),
        (MessageFilter { without_tag: Some("vip".into()), ..none() }, vec![4, 3, 2, 0]),
        (MessageFilter { tag: Some("vip".into()), status: Some(Status::Read), ..none() }, vec![]),
        (MessageFilter { thread_id: Some(inbox[0].thread_id.clone()), ..none() }, vec![4]),
        (MessageFilter { date_after: Some(inbox[1].received_at), ..none() }, vec![4, 3]),
        (MessageFilter { date_before: Some(inbox[3].received_at), ..none() }, vec![1, 0]),
        (MessageFilter { date_before: Some(inbox[4].received_at.minus(Duration::from_millis(1))), ..none() }, vec![]),
        (MessageFilter { since_id: Some(ids[2].clone()), ..none() }, vec![4, 3]),
        (MessageFilter { since_id: Some(MessageId::new("em_0")), ..none() }, vec![4, 3, 2, 1, 0]),
        (MessageFilter { since_id: Some(MessageId::new("em_z")), ..none() }, vec![]),
    ];
    for (filter, expected) in cases {
        let listed: Vec<MessageId> =
            mail.list(AGENT, filter.clone()).await.into_iter().map(|message| message.id).collect();
        let expected: Vec<MessageId> = expected.into_iter().map(|index: usize| ids[index].clone()).collect();
        assert_eq!(listed, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn pages_stand_still_while_mail_comes_in() {
    let mail = Mail::start().await;
    let ids = five(&mail).await;
    let mailbox = mail.mailbox(AGENT).await.id;
    let mut page = MessagePage { filter: MessageFilter::default(), before: None, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let listed = mail.store.messages(&mailbox, &page).await.unwrap();
        let Some(last) = listed.last() else { break };
        page.before = Some(last.id.clone());
        seen.extend(listed.into_iter().map(|message| message.id));
        SmtpPeer::hello(mail.addr).await.deliver(&[AGENT], "Subject: meanwhile\r\n\r\nx").await;
    }
    assert_eq!(seen, ids.into_iter().rev().collect::<Vec<_>>());
}
