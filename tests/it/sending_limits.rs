//! No loops and no second copies: replies to programs, equal replies, hourly limits, idempotency.

use std::time::Duration;

use mailbell::{
    domain::message::Mailbox,
    mail::{
        reception::Envelope,
        submission::{Letter, SubmitError},
    },
};
use tempfile::TempDir;

use crate::support::{
    clock::TestClock,
    post::{Post, letter},
};

const AGENT: &str = "agent@mailbell.test";
const OTHER: &str = "other@mailbell.test";

async fn post() -> (Post, TempDir) {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    (Post::open(dir.path(), &clock, None).await, dir)
}

/// Puts a message into `mailbox` as if it came by SMTP.
async fn comes(post: &Post, mailbox: &Mailbox, from: &str, header: &str) -> mailbell::domain::id::MessageId {
    let envelope = Envelope { from: from.into(), recipients: vec![mailbox.clone()], returned_to: vec![] };
    let raw = format!("From: Other <{OTHER}>\r\nSubject: Question\r\nMessage-ID: <q@x>\r\n{header}\r\nwhat?");
    post.reception.receive(&envelope, raw.into_bytes()).await.unwrap().messages.remove(0)
}

fn answer(text: &str) -> Letter {
    Letter { markdown: text.into(), ..Letter::default() }
}

#[tokio::test]
async fn a_reply_goes_to_whom_it_should_in_the_same_thread_and_says_that_it_is_a_program_s() {
    let (post, _dir) = post().await;
    let agent = post.mailbox(AGENT).await;
    let asked = comes(&post, &agent, OTHER, "Reply-To: other@mailbell.test\r\nReferences: <p@x>\r\n").await;
    let taken = post.submission.reply(&agent, &asked, answer("this")).await.unwrap();
    let sent = post.message(AGENT, &taken.message).await.summary;
    assert_eq!((sent.subject.as_str(), sent.to), ("Re: Question", vec![OTHER.to_owned()]));
    assert_eq!(taken.thread, post.message(AGENT, &asked).await.summary.thread_id);
    let raw = post.raw(&agent.id, &taken.message).await;
    assert!(raw.contains("Auto-Submitted: auto-replied\r\n") && raw.contains("In-Reply-To: <q@x>"), "{raw}");
    assert!(raw.contains("References: <p@x>") && raw.contains("<q@x>"), "{raw}");
    post.worker.run_until_idle().await.unwrap();
    // The other side's agent cannot answer a program's answer, so the two come to rest.
    let other = post.mailbox(OTHER).await;
    let arrived = post.inbox(OTHER).await.remove(0).id;
    let refused = post.submission.reply(&other, &arrived, answer("no, this")).await.unwrap_err();
    assert!(matches!(refused, SubmitError::NotAnswerable(_)), "{refused}");
}

#[tokio::test]
async fn programs_lists_and_bounces_are_not_replied_to() {
    let (post, _dir) = post().await;
    let agent = post.mailbox(AGENT).await;
    for (from, header, said) in [
        ("", "", "null sender"),
        (OTHER, "Auto-Submitted: auto-generated\r\n", "by a program"),
        (OTHER, "List-Id: <all.x>\r\n", "bulk"),
        (OTHER, "Precedence: bulk\r\n", "bulk"),
    ] {
        let id = comes(&post, &agent, from, header).await;
        let refused = post.submission.reply(&agent, &id, answer("x")).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{header}: {refused}");
    }
}

#[tokio::test]
async fn an_equal_reply_within_a_minute_is_a_mistake_and_later_it_is_meant() {
    let (post, _dir) = post().await;
    let agent = post.mailbox(AGENT).await;
    let asked = comes(&post, &agent, OTHER, "").await;
    let first = post.submission.reply(&agent, &asked, answer("yes")).await.unwrap();
    let refused = post.submission.reply(&agent, &asked, answer("yes")).await.unwrap_err();
    assert!(matches!(&refused, SubmitError::SameReply(before) if *before == first.message), "{refused}");
    post.submission.reply(&agent, &asked, answer("no")).await.unwrap();
    post.clock.advance(Duration::from_mins(1));
    post.submission.reply(&agent, &asked, answer("yes")).await.unwrap();
}

