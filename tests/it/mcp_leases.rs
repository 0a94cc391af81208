//! Tools that act under a lease: they do nothing once it is over, and what they send once is not sent twice.

use std::time::Duration;

use mailbell::{domain::id::ConsumerName, store::standing::Standings as _};
use serde_json::{Value, json};

use crate::support::agent::{Agent, Era, Wing, inbound, unfenced};

async fn lease(agent: &Agent) -> Value {
    let waited = agent.call("wait_for_event", json!({ "lease_secs": 60, "limit": 1, "timeout_secs": 0 })).await;
    assert_eq!(waited["events"][0]["event_id"], "evt_1", "{waited}");
    waited["lease_token"].clone()
}

#[tokio::test]
async fn a_lease_that_is_over_is_refused_before_anything_is_done() {
    let wing = Wing::start().await;
    wing.happens(vec![inbound(1, "one")]).await;
    let (one, two) = (wing.agent(Era::Legacy).await, wing.agent(Era::Modern).await);
    let token = lease(&one).await;
    wing.clock.advance(Duration::from_secs(61));
    let newer = lease(&two).await;
    // Which mailboxes there are is asked for whoever connects, in its own time.
    let asks = || wing.api.asked().into_iter().filter(|asked| !asked.path.ends_with("/mailboxes")).count();
    let before = asks();
    let acts = [
        ("send_email", json!({ "to": "bob@example.com", "subject": "s", "markdown": "m" })),
        ("reply_email", json!({ "message_id": "em_1", "markdown": "m" })),
        ("suppress_address", json!({ "address": "bob@example.com" })),
        ("schedule_retry", json!({ "message_id": "em_1", "recipient": "bob@example.com" })),
        ("tag_email", json!({ "message_id": "em_1", "tags": "handled" })),
    ];
    for (tool, mut arguments) in acts {
        arguments["lease_token"] = token.clone();
        let refused = one.refused(tool, arguments).await;
        assert!(refused.contains("nothing was done") && refused.contains("wait_for_event again"), "{tool}: {refused}");
    }
    assert_eq!(asks(), before, "the mail API was not asked for anything");
    let acked = two.call("ack_event", json!({ "lease_token": newer })).await;
    assert_eq!(acked["done"], json!(["evt_1"]));
}

#[tokio::test]
async fn the_same_message_under_a_later_lease_of_the_event_is_the_same_request() {
    let wing = Wing::start().await;
    wing.happens(vec![inbound(1, "one")]).await;
    let mut keys = Vec::new();
    for markdown in ["the answer", "the answer", "another answer"] {
        let agent = wing.agent(Era::Modern).await;
        let token = lease(&agent).await;
        wing.api.answer_next(200, None, json!({ "mailboxes": [{ "id": "mbx_1", "address": "agent@mailbell.test" }] }));
        wing.api.answer_next(202, None, json!({ "id": "em_7", "thread_id": "thr_7", "status": "pending_scan" }));
        let message = json!({ "to": "bob@example.com", "subject": "s", "markdown": markdown, "lease_token": token });
        agent.call("send_email", message).await;
        keys.push(wing.api.asked().pop().unwrap().body["idempotency_key"].as_str().unwrap().to_owned());
        wing.clock.advance(Duration::from_secs(61));
    }
    assert!(keys[0].starts_with("lease-") && keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[tokio::test]
async fn an_agent_escalates_and_is_told_what_it_has_left() {
    let wing = Wing::start().await;
    wing.happens(vec![inbound(1, "one"), inbound(2, "two")]).await;
    let agent = wing.agent(Era::Legacy).await;
    let waited = agent.call("wait_for_event", json!({ "limit": 1, "consumer": "desk", "kinds": "inbound" })).await;
    assert_eq!(waited["backlog"], json!({ "inbound": 2 }));
    let escalate = json!({ "lease_token": waited["lease_token"], "action": "escalate", "note": "a <threat>" });
    assert_eq!(agent.call("ack_event", escalate).await["done"], json!(["evt_1"]));
    let parked = wing.store.parked_claims(&ConsumerName::new("desk"), 9).await.unwrap().remove(0);
    assert_eq!(parked.note.as_deref(), Some("a <threat>"));
    assert!(parked.holder.unwrap().starts_with("process:") && parked.client.is_some());

    for attempt in 1..=5 {
        let waited = agent.call("wait_for_event", json!({ "consumer": "desk", "timeout_secs": 0 })).await;
        assert_eq!(
            (&waited["events"][0]["event_id"], &waited["events"][0]["attempt"]),
            (&"evt_2".into(), &attempt.into())
        );
        assert_eq!(unfenced(&waited, &waited["events"][0]["subject"]), "two");
        let release = json!({ "lease_token": waited["lease_token"], "action": "release" });
        let released = agent.call("ack_event", release).await;
        assert_eq!(released.get("parked"), (attempt == 5).then_some(&json!(["evt_2"])));
    }
    assert_eq!(agent.call("wait_for_event", json!({ "consumer": "desk", "timeout_secs": 0 })).await["timed_out"], true);
}
