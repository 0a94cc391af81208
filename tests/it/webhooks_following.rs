//! What follows the head of a line is posted without a look at the store in between: unless something has changed.

use std::sync::Arc;

use mailbell::{
    domain::{clock::Clock as _, secret::Secret, webhook::Webhook},
    mail::webhooks::registry::NewWebhook,
    store::{
        deliveries::{Deliveries as _, State},
        upkeep::Upkeep as _,
    },
};
use tokio::{sync::Notify, task::JoinHandle};

use crate::support::{
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Hit, Receiver, Reply},
};

/// A worker whose first post of three is under way, and is answered once told.
struct UnderWay {
    hooks: Hooks,
    receiver: Receiver,
    webhook: Webhook,
    go_on: Arc<Notify>,
    walking: JoinHandle<()>,
}

impl UnderWay {
    async fn start() -> Self {
        let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
        let go_on = Arc::new(Notify::new());
        let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Once(go_on.clone(), 200)]).await;
        let (webhook, _) = hooks.register(&receiver.url()).await;
        for id in ["evt_1", "evt_2", "evt_3"] {
            hooks.happen(&mailbox("ann@mailbell.test"), id).await;
        }
        let worker = hooks.worker.clone();
        let walking = tokio::spawn(async move {
            worker.run_until_idle().await;
        });
        receiver.wait_for(1).await;
        Self { hooks, receiver, webhook, go_on, walking }
    }

    /// The first is answered, and all that follows from that is done.
    async fn end(self) -> (Hooks, Receiver, Webhook) {
        self.go_on.notify_one();
        self.walking.await.unwrap();
        (self.hooks, self.receiver, self.webhook)
    }
}

async fn states(hooks: &Hooks) -> Vec<(State, u32, usize)> {
    hooks.deliveries().await.iter().map(|one| (one.state, one.attempts, one.tries.len())).collect()
}

#[tokio::test]
async fn each_has_its_own_attempt_on_record() {
    let (hooks, receiver, _) = UnderWay::start().await.end().await;
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_2", "evt_3"]);
    assert!(receiver.hits().iter().all(|hit| hit.header("x-multimail-attempt") == "1"));
    assert_eq!(states(&hooks).await, [(State::Delivered, 1, 1); 3]);
}

#[tokio::test]
async fn nothing_is_posted_any_more_once_its_webhook_is_off() {
    let under_way = UnderWay::start().await;
    let UnderWay { hooks, webhook, .. } = &under_way;
    assert!(hooks.store.disable(&webhook.id, "it is enough", hooks.clock.now()).await.unwrap());
    let (hooks, receiver, webhook) = under_way.end().await;
    assert_eq!(receiver.event_ids(), ["evt_1"]);
    let waits = (State::Pending, 0, 0);
    assert_eq!(states(&hooks).await, [(State::Delivered, 1, 1), waits, waits]);

    assert!(hooks.store.enable(&webhook.id, hooks.clock.now()).await.unwrap());
    hooks.worker.run_until_idle().await;
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_2", "evt_3"]);
}

#[tokio::test]
async fn what_is_posted_after_a_rotation_is_signed_with_the_new_secret() {
    let under_way = UnderWay::start().await;
    let UnderWay { hooks, webhook, .. } = &under_way;
    let secret = Secret::new("the-new-one-of-32-characters-and-more");
    hooks.store.rotate(&webhook.id, &secret, hooks.clock.now(), None, 2).await.unwrap();
    let (_, receiver, _) = under_way.end().await;
    let signed: Vec<_> = receiver.hits().iter().map(|hit| hit.is_signed_with(&secret)).collect();
    assert_eq!(signed, [false, true, true]);
}

#[tokio::test]
async fn one_that_fails_holds_up_what_follows_it_and_is_tried_alone() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let replies = [200, 500, 500].map(Reply::Status);
    let receiver = Receiver::answering(hooks.clock.clone(), replies).await;
    hooks.register(&receiver.url()).await;
    for id in ["evt_1", "evt_2", "evt_3"] {
        hooks.happen(&mailbox("ann@mailbell.test"), id).await;
    }
    assert!(hooks.go_on().await);
    assert_eq!(states(&hooks).await, [(State::Delivered, 1, 1), (State::Pending, 1, 1), (State::Pending, 0, 0)]);
    assert!(hooks.go_on().await);
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_2", "evt_2"]);
    assert!(!hooks.go_on().await);
    assert_eq!(receiver.event_ids(), ["evt_1", "evt_2", "evt_2", "evt_2", "evt_3"]);
    let tries: Vec<_> = receiver.hits().iter().map(|hit| hit.header("x-multimail-attempt").to_owned()).collect();
    assert_eq!(tries, ["1", "1", "2", "3", "1"]);
}

#[tokio::test]
async fn two_webhooks_of_one_endpoint_keep_their_order_and_their_secrets() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    let mut secrets = Vec::new();
    for secret in ["one-of-32-characters-and-some-more", "two-of-32-characters-and-some-more"].map(Secret::new) {
        let asked = NewWebhook {
            endpoint: receiver.url(),
            events: vec!["inbound".into()],
            secret: Some(secret.clone()),
            ..NewWebhook::default()
        };
        hooks.register_as(asked).await;
        secrets.push(secret);
    }
    // More than are taken at once.
    let ids: Vec<_> = (0..40).map(|number| format!("evt_{number}")).collect();
    for id in &ids {
        assert_eq!(hooks.happen(&mailbox("ann@mailbell.test"), id).await, 2);
    }
    hooks.worker.run_until_idle().await;
    let hits = receiver.hits();
    for secret in &secrets {
        let signed: Vec<_> = hits.iter().filter(|hit| hit.is_signed_with(secret)).map(Hit::event_id).collect();
        assert_eq!(signed, ids);
    }
    assert_eq!(hits.len(), 80);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_gets_nothing_of_another_line_either() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let (go_on, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (ann, ben) = (mailbox("ann@mailbell.test"), mailbox("ben@mailbell.test"));
    let (held, let_go) = (go_on.clone(), gone.clone());
    let receiver = Receiver::start(hooks.clock.clone(), move |hit| match hit.event_id().as_str() {
        "evt_a1" => Reply::Once(held.clone(), 200),
        "evt_b1" => Reply::Once(let_go.clone(), 410),
        _ => Reply::Status(200),
    })
    .await;
    hooks.register(&receiver.url()).await;
    for (mailbox, id) in [(&ann, "evt_a1"), (&ann, "evt_a2"), (&ben, "evt_b1")] {
        hooks.happen(mailbox, id).await;
    }
    let worker = hooks.worker.clone();
    let walking = tokio::spawn(async move {
        worker.run_until_idle().await;
    });
    receiver.wait_for(2).await;
    let changes = hooks.store.changes();
    gone.notify_one();
    while hooks.store.changes() == changes {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    walking.await.unwrap();
    assert_eq!(receiver.hits().len(), 2, "{:?}", receiver.event_ids());
}
