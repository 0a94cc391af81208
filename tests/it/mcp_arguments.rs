//! Wrong arguments are refused in a sentence that helps; nearly right ones are taken.

use serde_json::{Value, json};

use crate::support::agent::{Era, Wing, inbound};

#[tokio::test]
async fn what_is_wrong_is_named_with_what_is_allowed() {
    let wing = Wing::start().await;
    let agent = wing.agent(Era::Legacy).await;
    let cases: &[(&str, Value, &[&str])] = &[
        ("wait_for_event", json!({ "timeout": 5 }), &["timeout", "Did you mean `timeout_secs`?"]),
        ("wait_for_event", json!({ "event_type": "inbound" }), &["event_type", "`event_types`"]),
        (
            "wait_for_event",
            json!({ "timeout_secs": 3601 }),
            &["`timeout_secs`", "a whole number from 0 to 3600", "3601"],
        ),
        ("wait_for_event", json!({ "timeout_secs": "soon" }), &["`timeout_secs`", "soon"]),
        ("wait_for_event", json!({ "limit": 0 }), &["`limit`", "from 1 to 50"]),
        ("wait_for_event", json!({ "event_types": ["received"] }), &["`event_types`", "inbound, delivery"]),
        ("wait_for_event", json!({ "after": "now", "consumer": "a" }), &["`consumer` and `after` exclude each other"]),
        ("wait_for_event", json!({ "thread_id": "thr_1" }), &["`thread_id` needs `after`"]),
        ("wait_for_event", json!({ "after": "yesterday" }), &["`after`", "not a cursor", "earliest"]),
        ("wait_for_event", json!({ "mailbox": "nobody" }), &["`mailbox`", "list_mailboxes"]),
        ("wait_for_event", json!({ "consumer": "a b" }), &["`consumer`"]),
        (
            "wait_for_event",
            json!({ "event_types": ["inbound", "bounced"] }),
            &["not bounced", "did you mean `bounce`?"],
        ),
        ("wait_for_event", json!({ "mailbox": "" }), &["`mailbox`", "a text of 1 to 1000 characters"]),
        ("list_events", json!({ "order": "up" }), &["`order`", "one of desc, asc"]),
        ("list_events", json!({ "before": "1" }), &["`before`", "not a cursor"]),
        ("ack_event", json!({}), &["needs the argument `lease_token`"]),
        ("ack_event", json!({ "lease_token": null }), &["needs the argument `lease_token`"]),
        ("ack_event", json!({ "lease_token": "t", "note": "n" }), &["`note`", "`escalate`"]),
        ("read_email", json!({ "id": "em_1" }), &["id", "`message_id`"]),
        ("read_email", json!({ "message_id": {} }), &["`message_id`", "an object"]),
        ("read_email", json!({ "message_id": "em_9" }), &["no message em_9; call check_inbox"]),
        ("get_thread", json!({ "thread_id": "thr_9" }), &["no thread thr_9; call check_inbox"]),
        ("check_inbox", json!({ "mailbox": "who@else.test" }), &["no mailbox who@else.test; call list_mailboxes"]),
        ("check_inbox", json!({ "cursor": "x" }), &["not a cursor of check_inbox"]),
        ("check_inbox", json!({ "unread_only": "maybe" }), &["`unread_only`", "true or false"]),
        ("tag_email", json!({ "message_id": "em_1" }), &["`tags`", "`remove`"]),
        ("tag_email", json!({ "message_id": "em_1", "tags": ["handled"], "remove": ["handled"] }), &["decide"]),
        ("delete_webhook", json!({ "webhook_id": "wh_9" }), &["no webhook wh_9; call list_webhooks"]),
        ("register_webhook", json!({ "mailbox": "a@b.test", "domain": "b.test" }), &["exclude each other"]),
        ("register_webhook", json!({ "events": ["approval"] }), &["`events`", "inbound, delivery"]),
    ];
    for (tool, arguments, parts) in cases {
        let sentence = agent.refused(tool, arguments.clone()).await;
        for part in *parts {
            assert!(sentence.contains(part), "{tool} {arguments}: {sentence} lacks {part}");
        }
    }
}

#[tokio::test]
async fn what_is_nearly_right_is_taken() {
    let wing = Wing::start().await;
    wing.happens(vec![inbound(1, "Hi")]).await;
    let agent = wing.agent(Era::Modern).await;
    for arguments in [
        json!({ "event_types": "inbound", "after": "earliest" }),
        json!({ "event_types": "[\"inbound\"]", "after": "earliest" }),
        json!({ "limit": "5", "timeout_secs": 0.0, "after": "earliest" }),
        json!({ "mailbox": "Agent@MailBell.Test", "after": ["earliest"] }),
        json!({ "domain": "@mailbell.test", "after": "earliest", "consumer": null }),
        json!({ "thread_id": "‹0123456789›thr_1‹/0123456789›", "after": "earliest" }),
    ] {
        let waited = agent.call("wait_for_event", arguments.clone()).await;
        assert_eq!(waited["events"].as_array().unwrap().len(), 1, "{arguments}");
    }
}

#[tokio::test]
async fn a_kind_that_a_consumer_does_not_own_points_to_after() {
    let wing = Wing::start().await;
    let agent = wing.agent(Era::Legacy).await;
    agent.call("wait_for_event", json!({ "timeout_secs": 0 })).await;
    let sentence = agent.refused("wait_for_event", json!({ "event_types": ["open"], "timeout_secs": 0 })).await;
    assert!(sentence.contains("`open`") && sentence.contains("`after`"), "{sentence}");
    // `kinds` counts at the first use; later it would be in vain.
    let sentence = agent.refused("wait_for_event", json!({ "kinds": ["inbound", "open"], "timeout_secs": 0 })).await;
    assert!(sentence.contains("`open`") && sentence.contains("another `consumer`"), "{sentence}");
    let owned = agent.call("wait_for_event", json!({ "kinds": ["inbound"], "timeout_secs": 0 })).await;
    assert_eq!(owned["timed_out"], true);
}

#[tokio::test]
async fn an_unknown_tool_is_named_with_the_nearest() {
    let wing = Wing::start().await;
    let agent = wing.agent(Era::Legacy).await;
    let asked = rmcp::model::CallToolRequestParams::new("wait_for_events");
    let error = agent.client.call_tool(asked).await.unwrap_err().to_string();
    assert!(error.contains("Did you mean `wait_for_event`?"), "{error}");
}
