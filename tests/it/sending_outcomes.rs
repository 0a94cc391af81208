//! What became of a message stands on the message itself: when it was first delivered, the bounce it is
//! remembered by, and whether it carries a tracking image.

use mailbell::{
    domain::{clock::UnixMillis, id::MessageId},
    mail::submission::Change,
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    api::ApiServer,
    clock::TestClock,
    post::{Post, letter},
    relay::FakeRelay,
};

const FULL: &str = "full@customer.test";

struct Story {
    post: Post,
    relay: FakeRelay,
    api: ApiServer,
    _dir: TempDir,
}

async fn story() -> Story {
    let (dir, clock, relay) = (TempDir::new().unwrap(), TestClock::default(), FakeRelay::start().await);
    let post = Post::open(dir.path(), &clock, Some(relay.port)).await;
    let api = ApiServer::start(post.api.clone()).await;
    Story { post, relay, api, _dir: dir }
}

impl Story {
    /// `delivered_at`, `bounced_at` and `bounce_type`, which a list and the email itself agree on.
    async fn shows(&self, id: &MessageId) -> [Value; 3] {
        let (_, email) = self.api.get(&format!("/v1/mailboxes/agent@mailbell.test/emails/{id}")).await;
        let (_, list) = self.api.get("/v1/mailboxes/agent@mailbell.test/emails?direction=outbound").await;
        let listed = list["emails"].as_array().unwrap().iter().find(|one| one["id"] == id.as_str()).unwrap();
        let [one, other] = [&email, listed].map(|shape| {
            ["delivered_at", "bounced_at", "bounce_type"].map(|name| shape.get(name).expect(name).clone())
        });
        assert_eq!(one, other);
        one
    }

    fn now(&self) -> Value {
        json!(self.post.clock_in(0))
    }
}

#[tokio::test]
async fn a_message_shows_its_first_delivery_and_its_worst_bounce() {
    let story = story().await;
    story.relay.answers_for("ghost@customer.test", "550 5.1.1 no such user");
    story.relay.answers_for(FULL, "452 4.2.2 mailbox is full");
    let id = story.post.send(letter(&["bob@customer.test", "ghost@customer.test", FULL])).await;
    assert_eq!(story.shows(&id).await, [Value::Null, Value::Null, Value::Null]);
    let first = story.now();
    story.post.worker.run_until_idle().await.unwrap();
    assert_eq!(story.shows(&id).await, [first.clone(), first.clone(), "hard".into()]);
    // A later delivery is not the first, a later soft bounce no worse than a hard one.
    story.relay.answers_for(FULL, "250 2.1.5 ok");
    assert!(story.post.go_on().await && !story.post.go_on().await);
    assert_eq!(story.shows(&id).await, [first.clone(), first, "hard".into()]);
}

#[tokio::test]
async fn a_soft_bounce_stands_until_the_recipient_is_delivered_to() {
    let story = story().await;
    story.relay.answers_for(FULL, "452 4.2.2 mailbox is full");
    let id = story.post.send(letter(&[FULL])).await;
    let refused = story.now();
    story.post.worker.run_until_idle().await.unwrap();
    assert_eq!(story.shows(&id).await, [Value::Null, refused, "soft".into()]);
    story.relay.answers_for(FULL, "250 2.1.5 ok");
    assert!(story.post.go_on().await);
    let taken = story.now();
    story.post.worker.run_until_idle().await.unwrap();
    assert_eq!(story.shows(&id).await, [taken, Value::Null, Value::Null]);
}

#[tokio::test]
async fn what_came_in_shows_none_of_it() {
    let story = story().await;
    story.post.send(letter(&["other@mailbell.test"])).await;
    story.post.worker.run_until_idle().await.unwrap();
    let (_, list) = story.api.get("/v1/mailboxes/other@mailbell.test/emails").await;
    let came = &list["emails"][0];
    assert_eq!((&came["direction"], &came["delivered_at"]), (&"inbound".into(), &Value::Null));
    assert_eq!((&came["bounced_at"], &came["bounce_type"]), (&Value::Null, &Value::Null));
    let sent: Option<UnixMillis> = story.post.inbox("agent@mailbell.test").await[0].delivered_at;
    assert_eq!(sent, Some(story.post.clock_in(0)));
}

#[tokio::test]
async fn an_edit_keeps_the_message_s_own_choice_of_a_tracking_image() {
    let story = story().await;
    let agent = story.post.mailbox("agent@mailbell.test").await;
    let on =
        |on: bool| story.api.send(Method::PATCH, "/v1/mailboxes/agent@mailbell.test", json!({ "track_opens": on }));
    for (mailbox_wants, asked, carries) in
        [(false, Some(true), true), (true, Some(false), false), (true, None, true), (false, None, false)]
    {
        assert_eq!(on(mailbox_wants).await.0, 200);
        let mut scheduled = letter(&["other@mailbell.test"]);
        (scheduled.track_opens, scheduled.send_at) = (asked, Some(story.post.clock_in(60)));
        let id = story.post.send(scheduled).await;
        let change = Change { subject: Some("Changed".into()), ..Change::default() };
        story.post.submission.change(&agent, &id, change).await.unwrap();
        let raw = story.post.raw(&agent.id, &id).await.replace("=\r\n", "");
        assert!(raw.contains("Changed"));
        assert_eq!(raw.contains("https://img.test/o/"), carries, "{mailbox_wants} {asked:?}");
    }
}
