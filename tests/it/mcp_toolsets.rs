//! A server has the tools of its toolsets; a call of another says which set that one is in.

use std::process::Command;

use mailbell::{config::Toolset, mcp::Toolsets};
use rmcp::model::GetPromptRequestParams;
use serde_json::json;

use crate::support::agent::{Agent, Era, Wing, inbound};

async fn agent_with(words: &[Toolset]) -> (Wing, Agent) {
    let mut wing = Wing::start().await;
    wing.toolsets = Toolsets::new(words);
    wing.happens(vec![inbound(1, "Hi")]).await;
    let agent = wing.agent(Era::Modern).await;
    (wing, agent)
}

async fn listed(agent: &Agent) -> Vec<String> {
    agent.client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.to_string()).collect()
}

#[tokio::test]
async fn a_tool_outside_the_toolsets_is_not_listed_and_a_call_says_where_it_is() {
    let (_wing, agent) = agent_with(&[Toolset::Events, Toolset::Suppression]).await;
    assert_eq!(
        listed(&agent).await,
        ["wait_for_event", "list_events", "ack_event", "suppress_address", "list_suppressions"]
    );
    agent.call("wait_for_event", json!({ "timeout_secs": 0 })).await;
    let told = agent.refused("check_inbox", json!({})).await;
    assert!(told.contains("check_inbox is in the toolset `mail`"), "{told}");
    assert!(
        told.contains("this server has events,suppression") && told.contains("--toolsets events,suppression,mail"),
        "{told}"
    );
    // Nor does it offer prompts that name such tools.
    assert!(agent.client.list_all_prompts().await.unwrap().is_empty());
    let told = agent.client.get_prompt(GetPromptRequestParams::new("catch_up")).await.unwrap_err().to_string();
    assert!(told.contains("no prompt catch_up") && told.contains("toolsets"), "{told}");
    // Before it looks at arguments: these would be refused too.
    let told = agent.refused("register_webhook", json!({ "nonsense": 1 })).await;
    assert!(told.contains("toolset `webhooks`"), "{told}");
}

#[tokio::test]
async fn read_only_lists_and_does_what_changes_nothing() {
    let (wing, agent) = agent_with(&[Toolset::ReadOnly]).await;
    assert_eq!(
        listed(&agent).await,
        [
            "wait_for_event",
            "list_events",
            "list_mailboxes",
            "check_inbox",
            "read_email",
            "get_thread",
            "list_suppressions",
            "list_webhooks",
            "list_webhook_deliveries"
        ]
    );
    let told = agent.refused("send_email", json!({ "to": "a@b.test", "subject": "s", "markdown": "m" })).await;
    assert!(told.contains("changes something") && told.contains("`read-only`"), "{told}");
    let told = agent.refused("wait_for_event", json!({ "timeout_secs": 0 })).await;
    assert!(told.contains("`read-only`") && told.contains("`after`"), "{told}");
    let seen = agent.call("wait_for_event", json!({ "after": "earliest" })).await;
    assert!(seen["events"].as_array().unwrap().len() == 1 && seen.get("lease_token").is_none(), "{seen}");
    assert!(wing.api.asked().iter().all(|asked| !asked.path.contains("send")));
}

#[test]
fn a_word_that_is_no_toolset_is_refused_with_those_that_are() {
    for words in ["mial", "", "events,nothing"] {
        let dir = tempfile::tempdir().unwrap();
        let mut serve = Command::new(env!("CARGO_BIN_EXE_mailbell"));
        let ran = serve.args(["serve", "--toolsets", words, "--data-dir"]).arg(dir.path()).output().unwrap();
        let told = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{told}");
        assert!(told.contains("toolset") && (words.is_empty() || told.contains("read-only")), "{told}");
    }
}
