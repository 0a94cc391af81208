//! What is published: the tool list is a contract, and every conversation pays for its length.

use mailbell::mcp::published_tools;

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

#[test]
fn the_tool_list_is_small() {
    let tools = published_tools();
    // About four characters a token. What every client shows its model: 3,500 tokens; all of it: 6,000.
    let shown: Vec<_> = tools.iter().map(|tool| (&tool.name, &tool.description, &tool.input_schema)).collect();
    let (shown, all) = (serde_json::to_string(&shown).unwrap().len(), serde_json::to_string(&tools).unwrap().len());
    assert!(shown < 14_000 && all < 24_000, "{shown} and {all} bytes");
}
