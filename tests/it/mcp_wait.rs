//! Agents wait for events, settle them, and leave nothing behind when they go away.

use std::time::Duration;

use rmcp::{
    model::{CallToolRequest, CallToolRequestParams, ClientRequest},
    service::PeerRequestOptions,
};
use serde_json::json;

use crate::support::agent::{Agent, Era, Wing, inbound, unfenced};

/// Polls a condition that another task is about to make true.
async fn until(mut condition: impl FnMut() -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it comes true");
}

#[tokio::test]
async fn what_came_before_the_wait_is_returned_leased_and_acked_by_its_tag() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        wing.api.add_email("mbx_1", crate::support::mail_api::email("em_1", "thr_1", 1, "Hi", "text"));
        wing.happens(vec![inbound(1, "Hi")]).await;
        let agent = wing.agent(era).await;
        let waited = agent.call("wait_for_event", json!({})).await;
        assert_eq!(waited["timed_out"], false);
        assert_eq!(unfenced(&waited, &waited["events"][0]["subject"]), "Hi");
        assert_eq!(waited["events"][0]["attempt"], 1);
        assert_eq!(waited["backlog"], json!({ "inbound": 1 }));
        assert_eq!(waited["next"], json!({ "consumer": "default" }));

        // Without the token: those leased to this caller.
        let tagged = agent.call("tag_email", json!({ "message_id": "em_1", "tags": "handled" })).await;
        assert_eq!((&tagged["acked"], &tagged["handled"]), (&json!(["evt_1"]), &json!(true)));
        assert_eq!(wing.api.tags_of("em_1"), ["handled"]);
        let again = agent.call("wait_for_event", json!({ "timeout_secs": 0 })).await;
        assert_eq!((&again["events"], &again["timed_out"]), (&json!([]), &json!(true)));
        assert!(again.to_string().len() < 300, "a timeout is tiny: {again}");
    }
}

#[tokio::test]
async fn another_agent_s_event_stays_and_its_token_holds() {
    let wing = Wing::start().await;
    wing.api.add_email("mbx_1", crate::support::mail_api::email("em_1", "thr_1", 1, "Hi", "text"));
    wing.happens(vec![inbound(1, "Hi")]).await;
    let (first, second) = (wing.agent(Era::Modern).await, wing.agent(Era::Legacy).await);
    let waited = first.call("wait_for_event", json!({})).await;
    let tagged = second.call("tag_email", json!({ "message_id": "em_1", "tags": ["handled"] })).await;
    assert_eq!((&tagged["acked"], &tagged["stayed"]), (&json!([]), &json!(["evt_1"])));
    let acked = first.call("ack_event", json!({ "lease_token": waited["lease_token"] })).await;
    assert_eq!(acked["done"], json!(["evt_1"]));
    let stale = first.refused("ack_event", json!({ "lease_token": waited["lease_token"] })).await;
    assert!(stale.contains("nothing was changed"), "{stale}");
}

#[tokio::test]
async fn a_lease_that_ran_out_goes_to_the_next_worker_and_the_old_token_is_refused() {
    let wing = Wing::start().await;
    wing.happens(vec![inbound(1, "Hi")]).await;
    let (first, second) = (wing.agent(Era::Legacy).await, wing.agent(Era::Legacy).await);
    let lost = first.call("wait_for_event", json!({ "lease_secs": "30" })).await;
    wing.clock.advance(Duration::from_secs(31));
    let taken = second.call("wait_for_event", json!({})).await;
    assert_eq!(taken["events"][0]["attempt"], 2);
    first.refused("ack_event", json!({ "lease_token": lost["lease_token"] })).await;
    let extended = second
        .call("ack_event", json!({ "lease_token": taken["lease_token"], "action": "extend", "lease_secs": 900 }))
        .await;
    assert_eq!(extended["done"], json!(["evt_1"]));
    let released = second.call("ack_event", json!({ "lease_token": taken["lease_token"], "action": "release" })).await;
    assert_eq!(released["action"], "release");
    assert_eq!(first.call("wait_for_event", json!({})).await["events"][0]["attempt"], 3);
}

#[tokio::test]
async fn progress_is_told_at_once_and_every_ten_seconds() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        let mut agent = wing.agent(era).await;
        let wait = wait(&agent, json!({})).await;
        // At once: nothing has happened and no time has passed.
        assert!((agent.progress.recv().await.unwrap().progress - 1.0).abs() < f64::EPSILON);
        until(|| wing.clock.sleepers() > 1 + era.sleepers()).await;
        wing.clock.advance(Duration::from_secs(10));
        assert!((agent.progress.recv().await.unwrap().progress - 2.0).abs() < f64::EPSILON);
        wing.happens(vec![inbound(1, "Hi")]).await;
        let result = serde_json::to_value(wait.await_response().await.unwrap()).unwrap();
        assert_eq!(result["structuredContent"]["events"][0]["event_id"], "evt_1");
    }
}

