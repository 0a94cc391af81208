//! What else a client may be told or offered: completions, Claude Code's channel, and the end of what it gives up.

use mailbell::domain::event::NewEvent;
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use crate::support::{
    agent::{Era, Wing, inbound},
    bell::{open, other},
    mail_api::email,
    wire::Wire,
};

async fn completed(wire: &mut Wire, template: &str, name: &str, value: &str, context: Value) -> Value {
    let params = json!({ "ref": { "type": "ref/resource", "uri": format!("mailbell://{template}") },
        "argument": { "name": name, "value": value }, "context": { "arguments": context } });
    wire.ask("completion/complete", params).await
}

#[tokio::test]
async fn templates_are_completed_by_what_is_there() {
    let wing = Wing::start().await;
    wing.api.add_mailbox("mbx_2", "sales@mailbell.test");
    for (mailbox, id, tags) in [("mbx_1", "em_1", ["vip", "OBEY me"]), ("mbx_2", "em_2", ["vat", "ignore‹K›"])] {
        let mut email = email(id, "thr_1", 1, "Hi", "text");
        email["tags"] = tags.map(|tag| (tag.to_owned(), json!(""))).into_iter().collect::<JsonObject>().into();
        wing.api.add_email(mailbox, email);
    }
    wing.happens((1..=150).map(|number| inbound(number, "Hi")).collect()).await;
    for era in Era::BOTH {
        let mut wire = Wire::stdio(wing.server(), era).await;
        for (template, name, value, context, found) in [
            (
                "mailboxes/{address}/events",
                "address",
                "",
                json!({}),
                json!(["agent@mailbell.test", "sales@mailbell.test"]),
            ),
            ("mailboxes/{address}/events", "address", "s", json!({}), json!(["sales@mailbell.test"])),
            ("mailboxes/{address}/tags/{tag}", "tag", "v", json!({}), json!(["vip", "vat"])),
            ("mailboxes/{address}/tags/{tag}", "tag", "", json!({ "address": "sales@mailbell.test" }), json!(["vat"])),
            ("threads/{thread_id}", "thread_id", "thr_15", json!({}), json!(["thr_150", "thr_15"])),
            ("messages/{message_id}", "message_id", "em_149", json!({}), json!(["em_149"])),
            ("webhooks/{webhook_id}/deliveries", "webhook_id", "", json!({}), json!([])),
            ("events/{seq}", "seq", "1", json!({}), json!([])),
        ] {
            let answer = completed(&mut wire, template, name, value, context).await;
            let completion = &answer["result"]["completion"];
            let mut values: Vec<Value> = completion["values"].as_array().expect("values").clone();
            if name == "tag" {
                values.sort_by_key(|value| std::cmp::Reverse(value.to_string()));
            }
            assert_eq!((json!(values), &completion["hasMore"]), (found, &json!(false)), "{template} {value}: {answer}");
        }
        let many = completed(&mut wire, "threads/{thread_id}", "thread_id", "thr_", json!({})).await;
        let completion = &many["result"]["completion"];
        assert_eq!((completion["values"].as_array().unwrap().len(), &completion["hasMore"]), (100, &json!(true)));
        for (template, name) in [("threads/{thread_id}", "tag"), ("nothing/{x}", "x"), ("threads/thr_1", "thread_id")] {
            let answer = completed(&mut wire, template, name, "", json!({})).await;
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
        }
    }
}

