//! What is published: the tool list is a contract, and every conversation pays for its length.

use mailbell::mcp::{present::RESULT_CHARS_MAX, published_tools};
use serde_json::json;

use crate::support::{
    agent::{Era, Wing, inbound},
    mail_api::email,
};

#[test]
fn tools_are_as_published() {
    for tool in published_tools() {
        insta::assert_json_snapshot!(format!("tool__{}", tool.name), tool);
        assert!(tool.title.is_some() && tool.output_schema.is_some(), "{}", tool.name);
        let annotations = tool.annotations.unwrap();
        assert!(annotations.read_only_hint.is_some() && annotations.destructive_hint.is_some(), "{}", tool.name);
        assert!(annotations.idempotent_hint.is_some() && annotations.open_world_hint.is_some(), "{}", tool.name);
    }
}

/// What a text costs, by the tokenizer of a family of models that publishes it; others come within some percent.
fn tokens(text: &str) -> usize {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len()
}

#[test]
fn the_tool_list_is_small() {
    let tools = published_tools();
    // What every client shows its model, and all of it.
    let shown: Vec<_> = tools
        .iter()
        .map(|tool| json!({ "name": tool.name, "description": tool.description, "inputSchema": tool.input_schema }))
        .collect();
    let shown = tokens(&serde_json::to_string(&shown).unwrap());
    let all = tokens(&serde_json::to_string(&tools).unwrap());
    eprintln!("{shown} tokens shown, {all} in all");
    assert!(shown < 3_500 && all < 6_000, "{shown} tokens shown, {all} in all");
}

/// A result without a larger `limit` or `max_chars`, which its model reads to the end, is small, and one full of long texts
/// is no larger than 8,000 characters.
#[tokio::test]
async fn default_results_are_small() {
    let wing = Wing::start().await;
    let wordy = "Please find the attached figures for the third quarter, and let us know what you think. ";
    for number in 0..30_u32 {
        wing.api.add_email("mbx_1", email(&format!("em_{number}"), "thr_1", number, "Re: third quarter", wordy));
        wing.happens(vec![inbound(number, "Re: third quarter")]).await;
    }
    let long = email("em_99", "thr_2", 59, &wordy.repeat(11), &wordy.repeat(2_000));
    wing.api.add_email("mbx_1", long);
    let agent = wing.agent(Era::Legacy).await;
    for (tool, arguments, tokens_max) in [
        ("wait_for_event", json!({}), 1_100),
        ("list_events", json!({}), 2_200),
        ("check_inbox", json!({}), 2_200),
        ("get_thread", json!({ "thread_id": "thr_1" }), 3_200),
        ("read_email", json!({ "message_id": "em_1" }), 350),
        ("read_email", json!({ "message_id": "em_99" }), 2_200),
    ] {
        let result = agent.call(tool, arguments).await.to_string();
        let (chars, cost) = (result.chars().count(), tokens(&result));
        eprintln!("{tool}: {cost} tokens, {chars} characters");
        assert!(cost <= tokens_max && chars <= RESULT_CHARS_MAX, "{tool}: {cost} tokens, {chars} characters");
    }
}
