//! Mail between mailboxes here and to the simulator: it arrives once, and everything that became of it is told.

use std::time::Duration;

use mailbell::{
    domain::message::{Direction, Status},
    mail::tracking::Asking,
    store::opens::Fetched,
};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    clock::TestClock,
    post::{Post, letter},
};

const AGENT: &str = "agent@mailbell.test";
const OTHER: &str = "other@mailbell.test";

#[tokio::test]
async fn a_mailbox_here_gets_it_and_both_sides_hear_of_it() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let mut asked = letter(&[OTHER]);
    asked.bcc = vec!["ghost@mailbell.test".into()];
    let id = post.send(asked).await;
    assert_eq!(post.status(&id).await, Status::Queued);
    assert!(!post.go_on().await);
    assert_eq!(
        post.told().await,
        [
            "delivery other@mailbell.test",
            "bounce ghost@mailbell.test 5.1.1 hard final",
            "inbound other@mailbell.test Hello"
        ]
    );
    assert_eq!(post.status(&id).await, Status::Sent);
    let sent = post.message(AGENT, &id).await;
    assert_eq!((sent.summary.direction, sent.text.as_str()), (Direction::Outbound, "**Hello**, how are you?"));
    let arrived = post.inbox(OTHER).await.remove(0);
    let raw = post.raw(&arrived.mailbox_id, &arrived.id).await;
    assert!(raw.contains("<strong>Hello</strong>") && raw.contains("To: <other@mailbell.test>"), "{raw}");
    assert!(!raw.contains("ghost"), "blind copies stay blind: {raw}");
    let events = post.events().await;
    assert_eq!(events[0]["accepted_by"], "recipient");
    assert_eq!(events[0]["smtp_response"], format!("250 2.0.0 stored as {}", arrived.id));
    assert_eq!(events[0]["message_id"], id.as_str());
    assert_eq!(events[0]["thread_id"], sent.summary.thread_id.as_str());
    assert_eq!(events[1]["tied"], "session");
    assert_eq!(events[1]["diagnostic"], "550 5.1.1 no mailbox ghost@mailbell.test here");
}

#[tokio::test]
async fn the_simulator_plays_each_of_its_parts() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let at = |local: &str| format!("{local}@simulator.mailbell.test");
    let parts = ["delivered", "hard-bounce", "soft-bounce", "complaint", "opened", "out-of-office"].map(at);
    let id = post.send(letter(&parts.each_ref().map(String::as_str))).await;
    assert!(post.go_on().await, "the soft bounce is tried again");
    let told = post.told().await;
    let at_simulator = |line: &str| line.replace('@', "@simulator.mailbell.test");
    assert_eq!(
        told,
        [
            "delivery delivered@",
            "bounce hard-bounce@ 5.1.1 hard final",
            "bounce soft-bounce@ 4.2.2 soft",
            "delivery complaint@",
            "complaint complaint@",
            "delivery opened@",
            "open opened@",
            "delivery out-of-office@"
        ]
        .map(at_simulator)
        .into_iter()
        .chain(["inbound agent@mailbell.test Out of office".to_owned()])
        .collect::<Vec<_>>()
    );
    let away = post.events().await.pop().unwrap();
    assert_eq!(away["auto"], true);
    assert_eq!(away["thread_id"], post.message(AGENT, &id).await.summary.thread_id.as_str(), "in its thread");
    assert_eq!(post.status(&id).await, Status::Queued);
    while post.go_on().await {}
    assert_eq!(post.told().await.last().unwrap(), "bounce soft-bounce@simulator.mailbell.test 4.2.2 soft final");
    assert_eq!(post.told().await.len(), told.len() + 1, "only the first and the last word are told");
    assert_eq!(post.status(&id).await, Status::Sent);
}

