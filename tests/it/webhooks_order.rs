//! What an endpoint sees: each mailbox's events in order, whatever happens to the others'; every one signed.

use std::{collections::HashSet, time::Duration};

use mailbell::{
    domain::{clock::Clock as _, secret::Secret},
    mail::webhooks::{registry::NewWebhook, running::LOOK_EVERY, worker::GATHERED_FOR},
    store::deliveries::{Answer, State},
};
use serde_json::Value;

use crate::support::{
    hooks::Hooks,
    mailroom::{MemoryMailroom, mailbox},
    receiver::{Hit, Receiver, Reply},
};

#[tokio::test]
async fn a_failing_head_holds_its_own_line_and_no_other() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let (ann, ben) = (mailbox("ann@mailbell.test"), mailbox("ben@mailbell.test"));
    let refused = std::sync::Mutex::new(HashSet::from(["evt_a1".to_owned()]));
    let once = move |hit: &Hit| {
        if refused.lock().unwrap().remove(&hit.event_id()) { Reply::Status(503) } else { Reply::Status(200) }
    };
    let receiver = Receiver::start(hooks.clock.clone(), once).await;
    let (_, secret) = hooks.register(&receiver.url()).await;
    for (mailbox, id) in [(&ann, "evt_a1"), (&ann, "evt_a2"), (&ben, "evt_b1"), (&ann, "evt_a3"), (&ben, "evt_b2")] {
        assert_eq!(hooks.happen(mailbox, id).await, 1);
    }

    assert!(hooks.go_on().await);
    let of = |prefix: &str| receiver.event_ids().into_iter().filter(|id| id.starts_with(prefix)).collect::<Vec<_>>();
    assert_eq!(of("evt_a"), ["evt_a1"], "nothing overtakes the failing head");
    assert_eq!(of("evt_b"), ["evt_b1", "evt_b2"], "the other mailbox goes on");

    assert!(!hooks.go_on().await);
    assert_eq!(of("evt_a"), ["evt_a1", "evt_a1", "evt_a2", "evt_a3"]);
    assert!(receiver.hits().iter().all(|hit| hit.is_signed_with(&secret)));
    assert!(hooks.deliveries().await.iter().all(|delivery| delivery.state == State::Delivered));
}

#[tokio::test]
async fn a_long_line_goes_in_order_and_waits_for_what_fails_in_its_middle() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let refused = std::sync::Mutex::new(HashSet::from(["evt_70".to_owned()]));
    let once = move |hit: &Hit| {
        if refused.lock().unwrap().remove(&hit.event_id()) { Reply::Status(503) } else { Reply::Status(200) }
    };
    let receiver = Receiver::start(hooks.clock.clone(), once).await;
    hooks.register(&receiver.url()).await;
    let ann = mailbox("ann@mailbell.test");
    let all: Vec<_> = (1..=100).map(|number| format!("evt_{number}")).collect();
    for id in &all {
        hooks.happen(&ann, id).await;
    }

    assert!(hooks.go_on().await);
    assert_eq!(receiver.event_ids(), all[..70], "nothing overtakes what fails");
    assert!(!hooks.go_on().await);
    assert_eq!(receiver.event_ids()[70..], all[69..]);
    for delivery in hooks.deliveries().await {
        let tries = if delivery.event_id.as_str() == "evt_70" { 2 } else { 1 };
        assert_eq!((delivery.state, delivery.attempts), (State::Delivered, tries), "{delivery:?}");
    }
}

#[tokio::test]
async fn a_request_carries_the_same_bytes_at_every_try_and_says_which_try_it_is() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), [Reply::Status(500), Reply::Status(204)]).await;
    let secret = Secret::new("chosen-by-the-client");
    let (webhook, _) = hooks
        .register_as(NewWebhook {
            endpoint: receiver.url(),
            events: vec!["email.received".into()],
            secret: Some(secret.clone()),
            ..NewWebhook::default()
        })
        .await;
    hooks.happen(&mailbox("ann@mailbell.test"), "evt_1").await;
    while hooks.go_on().await {}

    let hits = receiver.hits();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0].body, hits[1].body);
    for (hit, attempt) in hits.iter().zip(["1", "2"]) {
        assert!(hit.is_signed_with(&secret));
        assert!(!hit.is_signed_with(&Secret::new("another")));
        assert!(hit.header("x-multimail-signature").starts_with("sha256="), "the spelling of the email.* vocabulary");
        assert!(hit.header("x-multimail-signature-256").starts_with("sha256="));
        assert_eq!(hit.header("x-multimail-event-id"), "evt_1");
        assert_eq!(hit.header("webhook-id"), "evt_1");
        assert_eq!(hit.header("x-multimail-attempt"), attempt);
        assert_eq!(hit.header("content-type"), "application/json");
        assert_eq!(hit.path, "/hook");
    }
    assert_ne!(hits[0].header("webhook-timestamp"), hits[1].header("webhook-timestamp"), "signed when sent");
    assert_eq!(hits[0].field("event"), "email.received");
    assert_eq!(hits[0].field("event_type"), "inbound");
    assert_eq!(hits[0].field("webhook_id"), webhook.id.as_str());
    assert_eq!(hits[0].field("subject"), "Grüße");
}

