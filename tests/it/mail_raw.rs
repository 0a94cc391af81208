//! Where the raw bytes of messages lie: small ones in the database, in the transaction of their message, large ones in files.

use std::time::Duration;

use mailbell::{
    domain::clock::{Clock as _, UnixMillis},
    mail::{
        blobs::IN_DATABASE_BYTES_MAX,
        submission::{Change, Letter},
    },
    store::{
        mailroom::{Mailroom as _, RawMail as _},
        retention::{MailPolicy, MailRetention as _},
    },
};

use crate::support::{
    clock::TestClock,
    mail::Mail,
    post::{Post, letter},
    smtp_peer::SmtpPeer,
};

const AGENT: &str = "agent@mailbell.test";
const OTHER: &str = "other@mailbell.test";
const SESSIONS: u64 = 20;
const MAILS_EACH: u64 = 20;
/// Mails that a commit is to hold at least, of those that come by so many sessions.
const MAILS_A_COMMIT_MIN: u64 = 4;

async fn blob(mail: &Mail, address: &str) -> String {
    let mailbox = mail.mailbox(address).await.id;
    let id = mail.inbox(address).await.remove(0).id;
    mail.store.blob_of(&mailbox, &id).await.unwrap().unwrap()
}

#[tokio::test]
async fn small_messages_lie_in_the_database_once_and_go_with_the_last_that_has_them() {
    let mail = Mail::start().await;
    SmtpPeer::hello(mail.addr).await.deliver(&[AGENT, OTHER], "From: a@a.test\r\nSubject: both\r\n\r\nx").await;
    let name = blob(&mail, AGENT).await;
    assert_eq!(blob(&mail, OTHER).await, name);
    assert!(mail.store.raw(&name).await.unwrap().unwrap().ends_with(b"Subject: both\r\n\r\nx\r\n"));
    assert_eq!(mail.files(), 0);
    mail.rooms.remove(&mail.mailbox(OTHER).await.id).await.unwrap();
    assert!(mail.blobs.get(&name).await.is_ok(), "a message has them still");
    let all = MailPolicy { mail_millis: 1, mail_bytes_max: 0, attempts_millis: 0 };
    mail.store.sweep(&all, UnixMillis(i64::MAX)).await.unwrap();
    assert_eq!(mail.inbox(AGENT).await.len(), 0);
    assert!(mail.store.raw(&name).await.unwrap().is_none(), "nobody has them any more");
}

#[tokio::test]
async fn messages_that_are_alike_have_bytes_of_their_own() {
    let mail = Mail::start().await;
    let mut peer = SmtpPeer::hello(mail.addr).await;
    for address in [AGENT, OTHER] {
        // The clock stands still, so the trace before them is the same, too.
        peer.deliver(&[address], "From: a@a.test\r\nSubject: alike\r\n\r\nx").await;
    }
    let (one, other) = (blob(&mail, AGENT).await, blob(&mail, OTHER).await);
    assert_ne!(one, other);
    assert_eq!(mail.blobs.get(&one).await.unwrap(), mail.blobs.get(&other).await.unwrap());
    mail.rooms.remove(&mail.mailbox(OTHER).await.id).await.unwrap();
    assert!(mail.store.raw(&other).await.unwrap().is_none(), "nobody has them any more");
    assert!(mail.store.raw(&one).await.unwrap().is_some());
}

#[tokio::test]
async fn large_messages_lie_in_files() {
    let mail = Mail::start().await;
    let text = "a line of a letter\r\n".repeat(IN_DATABASE_BYTES_MAX / 20 + 1);
    let mut peer = SmtpPeer::hello(mail.addr).await;
    peer.deliver(&[AGENT], &format!("From: a@a.test\r\nSubject: large\r\n\r\n{text}")).await;
    let name = blob(&mail, AGENT).await;
    assert!(mail.store.raw(&name).await.unwrap().is_none());
    assert_eq!(mail.files(), 1);
    let raw = mail.blobs.get(&name).await.unwrap();
    assert!(raw.len() > IN_DATABASE_BYTES_MAX && raw.ends_with(format!("{text}\r\n").as_bytes()));
}

#[tokio::test]
async fn the_bytes_of_a_scheduled_message_go_when_it_gets_others() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let agent = post.mailbox(AGENT).await;
    let later = Some(clock.now().plus(Duration::from_hours(2)));
    let id = post.send(Letter { send_at: later, ..letter(&[OTHER]) }).await;
    let name = async || post.store.blob_of(&agent.id, &id).await.unwrap().unwrap();
    let before = name().await;
    assert!(post.store.raw(&before).await.unwrap().is_some());
    let change = Change { subject: Some("Another".into()), ..Change::default() };
    post.submission.change(&agent, &id, change).await.unwrap();
    assert!(post.store.raw(&before).await.unwrap().is_none(), "nobody has them any more");
    let raw = post.store.raw(&name().await).await.unwrap().unwrap();
    assert!(String::from_utf8(raw).unwrap().contains("Subject: Another\r\n"));
}

#[tokio::test]
async fn who_sends_within_the_house_shares_the_bytes_with_who_gets_them() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let id = post.send(letter(&[OTHER])).await;
    clock.advance(Duration::from_secs(1));
    assert!(!post.go_on().await);
    let arrived = post.inbox(OTHER).await.remove(0);
    let sent = post.store.blob_of(&post.mailbox(AGENT).await.id, &id).await.unwrap();
    assert!(sent.is_some());
    assert_eq!(post.store.blob_of(&arrived.mailbox_id, &arrived.id).await.unwrap(), sent);
}

/// What a mail costs the disk: a commit that many share, and no file. This count has no noise, and the rate follows from it.
#[tokio::test]
async fn mails_of_many_sessions_share_commits_and_make_no_file() {
    let mail = Mail::start().await;
    let before = mail.store.commits();
    let sessions = (0..SESSIONS).map(|session| {
        let addr = mail.addr;
        tokio::spawn(async move {
            let mut peer = SmtpPeer::hello(addr).await;
            for n in 0..MAILS_EACH {
                let text = "x".repeat(4_000);
                peer.deliver(&[AGENT], &format!("From: a@a.test\r\nSubject: {session}.{n}\r\n\r\n{text}")).await;
            }
        })
    });
    for session in futures::future::join_all(sessions).await {
        session.unwrap();
    }
    let (mails, commits) = (SESSIONS * MAILS_EACH, mail.store.commits() - before);
    assert!(commits * MAILS_A_COMMIT_MIN <= mails, "{commits} commits for {mails} mails");
    assert_eq!(mail.files(), 0);
}