#[tokio::test]
async fn what_is_scheduled_waits_can_be_changed_and_taken_back() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let agent = post.mailbox(AGENT).await;
    let in_an_hour = Some(post.clock_in(3600));
    let asked = || mailbell::mail::submission::Letter { send_at: in_an_hour, ..letter(&[OTHER]) };
    let (kept, dropped) = (post.send(asked()).await, post.send(asked()).await);
    assert_eq!(post.worker.run_until_idle().await.unwrap(), in_an_hour);
    assert_eq!(post.status(&kept).await, Status::Scheduled);
    let change = mailbell::mail::submission::Change {
        subject: Some("Changed".into()),
        send_at: Some(post.clock_in(7200)),
        ..Default::default()
    };
    post.submission.change(&agent, &kept, change.clone()).await.unwrap();
    post.submission.cancel(&agent, &dropped).await.unwrap();
    post.submission.cancel(&agent, &dropped).await.unwrap();
    assert_eq!(post.status(&dropped).await, Status::Cancelled);
    post.clock.advance(Duration::from_hours(1));
    assert_eq!(post.worker.run_until_idle().await.unwrap(), Some(post.clock_in(3600)));
    assert!(post.inbox(OTHER).await.is_empty());
    post.clock.advance(Duration::from_hours(1));
    post.worker.run_until_idle().await.unwrap();
    assert_eq!(post.told().await, ["delivery other@mailbell.test", "inbound other@mailbell.test Changed"]);
    let too_late = post.submission.cancel(&agent, &kept).await.unwrap_err();
    assert!(too_late.to_string().contains("`sent`"), "{too_late}");
    assert!(post.submission.change(&agent, &kept, change).await.is_err());
}

#[tokio::test]
async fn a_crash_between_queueing_and_sending_loses_nothing_and_repeats_nothing() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let id = post.send(letter(&[OTHER])).await;
    let post = post.reopened().await;
    post.worker.run_until_idle().await.unwrap();
    let post = post.reopened().await;
    post.worker.run_until_idle().await.unwrap();
    assert_eq!(post.inbox(OTHER).await.len(), 1);
    assert_eq!(post.told().await.len(), 2);
    assert_eq!(post.status(&id).await, Status::Sent);
}

#[tokio::test]
async fn files_and_copies_go_along() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let mut asked = letter(&["Other <other@mailbell.test>"]);
    asked.cc = vec![AGENT.into()];
    asked.files = vec![mailbell::mail::submission::GivenFile {
        name: "a.txt".into(),
        content_type: "text/plain".into(),
        content_base64: "ZmlsZQ==".into(),
    }];
    post.send(asked).await;
    post.worker.run_until_idle().await.unwrap();
    let arrived = post.inbox(OTHER).await.remove(0);
    assert_eq!((arrived.cc, arrived.attachments[0].name.as_str()), (vec![AGENT.to_owned()], "a.txt"));
    let own = post.inbox(AGENT).await;
    assert_eq!(own.len(), 2, "the message, and its copy");
    assert_eq!(own[0].thread_id, own[1].thread_id);
    assert_eq!(json!(own[1].attachments.len()), 1);
}

#[tokio::test]
async fn the_worker_wakes_for_what_is_queued_and_for_what_falls_due_and_ends_when_told() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    let (worker, shutdown) = (post.worker.clone(), tokio_util::sync::CancellationToken::new());
    let ending = shutdown.clone();
    let running = tokio::spawn(async move { worker.run(ending).await });
    post.send(letter(&[OTHER])).await;
    post.owed.notified().await;
    assert_eq!(post.inbox(OTHER).await.len(), 1);
    post.send(mailbell::mail::submission::Letter { send_at: Some(post.clock_in(60)), ..letter(&[OTHER]) }).await;
    let due = post.owed.notified();
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_mins(1));
    due.await;
    assert_eq!(post.inbox(OTHER).await.len(), 2);
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_image_goes_along_only_where_it_is_wanted_and_tells_of_its_fetch() {
    let (dir, clock) = (TempDir::new().unwrap(), TestClock::default());
    let post = Post::open(dir.path(), &clock, None).await;
    post.send(letter(&[OTHER])).await;
    let mut asked = letter(&[OTHER]);
    asked.track_opens = Some(true);
    let id = post.send(asked).await;
    post.go_on().await;
    let mut raws = Vec::new();
    for arrived in post.inbox(OTHER).await {
        raws.push(post.raw(&arrived.mailbox_id, &arrived.id).await.replace("=\r\n", ""));
    }
    let (with, without): (Vec<_>, Vec<_>) = raws.iter().partition(|raw| raw.contains("https://img.test/o/"));
    assert_eq!((with.len(), without.len()), (1, 1), "only the one that asked for it: {raws:?}");
    let at = with[0].find("/o/").unwrap() + 3;
    let fetched = post.tracking.fetched(&with[0][at..at + 68], &Asking::default()).await.unwrap();
    assert_eq!(fetched, Fetched::First);
    let opened = post.events().await.into_iter().find(|event| event["event_type"] == "open").unwrap();
    assert_eq!((&opened["message_id"], &opened["recipient"]), (&json!(id), &json!(OTHER)));
}