#[tokio::test]
async fn a_key_holds_for_a_day_and_for_its_mailbox() {
    let (post, _dir) = post().await;
    let (agent, other) = (post.mailbox(AGENT).await, post.mailbox(OTHER).await);
    let keyed = || Letter { idempotency_key: Some("k1".into()), ..letter(&[OTHER]) };
    let first = post.submission.send(&agent, keyed()).await.unwrap();
    let again = post.submission.send(&agent, keyed()).await.unwrap();
    assert!(!first.again && again.again);
    assert_eq!((&again.message, &again.thread), (&first.message, &first.thread));
    assert!(!post.submission.send(&other, keyed()).await.unwrap().again);
    post.clock.advance(Duration::from_hours(24));
    let next_day = post.submission.send(&agent, keyed()).await.unwrap();
    assert!(!next_day.again && next_day.message != first.message);
    assert!(post.submission.send(&agent, keyed()).await.unwrap().again);
}

#[tokio::test]
async fn two_agents_that_answer_every_mail_at_once_come_to_rest_within_the_limits() {
    let (post, _dir) = post().await;
    let (agent, other) = (post.mailbox(AGENT).await, post.mailbox(OTHER).await);
    post.submission.send(&agent, letter(&[OTHER])).await.unwrap();
    // They do not even reply, which would end at once: they write new mails, so only the limits can end it.
    let mut sent = 1;
    let refused = loop {
        post.worker.run_until_idle().await.unwrap();
        let (from, to) = if sent % 2 == 1 { (&other, AGENT) } else { (&agent, OTHER) };
        match post.submission.send(from, letter(&[to])).await {
            Ok(_) => sent += 1,
            Err(refused) => break refused,
        }
        assert!(sent < 1000, "it ends");
    };
    assert_eq!(sent, 40);
    let said = refused.to_string();
    assert!(said.contains("20 messages went to other@mailbell.test within the last hour"), "{said}");
    assert_eq!(refused.retry_after_secs(), Some(3600));
    post.submission.send(&agent, letter(&[AGENT])).await.unwrap();
    post.clock.advance(Duration::from_hours(1));
    post.submission.send(&agent, letter(&[OTHER])).await.unwrap();
}

#[tokio::test]
async fn what_is_scheduled_counts_for_the_hour_in_which_it_is_sent() {
    let (post, _dir) = post().await;
    let agent = post.mailbox(AGENT).await;
    let at_noon = post.clock_in(7200);
    let scheduled = || Letter { send_at: Some(at_noon), ..letter(&[OTHER]) };
    for hour in 0..2 {
        for _ in 0..10 {
            post.submission.send(&agent, scheduled()).await.unwrap();
        }
        post.clock.advance(Duration::from_mins(20));
        assert!(post.submission.send(&agent, letter(&[OTHER])).await.is_ok(), "{hour}: none is sent in this hour");
    }
    assert!(matches!(post.submission.send(&agent, scheduled()).await, Err(SubmitError::TooMany { .. })));
    // Neither by way of another address, or another time.
    let elsewhere = Letter { send_at: Some(at_noon), ..letter(&[AGENT]) };
    let id = post.submission.send(&agent, elsewhere).await.unwrap().message;
    let change = mailbell::mail::submission::Change { to: Some(vec![OTHER.into()]), ..Default::default() };
    let refused = post.submission.change(&agent, &id, change).await.unwrap_err();
    assert!(matches!(refused, SubmitError::TooMany { .. }), "{refused}");
}

/// What is wrong with a letter.
type Change = fn(&mut Letter);

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_a_sentence() {
    let (post, _dir) = post().await;
    let agent = post.mailbox(AGENT).await;
    let wrong = |change: Change| {
        let mut asked = letter(&[OTHER]);
        change(&mut asked);
        asked
    };
    let cases: &[(Change, &str)] = &[
        (|it| it.to.clear(), "`to`"),
        (|it| it.to = vec!["nobody".into()], "`nobody`"),
        (|it| it.bcc = (0..51).map(|n| format!("a{n}@mailbell.test")).collect(), "50 recipients"),
        (|it| it.subject = "a\r\nBcc: x@y.test".into(), "`subject`"),
        (|it| it.markdown = " ".into(), "`markdown` is empty"),
        (|it| it.markdown = "x".repeat(262_145), "262144"),
        (|it| it.idempotency_key = Some(String::new()), "`idempotency_key`"),
        (|it| it.to = vec![format!("b+{}@mailbell.test", "0".repeat(40)), "x@else.test".into()], "no relay"),
    ];
    for (change, said) in cases {
        let refused = post.submission.send(&agent, wrong(*change)).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{refused} lacks {said}");
    }
    assert!(post.inbox(AGENT).await.is_empty());
}
