//! Resources can be listed and read, behind the same fences.

use rmcp::model::{ReadResourceRequestParams, ResourceContents};
use serde_json::Value;

use crate::support::{
    agent::{Agent, Era, Wing, inbound, unfenced},
    mail_api::email,
};

async fn read(agent: &Agent, uri: &str) -> Value {
    let read = agent.client.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap();
    match &read.contents[0] {
        ResourceContents::TextResourceContents { text, .. } => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_kind_can_be_read_and_an_unknown_one_is_not_found() {
    for era in Era::BOTH {
        let wing = Wing::start().await;
        wing.api.add_email("mbx_1", email("em_1", "thr_1", 1, "Hi", "text"));
        wing.happens(vec![inbound(1, "Hi")]).await;
        let agent = wing.agent(era).await;
        let listed = agent.client.list_all_resources().await.unwrap();
        let uris: Vec<_> = listed.iter().map(|resource| resource.uri.as_str()).collect();
        assert_eq!(uris, ["mailbell://events", "mailbell://mailboxes/agent@mailbell.test/events"]);
        assert_eq!(agent.client.list_all_resource_templates().await.unwrap().len(), 7);

        for uri in uris {
            let events = read(&agent, uri).await;
            assert_eq!(unfenced(&events, &events["events"][0]["subject"]), "Hi");
        }
        let event = read(&agent, "mailbell://events/1").await;
        assert_eq!(unfenced(&event, &event["subject"]), "Hi");
        let thread = read(&agent, "mailbell://threads/thr_1").await;
        assert_eq!(unfenced(&thread, &thread["messages"][0]["subject"]), "Hi");
        let message = read(&agent, "mailbell://messages/em_1").await;
        assert_eq!(unfenced(&message, &message["body_text"]), "text");
        for (tag, count) in [("vip", 0), ("handled", 1)] {
            let tagged = read(&agent, &format!("mailbell://mailboxes/agent@mailbell.test/tags/{tag}")).await;
            assert_eq!(tagged["messages"].as_array().unwrap().len(), count, "{tag}");
            agent.call("tag_email", serde_json::json!({ "message_id": "em_1", "tags": "handled" })).await;
        }
        let deliveries = read(&agent, "mailbell://webhooks/wh_1/deliveries").await;
        assert_eq!(deliveries["deliveries"], serde_json::json!([]));

        for uri in ["mailbell://events/99", "mailbell://messages/em_9", "mailbell://nothing", "mailbell://events/1/2"] {
            let error = agent.client.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap_err();
            let code = match era {
                Era::Legacy => "-32002",
                Era::Modern => "-32602",
            };
            assert!(error.to_string().contains(code), "{uri}: {error}");
        }
    }
}