#[tokio::test]
async fn an_event_goes_to_each_webhook_whose_scope_and_kinds_it_falls_under() {
    let ann = mailbox("ann@mailbell.test");
    let hooks = Hooks::start(MemoryMailroom::default().with_mailbox(ann.clone()), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    let asked = |mailbox: Option<&str>, domain: Option<&str>, event: &str| NewWebhook {
        endpoint: receiver.url(),
        mailbox: mailbox.map(Into::into),
        domain: domain.map(Into::into),
        events: vec![event.into()],
        ..NewWebhook::default()
    };
    let mut wanting = HashSet::new();
    for right in [
        asked(None, None, "inbound"),
        asked(None, Some("MailBell.test"), "message.received"),
        asked(Some("Ann@mailbell.test"), None, "inbound"),
        asked(Some("mbx_ann"), None, "email.received"),
    ] {
        wanting.insert(hooks.register_as(right).await.0.id.to_string());
    }
    for wrong in [asked(None, None, "bounce"), asked(None, Some("example.test"), "inbound")] {
        hooks.register_as(wrong).await;
    }

    assert_eq!(hooks.happen(&ann, "evt_1").await, 4);
    assert_eq!(hooks.happen(&mailbox("ben@mailbell.test"), "evt_2").await, 2);
    assert_eq!(hooks.happen(&mailbox("cat@sub.mailbell.test"), "evt_3").await, 1, "a domain is not its subdomains");
    hooks.worker.run_until_idle().await;
    let told = receiver.hits().into_iter().filter(|hit| hit.event_id() == "evt_1");
    let told: HashSet<_> = told.map(|hit| hit.field("webhook_id").as_str().unwrap().to_owned()).collect();
    assert_eq!(told, wanting);
}

#[tokio::test]
async fn our_own_receiver_is_found_where_it_listens_now() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("self").await;
    let ann = mailbox("ann@mailbell.test");
    hooks.happen(&ann, "evt_1").await;
    let next = hooks.worker.run_until_idle().await;
    assert_eq!(next, Some(hooks.clock.now().plus(LOOK_EVERY)), "nobody listens, so nothing is tried");
    assert_eq!(hooks.deliveries().await[0].attempts, 0);

    let first = Receiver::answering(hooks.clock.clone(), []).await;
    hooks.own.send_replace(Some(first.address()));
    hooks.worker.run_until_idle().await;
    assert_eq!(first.hits()[0].path, "/hooks/multimail");

    let second = Receiver::answering(hooks.clock.clone(), []).await;
    hooks.own.send_replace(Some(second.address()));
    hooks.happen(&ann, "evt_2").await;
    hooks.worker.run_until_idle().await;
    assert_eq!((first.event_ids(), second.event_ids()), (vec!["evt_1".into()], vec!["evt_2".into()]));
}

#[tokio::test]
async fn our_own_receiver_takes_what_is_owed_together_and_a_failure_has_each_go_alone() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let (_, secret) = hooks.register("self").await;
    let (ann, ben) = (mailbox("ann@mailbell.test"), mailbox("ben@mailbell.test"));
    for number in 0..70 {
        hooks.happen(&ann, &format!("evt_{number:02}")).await;
    }
    hooks.happen(&ben, "evt_ben").await;
    let ids = |hit: &Hit| match serde_json::from_slice(&hit.body).unwrap() {
        Value::Array(events) => events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect(),
        event => vec![event["event_id"].as_str().unwrap().to_owned()],
    };
    // What fails together goes on one by one, whatever of it was to blame.
    let failed = std::sync::atomic::AtomicBool::new(false);
    let once = move |hit: &Hit| {
        let together = hit.body.starts_with(b"[");
        let fails = together && !failed.swap(true, std::sync::atomic::Ordering::Relaxed);
        Reply::Status(if fails { 400 } else { 200 })
    };
    let receiver = Receiver::start(hooks.clock.clone(), once).await;
    hooks.own.send_replace(Some(receiver.address()));
    while hooks.go_on().await {}

    let hits = receiver.hits();
    assert!(hits.iter().all(|hit| hit.is_signed_with(&secret)));
    let posts: Vec<_> = hits.iter().map(ids).filter(|ids| ids[0] != "evt_ben").collect();
    let all: Vec<_> = (0..70).map(|number| format!("evt_{number:02}")).collect();
    assert_eq!(posts[0], all[..64], "as many as go together");
    assert!(posts[1..65].iter().all(|ids| ids.len() == 1), "one by one, after the failure");
    assert_eq!(posts[65..], [all[64..].to_vec()], "and together again");
    assert_eq!(posts[1..].concat(), all, "in order");
    let deliveries = hooks.deliveries().await;
    assert!(deliveries.iter().all(|delivery| delivery.state == State::Delivered));
    let of = |id: &str| deliveries.iter().find(|delivery| delivery.event_id.as_str() == id).unwrap();
    let statuses = |id: &str| of(id).tries.iter().map(|attempt| attempt.answer.clone()).collect::<Vec<_>>();
    for id in ["evt_00", "evt_63"] {
        assert_eq!(statuses(id), [Answer::Status(400), Answer::Status(200)], "{id}: both tries are on record");
        assert_eq!(of(id).attempts, 2);
    }
    assert_eq!((of("evt_69").attempts, statuses("evt_69")), (1, vec![Answer::Status(200)]));
}

