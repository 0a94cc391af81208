//! A look at a hosted mail API that knows no more than its documentation says, and that is not always there.

use std::time::Duration;

use mailbell::{
    domain::{
        clock::Clock as _,
        cursor::Seq,
        event::{Auth, Event, EventFilter},
        id::{EventId, SourceName},
    },
    store::{
        hosted::HostedApis as _,
        log::{EventLog as _, Ingested, Order, PageRequest},
    },
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{
    agent::{Wing, inbound},
    mail_api::email,
};

const PUBLIC_URL: Option<&str> = Some("https://bell.test");

async fn events(wing: &Wing) -> Vec<Event> {
    let request = PageRequest {
        filter: EventFilter::default(),
        after: Seq::ZERO,
        before: None,
        order: Order::Ascending,
        limit: 10_000,
    };
    wing.store.page(&request).await.unwrap()
}

async fn messages(wing: &Wing) -> Vec<String> {
    events(wing).await.iter().map(|event| event.fact.message_id.as_ref().unwrap().to_string()).collect()
}

/// The moment so many seconds after the first message.
fn message(number: u32) -> serde_json::Value {
    let mut message = email(&format!("em_{number}"), "thr_1", number / 60, "Hi", "text");
    message["received_at"] = format!("2026-11-24T10:{:02}:{:02}.000Z", number / 60, number % 60).into();
    message
}

#[tokio::test]
async fn pages_are_walked_to_the_mark_and_told_oldest_first() {
    let wing = Wing::start().await;
    for number in 0..=1 {
        wing.api.add_email("mbx_1", message(number));
    }
    let mut hosted = wing.hosted(PUBLIC_URL);
    assert!(hosted.look().await.is_empty());
    assert_eq!(messages(&wing).await, [""; 0], "what was there before is no news");
    // This API ignores `since_id`, so the mark has to be recognised.
    for number in 2..=252 {
        wing.api.add_email("mbx_1", message(number));
    }
    let mut outbound = message(253);
    outbound["direction"] = "outbound".into();
    let mut withheld = message(254);
    withheld["status"] = "pending_inbound_approval".into();
    wing.api.add_email("mbx_1", outbound);
    wing.api.add_email("mbx_1", withheld);
    assert!(hosted.look().await.is_empty());
    let expected: Vec<_> = (2..=252).map(|number| format!("em_{number}")).collect();
    assert_eq!(messages(&wing).await, expected);
    assert!(hosted.look().await.is_empty());
    assert_eq!(messages(&wing).await, expected);
}

#[tokio::test]
async fn a_mailbox_made_meanwhile_gives_what_came_since_the_look_before() {
    let wing = Wing::start().await;
    let mut hosted = wing.hosted(PUBLIC_URL);
    assert!(hosted.look().await.is_empty());
    wing.api.add_mailbox("mbx_2", "zoe@mailbell.test");
    let mut ancient = message(0);
    ancient["received_at"] = "2026-11-20T10:00:00.000Z".into();
    wing.api.add_email("mbx_2", ancient);
    wing.api.add_email("mbx_2", message(1));
    // And one that was empty gives all.
    wing.api.add_email("mbx_1", message(2));
    assert!(hosted.look().await.is_empty());
    assert_eq!(messages(&wing).await, ["em_2", "em_1"]);
}

#[tokio::test]
async fn who_tells_first_is_believed_and_two_webhooks_about_one_message_are_two_events() {
    let wing = Wing::start().await;
    let mut hosted = wing.hosted(PUBLIC_URL);
    assert!(hosted.look().await.is_empty());
    wing.happens(vec![inbound(1, "by webhook")]).await;
    for number in 1..=2 {
        wing.api.add_email("mbx_1", message(number));
    }
    assert!(hosted.look().await.is_empty());
    let told = events(&wing).await;
    assert_eq!(told.iter().map(|event| event.auth).collect::<Vec<_>>(), [Auth::HmacSha256, Auth::Api]);

    let append = async |source: &str, event| {
        let (name, now) = (SourceName::new(source), wing.clock.now());
        wing.store.append(&name, Auth::HmacSha256, now, vec![event]).await.unwrap()
    };
    assert_eq!(append("multimail", inbound(2, "late")).await, [Ingested::Duplicate(told[1].seq)]);
    // Elsewhere an id of the same spelling is another message, and a webhook's event id still says what it is.
    assert!(matches!(append("acme", inbound(2, "theirs")).await[..], [Ingested::Fresh(_)]));
    let mut again = inbound(1, "told twice");
    again.event_id = EventId::new("evt_another");
    assert!(matches!(append("multimail", again).await[..], [Ingested::Fresh(_)]));
}

#[tokio::test]
async fn an_upstream_that_refuses_is_told_of_and_tried_again() {
    let wing = Wing::start().await;
    wing.api.add_email("mbx_1", message(0));
    for _ in 0..2 {
        wing.api.answer_next(401, None, json!({ "error": "no such key" }));
    }
    let over = CancellationToken::new();
    let looking = tokio::spawn(wing.hosted(PUBLIC_URL).run(over.clone()));
    let known = async |well: bool| {
        loop {
            match wing.store.hosted_in_use().await.unwrap() {
                Some(known) if known.trouble.is_none() == well => break known,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let trouble = known(false).await;
    assert_eq!(
        trouble.trouble.as_deref(),
        Some("the mail API does not accept the configured key; the operator must check mail.api_key")
    );
    assert_eq!((trouble.looked_at, trouble.webhook), (None, None));
    let asked = wing.api.asked().len();
    while wing.clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    // The first retry comes within twice the shortest delay, its jitter included.
    wing.clock.advance(Duration::from_secs(10));
    let well = known(true).await;
    assert!(well.looked_at.is_some() && well.webhook.is_some());
    assert!(wing.api.asked().len() > asked);
    // From then on once an hour.
    wing.api.add_email("mbx_1", message(1));
    while wing.clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    wing.clock.advance(Duration::from_hours(1));
    while messages(&wing).await != ["em_1"] {
        tokio::task::yield_now().await;
    }
    over.cancel();
    looking.await.unwrap();
}

#[tokio::test]
async fn an_operator_is_asked_for_approval_once() {
    let wing = Wing::start().await;
    let mut hosted = wing.hosted(PUBLIC_URL);
    for _ in 0..3 {
        // The list of webhooks, and where one is asked for, its pending answer.
        wing.api.answer_next(200, None, json!({ "subscriptions": [] }));
        if wing.api.asked().iter().all(|asked| asked.body.is_null()) {
            wing.api.answer_next(202, None, json!({ "status": "pending_approval" }));
        }
        let [trouble] = &hosted.look().await[..] else { panic!("one trouble") };
        assert!(trouble.to_string().contains("waits for an operator's approval"), "{trouble}");
    }
    let posts = wing.api.asked().into_iter().filter(|asked| !asked.body.is_null()).count();
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_beside_what_only_the_operator_can_mend() {
    let wing = Wing::start().await;
    wing.api.answer_next(401, None, json!({ "error": "no such key" }));
    let mut hosted = wing.hosted(None);
    let troubles = hosted.look().await;
    assert_eq!(troubles.len(), 2, "{troubles:?}");
    let told = wing.store.hosted_in_use().await.unwrap().unwrap().trouble.unwrap();
    assert!(told.contains("set hooks.public_url (--public-url)") && told.contains("check mail.api_key"), "{told}");
    wing.api.answer_next(401, None, json!({ "error": "no such key" }));
    tokio::spawn(hosted.run(CancellationToken::new()));
    let looked_at = async || wing.store.hosted_in_use().await.unwrap().unwrap().looked_at;
    while wing.clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(looked_at().await, None);
    wing.clock.advance(Duration::from_secs(10));
    while looked_at().await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_service_that_refuses_opens_gets_a_webhook_without_them_and_it_is_said() {
    let wing = Wing::start().await;
    let mut hosted = wing.hosted(PUBLIC_URL);
    // The list of webhooks, then what it says to one for all five kinds.
    wing.api.answer_next(200, None, json!({ "subscriptions": [] }));
    wing.api.answer_next(400, None, json!({ "error": "unknown event: open" }));
    for _ in 0..2 {
        let [trouble] = &hosted.look().await[..] else { panic!("one trouble") };
        assert!(trouble.to_string().contains("opens are not told"), "{trouble}");
    }
    let posts: Vec<_> = wing.api.asked().into_iter().filter(|asked| !asked.body.is_null()).collect();
    let kinds: Vec<_> = posts.iter().map(|asked| asked.body["events"].clone()).collect();
    assert_eq!(
        kinds,
        [
            json!(["inbound", "delivery", "bounce", "complaint", "open"]),
            json!(["inbound", "delivery", "bounce", "complaint"])
        ],
        "asked once with them and once without"
    );
    let known = wing.store.hosted_in_use().await.unwrap().unwrap();
    assert!(known.webhook.is_some() && known.looked_at.is_some());
    assert!(known.trouble.unwrap().contains("everything else is"));
}

#[tokio::test]
async fn a_service_that_refuses_the_webhook_for_another_reason_is_not_told_off_for_opens() {
    let wing = Wing::start().await;
    let mut hosted = wing.hosted(PUBLIC_URL);
    wing.api.answer_next(200, None, json!({ "subscriptions": [] }));
    for _ in 0..2 {
        wing.api.answer_next(400, None, json!({ "error": "this URL is not allowed" }));
    }
    let [trouble] = &hosted.look().await[..] else { panic!("one trouble") };
    assert_eq!(trouble.to_string(), "the mail API refused this (HTTP 400)");
    assert_eq!(wing.store.hosted_in_use().await.unwrap().unwrap().webhook, None);
}

#[tokio::test]
async fn a_report_on_another_message_is_no_mail_that_was_missed() {
    let wing = Wing::start().await;
    let mut hosted = wing.hosted(PUBLIC_URL);
    assert!(hosted.look().await.is_empty());
    let mut report = message(1);
    report["report"] = true.into();
    wing.api.add_email("mbx_1", report);
    wing.api.add_email("mbx_1", message(2));
    assert!(hosted.look().await.is_empty());
    assert_eq!(messages(&wing).await, ["em_2"]);
}