#[tokio::test]
async fn a_cancelled_wait_ends_and_leaves_no_lease() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        let mut agent = wing.agent(era).await;
        let waiting = wait(&agent, json!({})).await;
        agent.progress.recv().await.unwrap();
        until(|| wing.clock.sleepers() > 1 + era.sleepers()).await;
        waiting.cancel(Some("changed my mind".into())).await.unwrap();
        // The wait is over once nobody sleeps: neither for its timeout nor for its next beat.
        until(|| wing.clock.sleepers() == era.sleepers()).await;
        wing.happens(vec![inbound(1, "Hi")]).await;
        // A claim that was under way is taken back, and that rings; no time passes, so no lease runs out.
        let other = wing.agent(era).await;
        let waited = tokio::time::timeout(Duration::from_secs(10), other.call("wait_for_event", json!({}))).await;
        assert_eq!(waited.expect("it is free")["events"][0]["attempt"], 1);
    }
}

#[tokio::test]
async fn a_client_that_closes_stdin_is_handed_nothing_more() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        let mut agent = wing.agent(era).await;
        let _waiting = wait(&agent, json!({})).await;
        agent.progress.recv().await.unwrap();
        until(|| wing.clock.sleepers() > 1 + era.sleepers()).await;
        agent.client.cancel().await.unwrap();
        // Not after the five seconds that rmcp gives to answers under way.
        let ended = tokio::time::timeout(Duration::from_secs(3), until(|| wing.clock.sleepers() == 0)).await;
        ended.expect("the wait ends with its client");
        wing.happens(vec![inbound(1, "Hi")]).await;
        let other = wing.agent(era).await;
        let waited = tokio::time::timeout(Duration::from_secs(10), other.call("wait_for_event", json!({}))).await;
        assert_eq!(waited.expect("it is free")["events"][0]["attempt"], 1);
    }
}

#[tokio::test]
async fn an_onlooker_leases_nothing_and_goes_on_where_it_was() {
    let wing = Wing::start().await;
    wing.happens(vec![inbound(1, "one"), inbound(2, "two")]).await;
    let agent = wing.agent(Era::Modern).await;
    let first = agent.call("wait_for_event", json!({ "after": "earliest", "limit": 1 })).await;
    assert_eq!(unfenced(&first, &first["events"][0]["subject"]), "one");
    assert_eq!((first.get("lease_token"), first["events"][0].get("attempt")), (None, None));
    let second = agent.call("wait_for_event", first["next"].clone()).await;
    assert_eq!(unfenced(&second, &second["events"][0]["subject"]), "two");
    let thread = json!({ "after": "earliest", "thread_id": "thr_2", "timeout_secs": 0 });
    assert_eq!(agent.call("wait_for_event", thread).await["events"].as_array().unwrap().len(), 1);
    assert_eq!(agent.call("wait_for_event", json!({})).await["events"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn past_events_are_paged_in_both_directions() {
    let wing = Wing::start().await;
    wing.happens((1..=25).map(|number| inbound(number, &"x".repeat(400))).collect()).await;
    let agent = wing.agent(Era::Legacy).await;
    for (order, go_on) in [("desc", "before"), ("asc", "after")] {
        let mut seen = Vec::new();
        let mut arguments = json!({ "order": order, "limit": 20 });
        loop {
            let page = agent.call("list_events", arguments.clone()).await;
            assert!(page.to_string().chars().count() <= 8_000, "{}", page.to_string().chars().count());
            let events = page["events"].as_array().unwrap();
            if events.is_empty() {
                break;
            }
            seen.extend(events.iter().map(|event| event["seq"].as_i64().unwrap()));
            arguments[go_on] = page["cursor"].clone();
        }
        let mut expected: Vec<i64> = (1..=25).collect();
        if order == "desc" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{order}");
    }
}

async fn wait(agent: &Agent, arguments: serde_json::Value) -> rmcp::service::RequestHandle<rmcp::RoleClient> {
    let arguments = arguments.as_object().unwrap().clone();
    let params = CallToolRequestParams::new("wait_for_event").with_arguments(arguments);
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    agent.client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap()
}
