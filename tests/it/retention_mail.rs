//! Retention of mail: raw messages go when no message has them any more, and not before.

use std::{sync::Arc, time::Duration};

use mailbell::{
    domain::clock::Clock as _,
    mail::{blobs::IN_DATABASE_BYTES_MAX, retention::Retention},
    store::{
        deliveries::State,
        mailroom::Mailroom as _,
        retention::{MailPolicy, MailRetention as _},
    },
};

use crate::support::{
    hooks::Hooks,
    mail::Mail,
    mailroom::{MemoryMailroom, mailbox},
    receiver::Receiver,
    smtp_peer::SmtpPeer,
};

const AGENT: &str = "agent@mailbell.test";
const OTHER: &str = "other@mailbell.test";
const DAY_MILLIS: i64 = 24 * 3_600_000;
const KEEP: MailPolicy = MailPolicy { mail_millis: 0, mail_bytes_max: 0, attempts_millis: 30 * DAY_MILLIS };

fn retention(mail: &Mail, policy: MailPolicy) -> Retention {
    Retention { store: mail.store.clone(), blobs: mail.blobs.clone(), policy, clock: Arc::new(mail.clock.clone()) }
}

/// Sweeps, and lets the clock run through the pauses between the small transactions.
async fn sweep(mail: &Mail, policy: MailPolicy) {
    let retention = retention(mail, policy);
    let mut sweep = std::pin::pin!(retention.sweep());
    loop {
        tokio::select! {
            biased;
            () = &mut sweep => return,
            () = tokio::task::yield_now() => mail.clock.advance(Duration::from_millis(100)),
        }
    }
}

async fn blob(mail: &Mail, address: &str) -> String {
    let mailbox = mail.mailbox(address).await.id;
    let id = mail.inbox(address).await.remove(0).id;
    mail.store.blob_of(&mailbox, &id).await.unwrap().unwrap()
}

/// Too large for the database.
fn large(subject: &str) -> String {
    format!(
        "From: a@a.test\r\nSubject: {subject}\r\n\r\n{}",
        "a line of a letter\r\n".repeat(IN_DATABASE_BYTES_MAX / 20)
    )
}

#[tokio::test]
async fn raw_messages_of_a_removed_mailbox_go_and_shared_ones_stay() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.deliver(&[OTHER], &large("alone")).await;
    let alone = blob(&mail, OTHER).await;
    peer.deliver(&[AGENT], &large("kept")).await;
    let kept = blob(&mail, AGENT).await;
    mail.rooms.remove(&mail.mailbox(OTHER).await.id).await.unwrap();
    sweep(&mail, KEEP).await;
    assert!(mail.blobs.get(&alone).await.is_ok(), "it may be of a message that is being stored");

    mail.clock.set_wall_by(30 * DAY_MILLIS);
    sweep(&mail, KEEP).await;
    assert!(mail.blobs.get(&alone).await.is_err());
    assert!(mail.blobs.get(&kept).await.is_ok());
}

#[tokio::test]
async fn mail_goes_by_age_and_by_size_where_the_settings_say() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    for n in 0..5 {
        peer.deliver(&[AGENT], &format!("From: a@a.test\r\nSubject: {n}\r\n\r\n{}", "x".repeat(1000))).await;
    }
    sweep(&mail, MailPolicy { mail_millis: 365 * DAY_MILLIS, mail_bytes_max: 1 << 20, ..KEEP }).await;
    assert_eq!(mail.inbox(AGENT).await.len(), 5);
    sweep(&mail, MailPolicy { mail_bytes_max: 100, ..KEEP }).await;
    assert_eq!(mail.inbox(AGENT).await.len(), 0);
    // The sweep took longer than a peer may be silent.
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.deliver(&[AGENT], "From: a@a.test\r\nSubject: later\r\n\r\nx").await;
    mail.clock.set_wall_by(366 * DAY_MILLIS);
    sweep(&mail, KEEP).await;
    assert_eq!(mail.inbox(AGENT).await.len(), 1, "kept for ever");
    sweep(&mail, MailPolicy { mail_millis: 365 * DAY_MILLIS, ..KEEP }).await;
    assert_eq!(mail.inbox(AGENT).await.len(), 0);
}

#[tokio::test]
async fn what_was_delivered_goes_with_its_attempts_in_time_and_what_is_owed_stays() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    while hooks.go_on().await {}
    hooks.happen(&ann, "evt_2").await;
    let states = async || {
        let mut all: Vec<_> = hooks.deliveries().await.into_iter().map(|one| (one.event_id, one.state)).collect();
        all.sort_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
        all.into_iter().map(|(id, state)| (id.to_string(), state)).collect::<Vec<_>>()
    };
    let (delivered, owed) = (("evt_1".to_owned(), State::Delivered), ("evt_2".to_owned(), State::Pending));
    hooks.clock.set_wall_by(29 * DAY_MILLIS);
    assert_eq!(hooks.store.sweep(&KEEP, hooks.clock.now()).await.unwrap(), 0);
    assert_eq!(states().await, [delivered, owed.clone()]);
    hooks.clock.set_wall_by(2 * DAY_MILLIS);
    assert_eq!(hooks.store.sweep(&KEEP, hooks.clock.now()).await.unwrap(), 1);
    assert_eq!(states().await, [owed]);
}