#[tokio::test]
async fn what_comes_in_a_stream_is_gathered_before_our_own_receiver_gets_more_and_the_rest_at_once() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("self").await;
    let ann = mailbox("ann@mailbell.test");
    let happen = async |numbers: std::ops::Range<u32>| {
        for number in numbers {
            hooks.happen(&ann, &format!("evt_{number:02}")).await;
        }
    };
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    hooks.own.send_replace(Some(receiver.address()));
    happen(0..1).await;
    hooks.worker.run_until_idle().await;
    happen(1..4).await;
    // The clock is held: what waited for it would never end.
    hooks.worker.run_until_idle().await;
    happen(4..16).await;
    let began = hooks.clock.now();
    let meanwhile = async {
        while receiver.hits().len() < 3 {
            tokio::task::yield_now().await;
        }
        happen(16..19).await;
        while receiver.hits().len() < 4 {
            hooks.clock.advance(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(hooks.worker.run_until_idle(), meanwhile);
    let events = |hit: &Hit| serde_json::from_slice::<Vec<Value>>(&hit.body).map_or(1, |events| events.len());
    let posts: Vec<usize> = receiver.hits().iter().map(events).collect();
    assert_eq!(posts, [1, 3, 12, 3]);
    assert!(receiver.hits()[3].at >= began.plus(GATHERED_FOR));
}

#[tokio::test]
async fn others_get_each_event_alone() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    hooks.register(&receiver.url()).await;
    for number in 0..5 {
        hooks.happen(&mailbox("ann@mailbell.test"), &format!("evt_{number}")).await;
    }
    hooks.worker.run_until_idle().await;
    assert_eq!(receiver.event_ids(), ["evt_0", "evt_1", "evt_2", "evt_3", "evt_4"]);
}

#[tokio::test]
async fn what_may_be_tried_once_more_goes_alone_to_our_own_receiver() {
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    hooks.register("self").await;
    for number in 0..3 {
        hooks.happen(&mailbox("ann@mailbell.test"), &format!("evt_{number}")).await;
    }
    // Nobody listens for a day and two minutes, which count: the next try is the last.
    for _ in 0..=24 * 60 + 2 {
        hooks.worker.run_until_idle().await;
        hooks.clock.advance(LOOK_EVERY);
    }
    let one_by_one = |hit: &Hit| Reply::Status(if hit.body.starts_with(b"[") { 500 } else { 200 });
    let receiver = Receiver::start(hooks.clock.clone(), one_by_one).await;
    hooks.own.send_replace(Some(receiver.address()));
    hooks.worker.run_until_idle().await;
    assert_eq!(receiver.event_ids(), ["evt_0", "evt_1", "evt_2"]);
    assert!(hooks.deliveries().await.iter().all(|delivery| delivery.state == State::Delivered));
}

#[tokio::test]
async fn more_endpoints_than_there_is_room_for_at_once_all_have_their_turn() {
    const ENDPOINTS: usize = 300;
    let hooks = Hooks::start(MemoryMailroom::default(), &[]).await;
    let receiver = Receiver::answering(hooks.clock.clone(), []).await;
    for number in 0..ENDPOINTS {
        hooks.register(&format!("{}/{number}", receiver.url())).await;
    }
    for id in ["evt_1", "evt_2"] {
        assert_eq!(hooks.happen(&mailbox("ann@mailbell.test"), id).await as usize, ENDPOINTS);
    }
    assert_eq!(hooks.worker.run_until_idle().await, None);
    let mut of_each = std::collections::HashMap::<String, Vec<String>>::new();
    for hit in receiver.hits() {
        of_each.entry(hit.path.clone()).or_default().push(hit.event_id());
    }
    assert_eq!(of_each.len(), ENDPOINTS);
    assert!(of_each.values().all(|ids| *ids == ["evt_1", "evt_2"]), "{of_each:?}");
}