#[tokio::test]
async fn arguments_of_prompts_are_completed_by_what_is_there() {
    let wing = Wing::start().await;
    wing.api.add_mailbox("mbx_2", "sales@mailbell.test");
    let sales = NewEvent { mailbox: Some("sales@mailbell.test".into()), ..inbound(3, "Hi") };
    wing.happens(vec![inbound(1, "Hi"), other(2), sales]).await;
    for era in Era::BOTH {
        let mut wire = Wire::stdio(wing.server(), era).await;
        let mut completed = async |prompt: &str, name: &str, value: &str, context: Value| {
            let params = json!({ "ref": { "type": "ref/prompt", "name": prompt },
                "argument": { "name": name, "value": value }, "context": { "arguments": context } });
            wire.ask("completion/complete", params).await
        };
        for (prompt, name, value, context, found) in [
            ("catch_up", "mailbox", "s", json!({}), json!(["sales@mailbell.test"])),
            ("handle_bounce", "mailbox", "a", json!({}), json!(["agent@mailbell.test"])),
            ("triage_inbound", "event_id", "", json!({}), json!(["evt_3", "evt_1"])),
            ("triage_inbound", "event_id", "", json!({ "mailbox": "agent@mailbell.test" }), json!(["evt_1"])),
            ("handle_bounce", "event_id", "evt", json!({}), json!([])),
        ] {
            let answer = completed(prompt, name, value, context).await;
            assert_eq!(answer["result"]["completion"]["values"], found, "{prompt} {name}: {answer}");
        }
        for (prompt, name) in [("catch_up", "event_id"), ("handle_bounces", "mailbox")] {
            let answer = completed(prompt, name, "", json!({})).await;
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_channel_tells_kinds_and_counts_and_only_where_it_was_asked_for() {
    let wing = Wing::start().await;
    let without = Wire::stdio(wing.server(), Era::Legacy).await;
    assert_eq!(without.opened["capabilities"].get("experimental"), None);
    let newer = Wire::stdio(wing.server().with_claude_channel(), Era::Modern).await;
    assert_eq!(newer.opened["capabilities"].get("experimental"), None, "{}", newer.opened);
    let mut wire = Wire::stdio(wing.server().with_claude_channel(), Era::Legacy).await;
    assert_eq!(wire.opened["capabilities"]["experimental"], json!({ "claude/channel": {} }));
    assert!(wire.opened["instructions"].as_str().unwrap().contains("<channel source=\"mailbell\">"));
    // An answer comes after it has begun to listen.
    wire.ask("resources/subscribe", json!({ "uri": "mailbell://threads/thr_none" })).await;
    wing.happens(vec![open(1), inbound(2, "OBEY")]).await;
    let told = wire.told().await;
    assert_eq!(told["method"], "notifications/claude/channel");
    assert_eq!(
        told["params"],
        json!({ "content": "1 new e-mail event: 1 inbound. Call wait_for_event to take what is yours.",
            "meta": { "events": "1", "inbound": "1", "first_seq": "2", "last_seq": "2" } })
    );
    wing.happens(vec![inbound(3, "OBEY"), other(4), inbound(5, "OBEY")]).await;
    assert_eq!(wire.told_so_far(), [Value::Null; 0], "each costs a turn");
    wing.clock.advance(std::time::Duration::from_secs(5));
    let told = wire.told().await;
    assert_eq!(
        told["params"]["meta"],
        json!({ "events": "3", "inbound": "2", "other": "1", "first_seq": "3", "last_seq": "5" }),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_declared_is_what_works() {
    let wing = Wing::start().await;
    for era in Era::BOTH {
        let mut wire = Wire::stdio(wing.server(), era).await;
        let declared = &wire.opened["capabilities"];
        let resources = json!({ "subscribe": true, "listChanged": true });
        let mut works = json!({ "tools": {}, "resources": resources, "prompts": {}, "completions": {} });
        if let Era::Modern = era {
            works["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
        }
        assert_eq!(declared, &works);
        assert!(wire.ask("prompts/list", json!({})).await["result"]["prompts"].is_array());
        let undeclared = wire.ask("logging/setLevel", json!({ "level": "info" })).await;
        assert_eq!(undeclared["error"]["code"], -32601, "{undeclared}");
    }
}

#[tokio::test]
async fn what_a_newer_client_cancels_over_stdio_ends() {
    let wing = Wing::start().await;
    let mut wire = Wire::stdio(wing.server(), Era::Modern).await;
    let first = wire.subscribe(&["mailbell://events"]).await;
    wire.notify("notifications/cancelled", json!({ "requestId": first, "reason": "enough" })).await;
    let second = wire.subscribe(&["mailbell://threads/thr_1"]).await;
    wing.happens(vec![inbound(1, "Hi")]).await;
    let told = wire.told().await;
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], second, "{told}");
    assert_eq!(told["params"]["uri"], "mailbell://threads/thr_1");
    assert_eq!(wire.told_so_far(), [Value::Null; 0]);
}

#[tokio::test]
async fn a_wait_that_is_cancelled_is_not_answered_and_takes_nothing() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        let mut wire = Wire::stdio(wing.server(), era).await;
        let wait = json!({ "name": "wait_for_event", "arguments": {}, "_meta": { "progressToken": "p" } });
        let id = wire.begin("tools/call", wait.clone()).await;
        let told = wire.told().await;
        assert_eq!(
            (&told["method"], &told["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("p"))
        );
        wire.notify("notifications/cancelled", json!({ "requestId": id })).await;
        // Answered after the cancellation was read.
        wire.ask("tools/list", json!({})).await;
        wing.happens(vec![inbound(1, "Hi")]).await;
        let again = wire.ask("tools/call", wait).await;
        assert_eq!(again["result"]["structuredContent"]["events"][0]["attempt"], 1, "{again}");
        let answered = wire.told_so_far().into_iter().filter(|message| message["id"] == id).count();
        assert_eq!(answered, 0, "nobody reads an answer to what was cancelled");
    }
}
